//! The mesh inside a process, over real sockets.

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use llmesh::{
    base::{BoxError, Kind, error},
    body::Body,
    config::Source,
    mesh::{Builder, Mesh, MeshClient, MeshReqwest, Reloader, Responding, UnknownHosts},
    metrics::{Report, Summary},
    testing::upstream::{Answer, ErrorKind, Fault, Script, Upstream},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{channel_body, soon, text, until};

const URL: &str = "http://llm-service/v1/chat/completions";

/// A service with one v1 and perhaps one v2 endpoint, and these `http` routes.
fn resources(v1: &Upstream, v2: Option<&Upstream>, routes: &str) -> String {
    let endpoint = |upstream: &Upstream, version: &str| {
        format!(
            "  - {{address: 127.0.0.1, ports: {{http: {}}}, labels: {{version: {version}}}}}\n",
            upstream.addr().port()
        )
    };
    let endpoints = endpoint(v1, "v1") + &v2.map(|u| endpoint(u, "v2")).unwrap_or_default();
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: llm, namespace: ai}}
spec:
  hosts: [llm-service.ai.svc.cluster.local]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints:
{endpoints}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: llm, namespace: ai}}
spec:
  host: llm-service
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: llm, namespace: ai}}
spec:
  hosts: [llm-service]
  http: {routes}
"
    )
}

fn to(subset: &str, rest: &str) -> String {
    format!("[{{route: [{{destination: {{host: llm-service, subset: {subset}}}}}]{rest}}}]")
}

const RETRIES: &str =
    ", timeout: 5s, retries: {attempts: 2, retryOn: '5xx,reset', perTryTimeout: 4s}";

fn builder(text: &str) -> Builder {
    Mesh::builder()
        .inline(Source::new("mesh.yaml", text))
        .namespace("ai")
        .seed(1)
}

async fn mesh(text: &str) -> Mesh {
    builder(text).start().await.unwrap()
}

fn chat() -> Request<Body> {
    Request::post(URL)
        .body(Body::from(r#"{"model":"m","messages":[]}"#))
        .unwrap()
}

fn kind(error: &BoxError) -> Option<Kind> {
    error::find(&**error).map(llmesh::base::Error::kind)
}

fn plain() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("llmesh-mesh-client-{}-{next}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file whole: a reader sees the old or the new one.
    fn write(&self, name: &str, text: &str) {
        let draft = self.0.join(".draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.0.join(name)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

#[test]
fn handles_cross_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Mesh>();
    shared::<MeshClient>();
    shared::<MeshReqwest>();
    shared::<Responding>();
}

#[tokio::test]
async fn retries_are_made_as_the_files_say() {
    let upstream = Upstream::builder()
        .script(Script::sequence([
            Answer::error(ErrorKind::Overloaded),
            Answer::fault(Fault::Reset),
            Answer::ok(),
        ]))
        .start()
        .await
        .unwrap();
    let client = mesh(&resources(&upstream, None, &to("v1", RETRIES)))
        .await
        .client();
    let response = soon(client.send(chat())).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(text(response).await.contains("chat.completion"));
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    for (i, seen) in seen.iter().enumerate() {
        assert_eq!(seen.headers["x-envoy-attempt-count"], (i + 1).to_string());
        assert_eq!(seen.headers["host"], "llm-service");
        assert_eq!(seen.path, "/v1/chat/completions");
        assert_eq!(seen.body_len, 27);
    }
    assert!(
        seen.iter()
            .all(|seen| !seen.headers.contains_key("traceparent"))
    );
    assert_eq!(
        seen[0].headers["x-request-id"],
        seen[2].headers["x-request-id"]
    );
}

#[tokio::test]
async fn a_canary_gets_its_header_and_its_share() {
    let (v1, v2) = (
        Upstream::start().await.unwrap(),
        Upstream::start().await.unwrap(),
    );
    let routes = "
  - match: [{headers: {x-canary-user: {exact: 'true'}}}]
    route: [{destination: {host: llm-service, subset: v2}}]
  - route:
    - {destination: {host: llm-service, subset: v1}, weight: 75}
    - {destination: {host: llm-service, subset: v2}, weight: 25}
";
    let client = mesh(&resources(&v1, Some(&v2), routes)).await.client();
    for _ in 0..5 {
        let mut request = chat();
        let yes = http::HeaderValue::from_static("true");
        request.headers_mut().insert("x-canary-user", yes);
        soon(client.send(request)).await.unwrap();
    }
    assert_eq!((v1.requests(), v2.requests()), (0, 5));
    for _ in 0..200 {
        let response = soon(client.send(chat())).await.unwrap();
        text(response).await;
    }
    let share = v2.requests() - 5;
    assert_eq!(v1.requests() + share, 200);
    assert!((30..=70).contains(&share), "{share} of 200, 50 expected");
}

#[tokio::test]
async fn a_changed_file_takes_effect_and_a_broken_one_does_not() {
    let (v1, v2) = (
        Upstream::start().await.unwrap(),
        Upstream::start().await.unwrap(),
    );
    let folder = Folder::new();
    folder.write("mesh.yaml", &resources(&v1, Some(&v2), &to("v1", "")));
    let mesh = Mesh::from_path(&folder.0).await.unwrap();
    let client = mesh.client();
    soon(client.send(chat())).await.unwrap();
    assert_eq!(v1.requests(), 1);

    let stats = || &mesh.reloader().stats;
    folder.write("mesh.yaml", "kind: [");
    until(|| stats().failure.get() == 1).await;
    soon(client.send(chat())).await.unwrap();
    assert_eq!((v1.requests(), v2.requests()), (2, 0));

    folder.write("mesh.yaml", &resources(&v1, Some(&v2), &to("v2", "")));
    until(|| stats().success.get() == 2).await;
    soon(client.send(chat())).await.unwrap();
    assert_eq!((v1.requests(), v2.requests()), (2, 1));
}

#[tokio::test]
async fn an_overlay_wins() {
    let (v1, v2) = (
        Upstream::start().await.unwrap(),
        Upstream::start().await.unwrap(),
    );
    let (files, overlay) = (Folder::new(), Folder::new());
    files.write("mesh.yaml", &resources(&v1, Some(&v2), &to("v1", "")));
    let all = resources(&v1, Some(&v2), &to("v2", ""));
    let service = all.rsplit("---\n").next().unwrap();
    overlay.write("experiment.yaml", service);
    let mesh = Mesh::builder()
        .path(&files.0)
        .overlay(&overlay.0)
        .watch(false)
        .start()
        .await
        .unwrap();
    soon(mesh.client().send(chat())).await.unwrap();
    assert_eq!((v1.requests(), v2.requests()), (0, 1));
}

#[tokio::test]
async fn source_labels_are_this_services() {
    let (v1, v2) = (
        Upstream::start().await.unwrap(),
        Upstream::start().await.unwrap(),
    );
    let routes = "
  - match: [{sourceLabels: {app: batch}}]
    route: [{destination: {host: llm-service, subset: v2}}]
  - route: [{destination: {host: llm-service, subset: v1}}]
";
    let text = resources(&v1, Some(&v2), routes);
    for (app, expected) in [("web", (1, 0)), ("batch", (1, 1))] {
        let mesh = builder(&text).label("app", app).start().await.unwrap();
        soon(mesh.client().send(chat())).await.unwrap();
        assert_eq!((v1.requests(), v2.requests()), expected, "{app}");
    }
}

#[tokio::test]
async fn unknown_hosts_are_reached_untouched_or_refused() {
    let (known, other) = (
        Upstream::start().await.unwrap(),
        Upstream::start().await.unwrap(),
    );
    let files = resources(&known, None, &to("v1", RETRIES));
    let uri = format!("http://{}/else", other.addr());
    let request = || Request::get(uri.as_str()).body(Body::empty()).unwrap();
    let client = mesh(&files).await.client();
    let response = soon(client.send(request())).await.unwrap();
    assert_eq!(response.status(), 200);
    text(response).await;
    let seen = other.seen();
    let mut names: Vec<_> = seen[0].headers.keys().map(|n| n.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["host"], "nothing of ours goes to strangers");
    assert_eq!(known.requests(), 0);

    // Not even a retry.
    other.set_script(Script::always(Answer::error(ErrorKind::Overloaded)));
    let response = soon(client.send(request())).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(other.requests(), 2);

    let closed = builder(&files).unknown_hosts(UnknownHosts::Refuse);
    let client = closed.start().await.unwrap().client();
    let error = soon(client.send(request())).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::UnknownHost));
    let response = soon(client.responding().oneshot(request())).await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(other.requests(), 2);
}

#[tokio::test]
async fn errors_are_errors_or_responses_as_asked() {
    let upstream = Upstream::start().await.unwrap();
    let routes = "[{match: [{uri: {prefix: /v1}}], route: [{destination: {host: llm-service}}]}]";
    let client = mesh(&resources(&upstream, None, routes)).await.client();
    let lost = || {
        Request::get("http://llm-service/other")
            .body(Body::empty())
            .unwrap()
    };
    let error = soon(client.send(lost())).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::NoRoute));
    let responding = client.responding();
    let response: Response<Body> = soon(responding.clone().oneshot(lost())).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);

    upstream.kill().await;
    let error = soon(client.send(chat())).await.unwrap_err();
    assert!(matches!(kind(&error), Some(Kind::Connect(_))), "{error:?}");
    let response = soon(responding.oneshot(chat())).await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(text(response).await.contains("remote connection failure"));
}

#[tokio::test]
async fn requests_built_with_reqwest_stay_as_they_are() {
    let upstream = Upstream::builder()
        .script(Script::sequence([
            Answer::error(ErrorKind::Overloaded),
            Answer::ok(),
        ]))
        .start()
        .await
        .unwrap();
    let mesh = mesh(&resources(&upstream, None, &to("v1", RETRIES))).await;
    let client = mesh.reqwest(plain());
    let request = client
        .get_ref()
        .post(URL)
        .header("x-user", "u-1")
        .timeout(Duration::from_secs(3))
        .body("{}");
    let response = soon(client.send(request)).await.unwrap();
    assert_eq!(response.url().as_str(), URL);
    assert_eq!(response.status(), 200);
    assert!(response.text().await.unwrap().contains("chat.completion"));
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].headers["x-user"], "u-1");
    assert_eq!(&seen[1].body[..], b"{}");
    let left: u64 = seen[0].headers["x-envoy-expected-rq-timeout-ms"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((2000..=3000).contains(&left), "{left} ms of 3 s");

    // The easy way goes through the mesh too.
    let before = upstream.requests();
    upstream.set_script(Script::sequence([
        Answer::error(ErrorKind::Overloaded),
        Answer::ok(),
    ]));
    let chat = client
        .post(URL)
        .header("x-user", "u-2")
        .bearer_auth("token");
    let response = soon(chat.json("question").send()).await.unwrap();
    assert_eq!(
        (response.status(), upstream.requests() - before),
        (StatusCode::OK, 2)
    );
    let last = upstream.seen().pop().unwrap();
    assert_eq!(last.headers["x-user"], "u-2");
    assert_eq!(last.headers["authorization"], "Bearer token");
    assert_eq!(last.headers["content-type"], "application/json");
    assert_eq!(&last.body[..], b"\"question\"");

    upstream.set_script(Script::always(Answer::fault(Fault::Hang)));
    let hung = plain().get(URL).timeout(Duration::from_millis(50));
    let error = soon(client.send(hung)).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::DeadlineExceeded));
}

#[tokio::test]
async fn reqwest_takes_what_the_mesh_does_not_know() {
    let (known, other) = (
        Upstream::start().await.unwrap(),
        Upstream::start().await.unwrap(),
    );
    let files = resources(&known, None, &to("v1", ""));
    let own = reqwest::Client::builder()
        .no_proxy()
        .user_agent("mine/1")
        .build()
        .unwrap();
    let client = mesh(&files).await.reqwest(own.clone());
    let uri = format!("http://{}/else", other.addr());
    let response = soon(client.send(own.get(&uri))).await.unwrap();
    assert_eq!(response.status(), 200);
    // Its mesh client goes the same way.
    let request = Request::get(&uri).body(Body::empty()).unwrap();
    soon(client.mesh().send(request)).await.unwrap();
    for seen in other.seen() {
        assert_eq!(seen.headers["user-agent"], "mine/1");
        assert!(!seen.headers.contains_key("x-request-id"));
    }
    assert_eq!((known.requests(), other.requests()), (0, 2));

    let closed = builder(&files).unknown_hosts(UnknownHosts::Refuse);
    let client = closed.start().await.unwrap().reqwest(own.clone());
    let error = soon(client.send(own.get(&uri))).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::UnknownHost));
}

#[tokio::test]
async fn bodies_stream_through_the_mesh_to_reqwest() {
    let upstream = Upstream::builder()
        .script(Script::always(
            Answer::ok()
                .with_tokens(3)
                .with_chunk_delay(Duration::from_millis(40)),
        ))
        .start()
        .await
        .unwrap();
    let client = mesh(&resources(&upstream, None, &to("v1", "")))
        .await
        .reqwest(plain());
    let request = plain().post(URL).body(r#"{"model":"m","stream":true}"#);
    let mut response = soon(client.send(request)).await.unwrap();
    let mut chunks = 0;
    let mut all = Vec::new();
    while let Some(chunk) = soon(response.chunk()).await.unwrap() {
        chunks += 1;
        all.extend_from_slice(&chunk);
    }
    assert!(chunks >= 3, "{chunks} chunks");
    assert!(String::from_utf8_lossy(&all).contains("[DONE]"));

    // And a request body that exists only piece by piece.
    let (sender, body) = channel_body();
    let upload = plain().post(URL).body(llmesh::client::reqwest::body(body));
    let feed = async {
        for part in ["{\"a\"", ":1}"] {
            sender.send(Ok(Bytes::from(part))).await.unwrap();
        }
        drop(sender);
    };
    let (response, ()) = soon(async { tokio::join!(client.send(upload), feed) }).await;
    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(&upstream.seen()[1].body[..], b"{\"a\":1}");
}

#[tokio::test]
async fn an_inbound_deadline_and_trace_reach_the_upstream() {
    let upstream = Upstream::start().await.unwrap();
    let mesh = mesh(&resources(&upstream, None, &to("v1", RETRIES))).await;
    let client = mesh.client();
    let server = mesh
        .server_layer()
        .layer(service_fn(move |_: Request<Body>| {
            let client = client.clone();
            async move {
                client.send(chat()).await.unwrap();
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        }));
    let trace = "12345678901234567890123456789012";
    let inbound = Request::builder()
        .header("traceparent", format!("00-{trace}-1234567890123456-01"))
        .header("x-request-id", "r-1")
        .header("baggage", "user=1")
        .header("x-envoy-expected-rq-timeout-ms", "900")
        .body(Body::empty())
        .unwrap();
    soon(server.oneshot(inbound)).await.unwrap();
    let headers = &upstream.seen()[0].headers;
    // Nobody here exports a span, so the caller's is told.
    assert_eq!(
        headers["traceparent"],
        format!("00-{trace}-1234567890123456-01")
    );
    assert_eq!(headers["x-request-id"], "r-1");
    assert_eq!(headers["baggage"], "user=1");
    let left: u64 = headers["x-envoy-expected-rq-timeout-ms"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=900).contains(&left), "{left} ms of 900, not of 5 s");
}

#[tokio::test]
async fn the_last_handle_ends_tasks_and_connections() {
    let (v1, other) = (
        Upstream::start().await.unwrap(),
        Upstream::start().await.unwrap(),
    );
    let folder = Folder::new();
    folder.write("mesh.yaml", &resources(&v1, None, &to("v1", "")));
    let mesh = Mesh::from_path(&folder.0).await.unwrap();
    let client = mesh.client();
    let reloader = Arc::downgrade(mesh.reloader());
    let uri = format!("http://{}/else", other.addr());
    let pass = Request::get(uri).body(Body::empty()).unwrap();
    text(soon(client.send(pass)).await.unwrap()).await;
    text(soon(client.send(chat())).await.unwrap()).await;
    assert_eq!((v1.open(), other.open()), (1, 1));

    drop(mesh);
    text(soon(client.send(chat())).await.unwrap()).await;
    folder.write("mesh.yaml", &resources(&other, None, &to("v1", "")));
    let stats = |r: &Weak<Reloader>| r.upgrade().unwrap().stats.success.get();
    until(|| stats(&reloader) == 2).await;
    text(soon(client.send(chat())).await.unwrap()).await;
    assert_eq!(
        other.requests(),
        2,
        "the client alone keeps the mesh at work"
    );
    drop(client);
    until(|| v1.open() == 0 && other.open() == 0).await;
    until(|| reloader.upgrade().is_none()).await;
}

#[tokio::test]
async fn a_stream_outlives_its_mesh() {
    let upstream = Upstream::builder()
        .script(Script::always(
            Answer::ok()
                .with_tokens(3)
                .with_chunk_delay(Duration::from_millis(20)),
        ))
        .start()
        .await
        .unwrap();
    let mesh = mesh(&resources(&upstream, None, &to("v1", ""))).await;
    let mut request = chat();
    *request.body_mut() = Body::from(r#"{"model":"m","stream":true}"#);
    let response = soon(mesh.client().send(request)).await.unwrap();
    drop(mesh);
    assert!(text(response).await.contains("[DONE]"));
    until(|| upstream.open() == 0).await;
}

#[tokio::test]
async fn a_dropped_call_is_reset_and_held_against_nobody() {
    let upstream = Upstream::builder()
        .script(Script::always(Answer::fault(Fault::Hang)))
        .start()
        .await
        .unwrap();
    let mesh = mesh(&resources(&upstream, None, &to("v1", RETRIES))).await;
    let call = tokio::spawn({
        let client = mesh.client();
        async move { client.send(chat()).await }
    });
    until(|| upstream.requests() == 1).await;
    call.abort();
    until(|| upstream.open() == 0).await;
    assert_eq!(upstream.requests(), 1);
    let snapshot = mesh.reloader().snapshot();
    let clusters = snapshot.clusters.values();
    assert!(clusters.flat_map(|c| c.ejected()).next().is_none());
    upstream.set_script(Script::default());
    let response = soon(mesh.client().send(chat())).await.unwrap();
    assert_eq!(response.status(), 200);
}

/// Keeps statuses, and whether the caller was said to have gone.
#[derive(Default)]
struct Told(Mutex<Vec<(u16, String)>>);

impl Report for Told {
    fn report(&self, summary: &Summary) {
        let flags = summary.notes.flags();
        self.0.lock().unwrap().push((summary.status, flags));
    }
}

#[tokio::test]
async fn each_request_is_reported_once_also_if_it_fails() {
    let upstream = Upstream::start().await.unwrap();
    let told = Arc::new(Told::default());
    let mesh = builder(&resources(&upstream, None, &to("v1", "")))
        .report(Arc::clone(&told) as _)
        .start()
        .await
        .unwrap();
    let client = mesh.client();
    text(soon(client.send(chat())).await.unwrap()).await;
    upstream.kill().await;
    soon(client.send(chat())).await.unwrap_err();
    let told = told.0.lock().unwrap();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], (200, "-".to_owned()));
    assert_eq!(told[1].0, 0);
    assert!(!told[1].1.contains("DC"), "{told:?}");
}

#[tokio::test]
async fn bad_files_are_an_error_with_their_place() {
    let broken = "apiVersion: networking.istio.io/v1\nkind: [";
    let error = builder(broken).start().await.unwrap_err();
    assert!(error.to_string().contains("mesh.yaml:2:8"), "{error}");
    let error = Mesh::from_path("/nowhere/at-all").await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/at-all"), "{error}");
}

#[tokio::test]
async fn the_body_of_a_response_can_be_read_whole() {
    let upstream = Upstream::start().await.unwrap();
    let client = mesh(&resources(&upstream, None, &to("v1", "")))
        .await
        .client();
    // A body of a type of the caller's own.
    let request = Request::post(URL)
        .body(http_body_util::Full::new(Bytes::from("{}")))
        .unwrap();
    let response = soon(client.oneshot(request)).await.unwrap();
    let all = response.into_body().collect().await.unwrap();
    assert!(!all.to_bytes().is_empty());
}

/// What `fn main() -> Result<(), LoadError>` prints when the files have errors.
#[tokio::test]
async fn an_error_of_main_is_printed_as_check_prints_it() {
    let text = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: ai}
spec:
  hosts: [a.example]
  http:
  - timeot: 3s
    retries: {attempts: -1}
    route: [{destination: {host: a.example}}]
";
    let error = builder(text).start().await.unwrap_err();
    let printed = format!("{error:?}");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[0], "the configuration has errors");
    for (line, place) in [("timeot", "mesh.yaml:7:"), ("attempts", "mesh.yaml:8:")] {
        let found = lines.iter().find(|l| l.contains(line)).unwrap();
        assert!(
            found.starts_with(place) && found.contains("error["),
            "{printed}"
        );
    }
    let error = Mesh::from_path("no/such/folder").await.unwrap_err();
    assert!(
        format!("{error:?}").starts_with("cannot read no/such/folder: "),
        "{error:?}"
    );
}
