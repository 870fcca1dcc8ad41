//! Services at the bottom of a stack: how an upstream may answer.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::Service;

const ANSWER: Bytes = Bytes::from_static(b"{}");

/// Answers at once.
#[derive(Clone, Copy)]
pub(super) struct Leaf;

/// Lets its caller wait once for the head.
#[derive(Clone, Copy)]
pub(super) struct Late;

/// Lets its caller wait once for the head, once for each of so many frames, and once for the end.
#[derive(Clone, Copy)]
pub(super) struct Stream(pub(super) usize);

/// Answers every other call with 503, from the first.
#[derive(Clone, Default)]
pub(super) struct Flaky(Arc<AtomicBool>);

/// Ready at the second look.
pub(super) struct Later<T> {
    value: Option<T>,
    waited: bool,
}

/// Frames of two bytes, each after a wait.
pub(super) struct Frames {
    left: usize,
    waited: bool,
}

impl<B> Service<Request<B>> for Leaf {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::new(ANSWER))))
    }
}

impl<B> Service<Request<B>> for Late {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Later<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        Later::new(Ok(Response::new(Full::new(ANSWER))))
    }
}

impl<B> Service<Request<B>> for Stream {
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = Later<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        Later::new(Ok(Response::new(Frames {
            left: self.0,
            waited: false,
        })))
    }
}

impl<B> Service<Request<B>> for Flaky {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::new(ANSWER));
        if !self.0.fetch_xor(true, Ordering::Relaxed) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        ready(Ok(response))
    }
}

// === impl Later ===

impl<T> Later<T> {
    fn new(value: T) -> Self {
        Self {
            value: Some(value),
            waited: false,
        }
    }
}

impl<T: Unpin> Future for Later<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.value.take() {
            Some(value) => Poll::Ready(value),
            None => Poll::Pending,
        }
    }
}

// === impl Frames ===

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.waited = !self.waited;
        if self.waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(left) = self.left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(ANSWER))))
    }
}
