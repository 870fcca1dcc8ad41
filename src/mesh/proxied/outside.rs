//! The network without a proxy.

use std::sync::Arc;

use crate::mesh::{connect::Connect, discovery::Resolve};

/// The network as this host sees it.
#[derive(Clone)]
pub(super) struct Outside {
    pub(super) connect: Arc<dyn Connect>,
    pub(super) resolve: Arc<dyn Resolve>,
}
