//! The layer: the chain that its services share.

use std::{fmt, sync::Arc};

use tower::Layer;

use super::{
    Fallback, Health, Params, Stats,
    shared::{Room, Shared},
    target::{Reach, Target},
    who::TargetId,
};
use crate::{
    base::time::Instant,
    body::replay::DEFAULT_CAP,
    llm::{DialectMode, refused::Refusals, request::Call},
};

/// Applies [`Fallback`]: what it is applied to is the route's own target.
#[derive(Clone)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct FallbackLayer<S>(Shared<S>);

// === impl FallbackLayer ===

impl<S> FallbackLayer<S> {
    /// A chain. `cluster` is the route's own, `reach` says how each of [`Params::targets`] is reached, in their order
    /// (targets without are left out, which is logged, and so should be those whose key cannot be read). `health` is kept by the
    /// owner, so that it outlives this configuration.
    pub fn new(
        params: Params,
        cluster: impl Into<Arc<str>>,
        reach: impl IntoIterator<Item = Reach<S>>,
        health: Health,
    ) -> Self {
        let cluster = cluster.into();
        let reach: Vec<_> = reach.into_iter().collect();
        if let Some(odd) = unpaired(params.targets.len(), reach.len()) {
            tracing::error!(target: "llmesh", %cluster, "the fallback of a route is not all that was named: {odd}");
        }
        let (targets, services) = params
            .targets
            .iter()
            .zip(reach)
            .map(|(target, reach)| (Target::new(target.clone(), &reach, &cluster), reach.service))
            .unzip();
        Self(Shared {
            params,
            cluster,
            targets,
            services,
            health,
            setting: DialectMode::default(),
            cap: DEFAULT_CAP,
            stats: Arc::default(),
            refusals: Refusals::default(),
            room: None,
        })
    }

    /// Sets what the operator says of the dialect.
    pub fn with_dialect(mut self, setting: DialectMode) -> Self {
        self.0.setting = setting;
        self
    }

    /// Sets how many bytes of a request are kept. A longer one is sent to one target only.
    pub fn with_cap(mut self, bytes: usize) -> Self {
        self.0.cap = bytes;
        self
    }

    /// Remembers here which targets refuse to go on with an answer.
    pub fn with_refusals(mut self, refusals: Refusals) -> Self {
        self.0.refusals = refusals;
        self
    }

    /// Counts here.
    pub fn with_stats(mut self, stats: Arc<Stats>) -> Self {
        self.0.stats = stats;
        self
    }

    /// Asks before a target is chosen whether it has room for a request, of which is known what it asks for if it is a
    /// generation call: for limits that were learned from its answers. One without is passed over, as long as another one
    /// has.
    pub fn with_room(
        mut self,
        room: impl Fn(&TargetId, Option<&Call>, Instant) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.0.room = Some(Room::new(room));
        self
    }
}

impl<S> fmt::Debug for FallbackLayer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("params", &self.0.params)
            .finish_non_exhaustive()
    }
}

impl<S: Clone> Layer<S> for FallbackLayer<S> {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Fallback<S> {
        Fallback::new(inner, Arc::new(self.0.clone()))
    }
}

// === free functions ===

/// What is left out where there are not as many targets as ways to reach them.
fn unpaired(targets: usize, reach: usize) -> Option<String> {
    let told = match targets.checked_sub(reach) {
        Some(0) => return None,
        Some(more) => format!("the last {more} of {targets} targets cannot be reached"),
        None => format!("there are {reach} services for {targets} targets"),
    };
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::unpaired;

    #[test]
    fn targets_and_services_that_do_not_pair_are_told() {
        assert_eq!(unpaired(2, 2), None);
        let few = unpaired(3, 1).unwrap();
        assert_eq!(few, "the last 2 of 3 targets cannot be reached");
        let many = unpaired(1, 2).unwrap();
        assert_eq!(many, "there are 2 services for 1 targets");
    }
}
