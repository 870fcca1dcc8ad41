//! A caller with connections of its own, and traffic.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, request::Builder};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use llmesh::base::{SharedRng, time::Instant};
use tokio::task::JoinSet;

use crate::{mesh::HOST, net::Net};

const PROMPT: &[u8] = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}"#;

/// Sends requests to one proxy. Clones share connections.
#[derive(Clone)]
pub(crate) struct Caller {
    net: Net,
    proxy: SocketAddr,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
}

/// What a caller got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// When it was sent, since the traffic began.
    pub(crate) at: Duration,
    /// 0 where no answer came, or not all of it.
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// To the end of the answer.
    pub(crate) took: Duration,
}

// === impl Caller ===

impl Caller {
    pub(crate) fn new(net: Net, proxy: SocketAddr) -> Self {
        Self {
            net,
            proxy,
            idle: Arc::default(),
        }
    }

    /// Sends one request. Dropping the future closes its connection.
    pub(crate) async fn get(&self, path: &str) -> Seen {
        self.send(Request::get(path)).await
    }

    /// Sends a generation call that was sent so many times before.
    pub(crate) async fn ask(&self, retries: u32) -> Seen {
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .header("x-stainless-retry-count", retries);
        self.send(request).await
    }

    async fn send(&self, request: Builder) -> Seen {
        let begin = Instant::now();
        let mut seen = self.exchange(request).await.unwrap_or_default();
        seen.took = begin.elapsed();
        seen
    }

    async fn exchange(&self, request: Builder) -> Option<Seen> {
        let mut connection = self.connection().await;
        let body = match request.method_ref() {
            Some(&Method::POST) => Bytes::from_static(PROMPT),
            _ => Bytes::new(),
        };
        let request = request.header("host", HOST).body(Full::new(body)).unwrap();
        let response = connection.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        if connection.ready().await.is_ok() {
            self.idle.lock().unwrap().push(connection);
        }
        Some(Seen {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            ..Seen::default()
        })
    }

    async fn connection(&self) -> SendRequest<Full<Bytes>> {
        loop {
            let Some(idle) = self.idle.lock().unwrap().pop() else {
                break;
            };
            if idle.is_ready() {
                return idle;
            }
        }
        let io = self.net.dial(self.proxy).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        tokio::spawn(async move {
            // What becomes of it is seen by its request.
            let _ = connection.await;
        });
        sender
    }

    /// So many requests a second for so long, at random times, each on its own: none waits for another. All answers, in
    /// the order of sending.
    pub(crate) async fn traffic(&self, rng: &SharedRng, rate: u32, time: Duration) -> Vec<Seen> {
        let get = |caller: Self| async move { caller.get("/").await };
        self.traffic_of(rng, rate, time, get).await
    }

    /// The same of anything that a caller does.
    pub(crate) async fn traffic_of<F, Fut>(
        &self,
        rng: &SharedRng,
        rate: u32,
        time: Duration,
        act: F,
    ) -> Vec<Seen>
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = Seen> + Send + 'static,
    {
        let rng = SharedRng::seeded(rng.next());
        let begin = Instant::now();
        let mut asked = JoinSet::new();
        let total = rate * u32::try_from(time.as_secs()).unwrap();
        let every = time / total;
        for n in 0..total {
            let at = every * n + every.mul_f64(rng.unit());
            tokio::time::sleep_until(begin + at).await;
            let acted = act(self.clone());
            asked.spawn(async move {
                let at = begin.elapsed();
                let seen = acted.await;
                Seen { at, ..seen }
            });
        }
        let mut all = asked.join_all().await;
        all.sort_by_key(|seen| seen.at);
        all
    }
}

// === impl Seen ===

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// How many answers had each status.
pub(crate) fn statuses(all: &[Seen]) -> std::collections::BTreeMap<u16, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for seen in all {
        *counts.entry(seen.status).or_default() += 1;
    }
    counts
}

/// The share of answers with 200.
#[expect(clippy::cast_precision_loss, reason = "thousands")]
pub(crate) fn good(all: &[Seen]) -> f64 {
    let good = all.iter().filter(|seen| seen.status == 200).count();
    good as f64 / all.len().max(1) as f64
}
