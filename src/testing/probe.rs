//! An inner service that watches whether the layer above keeps tower's contract.
//!
//! The contract: `call` only on an instance whose `poll_ready` gave `Ready(Ok)` since its last call; a clone has its
//! own readiness and starts with none; a dropped future is abandoned work. [`ServiceProbe`] records each breach.
//!
//! ```
//! use http::Request;
//! use llmesh::testing::{body::Script, probe::{Reply, ServiceProbe}};
//! use tower::{Service, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (probe, log) = ServiceProbe::new(|_call| Reply::ok(Script::new().data("hi")));
//! let mut service = probe.clone();
//! let _ = ServiceExt::<Request<()>>::ready(&mut service).await;
//! let mut careless = service.clone(); // not ready: readiness is not cloned
//! let _ = careless.call(Request::new(())).await;
//! assert_eq!(log.unready_calls(), 1);
//! # }
//! ```

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use http::{Request, Response};
use tower::Service;

use super::body::{Script, ScriptedBody, Watch};
use crate::base::{
    BoxError,
    time::{Sleep, sleep},
};

/// What the probe answers to one call.
#[derive(Debug)]
pub struct Reply {
    wait: Option<Duration>,
    what: What,
}

#[derive(Debug)]
enum What {
    Respond(Box<Response<Script>>),
    Fail(BoxError),
    Hang,
}

/// What the probe's `poll_ready` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// Ready.
    #[default]
    Ready,
    /// Pending until [`ProbeLog::set_readiness`] says otherwise.
    Pending,
    /// Fails.
    Failed,
}

/// The probing service. Clones share the script and the log, not the readiness.
pub struct ServiceProbe {
    shared: Arc<Shared>,
    ready: bool,
}

/// The view on a [`ServiceProbe`] and all its clones.
#[derive(Clone)]
pub struct ProbeLog(Arc<Shared>);

struct Shared {
    script: Box<dyn Fn(u64) -> Reply + Send + Sync>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    readiness: Readiness,
    waiting: Vec<Waker>,
    ready_polls: u64,
    calls: u64,
    unready_calls: u64,
    clones: u64,
    dropped_futures: u64,
    in_flight: u64,
    peak: u64,
    bodies: Vec<Watch>,
}

/// The response future of [`ServiceProbe`].
pub struct ResponseFuture {
    shared: Arc<Shared>,
    wait: Option<Pin<Box<Sleep>>>,
    what: Option<What>,
}

// === impl Reply ===

impl Reply {
    /// 200 with this body.
    #[must_use]
    pub fn ok(body: Script) -> Self {
        Self::response(Response::new(body))
    }

    /// This response.
    #[must_use]
    pub fn response(response: Response<Script>) -> Self {
        Self::of(What::Respond(Box::new(response)))
    }

    /// This error.
    #[must_use]
    pub fn fail(error: impl Into<BoxError>) -> Self {
        Self::of(What::Fail(error.into()))
    }

    /// Never an answer.
    #[must_use]
    pub const fn hang() -> Self {
        Self::of(What::Hang)
    }

    /// The same after a wait.
    #[must_use]
    pub const fn after(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    const fn of(what: What) -> Self {
        Self { wait: None, what }
    }
}

// === impl ServiceProbe ===

impl ServiceProbe {
    /// A probe that answers its n-th call (from 0, over all clones) with `script(n)`.
    #[must_use]
    pub fn new(script: impl Fn(u64) -> Reply + Send + Sync + 'static) -> (Self, ProbeLog) {
        let shared = Arc::new(Shared {
            script: Box::new(script),
            log: Mutex::default(),
        });
        let probe = Self {
            shared: Arc::clone(&shared),
            ready: false,
        };
        (probe, ProbeLog(shared))
    }
}

impl Clone for ServiceProbe {
    fn clone(&self) -> Self {
        self.shared.log().clones += 1;
        Self {
            shared: Arc::clone(&self.shared),
            ready: false,
        }
    }
}

impl<B> Service<Request<B>> for ServiceProbe {
    type Response = Response<ScriptedBody>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let mut log = self.shared.log();
        log.ready_polls += 1;
        match log.readiness {
            Readiness::Ready => {
                self.ready = true;
                Poll::Ready(Ok(()))
            }
            Readiness::Failed => Poll::Ready(Err("the probe is not ready".into())),
            Readiness::Pending => {
                log.waiting.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn call(&mut self, _: Request<B>) -> ResponseFuture {
        let mut log = self.shared.log();
        let number = log.calls;
        log.calls += 1;
        if !std::mem::take(&mut self.ready) {
            log.unready_calls += 1;
        }
        log.in_flight += 1;
        log.peak = log.peak.max(log.in_flight);
        drop(log);
        let reply = (self.shared.script)(number);
        ResponseFuture {
            shared: Arc::clone(&self.shared),
            wait: reply.wait.map(|w| Box::pin(sleep(w))),
            what: Some(reply.what),
        }
    }
}

impl fmt::Debug for ServiceProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceProbe")
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

// === impl ResponseFuture ===

impl Future for ResponseFuture {
    type Output = Result<Response<ScriptedBody>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        if !matches!(self.what, Some(What::Respond(_) | What::Fail(_))) {
            return Poll::Pending;
        }
        let what = self.what.take();
        let mut log = self.shared.log();
        log.in_flight -= 1;
        Poll::Ready(match what {
            Some(What::Respond(response)) => Ok(response.map(|script| {
                let (body, watch) = script.watched();
                log.bodies.push(watch);
                body
            })),
            Some(What::Fail(error)) => Err(error),
            Some(What::Hang) | None => return Poll::Pending,
        })
    }
}

impl Drop for ResponseFuture {
    fn drop(&mut self) {
        if self.what.is_some() {
            let mut log = self.shared.log();
            log.in_flight -= 1;
            log.dropped_futures += 1;
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

// === impl ProbeLog ===

impl ProbeLog {
    /// What `poll_ready` answers from now on. Wakes those who wait.
    pub fn set_readiness(&self, readiness: Readiness) {
        let waiting = {
            let mut log = self.0.log();
            log.readiness = readiness;
            std::mem::take(&mut log.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Calls of `poll_ready`.
    #[must_use]
    pub fn ready_polls(&self) -> u64 {
        self.0.log().ready_polls
    }

    /// Calls of `call`.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.log().calls
    }

    /// Calls on an instance that was not ready: each one breaks the contract.
    #[must_use]
    pub fn unready_calls(&self) -> u64 {
        self.0.log().unready_calls
    }

    /// Clones made.
    #[must_use]
    pub fn clones(&self) -> u64 {
        self.0.log().clones
    }

    /// Response futures dropped before their answer.
    #[must_use]
    pub fn dropped_futures(&self) -> u64 {
        self.0.log().dropped_futures
    }

    /// Response futures not yet answered or dropped.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.0.log().in_flight
    }

    /// The most response futures there were at once.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.0.log().peak
    }

    /// What became of the response bodies, in the order of their responses.
    #[must_use]
    pub fn bodies(&self) -> Vec<Watch> {
        self.0.log().bodies.clone()
    }
}

impl fmt::Debug for ProbeLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeLog")
            .field("calls", &self.calls())
            .field("unready_calls", &self.unready_calls())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
