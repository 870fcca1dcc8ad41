//! Which protocol is spoken on a TLS connection, and what its end means.

use std::sync::Arc;

use http::Request;
use llmesh::{body::Body, proxy::Input};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::{CLUSTER, Ca, Gate, HOST, Server, eventually, mesh, policy, request, simple};
use crate::{
    kit::Folder,
    support::{Raw, bind, soon},
};

#[tokio::test]
async fn what_the_handshake_gives_is_spoken() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    let leaf = ca.leaf(&[HOST]);
    for (takes, answer, kind) in [
        (
            &["h2", "http/1.1"][..],
            "HTTP/2.0 https 5",
            "upstream_cx_http2_total",
        ),
        (&["h2"], "HTTP/2.0 https 5", "upstream_cx_http2_total"),
        (&["http/1.1"], "HTTP/1.1 - 5", "upstream_cx_http1_total"),
        (&[], "HTTP/1.1 - 5", "upstream_cx_http1_total"),
    ] {
        let server = Server::start(leaf.server(takes)).await;
        let gate = Gate::to(&server, &ca, &folder).await;
        for _ in 0..3 {
            let (reply, _) = gate.ask().await;
            assert_eq!((reply.status, &*reply.body), (200, answer), "{takes:?}");
        }
        // The first connection serves, though it was not known what it would be.
        assert_eq!(server.connections(), 1, "{takes:?}");
        assert_eq!(gate.stat(CLUSTER, kind).await, 1, "{takes:?}");
        assert_eq!(gate.stat(CLUSTER, "ssl.handshake").await, 1);
        assert_eq!(
            gate.stat(CLUSTER, "upstream_cx_total").await,
            1,
            "{takes:?}"
        );
        assert_eq!(
            gate.stat(CLUSTER, "upstream_cx_active").await,
            1,
            "{takes:?}"
        );
        let page = gate.page("/stats/prometheus").await;
        let series = format!("envoy_cluster_ssl_handshake{{cluster_name=\"{CLUSTER}\"}} 1");
        assert!(page.contains(&series), "{page}");
    }
}

#[tokio::test]
async fn a_port_that_says_its_protocol_offers_no_other() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    folder.write("ca.pem", &ca.pem());
    let leaf = ca.leaf(&[HOST]);
    for (port, takes, answer) in [
        (
            "protocol: HTTP2",
            &["h2", "http/1.1"][..],
            Some("HTTP/2.0 https 5"),
        ),
        ("protocol: HTTP2", &["http/1.1"], None),
        ("protocol: HTTP2", &[], None),
        ("protocol: HTTP", &["h2", "http/1.1"], Some("HTTP/1.1 - 5")),
        ("protocol: HTTP", &[], Some("HTTP/1.1 - 5")),
        ("protocol: HTTP", &["h2"], None),
    ] {
        let server = Server::start(leaf.server(takes)).await;
        let gate = Gate::new(&mesh(&[server.addr], port, &policy(&simple(&folder)))).await;
        let (reply, _) = gate.ask().await;
        let says = gate.logged("upstream_transport_failure_reason");
        match answer {
            Some(answer) => assert_eq!((reply.status, &*reply.body), (200, answer), "{says}"),
            None => {
                assert_eq!(reply.status, 503, "{port} {takes:?}");
                assert!(says.starts_with("no shared protocol"), "{says}");
            }
        }
    }
}

#[tokio::test]
async fn many_at_once_find_their_connections_before_anything_is_known() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    let leaf = ca.leaf(&[HOST]);
    for takes in [&["h2"][..], &["http/1.1"], &[]] {
        let server = Server::start(leaf.server(takes)).await;
        let gate = Arc::new(Gate::to(&server, &ca, &folder).await);
        let asked = (0..40).map(|_| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { gate.caller().await.send(request()).await.status })
        });
        for status in asked.collect::<Vec<_>>() {
            assert_eq!(soon(status).await.unwrap(), 200, "{takes:?}");
        }
        let open = gate.stat(CLUSTER, "upstream_cx_active").await;
        assert!(
            if takes == ["h2"] {
                open == 1
            } else {
                open <= 40
            },
            "{open}"
        );
        assert_eq!(gate.stat(CLUSTER, "upstream_rq_pending_active").await, 0);
    }
}

#[tokio::test]
async fn a_server_may_change_its_mind() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    let leaf = ca.leaf(&[HOST]);
    let server = Server::start(leaf.server(&["h2"])).await;
    let gate = Gate::to(&server, &ca, &folder).await;
    for (takes, answer) in [
        (&["h2"][..], "HTTP/2.0 https 5"),
        (&["http/1.1"], "HTTP/1.1 - 5"),
        (&["h2"], "HTTP/2.0 https 5"),
        (&[], "HTTP/1.1 - 5"),
        (&["h2", "http/1.1"], "HTTP/2.0 https 5"),
    ] {
        server.set(leaf.server(takes));
        server.disconnect();
        // A request may meet the connection that is just going down; none after it does.
        eventually(async || gate.stat(CLUSTER, "upstream_cx_active").await == 0).await;
        for _ in 0..2 {
            let (reply, _) = gate.ask().await;
            assert_eq!((reply.status, &*reply.body), (200, answer), "{takes:?}");
        }
    }
}

/// It is HTTP/1.1 that can be left, so it is what is offered for that, and for nothing else.
#[tokio::test]
async fn websocket_has_a_connection_of_its_own_beside_http2() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    let leaf = ca.leaf(&[HOST]);
    let ask = format!(
        "GET /v1/realtime HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    for (takes, answer) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0 https 5"),
        (&["http/1.1"], "HTTP/1.1 - 5"),
        (&[], "HTTP/1.1 - 5"),
    ] {
        let server = Server::start(leaf.server(takes)).await;
        let gate = Gate::to(&server, &ca, &folder).await;
        // Before anything is known of the server, and after.
        for n in 0..2 {
            let mut caller = Raw::connect(gate.proxy.outbound()).await;
            caller.write(&ask).await;
            let head = caller.head().await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{takes:?}: {head}");
            for text in ["one", "two"] {
                caller.write(text).await;
                assert_eq!(caller.piece().await, text);
            }
            let (reply, _) = gate.ask().await;
            assert_eq!((reply.status, &*reply.body), (200, answer), "{takes:?}");
            caller.0.shutdown().await.unwrap();
            assert_eq!(caller.rest().await, "");
            let summary = gate.log.nth(2 * n + 1).await;
            assert_eq!((summary.status, summary.bytes_sent), (101, 6));
            assert_eq!(summary.notes.flags(), "-", "{takes:?}");
        }
        // What served requests serves them on, unless it is what was taken over.
        assert_eq!(server.connections(), 3, "{takes:?}");
        eventually(async || gate.stat(CLUSTER, "upstream_cx_active").await == 1).await;
    }
    let server = Server::start(leaf.server(&["h2"])).await;
    let gate = Gate::to(&server, &ca, &folder).await;
    assert_eq!(gate.ask().await.0.status, 200);
    let mut caller = Raw::connect(gate.proxy.outbound()).await;
    caller.write(&ask).await;
    assert!(caller.head().await.starts_with("HTTP/1.1 503 "));
    let says = gate.log.nth(1).await.notes.transport_failure.unwrap();
    assert!(says.starts_with("no shared protocol"), "{says}");
    assert_eq!(
        gate.ask().await.0.status,
        200,
        "the server is none the worse"
    );
}

#[tokio::test]
async fn a_ceiling_of_connections_holds_for_those_that_turn_out_to_be_http1() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    folder.write("ca.pem", &ca.pem());
    let server = Server::start(ca.leaf(&[HOST]).server(&["http/1.1"])).await;
    let policy = format!(
        "connectionPool: {{tcp: {{maxConnections: 2}}}}, tls: {{{}}}",
        simple(&folder)
    );
    let gate = Gate::new(&mesh(&[server.addr], "protocol: HTTPS", &policy)).await;
    let gate = Arc::new(gate);
    let asked = (0..30).map(|_| {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move { gate.caller().await.send(request()).await.status })
    });
    for status in asked.collect::<Vec<_>>() {
        assert_eq!(soon(status).await.unwrap(), 200);
    }
    assert!(server.connections() <= 3, "{}", server.connections());
    assert!(gate.stat(CLUSTER, "upstream_cx_active").await <= 2);
}

/// A server of one connection after another that writes this after each request, and closes as it should or not.
async fn abrupt(tls: ServerConfig, answer: &'static str, notify: bool) -> std::net::SocketAddr {
    let (listener, address) = bind().await;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            if notify {
                let _ = stream.shutdown().await;
            }
        }
    });
    address
}

#[tokio::test]
async fn an_end_that_is_not_announced_cuts_a_body_without_length() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    folder.write("ca.pem", &ca.pem());
    let leaf = ca.leaf(&[HOST]);
    let (open, sized, chunked) = (
        "HTTP/1.1 200 OK\r\n\r\npart",
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npart",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n\r\n",
    );
    for (answer, notify, whole) in [
        (open, true, true),
        (open, false, false),
        (sized, false, true),
        (chunked, false, true),
        (chunked, true, true),
    ] {
        let address = abrupt(leaf.server(&[]), answer, notify).await;
        let gate = Gate::new(&mesh(
            &[address],
            "protocol: HTTPS",
            &policy(&simple(&folder)),
        ))
        .await;
        let (reply, summary) = gate.ask().await;
        assert_eq!((reply.status, &*reply.body), (200, "part"), "{answer}");
        assert_eq!(!reply.broken, whole, "{answer} {notify}");
        assert_eq!(summary.notes.flags() == "-", whole, "{answer} {notify}");
        // The next has a connection of its own.
        assert_eq!(gate.ask().await.0.status, 200, "{answer} {notify}");
    }
}

#[tokio::test]
async fn an_early_answer_is_read_though_the_rest_can_not_be_written() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    folder.write("ca.pem", &ca.pem());
    let answer =
        "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    let address = abrupt(ca.leaf(&[HOST]).server(&[]), answer, true).await;
    let gate = Gate::new(&mesh(
        &[address],
        "protocol: HTTPS",
        &policy(&simple(&folder)),
    ))
    .await;
    let request = Request::post("/v1/chat").header("host", HOST);
    let request = request.body(Body::from(vec![b'x'; 32 << 10])).unwrap();
    let reply = gate.caller().await.send(request).await;
    assert_eq!((reply.status, &*reply.body), (413, "no"));
}

#[tokio::test]
async fn no_connection_made_under_another_rule_is_used() {
    let (ca, folder, files) = (Ca::new("ca"), Folder::new(), Folder::new());
    folder.write("ca.pem", &ca.pem());
    let server = Server::start(ca.leaf(&[HOST]).server(&["h2", "http/1.1"])).await;
    let write = |more: &str| {
        let tls = format!("{}{more}", simple(&folder));
        files.write(
            "mesh.yaml",
            &mesh(&[server.addr], "protocol: HTTPS", &policy(&tls)),
        );
    };
    write("");
    let gate = Gate::of(Input::new(vec![files.0.clone()])).await;
    let status = async || gate.caller().await.send(request()).await.status;
    assert_eq!(status().await, 200);
    // Its kept connection was made without asking for these.
    write(", subjectAltNames: [other.example]");
    eventually(async || status().await == 503).await;
    assert_eq!(status().await, 503);
    write("");
    eventually(async || status().await == 200).await;
}
