//! Body wrappers over scripted frames.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod context;
mod guard;
mod observe;
mod peek;
mod prefix;
mod replay;
mod timed;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use llmesh::base::{BoxError, Error, Kind, error};

/// The next frame, as data.
async fn next<B>(body: &mut B) -> Bytes
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Debug,
{
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

fn kind(error: &BoxError) -> Option<Kind> {
    error::find(&**error).map(Error::kind)
}

/// Counts guards dropped.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

struct DropGuard(Drops);

impl Drops {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn guard(&self) -> DropGuard {
        DropGuard(self.clone())
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}
