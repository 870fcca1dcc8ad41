//! What is wrong with a server, a certificate or a file: what the caller sees, what the log says, what is counted.

use std::time::Duration;

use llmesh::base::time::Instant;
use rcgen::date_time_ymd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    CLUSTER, Ca, Gate, HOST, Leaf, Server, makes::openssl_server, mesh, mutual, path, policy,
    simple,
};
use crate::{kit::Folder, support::bind};

/// One thing that is wrong.
struct Row {
    name: &'static str,
    at: std::net::SocketAddr,
    port: &'static str,
    policy: String,
    sees: Sees,
    /// Words of the log.
    says: &'static str,
    counts: &'static str,
}

/// What the caller sees: the status, and the body.
#[derive(Clone, Copy, PartialEq)]
enum Sees {
    /// A failed connection, that was not tried again.
    Refused,
    /// A failed connection, each of three times.
    RefusedThrice,
    Late,
    /// An answer that is none.
    Protocol,
}

/// What answers a connection that is no server of TLS.
async fn raw(answer: Vec<u8>, stays: bool) -> std::net::SocketAddr {
    let (listener, address) = bind().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut hello = [0; 4096];
                let _ = stream.read(&mut hello).await;
                let _ = stream.write_all(&answer).await;
                if stays {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            });
        }
    });
    address
}

async fn check(row: Row) {
    let name = row.name;
    let gate = Gate::new(&mesh(&[row.at], row.port, &row.policy)).await;
    let began = Instant::now();
    let (reply, summary) = gate.ask().await;
    let took = began.elapsed();
    let (status, flags, tries, body) = match row.sees {
        Sees::Refused => (503, "UF", 1, "remote connection failure"),
        Sees::RefusedThrice => (503, "URX,UF", 3, "remote connection failure"),
        Sees::Late => (503, "URX,UF", 3, "connection timeout"),
        Sees::Protocol => (502, "UPE", 1, "protocol error"),
    };
    let says = gate.logged("upstream_transport_failure_reason");
    assert!(says.contains(row.says), "{name}: {says:?}");
    assert_eq!(
        (
            reply.status,
            &*summary.notes.flags(),
            summary.notes.attempts
        ),
        (status, flags, tries),
        "{name}: {says}"
    );
    assert!(
        reply.body.contains(&format!("reset reason: {body}")) && !reply.body.contains(row.says),
        "{name}: {}",
        reply.body
    );
    assert_eq!(gate.logged("response_flags"), flags, "{name}");
    // Three times the timeout, and the waits between.
    assert!(took < Duration::from_millis(2500), "{name}: {took:?}");
    let cluster = match row.port {
        TLS => CLUSTER,
        _ => "outbound|80||llm.example",
    };
    let counted = gate.stat(cluster, row.counts).await;
    assert_eq!(counted, u64::from(tries), "{name}: {}", row.counts);
    // None of it is held against the endpoint.
    let healthy = gate.stat(cluster, "membership_healthy").await;
    assert_eq!(healthy, 1, "{name}");
}

const TLS: &str = "protocol: HTTPS";

#[tokio::test]
async fn a_certificate_that_is_not_good() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let folder = Folder::new();
    folder.write("ca.pem", &ca.pem());
    let dated = |from: i32, to: i32| {
        ca.leaf_with(&[HOST], |params| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
        })
    };
    let below = ca.intermediate("below").leaf(&[HOST]);
    let names = "subjectAltNames: [a.example, '*.b.example']";
    let (error, san) = ("ssl.fail_verify_error", "ssl.fail_verify_san");
    for (name, leaf, more, says, counts) in [
        (
            "wrong CA",
            other.leaf(&[HOST]),
            "",
            "unknown CA: the certificate's chain ends at one issued by CN=other",
            error,
        ),
        (
            "expired",
            dated(2020, 2024),
            "",
            "the certificate expired ",
            error,
        ),
        (
            "not yet valid",
            dated(2970, 2980),
            "",
            "the certificate is not valid yet, only in ",
            error,
        ),
        (
            "wrong name",
            ca.leaf(&["other.example"]),
            "",
            "the certificate is for other.example, not for llm.example",
            san,
        ),
        (
            "not of the list",
            ca.leaf(&[HOST]),
            names,
            "the certificate is for llm.example, and subjectAltNames wants a.example or *.b.example",
            san,
        ),
        (
            "self-signed",
            Leaf::self_signed(),
            "",
            "the certificate is self-signed",
            error,
        ),
        (
            "no intermediate",
            below,
            "",
            "the server sent no intermediate certificate",
            error,
        ),
    ] {
        let server = Server::start(leaf.server(&["http/1.1"])).await;
        let comma = if more.is_empty() { "" } else { ", " };
        let tls = format!("{}{comma}{more}", simple(&folder));
        check(Row {
            name,
            at: server.addr,
            port: TLS,
            policy: policy(&tls),
            sees: Sees::Refused,
            says,
            counts,
        })
        .await;
        assert_eq!(server.requests(), 0, "{name}");
    }
}

#[tokio::test]
async fn a_key_that_is_too_short() {
    let folder = Folder::new();
    let Some(server) = openssl_server(&folder, "rsa:1024", &["-www"]).await else {
        return;
    };
    check(Row {
        name: "RSA-1024",
        at: server.addr,
        port: TLS,
        policy: policy(&simple(&folder)),
        sees: Sees::Refused,
        says: "a certificate's key is too short: RSA of 1024 bits; 2048 are the least",
        counts: "ssl.fail_verify_error",
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_speak_as_expected() {
    let ca = Ca::new("ca");
    let folder = Folder::new();
    folder.write("ca.pem", &ca.pem());
    let spdy = Server::start(ca.leaf(&[HOST]).server(&["spdy/3"])).await;
    let http = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec();
    let error = "ssl.connection_error";
    for (name, at, sees, says, counts) in [
        (
            "silent after ClientHello",
            raw(Vec::new(), true).await,
            Sees::Late,
            "the TLS handshake was not over in time",
            "upstream_cx_connect_timeout",
        ),
        (
            "closed after ClientHello",
            raw(Vec::new(), false).await,
            Sees::RefusedThrice,
            "closed the connection in the middle of the TLS handshake",
            error,
        ),
        (
            "plain HTTP",
            raw(http, false).await,
            Sees::Refused,
            "the server does not speak TLS on this port",
            error,
        ),
        (
            "garbage",
            raw(vec![0xa5; 16 << 10], true).await,
            Sees::Refused,
            "the server does not speak TLS on this port",
            error,
        ),
        (
            "other protocols",
            spdy.addr,
            Sees::Refused,
            "no shared protocol",
            error,
        ),
    ] {
        check(Row {
            name,
            at,
            port: TLS,
            policy: policy(&simple(&folder)),
            sees,
            says,
            counts,
        })
        .await;
    }
    // The other way round: nothing says that the port waits for TLS.
    let server = Server::start(ca.leaf(&[HOST]).server(&["http/1.1"])).await;
    check(Row {
        name: "TLS on a plain port",
        at: server.addr,
        port: "protocol: HTTP",
        policy: "connectionPool: {tcp: {connectTimeout: 300ms}}".to_owned(),
        sees: Sees::Protocol,
        says: "the server speaks TLS on this port",
        counts: "upstream_cx_total",
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_not_good() {
    let ca = Ca::new("ca");
    let server = Server::start(ca.leaf(&[HOST]).server(&[])).await;
    let (one, two) = (ca.leaf(&["one"]), ca.leaf(&["two"]));
    let (key, other) = (one.key.serialize_pem(), two.key.serialize_pem());
    let half = &one.pem[..one.pem.len() / 2];
    let half_ca = &ca.pem()[..ca.pem().len() / 2];
    for (name, authority, certificate, key, says) in [
        (
            "half a PEM",
            &*ca.pem(),
            half,
            &*key,
            "c.pem: cut short: a section has no end",
        ),
        (
            "half an authority",
            half_ca,
            &one.pem,
            &key,
            "ca.pem: cut short: a section has no end",
        ),
        (
            "no PEM at all",
            "hello",
            &one.pem,
            &key,
            "ca.pem: no certificate in it",
        ),
        (
            "a key of another",
            &ca.pem(),
            &one.pem,
            &other,
            "does not fit the certificate",
        ),
        (
            "no key",
            &ca.pem(),
            &one.pem,
            &one.pem,
            "k.pem: no private key in it",
        ),
    ] {
        let folder = Folder::new();
        folder.write("ca.pem", authority);
        folder.write("c.pem", certificate);
        folder.write("k.pem", key);
        check(Row {
            name,
            at: server.addr,
            port: TLS,
            policy: policy(&mutual(&folder)),
            sees: Sees::Refused,
            says,
            counts: "ssl.connection_error",
        })
        .await;
    }
    let folder = Folder::new();
    folder.write("ca.pem", &ca.pem());
    folder.write("k.pem", &key);
    std::fs::create_dir(path(&folder, "c.pem")).unwrap();
    check(Row {
        name: "unreadable",
        at: server.addr,
        port: TLS,
        policy: policy(&mutual(&folder)),
        sees: Sees::Refused,
        says: "c.pem cannot be read: Is a directory",
        counts: "ssl.connection_error",
    })
    .await;
    assert_eq!(server.connections(), 0, "nothing was dialled for these");
}
