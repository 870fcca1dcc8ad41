//! The demo's callers: keep-alive connections that send prepared requests.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use crate::base::{BoxError, Counter, time::Instant};

/// One request to send.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// Which story it belongs to; sent as `?case=`.
    pub(super) case: &'static str,
    pub(super) path: &'static str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// What the caller saw.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) case: &'static str,
    /// 0: no answer.
    pub(super) status: u16,
    /// The version that answered.
    pub(super) version: Option<String>,
    pub(super) took: Duration,
}

/// A keep-alive connection.
pub(super) struct Client {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

const PROMPT: &[u8] =
    br#"{"model":"gpt-4o","messages":[{"role":"user","content":"How are you?"}]}"#;

// === impl Ask ===

impl Ask {
    /// A request without steering headers.
    pub(super) fn new(case: &'static str, path: &'static str) -> Self {
        Self {
            case,
            path,
            headers: Vec::new(),
        }
    }

    /// Adds a header. Only for the demo's own constant names and values.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }
}

// === impl Client ===

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            sender: None,
        }
    }

    /// Sends one request and reads the whole answer.
    pub(super) async fn send(&mut self, ask: &Ask) -> Seen {
        let begin = Instant::now();
        let (status, version) = match self.exchange(ask).await {
            Ok(answer) => answer,
            Err(error) => {
                self.sender = None;
                tracing::debug!(target: "llmesh::demo", "no answer: {error}");
                (0, None)
            }
        };
        Seen {
            case: ask.case,
            status,
            version,
            took: begin.elapsed(),
        }
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<(u16, Option<String>), BoxError> {
        let usable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.sender = None;
        }
        let sender = match &mut self.sender {
            Some(sender) => sender,
            none => none.insert(connect(self.address).await?),
        };
        let uri: Uri = format!("{}?case={}", ask.path, ask.case).parse()?;
        let mut request = Request::post(uri)
            .header("host", "llm-service")
            .header("content-type", "application/json");
        if let Some(headers) = request.headers_mut() {
            headers.extend(ask.headers.iter().cloned());
        }
        let response = sender
            .send_request(request.body(Full::new(Bytes::from_static(PROMPT)))?)
            .await?;
        let status = response.status().as_u16();
        let version = response
            .headers()
            .get("x-mock-version")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        response.into_body().collect().await?;
        Ok((status, version))
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, BoxError> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends all requests over `workers` connections; counts each answer in `done` as it comes.
pub(super) async fn send_all(
    address: SocketAddr,
    asks: Vec<Ask>,
    workers: usize,
    done: &Arc<Counter>,
) -> Vec<Seen> {
    let asks = Arc::new(asks);
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        let (asks, done) = (Arc::clone(&asks), Arc::clone(done));
        tasks.spawn(async move {
            let mut client = Client::new(address);
            let mut seen = Vec::new();
            for ask in asks.iter().skip(worker).step_by(workers) {
                seen.push(client.send(ask).await);
                done.inc();
            }
            seen
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}
