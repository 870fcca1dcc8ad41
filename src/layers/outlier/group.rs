//! A set of services that are watched together.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;

use super::{
    detector::{self, Detector, Host, Stats},
    layer::OutlierLayer,
    params::Params,
    seen::Observation,
};
use crate::base::time::Instant;

/// A set whose members are added by [`layer`](Self::layer) and leave when their last service is dropped. Cloning
/// shares it.
#[derive(Clone, Debug)]
pub struct Group(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    params: ArcSwap<Params>,
    detector: Detector,
    members: ArcSwap<Vec<Arc<Host>>>,
}

/// A member of a [`Group`]. Dropping it takes it out of the group.
#[derive(Debug)]
pub(super) struct Membership {
    name: Arc<str>,
    host: Arc<Host>,
    group: Weak<Shared>,
}

// === impl Group ===

impl Group {
    /// An empty set.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self(Arc::new(Shared {
            detector: Detector::new(&params, Instant::now()),
            params: ArcSwap::from_pointee(params),
            members: ArcSwap::default(),
        }))
    }

    /// A layer for one more member. The name is for logs.
    pub fn layer(&self, name: impl Into<Arc<str>>) -> OutlierLayer {
        let host = Arc::new(Host::default());
        self.0.members.rcu(|members| {
            let mut members = Vec::clone(members);
            members.push(Arc::clone(&host));
            members
        });
        let membership = Membership {
            name: name.into(),
            host,
            group: Arc::downgrade(&self.0),
        };
        OutlierLayer::new(self.clone(), Arc::new(membership))
    }

    /// Replaces the parameters; counts and ejections are kept.
    pub fn set_params(&self, params: Params) {
        self.0.params.store(Arc::new(params));
    }

    /// What happened since the start.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        self.0.detector.stats()
    }

    /// How many members are out now.
    #[must_use]
    pub fn ejections_active(&self) -> usize {
        self.tick(Instant::now());
        detector::active(&self.0.members.load())
    }

    /// Whether the member may be used now; if not, how much of its ejection is left.
    pub(super) fn admit(&self, member: &Membership) -> Result<(), std::time::Duration> {
        let now = Instant::now();
        self.tick(now);
        if member.host.is_ejected() {
            return Err(member.host.left(&self.0.params.load(), now));
        }
        Ok(())
    }

    pub(super) fn record(&self, member: &Membership, seen: Observation) {
        let now = Instant::now();
        self.tick(now);
        let (params, members) = (self.0.params.load(), self.0.members.load());
        let ejected = self
            .0
            .detector
            .record(&params, &members, &member.host, seen, now);
        if let Some(ejected) = ejected {
            tracing::warn!(
                member = %member.name,
                reason = ejected.reason.as_str(),
                lasts = ?ejected.lasts,
                "member ejected"
            );
        }
    }

    fn tick(&self, now: Instant) {
        let members = self.0.members.load();
        let back = self.0.detector.tick(&self.0.params.load(), &members, now);
        if !back.is_empty() {
            tracing::info!(members = back.len(), "members back in service");
        }
    }
}

// === impl Membership ===

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(group) = self.group.upgrade() {
            group.members.rcu(|members| {
                let mut members = Vec::clone(members);
                members.retain(|host| !Arc::ptr_eq(host, &self.host));
                members
            });
        }
    }
}
