//! Upstreams that do as they are told.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use llmesh::{
    base::{
        SharedRng,
        time::{Instant, sleep},
    },
    proxy::listener::Accept,
    testing::body::{Script, ScriptedBody},
};

use crate::{
    net::{Host, Listener},
    sim,
};

/// The header by which an upstream names itself.
pub(crate) const BACKEND: &str = "x-backend";

/// The header that an upstream repeats.
pub(crate) const ECHO: &str = "x-config";

/// What an upstream does with a request. Times are in milliseconds: at least, at most.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    /// Answers after a time.
    Answer(u16, (u64, u64)),
    /// Answers at once, and then sends so many pieces, one each so many milliseconds.
    Trickle(usize, u64),
    /// Never answers.
    Hang,
    /// Works on one request after the other, each so long, also when its caller is gone.
    Queue(Duration),
    /// Any of: a quick answer, a slow one, a stream, 503, nothing.
    Moody,
}

/// A running upstream.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) host: Arc<Host>,
    shared: Arc<Shared>,
}

struct Shared {
    number: u8,
    behaviour: Mutex<Behaviour>,
    calls: AtomicU64,
    active: AtomicU64,
    free_at: Mutex<Instant>,
    rng: SharedRng,
}

/// A request being worked on.
struct Working(Arc<Shared>);

// === impl Upstream ===

impl Upstream {
    /// Serves HTTP/1 and answers at once.
    pub(crate) fn start(
        number: u8,
        host: Arc<Host>,
        mut listener: Listener,
        rng: SharedRng,
    ) -> Self {
        let shared = Arc::new(Shared {
            number,
            behaviour: Mutex::new(Behaviour::Answer(200, (0, 0))),
            calls: AtomicU64::new(0),
            active: AtomicU64::new(0),
            free_at: Mutex::new(Instant::now()),
            rng,
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                tokio::spawn(async move {
                    // How a connection ends is the caller's to judge.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(io), service)
                        .await;
                });
            }
        });
        Self {
            address: sim::upstream(number),
            host,
            shared,
        }
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// Works on nothing for so long; what comes queues up.
    pub(crate) fn stall(&self, time: Duration) {
        let mut free_at = self.shared.free_at.lock().unwrap();
        *free_at = (*free_at).max(Instant::now()) + time;
    }

    /// How many requests came.
    pub(crate) fn calls(&self) -> u64 {
        self.shared.calls.load(Relaxed)
    }

    /// How many are being worked on.
    pub(crate) fn active(&self) -> u64 {
        self.shared.active.load(Relaxed)
    }
}

// === impl Shared ===

impl Shared {
    async fn rest(&self, (least, most): (u64, u64)) {
        let millis = least + self.rng.below(most - least + 1);
        if millis > 0 {
            sleep(Duration::from_millis(millis)).await;
        }
    }

    fn enqueue(&self, work: Duration) -> Instant {
        let mut free_at = self.free_at.lock().unwrap();
        *free_at = (*free_at).max(Instant::now()) + work;
        *free_at
    }

    fn mood(&self) -> Behaviour {
        match self.rng.below(10) {
            0 => Behaviour::Hang,
            1 => Behaviour::Answer(503, (0, 10)),
            2..5 => Behaviour::Trickle(8, 5),
            5 => Behaviour::Answer(200, (50, 150)),
            _ => Behaviour::Answer(200, (0, 10)),
        }
    }
}

// === impl Working ===

impl Working {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.calls.fetch_add(1, Relaxed);
        shared.active.fetch_add(1, Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<ScriptedBody>, Infallible> {
    let _working = Working::begin(&shared);
    let mut behaviour = *shared.behaviour.lock().unwrap();
    if let Behaviour::Moody = behaviour {
        behaviour = shared.mood();
    }
    let mut script = Script::new();
    let mut status = 200;
    match behaviour {
        Behaviour::Answer(code, time) => {
            shared.rest(time).await;
            status = code;
            script = script.data("done");
        }
        Behaviour::Trickle(pieces, every) => {
            for _ in 0..pieces {
                script = script.wait(Duration::from_millis(every)).data("piece");
            }
        }
        Behaviour::Queue(work) => {
            tokio::time::sleep_until(shared.enqueue(work)).await;
            script = script.data("done");
        }
        Behaviour::Hang | Behaviour::Moody => std::future::pending().await,
    }
    let mut response = Response::new(script.body());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = response.headers_mut();
    headers.insert(BACKEND, HeaderValue::from(u16::from(shared.number)));
    if let Some(echo) = request.headers().get(ECHO) {
        headers.insert("x-echo", echo.clone());
    }
    Ok(response)
}
