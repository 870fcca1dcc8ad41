//! A connection that has left HTTP, until it is over.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use http_body::Body as _;

use super::pulse::Request;
use crate::body::Body;

/// Where the answer that switches leaves what the connection goes on with. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Switched>>>);

/// The body of the answer that switched, which moves the bytes of both sides while it is read.
pub(super) struct Switched {
    body: Body,
    /// The request, which is not over yet.
    _request: Option<Arc<Request>>,
}

// === impl Slot ===

impl Slot {
    pub(super) fn put(&self, body: Body, request: Option<Arc<Request>>) {
        *self.lock() = Some(Switched {
            body,
            _request: request,
        });
    }

    pub(super) fn take(&self) -> Option<Switched> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Switched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Switched ===

impl Switched {
    /// Moves what can be moved; ready once it is over. What it gives has been written already.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        }
    }
}
