//! `expect: 100-continue`, from end to end.
//!
//! A caller that sends this waits with its body until it is asked for it. Who is to ask is the upstream (RFC 9110 section
//! 10.1.1): it may refuse the request by its head, and then the body is never sent at all. So the body is not read before the
//! upstream has said `100`, and reading it is what makes the server ask the caller.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, header::EXPECT};
use http_body::{Frame, SizeHint};

use crate::{
    base::{
        BoxError, Error, Kind,
        time::{Sleep, sleep},
    },
    body::Body,
};

/// How long an upstream is waited for that says nothing: as curl does.
const PATIENCE: Duration = Duration::from_secs(1);

/// Opens when the upstream asks for the body. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<Mutex<State>>);

/// Gives the body up on drop, if it was not asked for: the answer is over.
pub(super) struct Answered(Gate);

/// A body behind a gate.
struct Gated {
    inner: Body,
    /// `None` once it is open.
    gate: Option<Gate>,
    patience: Option<Pin<Box<Sleep>>>,
}

#[derive(Default)]
struct State {
    at: At,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Waiting,
    Open,
    /// The upstream answers without it.
    Answered,
    CancelReason,
}

// === impl Gate ===

impl Gate {
    /// Puts the body of an HTTP/1 request that expects `100` behind a gate. `None` for all others.
    pub(super) fn before(request: &mut Request<Body>) -> Option<Self> {
        if !request.headers().contains_key(EXPECT) {
            return None;
        }
        let gate = Self::default();
        let opens = gate.clone();
        hyper::ext::on_informational(request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                opens.set(At::Open);
            }
        });
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = Body::new(Gated {
            inner: body,
            gate: Some(gate.clone()),
            patience: None,
        });
        Some(gate)
    }

    /// The answer has begun.
    pub(super) fn answered(self) -> Answered {
        self.set(At::Answered);
        Answered(self)
    }

    /// What is open stays open.
    fn set(&self, at: At) {
        let mut state = self.state();
        if state.at == At::Open {
            return;
        }
        state.at = at;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Answered ===

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.set(At::CancelReason);
    }
}

// === impl Gated ===

impl Gated {
    /// Until it may be read.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(gate) = &self.gate else {
            return Poll::Ready(Ok(()));
        };
        let at = {
            let mut state = gate.state();
            state.reader = Some(cx.waker().clone());
            state.at
        };
        match at {
            At::CancelReason => return Poll::Ready(Err(Error::new(Kind::Canceled))),
            At::Answered => return Poll::Pending,
            At::Open => {}
            At::Waiting => {
                let patience = self
                    .patience
                    .get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
                std::task::ready!(patience.as_mut().poll(cx));
            }
        }
        self.gate = None;
        Poll::Ready(Ok(()))
    }
}

impl http_body::Body for Gated {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Err(error) = std::task::ready!(self.poll_open(cx)) {
            return Poll::Ready(Some(Err(error.into())));
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
