//! Istio's own words, over real sockets: names, header values, retry headers, times.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use llmesh::{
    base::SharedRng,
    body::Body,
    config::Source,
    metrics::access_log::{AccessLog, Encoding},
    proxy::{Input, Options, Proxy},
    testing::upstream::Upstream,
};
use std::sync::Mutex;

use crate::{
    kit::{Caller, Reply},
    support::{channel_body, until},
};

/// A proxy before one upstream.
pub struct Words {
    pub upstream: Upstream,
    pub proxy: Proxy,
    lines: Arc<Mutex<Vec<String>>>,
}

/// An entry `app.example` of namespace `shop` at the upstream.
pub const APP: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app, namespace: shop}
spec:
  hosts: [app.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: APP_PORT}}]
---
";

impl Words {
    /// These resources, with `APP_PORT` the upstream's.
    pub async fn start(text: &str) -> Self {
        let upstream = Upstream::builder().start().await.unwrap();
        let text = text.replace("APP_PORT", &upstream.addr().port().to_string());
        let mut options = Options::new(Input::inline(vec![Source::new("mesh.yaml", text)]));
        options.outbound = SocketAddr::from(([127, 0, 0, 1], 0));
        options.admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        options.rng = SharedRng::seeded(7);
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&lines);
        let log = AccessLog::new(Encoding::Json, move |line| {
            log.lock().unwrap().push(line.to_owned());
        });
        options.reports = vec![Arc::new(log)];
        let proxy = Proxy::start(options).await.map_err(|e| e.to_string());
        Self {
            upstream,
            proxy: proxy.unwrap(),
            lines,
        }
    }

    /// Sends on a connection of its own.
    pub async fn send(&self, request: Request<Body>) -> Reply {
        let mut caller = Caller::http1(self.proxy.outbound()).await;
        caller.send(request).await
    }

    pub async fn get(&self, host: &str, path: &str) -> Reply {
        let request = Request::get(path).header("host", host);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn page(&self, path: &str) -> String {
        let request = Request::get(path).header("host", "admin");
        let mut admin = Caller::http1(self.proxy.admin().unwrap()).await;
        admin.send(request.body(Body::empty()).unwrap()).await.body
    }

    /// The log's line of this number, from 0.
    pub async fn line(&self, n: usize) -> serde_json::Value {
        until(|| self.lines.lock().unwrap().len() > n).await;
        serde_json::from_str(&self.lines.lock().unwrap()[n]).unwrap()
    }
}

#[tokio::test]
async fn a_final_dot_in_host_names_the_same_host() {
    let mesh = Words::start(APP).await;
    for host in [
        "app.example",
        "app.example.",
        "app.example.:80",
        "APP.Example.:80",
    ] {
        assert_eq!(mesh.get(host, "/").await.status, 200, "{host}");
    }
    for host in ["app.example..", ".", "other.example."] {
        assert_eq!(mesh.get(host, "/").await.status, 502, "{host}");
    }
}

#[tokio::test]
async fn logs_and_pages_name_the_entrys_namespace_and_the_black_hole() {
    let mesh = Words::start(APP).await;
    mesh.get("app.example", "/").await;
    let line = mesh.line(0).await;
    assert_eq!(line["upstream_cluster"], "outbound|80||app.example");
    assert_eq!(line["destination_service_namespace"], "shop");
    let clusters = mesh.page("/clusters").await;
    assert!(
        clusters.contains("outbound|80||app.example::namespace::shop"),
        "{clusters}"
    );
    mesh.get("nobody.example", "/").await;
    let line = mesh.line(1).await;
    assert_eq!(line["upstream_cluster"], "BlackHoleCluster");
    assert_eq!(line["route_name"], "block_all");
    assert_eq!(line["response_code"], 502);
    assert_eq!(line["response_flags"], "-");
    assert_eq!(line.as_object().unwrap().len(), 24);
}

/// A VirtualService of `app.example` with these rules.
fn rules(rules: &str) -> String {
    format!(
        "{APP}apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: app, namespace: shop}}
spec:
  hosts: [app.example]
  http:
{rules}"
    )
}

const TO: &str = "route: [{destination: {host: app.example}}]";

#[tokio::test]
async fn header_values_are_made_from_the_request_as_it_came_and_the_answer() {
    let mesh = Words::start(&rules(&format!(
        "  - name: ops
    rewrite: {{uri: /new}}
    headers:
      request:
        set:
          x-path: '%REQ(:PATH)%'
          x-who: '%REQ(x-none?x-user):4%'
          x-proto: '%PROTOCOL% %REQ(:METHOD)% %REQ(:SCHEME)% 100%%'
          x-from: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'
          x-at: '%START_TIME(%Y)%'
          x-to: '%UPSTREAM_CLUSTER%/%ROUTE_NAME%'
          x-gone: '%REQ(x-none)%'
          x-old: '%REQ(x-user)%'
        add: {{x-user: again, x-copy: '%REQ(x-secret)%'}}
        remove: [x-secret]
      response:
        set: {{x-code: '%RESPONSE_CODE%', x-why: '%RESPONSE_CODE_DETAILS%', x-asked: '%REQ(x-user)%', x-via: '%RESP(x-mock-listener)%'}}
    {TO}
"
    )))
    .await;
    let request = Request::get("/old?q=1")
        .header("host", "app.example")
        .header("x-user", "alice")
        .header("x-gone", "kept")
        .header("x-secret", "s");
    let reply = mesh.send(request.body(Body::empty()).unwrap()).await;
    let seen = mesh.upstream.seen().remove(0);
    let all = |name: &str| {
        let values = seen.headers.get_all(name).iter();
        let values: Vec<_> = values.map(|v| v.to_str().unwrap()).collect();
        values.join("|")
    };
    let year = all("x-at");
    assert!(year.len() == 4 && year.starts_with("20"), "{year}");
    for (name, value) in [
        ("x-path", "/old?q=1"),
        ("x-who", "alic"),
        ("x-proto", "HTTP/1.1 GET http 100%"),
        ("x-from", "127.0.0.1"),
        ("x-to", "outbound|80||app.example/ops"),
        // A value that comes out empty leaves the header as it was.
        ("x-gone", "kept"),
        // Values are made before any is written, and after what goes has gone.
        ("x-old", "alice"),
        ("x-user", "alice|again"),
        ("x-copy", ""),
        ("x-secret", ""),
    ] {
        assert_eq!(all(name), value, "{name}");
    }
    assert!(seen.path.starts_with("/new"), "{}", seen.path);
    for (name, value) in [
        ("x-code", "200"),
        ("x-why", "via_upstream"),
        ("x-asked", "alice"),
        ("x-via", &*mesh.upstream.addr().to_string()),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn answers_of_routes_have_their_operations_and_a_content_type() {
    let mesh = Words::start(&rules(
        "  - match: [{uri: {exact: /json}}]
    headers: {response: {set: {content-type: application/json, x-path: '%REQ(:PATH)%', x-code: '%RESPONSE_CODE%'}}}
    directResponse: {status: 418, body: {string: '{}'}}
  - match: [{uri: {exact: /plain}}]
    headers: {response: {add: {x-a: '1'}}}
    directResponse: {status: 200, body: {string: hello}}
  - match: [{uri: {exact: /empty}}]
    headers: {response: {set: {content-type: application/json}}}
    directResponse: {status: 204}
  - match: [{uri: {exact: /moved}}]
    headers: {response: {set: {cache-control: no-store}, remove: [x-b]}}
    redirect: {uri: /there}
  - match: [{uri: {exact: /down}}]
    headers: {response: {set: {content-type: text/html, x-flags: '%RESPONSE_FLAGS%'}}}
    route: [{destination: {host: app.example, subset: none}}]
",
    ))
    .await;
    for (path, status, headers) in [
        (
            "/json",
            418,
            &[
                ("content-type", "application/json"),
                ("x-path", "/json"),
                ("x-code", "418"),
            ][..],
        ),
        (
            "/plain",
            200,
            &[("content-type", "text/plain"), ("x-a", "1")],
        ),
        ("/empty", 204, &[("content-type", "")]),
        (
            "/moved",
            301,
            &[("cache-control", "no-store"), ("content-type", "")],
        ),
        ("/down", 503, &[("x-flags", "NC")]),
    ] {
        let reply = mesh.get("app.example", path).await;
        assert_eq!(reply.status, status, "{path}");
        for (name, value) in headers {
            assert_eq!(reply.header(name), *value, "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn retry_headers_that_a_route_sets_work_and_go_no_further() {
    let mesh = Words::start(&rules(&format!(
        "  - match: [{{uri: {{prefix: /codes}}}}]
    retries: {{attempts: 2, retryOn: 'gateway-error,retriable-status-codes'}}
    headers: {{request: {{add: {{x-envoy-retriable-status-codes: '408,423'}}}}}}
    {TO}
  - match: [{{uri: {{prefix: /default}}}}]
    headers: {{request: {{set: {{x-envoy-retriable-status-codes: '423'}}}}}}
    {TO}
  - match: [{{uri: {{prefix: /without-term}}}}]
    retries: {{attempts: 2, retryOn: gateway-error}}
    headers: {{request: {{set: {{x-envoy-retriable-status-codes: '423'}}}}}}
    {TO}
  - match: [{{uri: {{prefix: /more}}}}]
    retries: {{attempts: 1, retryOn: connect-failure}}
    headers: {{request: {{set: {{x-envoy-retry-on: 'retriable-4xx,retriable-status-codes', x-envoy-retriable-status-codes: '423', x-envoy-max-retries: '3'}}}}}}
    {TO}
  - match: [{{uri: {{prefix: /off}}}}]
    retries: {{attempts: 0}}
    headers: {{request: {{set: {{x-envoy-retry-on: retriable-status-codes, x-envoy-retriable-status-codes: '423'}}}}}}
    {TO}
  - match: [{{uri: {{prefix: /names}}}}]
    retries: {{attempts: 2, retryOn: retriable-headers}}
    headers: {{request: {{set: {{x-envoy-retriable-header-names: X-Mock-Listener, x-envoy-upstream-rq-timeout-ms: '1'}}}}}}
    {TO}
  - match: [{{uri: {{prefix: /destination}}}}]
    retries: {{attempts: 1, retryOn: retriable-status-codes}}
    route:
    - destination: {{host: app.example}}
      headers: {{request: {{set: {{x-envoy-retriable-status-codes: '423'}}}}}}
  - {TO}
"
    )))
    .await;
    let mut before = 0;
    for (path, sequence, status, sends) in [
        ("/codes", "423,408,200", 200, 3),
        ("/default", "423,200", 200, 2),
        ("/without-term", "423,200", 423, 1),
        ("/more", "423,423,423,200", 200, 4),
        ("/off", "423,423,200", 423, 2),
        ("/names", "200,200,200,200", 200, 3),
        ("/destination", "423,200", 200, 2),
        // A caller's own are not obeyed.
        ("/other", "423,200", 423, 1),
    ] {
        let request = Request::get(path)
            .header("host", "app.example")
            .header("x-mock-sequence", sequence)
            .header("x-mock-key", path)
            .header("x-envoy-retry-on", "retriable-status-codes")
            .header("x-envoy-retriable-status-codes", "423");
        let reply = mesh.send(request.body(Body::empty()).unwrap()).await;
        let seen = mesh.upstream.seen();
        assert_eq!(
            (reply.status, seen.len() - before),
            (status, sends),
            "{path}"
        );
        for sent in &seen[before..] {
            let left = sent.headers.keys().find(|name| {
                let name = name.as_str();
                name.starts_with("x-envoy-retr")
                    || name.ends_with("-retries")
                    || name.ends_with("timeout-ms")
            });
            assert_eq!(left, None, "{path}");
        }
        before = seen.len();
    }
}

/// The figure, less what a busy machine took until it was written: the clock is the real one here.
fn told_about(value: &http::HeaderValue, ms: u64) {
    let text = value.to_str().unwrap().trim_end_matches('m');
    let told: u64 = text.parse().unwrap();
    assert!((ms - 1_000..=ms).contains(&told), "{told} of {ms}");
}

#[tokio::test]
async fn times_are_told_as_configured_and_the_scheme_is_told() {
    let mesh = Words::start(&rules(&format!(
        "  - match: [{{uri: {{prefix: /try}}}}]
    timeout: 30s
    retries: {{attempts: 1, perTryTimeout: 7s}}
    {TO}
  - timeout: 30s
    {TO}
"
    )))
    .await;
    for (path, proto, ms, told) in [
        ("/", None, 30_000, "http"),
        ("/try", Some("https"), 7_000, "https"),
    ] {
        let mut request = Request::get(path).header("host", "app.example");
        if let Some(proto) = proto {
            request = request.header("x-forwarded-proto", proto);
        }
        mesh.send(request.body(Body::empty()).unwrap()).await;
        let seen = mesh.upstream.seen().pop().unwrap();
        told_about(&seen.headers["x-envoy-expected-rq-timeout-ms"], ms);
        assert_eq!(seen.headers["x-forwarded-proto"], told);
    }
    let request = Request::post("/")
        .header("host", "app.example")
        .header("content-type", "application/grpc");
    mesh.send(request.body(Body::empty()).unwrap()).await;
    let seen = mesh.upstream.seen().pop().unwrap();
    told_about(&seen.headers["grpc-timeout"], 30_000);
}

#[tokio::test]
async fn a_wait_for_a_retry_ends_at_the_route_timeout() {
    let mesh = Words::start(&rules(&format!(
        "  - timeout: 200ms
    retries: {{attempts: 3, retryOn: '503', backoff: 1h}}
    {TO}
"
    )))
    .await;
    let request = Request::get("/")
        .header("host", "app.example")
        .header("x-mock-status", "503");
    let reply = mesh.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (reply.status, &*reply.body),
        (504, "upstream request timeout")
    );
    let line = mesh.line(0).await;
    assert_eq!(line["response_flags"], "UT");
    assert_eq!(line["response_code_details"], "response_timeout");
    assert_eq!(mesh.upstream.seen().len(), 1);
}

/// The route's time begins when the request is complete, and is told as it is configured.
#[tokio::test]
async fn a_slow_upload_does_not_use_up_the_route_timeout() {
    let mesh = Words::start(&rules(&format!("  - timeout: 300ms\n    {TO}\n"))).await;
    for (delay, status) in [("0", 200), ("5000", 504)] {
        let (sender, body) = channel_body();
        let upload = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(150)).await;
                sender.send(Ok(Bytes::from_static(b"part"))).await.unwrap();
            }
        });
        let request = Request::post("/")
            .header("host", "app.example")
            .header("x-mock-delay-ms", delay);
        let reply = mesh.send(request.body(Body::new(body)).unwrap()).await;
        upload.await.unwrap();
        assert_eq!(reply.status, status, "{}", reply.body);
        assert!(reply.took >= Duration::from_millis(600));
        let seen = mesh.upstream.seen().pop().unwrap();
        assert_eq!(seen.headers["x-envoy-expected-rq-timeout-ms"], "300");
        assert_eq!(&seen.body[..], b"partpartpartpart");
    }
}

#[tokio::test]
async fn a_mesh_config_is_in_force() {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("llmesh-words-{}-{next}.log", std::process::id());
    let file = std::env::temp_dir().join(name);
    let mesh = format!(
        "accessLogFile: {}
accessLogFormat: \"%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESP(X-MOCK-LISTENER)% %REQ(AUTHORIZATION)%\\n\"
pathNormalization: {{normalization: DECODE_AND_MERGE_SLASHES}}
enableTracing: false
---
{APP}",
        file.display()
    );
    let mesh = Words::start(&mesh).await;
    let request = Request::get("/a%2F%2Fb?k=%2F")
        .header("host", "app.example")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header("authorization", "Bearer sk-secret");
    mesh.send(request.body(Body::empty()).unwrap()).await;
    mesh.get("app.example", "/plain").await;
    let seen = mesh.upstream.seen();
    assert_eq!(seen[0].path, "/a/b?k=%2F");
    // Trace headers pass as they came and none is made; requests are numbered all the same.
    assert_eq!(
        seen[0].headers["traceparent"],
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    );
    for name in ["traceparent", "b3", "x-b3-traceid"] {
        assert!(!seen[1].headers.contains_key(name), "{name}");
    }
    assert!(
        seen.iter()
            .all(|seen| seen.headers.contains_key("x-request-id"))
    );
    until(|| std::fs::read_to_string(&file).is_ok_and(|log| log.lines().count() == 2)).await;
    let log = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let listener = mesh.upstream.addr();
    assert_eq!(
        log,
        format!("GET /a/b?k=%2F 200 {listener} ***\nGET /plain 200 {listener} -\n")
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_missed_aloud() {
    let mesh = Words::start(&format!(
        "accessLogFile: /no/such/folder/access.log\n---\n{APP}"
    ))
    .await;
    let page = mesh.page("/ready?verbose").await;
    let begins = "LIVE\nwarning: no access log is written: the MeshConfig's accessLogFile /no/such/folder/access.log cannot be opened (";
    assert!(page.starts_with(begins), "{page}");
    // Calls are served all the same.
    assert_eq!(mesh.get("app.example", "/").await.status, 200);
}

/// By default neither a 503 nor a connection that ends after the request was sent is repeated; what a route asks for is.
#[tokio::test]
async fn a_payment_is_sent_twice_only_if_the_route_asks_for_it() {
    let mesh = Words::start(&rules(&format!(
        "  - match: [{{uri: {{prefix: /off}}}}]
    retries: {{attempts: 0}}
    {TO}
  - match: [{{uri: {{prefix: /asked}}}}]
    retries: {{attempts: 2, retryOn: '503,reset'}}
    {TO}
  - {TO}
"
    )))
    .await;
    let mut before = 0;
    for (route, status, sends) in [("/", 503, 1), ("/off", 503, 1), ("/asked", 200, 2)] {
        for first in ["503", "200;fault=close", "200;fault=reset"] {
            let what = format!("{route} {first}");
            let request = Request::post(route)
                .header("host", "app.example")
                .header("x-mock-sequence", format!("{first},200"))
                .header("x-mock-key", &what);
            let reply = mesh.send(request.body(Body::from("pay 5")).unwrap()).await;
            let seen = mesh.upstream.requests() - before;
            assert_eq!((reply.status, seen), (status, sends), "{what}");
            before += seen;
        }
    }
}
