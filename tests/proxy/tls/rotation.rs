//! Certificates that change while requests run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Request;
use llmesh::{body::Body, config::Source, mesh::Mesh};

use super::{CLUSTER, Ca, Gate, HOST, Server, eventually, mesh, mutual, request, simple};
use crate::{
    kit::{Folder, ms},
    support::until,
};

/// Requests at a steady pace, each on a connection of its own to the proxy.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(u32, Vec<String>)>,
}

// === impl Load ===

impl Load {
    pub(super) fn start(gate: &Arc<Gate>, per_second: u32) -> Self {
        let (stop, gate) = (Arc::new(AtomicBool::new(false)), Arc::clone(gate));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
            let mut asked = tokio::task::JoinSet::new();
            let mut n = 0;
            while !stopped.load(Ordering::SeqCst) {
                tick.tick().await;
                n += 1;
                let gate = Arc::clone(&gate);
                asked.spawn(async move {
                    let reply = gate.caller().await.send(request()).await;
                    (!reply.is_ok()).then(|| format!("{} {}", reply.status, reply.body))
                });
            }
            let failed = asked.join_all().await.into_iter().flatten().collect();
            (n, failed)
        });
        Self { stop, task }
    }

    /// How many there were, and those that failed.
    pub(super) async fn end(self) -> (u32, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

/// Few requests on a connection, so that handshakes never stop.
fn often(tls: &str) -> String {
    format!("connectionPool: {{http: {{maxRequestsPerConnection: 4}}}}, tls: {{{tls}}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorities_and_certificates_change_under_load_and_nothing_fails() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let (first, second) = (old.leaf(&["client"]), new.leaf(&["client"]));
    let folder = Folder::new();
    let put = |leaf: &super::Leaf| {
        folder.write("c.pem", &leaf.pem);
        folder.write("k.pem", &leaf.key.serialize_pem());
    };
    folder.write("ca.pem", &old.pem());
    put(&first);
    let leaf = old.leaf(&[HOST]);
    let server = Server::start(leaf.server_for(&["http/1.1"], Some(&old))).await;
    let gate = Gate::new(&mesh(
        &[server.addr],
        "protocol: HTTPS",
        &often(&mutual(&folder)),
    ))
    .await;
    let gate = Arc::new(gate);
    let load = Load::start(&gate, 300);
    let shown = async |text: &str| {
        let proxy = gate.page("/stats").await;
        assert!(proxy.contains(text));
    };
    shown("ssl.handshake").await;
    tokio::time::sleep(ms(300)).await;
    // A bad one first: nothing happens.
    folder.write("ca.pem", "-----BEGIN CERTIFICATE-----\nMII");
    folder.write("k.pem", "");
    tokio::time::sleep(ms(600)).await;
    folder.write("k.pem", &first.key.serialize_pem());
    // Both authorities, then the server's new certificate, then the new authority alone.
    folder.write("ca.pem", &(old.pem() + &new.pem()));
    let trusted = "new authority trusted";
    let handshakes = gate.stat(CLUSTER, "ssl.handshake").await;
    tokio::time::sleep(ms(3000)).await;
    assert!(
        gate.stat(CLUSTER, "ssl.handshake").await > handshakes,
        "{trusted}"
    );
    server.set(new.leaf(&[HOST]).server_for(&["http/1.1"], Some(&old)));
    folder.write("ca.pem", &new.pem());
    tokio::time::sleep(ms(500)).await;
    let (asked, failed) = load.end().await;
    assert!(asked > 900, "{asked}");
    assert!(
        failed.is_empty(),
        "{} of {asked}: {:?}",
        failed.len(),
        failed.first()
    );

    // The client's own: the server asks for another one from now on.
    put(&second);
    eventually(async || {
        server.set(new.leaf(&[HOST]).server_for(&["http/1.1"], Some(&new)));
        server.disconnect();
        gate.caller().await.send(request()).await.status == 200
    })
    .await;
    assert_eq!(gate.stat(CLUSTER, "ssl.fail_verify_error").await, 0);
}

#[tokio::test]
async fn what_is_under_way_is_not_touched_by_a_new_authority() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let folder = Folder::new();
    let server = Server::start(old.leaf(&[HOST]).server(&["h2"])).await;
    let gate = Gate::to(&server, &old, &folder).await;
    assert_eq!(gate.ask().await.0.status, 200);
    folder.write("ca.pem", &new.pem());
    // The connection that is there is used; a new one is refused.
    let said = async || {
        server.disconnect();
        gate.caller().await.send(request()).await.status
    };
    eventually(async || {
        said().await == 503 && gate.stat(CLUSTER, "ssl.fail_verify_error").await > 0
    })
    .await;
    let says = gate.logged("upstream_transport_failure_reason");
    assert!(says.starts_with("unknown CA"), "{says}");
    folder.write("ca.pem", &old.pem());
    eventually(async || gate.caller().await.send(request()).await.status == 200).await;
    let open = gate.stat(CLUSTER, "upstream_cx_active").await;
    until(|| open == 1).await;
}

#[tokio::test]
async fn a_file_that_comes_later_is_taken() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    let server = Server::start(ca.leaf(&[HOST]).server(&[])).await;
    let policy = format!("tls: {{{}}}", simple(&folder));
    let gate = Gate::new(&mesh(&[server.addr], "protocol: HTTPS", &policy)).await;
    let (reply, _) = gate.ask().await;
    assert_eq!(reply.status, 503);
    let says = gate.logged("upstream_transport_failure_reason");
    assert!(
        says.ends_with("ca.pem cannot be read: No such file or directory (os error 2)"),
        "{says}"
    );
    folder.write("ca.pem", &ca.pem());
    eventually(async || gate.caller().await.send(request()).await.status == 200).await;
}

#[tokio::test]
async fn a_bad_endpoint_among_good_ones_is_ejected_and_all_bad_ones_are_not() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let folder = Folder::new();
    folder.write("ca.pem", &ca.pem());
    let (good, bad) = (
        Server::start(ca.leaf(&[HOST]).server(&[])).await,
        Server::start(other.leaf(&[HOST]).server(&[])).await,
    );
    let bad_too = Server::start(other.leaf(&[HOST]).server(&[])).await;
    let policy = format!(
        "loadBalancer: {{simple: ROUND_ROBIN}}, outlierDetection: {{consecutive5xxErrors: 2, maxEjectionPercent: 100}}, tls: {{{}}}",
        simple(&folder)
    );
    let name = "outlier_detection.ejections_active";
    let gate = Gate::new(&mesh(&[good.addr, bad.addr], "protocol: HTTPS", &policy)).await;
    for _ in 0..12 {
        gate.ask().await;
    }
    assert_eq!(gate.stat(CLUSTER, name).await, 1);
    assert_eq!(gate.ask().await.0.status, 200);

    let gate = Gate::new(&mesh(&[bad_too.addr, bad.addr], "protocol: HTTPS", &policy)).await;
    for _ in 0..12 {
        assert_eq!(gate.ask().await.0.status, 503);
    }
    assert_eq!(gate.stat(CLUSTER, name).await, 0);
    let says = gate.logged("upstream_transport_failure_reason");
    assert!(
        says.starts_with("unknown CA"),
        "the reason, not only that there is no endpoint: {says}"
    );
}

#[tokio::test]
async fn a_mesh_of_texts_follows_its_certificates_too() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    let server = Server::start(ca.leaf(&[HOST]).server(&["h2"])).await;
    let policy = format!("tls: {{{}}}", simple(&folder));
    let text = mesh(&[server.addr], "protocol: HTTPS", &policy);
    let builder = Mesh::builder().inline(Source::new("mesh.yaml", text));
    let client = builder.start().await.unwrap().client();
    let asked = || {
        Request::get(format!("http://{HOST}/"))
            .body(Body::empty())
            .unwrap()
    };
    assert!(client.send(asked()).await.is_err());
    folder.write("ca.pem", &ca.pem());
    eventually(async || client.send(asked()).await.is_ok()).await;
}

#[tokio::test]
async fn an_llm_call_goes_to_the_next_target_at_once() {
    let (ca, other, folder) = (Ca::new("ca"), Ca::new("other"), Folder::new());
    folder.write("ca.pem", &ca.pem());
    let bad = Server::start(other.leaf(&[HOST]).server(&[])).await;
    let good = Server::start(ca.leaf(&["other.example"]).server(&[])).await;
    let policy = format!("tls: {{{}}}", simple(&folder));
    let of = |server: &Server| mesh(&[server.addr], "protocol: HTTPS", &policy);
    let second = of(&good)
        .replace(HOST, "other.example")
        .replace("name: llm", "name: other");
    let route = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: llm, namespace: n}
spec: {hosts: [llm.example], http: [{route: [{destination: {host: llm.example}}]}]}
---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: llm, namespace: n}
spec: {hosts: [llm.example], fallback: [{host: other.example}]}
";
    let gate = Gate::new(&format!("{}---{second}---{route}", of(&bad))).await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let request = Request::post("/v1/chat/completions")
        .header("host", HOST)
        .header("content-type", "application/json")
        .body(Body::from(body));
    let reply = gate.caller().await.send(request.unwrap()).await;
    assert!(
        reply.is_ok() && reply.body.starts_with("HTTP/1.1"),
        "{reply:?}"
    );
    assert_eq!(gate.stat(CLUSTER, "ssl.fail_verify_error").await, 1);
    assert_eq!(good.requests(), 1);
}
