//! What the services of a layer share.

use std::{fmt, sync::Arc};

use http::request::Parts;

use super::{Params, Stats, chain::Place, health::Health, target::Target, who::TargetId};
use crate::{
    base::time::Instant,
    llm::{
        DialectMode, credential,
        refused::{Addition, Refusals},
        request::Call,
    },
};

/// What the services of a layer share.
#[derive(Clone)]
pub(super) struct Shared<S> {
    pub(super) params: Params,
    /// The route's own.
    pub(super) cluster: Arc<str>,
    pub(super) targets: Vec<Target>,
    /// One for each of `targets`.
    pub(super) services: Vec<S>,
    pub(super) health: Health,
    pub(super) setting: DialectMode,
    pub(super) cap: usize,
    pub(super) stats: Arc<Stats>,
    pub(super) refusals: Refusals,
    pub(super) room: Option<Room>,
}

/// Whether a target has room.
#[derive(Clone)]
pub(super) struct Room(Arc<Ask>);

type Ask = dyn Fn(&TargetId, Option<&Call>, Instant) -> bool + Send + Sync;

// === impl Room ===

impl Room {
    pub(super) fn new(
        room: impl Fn(&TargetId, Option<&Call>, Instant) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(room))
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}

// === impl Shared ===

impl<S> Shared<S> {
    /// Who is asked at each place.
    pub(super) fn places(&self, head: &Parts) -> Vec<Place> {
        let model = head.extensions.get::<Call>().and_then(|c| c.model.clone());
        let own = TargetId::new(Arc::clone(&self.cluster))
            .with_model(model)
            .with_key(credential::sent(&head.headers, &head.uri), None);
        let others = self
            .targets
            .iter()
            .map(|target| Place::new(target.who(&own), target.params.larger));
        let others: Vec<_> = others.collect();
        std::iter::once(Place::new(own, false))
            .chain(others)
            .collect()
    }

    /// Whether a target has room for a request, as far as is known.
    pub(super) fn has_room(&self, who: &TargetId, head: &Parts, now: Instant) -> bool {
        let call = head.extensions.get::<Call>();
        self.room
            .as_ref()
            .is_none_or(|room| (room.0)(who, call, now))
    }

    /// Whether the target at this place, where `who` is asked, goes on with an answer, as far as is known.
    pub(super) fn goes_on(&self, at: usize, who: &TargetId, now: Instant) -> bool {
        let target = at.checked_sub(1).and_then(|n| self.targets.get(n));
        target.is_none_or(|target| target.params.prefill)
            && !self
                .refusals
                .knows(Addition::Prefill, &who.cluster, who.model.as_ref(), now)
    }
}
