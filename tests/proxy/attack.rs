//! What hostile or unlucky peers make of the access log and of the answers.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use llmesh::{
    config::Source,
    mesh::Input,
    metrics::{Report, Summary},
    proxy::{Options, Proxy},
};

use crate::support::{Raw, bind, until};

const MESH: &str = r"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: svc, namespace: default}
spec:
  hosts: [svc.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: PORT}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: svc, namespace: default}
spec:
  hosts: [svc.test]
  http:
  - route: [{destination: {host: svc.test}}]
    headers: {response: {set: {x-route: mine}}}
    retries: {attempts: 0}
";

#[derive(Default)]
struct Log(Mutex<Vec<(u16, String, Option<String>)>>);

impl Report for Log {
    fn report(&self, summary: &Summary) {
        let (flags, details) = (summary.notes.flags(), summary.notes.details.clone());
        self.0
            .lock()
            .unwrap()
            .push((summary.status, flags, details));
    }
}

impl Log {
    /// The next line.
    async fn line(&self) -> (u16, String, Option<String>) {
        until(|| !self.0.lock().unwrap().is_empty()).await;
        self.0.lock().unwrap().remove(0)
    }
}

async fn proxy(upstream: SocketAddr) -> (Proxy, Arc<Log>) {
    let mesh = MESH.replace("PORT", &upstream.port().to_string());
    let mut options = Options::new(Input::inline(vec![Source::new("mesh", mesh)]));
    let log = Arc::new(Log::default());
    options.outbound = SocketAddr::from(([127, 0, 0, 1], 0));
    options.admin = None;
    options.reports = vec![Arc::clone(&log) as _];
    (Proxy::start(options).await.unwrap(), log)
}

#[tokio::test]
async fn an_answer_cut_by_the_upstream_is_flagged() {
    let (listener, address) = bind().await;
    let (proxy, log) = proxy(address).await;
    let mut caller = Raw::connect(proxy.outbound()).await;
    caller
        .write("GET / HTTP/1.1\r\nhost: svc.test\r\n\r\n")
        .await;
    let mut upstream = Raw::accept(&listener).await;
    upstream.head().await;
    upstream
        .write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    drop(upstream);
    assert!(caller.rest().await.ends_with("abc"));
    let details = "upstream_reset_after_response_started{protocol_error}";
    assert_eq!(log.line().await, (200, "UPE".into(), Some(details.into())));
}

#[tokio::test]
async fn response_header_operations_apply_to_local_replies_and_head_is_no_hang_up() {
    let (listener, address) = bind().await;
    drop(listener);
    let (proxy, log) = proxy(address).await;
    for method in ["GET", "HEAD"] {
        let mut caller = Raw::connect(proxy.outbound()).await;
        let request = format!("{method} / HTTP/1.1\r\nhost: svc.test\r\n\r\n");
        caller.write(&request).await;
        let head = caller.head().await;
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert!(head.contains("x-route: mine"), "{head}");
        let (status, flags, _) = log.line().await;
        assert_eq!((status, flags.as_str()), (503, "UF"), "{method}");
    }
}

#[tokio::test]
async fn a_broken_upload_is_the_callers_mistake() {
    let (listener, address) = bind().await;
    let (proxy, log) = proxy(address).await;
    let mut caller = Raw::connect(proxy.outbound()).await;
    caller
        .write(
            "POST / HTTP/1.1\r\nhost: svc.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        )
        .await;
    let mut upstream = Raw::accept(&listener).await;
    upstream.head().await;
    caller.write("no number\r\n").await;
    let head = caller.head().await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    let (status, flags, _) = log.line().await;
    assert_eq!((status, flags.as_str()), (400, "DPE"));
}
