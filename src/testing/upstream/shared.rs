//! What the listener, its connections and the handle share.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::HeaderValue;
use hyper_util::{rt::TokioExecutor, server::conn::auto};

use super::{
    doors::Doors,
    script::{Script, Sequences},
    seen, usage,
};

/// What the listener, its connections and the handle share.
pub(super) struct Shared {
    pub(super) address: SocketAddr,
    pub(super) listener: HeaderValue,
    pub(super) label: Option<HeaderValue>,
    pub(super) script: ArcSwap<Script>,
    pub(super) initial: Arc<Script>,
    pub(super) sequences: Sequences,
    pub(super) record: bool,
    pub(super) recorder: seen::Recorder,
    pub(super) stats: seen::Stats,
    pub(super) ledger: usage::Ledger,
    pub(super) doors: Doors,
    pub(super) http: auto::Builder<TokioExecutor>,
    /// Listens again after a while.
    pub(super) revive_after: fn(&Arc<Self>, Duration),
}

// === impl Shared ===

impl Shared {
    pub(super) fn records(&self) -> bool {
        self.record
    }

    pub(super) fn label_text(&self) -> Option<&str> {
        self.label.as_ref().and_then(|l| l.to_str().ok())
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("address", &self.address)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
