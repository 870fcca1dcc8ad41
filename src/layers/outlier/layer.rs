//! The [`Layer`].

use std::sync::Arc;

use tower::Layer;

use super::{
    group::{Group, Membership},
    service::Outlier,
};

/// Watches one member of a [`Group`]. Services made by clones of this layer are the same member.
#[derive(Clone, Debug)]
pub struct OutlierLayer {
    group: Group,
    member: Arc<Membership>,
}

// === impl OutlierLayer ===

impl OutlierLayer {
    pub(super) fn new(group: Group, member: Arc<Membership>) -> Self {
        Self { group, member }
    }
}

impl<S> Layer<S> for OutlierLayer {
    type Service = Outlier<S>;

    fn layer(&self, inner: S) -> Outlier<S> {
        Outlier::new(inner, self.group.clone(), Arc::clone(&self.member))
    }
}
