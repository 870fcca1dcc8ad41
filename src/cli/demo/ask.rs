//! The drill's caller: one chat call, read as an SDK would, and judged by what arrived.

use std::{fmt, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};

use crate::base::{BoxError, time::Instant};

/// One chat call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) model: String,
    stream: bool,
    prefix: &'static str,
}

/// What the caller saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    /// 0: no answer.
    pub(super) status: u16,
    /// Attempts over all targets, as the answer says; 1 if it says nothing.
    pub(super) attempts: u32,
    /// The model that the answer names.
    pub(super) model: String,
    /// Pieces of text.
    pub(super) tokens: usize,
    /// Whether the numbered tokens came in order, none twice, none missing.
    pub(super) in_order: bool,
    /// A finish reason came.
    pub(super) finished: bool,
    /// Usage came, or was not asked for.
    pub(super) usage: bool,
    /// An error object came, as an answer or in the stream.
    pub(super) error: bool,
    /// The body did not end as HTTP says.
    pub(super) broken: bool,
    pub(super) took: Duration,
}

/// How long a caller waits at most: longer than the mesh may take.
const PATIENCE: Duration = Duration::from_secs(45);

// === impl Call ===

impl Call {
    /// Answered whole.
    pub(super) fn whole(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            stream: false,
            prefix: "/",
        }
    }

    /// Answered as a stream.
    pub(super) fn stream(model: &str) -> Self {
        Self {
            stream: true,
            ..Self::whole(model)
        }
    }

    /// Under this prefix of the path.
    pub(super) fn at(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }

    fn body(&self) -> Bytes {
        let mut body = json!({"model": self.model, "messages": [{"role": "user", "content": "What does the fox do?"}]});
        if self.stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        Bytes::from(body.to_string())
    }
}

// === impl Reply ===

impl Reply {
    /// A good answer that ended well and has its usage.
    pub(super) fn whole(&self) -> bool {
        self.status == 200 && self.finished && self.usage && !self.error && !self.broken
    }

    /// Whether this model answered.
    pub(super) fn by(&self, model: &str) -> bool {
        self.model.starts_with(model)
    }

    fn read(&mut self, body: &[u8], stream: bool) {
        let text = String::from_utf8_lossy(body);
        let mut said = String::new();
        let events: Vec<Value> = if stream && self.status == 200 {
            let lines = text.lines().filter_map(|l| l.strip_prefix("data: "));
            lines.filter_map(|l| serde_json::from_str(l).ok()).collect()
        } else {
            serde_json::from_str(&text).into_iter().collect()
        };
        for event in &events {
            if let Some(model) = event.get("model").and_then(Value::as_str) {
                model.clone_into(&mut self.model);
            }
            self.error |= event.get("error").is_some_and(|e| !e.is_null());
            self.usage |= event.get("usage").is_some_and(Value::is_object);
            let Some(choice) = event.get("choices").and_then(|c| c.get(0)) else {
                continue;
            };
            self.finished |= choice.get("finish_reason").is_some_and(Value::is_string);
            let part = choice.get("delta").or_else(|| choice.get("message"));
            let content = part.and_then(|p| p.get("content")?.as_str());
            if let Some(content) = content.filter(|c| !c.is_empty()) {
                self.tokens += 1;
                said.push_str(content);
            }
        }
        // The mock's text is words, then " 13", " 14", …
        let numbers = said.split(' ').filter_map(|w| w.parse::<usize>().ok());
        self.in_order = numbers.enumerate().all(|(i, n)| n == i + 13);
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {:.1} s", self.status, self.took.as_secs_f64())?;
        if !self.model.is_empty() {
            write!(
                f,
                " by {}",
                self.model.split('@').next().unwrap_or_default()
            )?;
        }
        if self.tokens > 1 {
            write!(f, ", {} tokens", self.tokens)?;
        }
        if self.error && self.status == 200 {
            f.write_str(", error event")?;
        }
        if self.broken {
            f.write_str(", unclean end")?;
        }
        Ok(())
    }
}

/// Makes the call on a connection of its own and reads all of the answer.
pub(super) async fn call(proxy: SocketAddr, call: &Call) -> Reply {
    let begin = Instant::now();
    let mut reply = Reply {
        attempts: 1,
        ..Reply::default()
    };
    let exchange = timeout(PATIENCE, exchange(proxy, call, &mut reply));
    if let Err(error) = exchange.await.unwrap_or_else(|late| Err(late.into())) {
        tracing::debug!(target: "llmesh::demo", "no answer: {error}");
        reply.broken = true;
    }
    reply.took = begin.elapsed();
    reply
}

async fn exchange(proxy: SocketAddr, call: &Call, reply: &mut Reply) -> Result<(), BoxError> {
    let socket = TcpStream::connect(proxy).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = Request::post(format!("{}v1/chat/completions", call.prefix))
        .header("host", "llm-service")
        .header("content-type", "application/json")
        .body(Full::new(call.body()))?;
    let response = sender.send_request(request).await?;
    reply.status = response.status().as_u16();
    let attempts = response.headers().get("x-llmesh-attempts");
    if let Some(attempts) = attempts.and_then(|v| v.to_str().ok()?.parse().ok()) {
        reply.attempts = attempts;
    }
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |d| d)),
            Err(_) => {
                reply.broken = true;
                break;
            }
        }
    }
    reply.read(&bytes, call.stream);
    Ok(())
}
