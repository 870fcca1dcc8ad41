//! One connection's service as hyper wants it.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project::pin_project;
use tokio::sync::Notify;
use tower::Service;

use super::{
    pulse::{self, ConnectionTimers},
    switch::Slot,
    upload::Upload,
};
use crate::{
    base::{
        BoxError, Called,
        ext::Arrival,
        time::{Instant, Sleep, sleep},
    },
    body::Body,
    mesh::Upgrade,
    proxy::{
        drain::{Phase, Watch},
        listener::Info,
    },
};

/// A connection's service.
pub(super) struct ConnectionService<S> {
    pub(super) inner: S,
    pub(super) info: Info,
    pub(super) seen: Arc<Seen>,
    pub(super) pulse: ConnectionTimers,
    /// Where an answer that switches leaves the connection.
    pub(super) slot: Slot,
    pub(super) drain: Watch,
    /// How long a request body may stand still.
    pub(super) upload: Duration,
}

/// The service's answer, told to be the connection's last while draining.
#[pin_project]
pub(super) struct Answer<F> {
    #[pin]
    inner: F,
    /// HTTP/2 says it by GOAWAY.
    http1: bool,
    /// Whether a body of unknown length is sent in chunks.
    chunks: bool,
    drain: Watch,
    request: Option<Arc<pulse::Request>>,
    /// If the request asked to leave HTTP.
    switches: Option<Slot>,
}

/// A response body on its way out.
///
/// An error waits until the connection has written what was handed to it: hyper drops what it has not written yet when a
/// body fails, the head with it, and the caller would get nothing at all.
pub(super) struct Outgoing {
    inner: Body,
    failed: Option<Failed>,
    request: Option<Arc<pulse::Request>>,
    /// How often the connection had written when something was handed to it last.
    handed: u64,
}

/// A failure that is held back.
struct Failed {
    error: BoxError,
    turn: Pin<Box<Sleep>>,
    turns: u32,
}

/// How long a failure waits before it looks whether something was written.
const TURN: Duration = Duration::from_millis(1);
/// How often it does: a connection whose peer does not read writes nothing.
const TURNS: u32 = 250;

/// Whether a request came on a connection.
#[derive(Default)]
pub(super) struct Seen {
    any: AtomicBool,
    notify: Notify,
}

// === impl Seen ===

impl Seen {
    fn note(&self) {
        if !self.any.swap(true, Ordering::AcqRel) {
            self.notify.notify_waiters();
        }
    }

    pub(super) async fn wait(&self) {
        let notified = self.notify.notified();
        let mut notified: Pin<&mut _> = pin!(notified);
        // Listen first: a request may come between the look and the wait.
        notified.as_mut().enable();
        if !self.any.load(Ordering::Acquire) {
            notified.await;
        }
    }
}

// === impl ConnectionService ===

impl<S> hyper::service::Service<Request<Incoming>> for ConnectionService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Outgoing>;
    type Error = Infallible;
    type Future = Answer<Called<S, Request<Body>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.seen.note();
        let pulse = self.pulse.request();
        // A gRPC caller may have opened a stream only to listen.
        let limit = (!is_grpc(request.headers())).then_some(self.upload);
        let http1 = request.version() < Version::HTTP_2;
        let framed_twice = pulse.is_framed_twice();
        let upgrade = Upgrade::of(&mut request);
        let mut request = request.map(|body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            Body::new(Upload::new(body, Arc::clone(&pulse), limit, http1))
        });
        if framed_twice {
            // What hyper took out of the head is put back, for whoever refuses it.
            let headers = request.headers_mut();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        request.extensions_mut().insert(Arrival {
            at: Instant::now(),
            peer: self.info.peer,
            local: self.info.local,
            tls: self.info.tls,
        });
        let chunks = request.version() == Version::HTTP_11 && request.method() != Method::HEAD;
        Answer {
            http1,
            chunks,
            inner: Called::new(self.inner.clone(), request),
            drain: self.drain.clone(),
            request: Some(pulse),
            switches: upgrade.map(|_| self.slot.clone()),
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

// === impl Answer ===

impl<F> Future for Answer<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Outgoing>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(cx));
        let switches = this.switches.take();
        if let Some(slot) = switches
            .as_ref()
            .filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS)
        {
            let request = this.request.take();
            if let Some(request) = &request {
                request.switched();
            }
            slot.put(std::mem::take(response.body_mut()), request);
        } else if *this.http1 && (switches.is_some() || this.drain.phase() != Phase::Serving) {
            // What a caller sends behind a request to switch may be meant for the other protocol.
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let chunks = *this.chunks
            && response.body().size_hint().exact().is_none()
            && !response.headers().contains_key(CONTENT_LENGTH)
            && !matches!(response.status().as_u16(), 204 | 304);
        let request = this.request.take().inspect(|r| r.answered(chunks));
        let handed = request.as_ref().map_or(0, |request| request.writes());
        Poll::Ready(Ok(response.map(|inner| Outgoing {
            inner,
            failed: None,
            request,
            handed,
        })))
    }
}

// === impl Outgoing ===

impl Outgoing {
    fn writes(&self) -> u64 {
        self.request.as_ref().map_or(0, |request| request.writes())
    }

    /// The error, once something was written since anything was handed on.
    fn poll_failed(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while let Some(failed) = &mut self.failed {
            ready!(failed.turn.as_mut().poll(cx));
            failed.turns += 1;
            let request = self.request.as_ref();
            let written = request.is_none_or(|request| request.writes() > self.handed);
            if written || failed.turns >= TURNS {
                break;
            }
            failed.turn = Box::pin(sleep(TURN));
        }
        self.request = None;
        Poll::Ready(self.failed.take().map(|failed| Err(failed.error)))
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.failed.is_some() {
            return self.poll_failed(cx);
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Err(error)) => {
                self.failed = Some(Failed {
                    error,
                    turn: Box::pin(sleep(TURN)),
                    turns: 0,
                });
                self.poll_failed(cx)
            }
            None => {
                self.request = None;
                Poll::Ready(None)
            }
            frame => {
                self.handed = self.writes();
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failed.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
