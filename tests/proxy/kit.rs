//! A whole proxy between callers and scripted upstreams, configured with the reference mesh.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, request::Builder};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use llmesh::{
    base::{SharedRng, time::Instant},
    body::Body,
    config::Source,
    metrics::{Report, Summary},
    proxy::{Input, Options, Proxy},
    testing::upstream::{SeenRequest, Sequences, Upstream},
};
use tokio::net::TcpStream;

use crate::support::{soon, until};

/// The `DestinationRule` of the LLM service.
pub const RULES: &str =
    include_str!("../conformance/reference-mesh/03-llm-service-destination-rule.yaml");
/// Its `VirtualService`.
pub const ROUTES: &str =
    include_str!("../conformance/reference-mesh/04-llm-service-virtual-service.yaml");
/// The other service's `DestinationRule`.
pub const KNOWLEDGE: &str =
    include_str!("../conformance/reference-mesh/05-knowledge-service-destination-rule.yaml");
/// The canary's `VirtualService`, in place of [`ROUTES`].
pub const CANARY: &str =
    include_str!("../conformance/reference-mesh/07-canary-virtual-service.yaml");
/// The addresses: 9001 to 9003 are v1, 9011 is v2.
pub const ENDPOINTS: &str = include_str!("../conformance/reference-mesh/endpoints.yaml");

pub const V1: &str = "outbound|8080|v1|llm-service.ai-services.svc.cluster.local";
pub const V2: &str = "outbound|8080|v2|llm-service.ai-services.svc.cluster.local";

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The text with each of these replaced; each must be there.
pub fn with(text: &str, changes: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "no {from:?} to replace");
        text = text.replace(from, to);
    }
    text
}

/// [`ROUTES`] a hundred times faster, but for the per-try timeout of chats: 300 ms of 900 ms.
pub fn quick_routes() -> String {
    let changes = [
        ("perTryTimeout: 10s", "perTryTimeout: 300ms"),
        ("timeout: 30s", "timeout: 900ms"),
    ];
    with(ROUTES, &changes)
}

/// The upstreams, the proxy and what it noted.
pub struct Mesh {
    pub v1: Vec<Upstream>,
    pub v2: Upstream,
    pub log: Arc<Log>,
    proxy: Option<Proxy>,
}

/// What a mesh is made of.
pub struct Plan {
    texts: Vec<(String, String)>,
    watched: Option<PathBuf>,
    lenient: bool,
}

/// Every summary.
#[derive(Default)]
pub struct Log(Mutex<Vec<Summary>>);

/// A connection to the proxy.
pub enum Caller {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// Up to where it broke, if it did.
    pub body: String,
    pub broken: bool,
    pub took: Duration,
}

/// A folder that goes with its owner.
pub struct Folder(pub PathBuf);

// === impl Plan ===

impl Plan {
    /// Files 03, 05 and the endpoints, with these in the place of file 04.
    pub fn routes(routes: &str) -> Self {
        Self::rules(RULES).and("routes.yaml", routes)
    }

    /// These in the place of file 03, and no routes.
    pub fn rules(rules: &str) -> Self {
        Self {
            texts: Vec::new(),
            watched: None,
            lenient: false,
        }
        .and("rules.yaml", rules)
        .and("knowledge.yaml", KNOWLEDGE)
    }

    pub fn and(mut self, name: &str, text: &str) -> Self {
        self.texts.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Reads this file or folder too, and watches it.
    pub fn watch(mut self, path: PathBuf) -> Self {
        self.watched = Some(path);
        self
    }

    /// Leaves out what is wrong, by name.
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    pub async fn start(self) -> Mesh {
        let sequences = Sequences::new();
        let start = async |label: &str| {
            let upstream = Upstream::builder().label(label).sequences(&sequences);
            upstream.start().await.unwrap()
        };
        let v1 = vec![start("v1").await, start("v1").await, start("v1").await];
        let v2 = start("v2").await;
        let ports = [
            ("9001", &v1[0]),
            ("9002", &v1[1]),
            ("9003", &v1[2]),
            ("9011", &v2),
        ];
        let mut endpoints = ENDPOINTS.to_owned();
        for (port, upstream) in ports {
            let real = format!("http: {}", upstream.addr().port());
            endpoints = with(&endpoints, &[(&format!("http: {port}"), &real)]);
        }
        let mut sources: Vec<_> = self
            .texts
            .into_iter()
            .map(|(name, text)| Source::new(name, text))
            .collect();
        sources.push(Source::new("endpoints.yaml", endpoints));
        let mut input = Input::inline(sources);
        input.files.extend(self.watched.clone());
        // The files may be of another namespace than the rest.
        input.options.namespace = Some("ai-services".to_owned());
        input.options.lenient = self.lenient;
        let log = Arc::new(Log::default());
        let mut options = Options::new(input);
        options.watch = self.watched.is_some();
        options.outbound = SocketAddr::from(([127, 0, 0, 1], 0));
        options.admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        options.rng = SharedRng::seeded(7);
        options.reports = vec![Arc::clone(&log) as _];
        let proxy = Proxy::start(options).await.map_err(|e| e.to_string());
        Mesh {
            v1,
            v2,
            log,
            proxy: Some(proxy.unwrap()),
        }
    }
}

// === impl Mesh ===

impl Mesh {
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("stopped")
    }

    pub fn take_proxy(&mut self) -> Proxy {
        self.proxy.take().expect("stopped")
    }

    pub fn addr(&self) -> SocketAddr {
        self.proxy().outbound()
    }

    /// Sends on a connection of its own.
    pub async fn send(&self, request: Request<Body>) -> Reply {
        Caller::http1(self.addr()).await.send(request).await
    }

    /// Sends, and gives the summary too. Only for callers that are alone.
    pub async fn tell(&self, request: Request<Body>) -> (Reply, Summary) {
        let before = self.log.len();
        let reply = self.send(request).await;
        (reply, self.log.nth(before).await)
    }

    /// The requests with this header value that v1 saw, in order, each with the upstream's number.
    pub fn seen(&self, header: &str, value: &str) -> Vec<(usize, SeenRequest)> {
        let mut all: Vec<_> = self
            .v1
            .iter()
            .enumerate()
            .flat_map(|(i, upstream)| upstream.seen().into_iter().map(move |seen| (i, seen)))
            .filter(|(_, seen)| seen.headers.get(header).is_some_and(|v| v == value))
            .collect();
        all.sort_by_key(|(_, seen)| seen.at);
        all
    }

    /// A page of the admin port.
    pub async fn page(&self, path: &str) -> Reply {
        let admin = self.proxy().admin().unwrap();
        let request = Request::get(path)
            .header("host", "admin")
            .body(Body::empty());
        Caller::http1(admin).await.send(request.unwrap()).await
    }

    /// One number of `/stats`.
    pub async fn stat(&self, name: &str) -> u64 {
        let page = self.page("/stats").await.body;
        number(&page, name)
    }

    /// One number of a cluster.
    pub async fn of(&self, cluster: &str, name: &str) -> u64 {
        self.stat(&format!("cluster.{cluster}.{name}")).await
    }

    pub fn requests_v1(&self) -> u64 {
        self.v1.iter().map(Upstream::requests).sum()
    }
}

/// The value of a line `name: value`.
pub fn number(page: &str, name: &str) -> u64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let line = line.unwrap_or_else(|| panic!("no {name} in:\n{page}"));
    line.parse().unwrap()
}

// === impl Log ===

impl Log {
    pub fn all(&self) -> Vec<Summary> {
        self.0.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The last summaries, at most this many.
    pub fn last(&self, n: usize) -> Vec<Summary> {
        let all = self.0.lock().unwrap();
        all[all.len().saturating_sub(n)..].to_vec()
    }

    /// The summary at this place, once it is there: it comes after the caller has the last byte.
    pub async fn nth(&self, n: usize) -> Summary {
        until(|| self.len() > n).await;
        self.0.lock().unwrap()[n].clone()
    }
}

impl Report for Log {
    fn report(&self, summary: &Summary) {
        self.0.lock().unwrap().push(summary.clone());
    }
}

// === impl Caller ===

impl Caller {
    pub async fn http1(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    pub async fn http2(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// Up to the response head.
    pub async fn open(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                soon(sender.send_request(request)).await
            }
            Self::Http2(sender) => soon(sender.send_request(request)).await,
        }
    }

    pub async fn send(&mut self, request: Request<Body>) -> Reply {
        let begin = Instant::now();
        let response = self.open(request).await.unwrap();
        let (head, mut body) = response.into_parts();
        let (mut bytes, mut broken) = (Vec::new(), false);
        while let Some(frame) = soon(body.frame()).await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
            broken,
            took: begin.elapsed(),
        }
    }
}

// === impl Reply ===

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn is_ok(&self) -> bool {
        self.status == StatusCode::OK && !self.broken
    }
}

// === impl Folder ===

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("llmesh-proxy-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Replaces a file as editors do.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.0.join(format!(".{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.0.join(name)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

// === requests ===

const PROMPT: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"How are you?"}]}"#;

/// A request for the LLM service.
pub fn to(path: &str) -> Builder {
    Request::post(path)
        .header("host", "llm-service")
        .header("content-type", "application/json")
}

/// A prompt with these headers.
pub fn ask(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut builder = to(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::from(PROMPT)).unwrap()
}

/// A prompt for which the upstreams play this sequence.
pub fn play(path: &str, sequence: &str, key: &str) -> Request<Body> {
    ask(path, &[("x-mock-sequence", sequence), ("x-mock-key", key)])
}

/// A stream's request, as file 04 wants it.
pub fn stream(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = ask("/api/llm/stream", headers);
    let accept = http::HeaderValue::from_static("text/event-stream");
    request.headers_mut().insert("accept", accept);
    *request.body_mut() = Body::from(PROMPT.replacen('{', r#"{"stream":true,"#, 1));
    request
}

/// The next chunk of a body; `None` at its end.
pub async fn chunk(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    let frame = soon(body.frame()).await?;
    Some(frame.map(|f| f.into_data().unwrap_or_default()))
}
