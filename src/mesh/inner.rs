//! What the handles of a mesh share.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::reload::Reloader;
use crate::{base::SharedRng, metrics::Report, stack::Boxed, trace};

/// What the handles share.
pub(super) struct Inner {
    pub(super) reloader: Arc<Reloader>,
    pub(super) unknown_hosts: UnknownHosts,
    pub(super) passthrough: Boxed,
    pub(super) trace: trace::Params,
    pub(super) reports: Vec<Arc<dyn Report>>,
    pub(super) rng: SharedRng,
    /// Dropped, it ends them.
    pub(super) _tasks: JoinSet<()>,
}

/// What happens to a request whose host the mesh does not know: Istio's `outboundTrafficPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownHosts {
    /// It goes there by the plain way, untouched: no routes, no retries, no headers added (`ALLOW_ANY`).
    #[default]
    Allow,
    /// It fails with [`Kind::UnknownHost`](crate::base::Kind::UnknownHost) (`REGISTRY_ONLY`).
    Refuse,
}
