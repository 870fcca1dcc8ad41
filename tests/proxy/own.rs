//! The proxy as a base URL: callers name its own address as the host.

use std::sync::Arc;

use http::Request;
use llmesh::{
    body::Body,
    config::Source,
    mesh::discovery::{Pin, Pinned, System},
    proxy::{Input, Options, Own, Proxy},
    testing::upstream::Upstream,
};

use crate::kit::{Caller, Reply};

/// Two providers by name; the name leads to the mock by a pin.
const MESH: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: providers, namespace: default}
spec:
  hosts: [api.one.example, api.two.example]
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one, namespace: default}
spec:
  hosts: [api.one.example]
  http:
  - match: [{uri: {prefix: /v1/}}]
    route: [{destination: {host: api.one.example}}]
"#;

/// For callers of the address by Istio's means alone.
const LOCAL: &str = r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: local, namespace: default}
spec:
  hosts: [localhost, 127.0.0.1, "::1"]
  http:
  - match: [{uri: {prefix: /two/}}]
    rewrite: {uri: /, authority: api.two.example}
    route: [{destination: {host: api.two.example}}]
"#;

struct Gateway {
    upstream: Upstream,
    proxy: Proxy,
}

impl Gateway {
    async fn start(texts: &[&str], own: impl FnOnce(&mut Own)) -> Self {
        let upstream = Upstream::start().await.unwrap();
        let sources = texts.iter().map(|text| Source::new("mesh", *text));
        let mut options = Options::new(Input::inline(sources.collect()));
        options.outbound = ([127, 0, 0, 1], 0).into();
        options.admin = None;
        own(&mut options.own);
        let pin = |host| Pin::new(host, 80, vec![upstream.addr()]);
        let pins = vec![pin("api.one.example"), pin("api.two.example")];
        options.resolve = Arc::new(Pinned::new(pins, Arc::new(System)));
        let proxy = Proxy::start(options).await.unwrap();
        Self { upstream, proxy }
    }

    /// Sends to `path`, naming this host; the port of the listener stands for `PORT`.
    async fn ask(&self, path: &str, host: &str) -> Reply {
        let port = self.proxy.outbound().port().to_string();
        let (path, host) = (path.replace("PORT", &port), host.replace("PORT", &port));
        let request = Request::post(path)
            .header("host", host)
            .header("content-type", "application/json")
            .body(Body::from(r#"{"model": "m", "messages": []}"#));
        let mut caller = Caller::http1(self.proxy.outbound()).await;
        caller.send(request.unwrap()).await
    }

    /// The host and path of the last request that the upstream saw.
    fn last(&self) -> (String, String) {
        let seen = self.upstream.seen();
        let last = seen.last().unwrap();
        let host = last.headers["host"].to_str().unwrap().to_owned();
        (host, last.path.clone())
    }
}

#[tokio::test]
async fn requests_for_the_own_address_go_to_the_default_host_as_its_own() {
    let gateway =
        Gateway::start(&[MESH], |own| own.host = Some("api.one.example".to_owned())).await;
    for host in [
        "127.0.0.1:PORT",
        "localhost:PORT",
        "localhost:8080",
        "[::1]:PORT",
    ] {
        let reply = gateway.ask("/v1/chat/completions", host).await;
        assert_eq!(reply.status, 200, "{host}: {}", reply.body);
        let seen = (
            "api.one.example".to_owned(),
            "/v1/chat/completions".to_owned(),
        );
        assert_eq!(gateway.last(), seen, "{host}");
    }
    let target = "http://127.0.0.1:PORT/v1/chat/completions";
    assert_eq!(gateway.ask(target, "127.0.0.1:PORT").await.status, 200);
    // Its routes are that host's, and nobody else's requests go there.
    let requests = gateway.upstream.requests();
    assert_eq!(gateway.ask("/else", "127.0.0.1:PORT").await.status, 404);
    assert_eq!(
        gateway.ask("/v1/x", "unknown.example:PORT").await.status,
        502
    );
    assert_eq!(
        gateway
            .ask("http://localhost:1/v1/x", "localhost:1")
            .await
            .status,
        502
    );
    assert_eq!(gateway.upstream.requests(), requests);
}

#[tokio::test]
async fn several_hosts_have_prefixes() {
    let gateway = Gateway::start(&[MESH], |own| {
        let prefix = |name: &str| (name.to_owned(), format!("api.{name}.example"));
        own.prefixes = [prefix("one"), prefix("two")].into();
    })
    .await;
    for name in ["one", "two"] {
        let reply = gateway
            .ask(
                &format!("/{name}/v1/chat/completions?x=1"),
                "localhost:PORT",
            )
            .await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let (host, path) = gateway.last();
        assert_eq!(host, format!("api.{name}.example"));
        assert!(path.starts_with("/v1/chat/completions"), "{path}");
    }
    let reply = gateway.ask("/v1/chat/completions", "localhost:PORT").await;
    assert_eq!(reply.status, 404);
    assert!(reply.body.contains("/one, /two"), "{}", reply.body);
    assert_eq!(reply.header("x-should-retry"), "false");
}

#[tokio::test]
async fn a_virtual_service_may_name_the_own_address() {
    let loaded = llmesh::config::load(
        &[Source::new("mesh", MESH), Source::new("local", LOCAL)],
        &llmesh::config::Options::default(),
    );
    let found: Vec<_> = loaded.diagnostics.iter().map(|d| d.rule).collect();
    assert!(!found.contains(&"unknown-host"), "{:?}", loaded.diagnostics);
    let gateway = Gateway::start(&[MESH, LOCAL], |own| {
        own.host = Some("api.one.example".to_owned())
    })
    .await;
    for host in [
        "127.0.0.1:PORT",
        "localhost:PORT",
        "[::1]:PORT",
        "localhost",
    ] {
        let reply = gateway.ask("/two/v1/chat/completions", host).await;
        assert_eq!(reply.status, 200, "{host}: {}", reply.body);
        assert_eq!(gateway.last().0, "api.two.example", "{host}");
        // It serves the host whole.
        assert_eq!(gateway.ask("/v1/chat/completions", host).await.status, 404);
    }
}

#[tokio::test]
async fn the_own_address_without_a_host_says_what_to_do() {
    let gateway = Gateway::start(&[MESH], |_| {}).await;
    let reply = gateway.ask("/v1/chat/completions", "127.0.0.1:PORT").await;
    assert_eq!(reply.status, 502);
    for word in ["127.0.0.1", "--default-host", "--provider"] {
        assert!(reply.body.contains(word), "{word} in {}", reply.body);
    }
    assert_eq!(gateway.upstream.requests(), 0);
}
