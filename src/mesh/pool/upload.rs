//! The body of a request on its way to an upstream.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use http::Request;

use crate::{
    base::{
        BoxError, Error, Kind,
        error::{Origin, find},
    },
    body::{
        Body,
        observe::{End, Observe, Observed},
    },
};

/// The body of a request on its way, which notes how it fails.
pub(super) type Uploading = Observed<Body, Upload>;

/// How the body of a request fares.
#[derive(Clone)]
pub(super) struct Upload(Arc<Uploaded>);

#[derive(Default)]
struct Uploaded {
    failure: OnceLock<Kind>,
    over: AtomicBool,
}

// === impl Upload ===

impl Upload {
    /// Why it failed, if it did.
    pub(super) fn failure(&self) -> Option<Kind> {
        self.0.failure.get().copied()
    }

    /// Whether the body was sent, failed or was dropped.
    pub(super) fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }
}

impl Observe<BoxError> for Upload {
    fn end(self, how: End<'_, BoxError>) {
        if let End::Failed(error) = how {
            // What a request body fails with is never this upstream's fault.
            let kind = find(&**error)
                .map(Error::kind)
                .filter(|kind| kind.origin() != Origin::Upstream)
                .unwrap_or(Kind::Canceled);
            // Set once: a body fails once.
            let _ = self.0.failure.set(kind);
        }
        self.0.over.store(true, Ordering::Release);
    }
}

// === free functions ===

/// The request, and how its body fares from now on.
pub(super) fn watched(request: Request<Body>) -> (Request<Uploading>, Upload) {
    let upload = Upload(Arc::default());
    let request = request.map(|body| Observed::new(body, upload.clone()));
    (request, upload)
}
