//! The shared set: endpoints, parameters and ejections, published as snapshots.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use http::HeaderValue;

use super::{
    context::PickContext,
    endpoint::Endpoint,
    models::Models,
    params::{EwmaParams, Params, Policy},
    pick::{Turns, pick},
    snapshot::Snapshot,
};
use crate::{
    base::{SharedRng, time::Instant},
    layers::outlier::{self, Detector, Member, Observation, Stats, detector},
};

/// A set of endpoints of one cluster. Cloning shares it.
#[derive(Clone, Debug)]
pub struct EndpointSet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    snapshot: ArcSwap<Snapshot>,
    /// Held while a snapshot is made from the one before, so that no change is lost.
    writing: Mutex<()>,
    detector: Detector,
    models: Models,
    turns: Turns,
}

/// A pick.
#[derive(Clone, Debug)]
pub struct Picked {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// `Set-Cookie` for the response, where the hash key is a cookie that was made here.
    pub set_cookie: Option<HeaderValue>,
}

// === impl EndpointSet ===

impl EndpointSet {
    /// An empty set. The name is for logs; without outlier parameters nothing is ejected.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        params: Params,
        outlier: Option<outlier::Params>,
    ) -> Self {
        let detector = Detector::new(&outlier.clone().unwrap_or_default(), Instant::now());
        Self(Arc::new(Shared {
            name: name.into(),
            snapshot: ArcSwap::from_pointee(Snapshot::new(params, outlier, Vec::new(), None)),
            writing: Mutex::new(()),
            detector,
            models: Models::default(),
            turns: Turns::default(),
        }))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// Replaces the endpoints. Whoever passes an endpoint again keeps its state.
    pub fn update(&self, endpoints: Vec<Arc<Endpoint>>) {
        self.write(|before| (before.params.clone(), before.outlier.clone(), endpoints));
    }

    /// Replaces the endpoints by these addresses and weights, in this order. Endpoints whose address stays keep their
    /// state; an address that comes twice counts once, with its first weight.
    pub fn update_from(&self, endpoints: impl IntoIterator<Item = (SocketAddr, u32)>) {
        self.write(|before| {
            let known: HashMap<_, _> = before.all.iter().map(|e| (e.address(), e)).collect();
            let mut seen = std::collections::HashSet::new();
            let all = endpoints
                .into_iter()
                .filter(|(address, _)| seen.insert(*address))
                .map(|(address, weight)| match known.get(&address) {
                    Some(endpoint) => {
                        endpoint.set_weight(weight);
                        Arc::clone(endpoint)
                    }
                    None => Arc::new(Endpoint::new(address, weight)),
                })
                .collect();
            (before.params.clone(), before.outlier.clone(), all)
        });
    }

    /// Replaces the parameters; endpoints, counts and ejections are kept. Turning outlier detection off lets all
    /// endpoints back in.
    pub fn set_params(&self, params: Params, outlier: Option<outlier::Params>) {
        self.write(|before| {
            if outlier.is_none() {
                before.all.iter().for_each(|e| e.host().reset());
            }
            (params, outlier, before.all.clone())
        });
    }

    /// All endpoints.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.0.snapshot.load().all.clone()
    }

    /// The endpoints that may be picked at `now`.
    #[must_use]
    pub fn usable(&self, now: Instant) -> Vec<Arc<Endpoint>> {
        self.tick(now);
        let snapshot = self.0.snapshot.load();
        snapshot
            .usable
            .iter()
            .map(|&i| Arc::clone(&snapshot.all[i]))
            .collect()
    }

    /// How many endpoints are ejected at `now`.
    #[must_use]
    pub fn ejections_active(&self, now: Instant) -> usize {
        self.tick(now);
        detector::active(&self.0.snapshot.load().all)
    }

    /// Whether ejections are ignored because too few endpoints are left.
    #[must_use]
    pub fn is_panicking(&self) -> bool {
        self.0.snapshot.load().panicking
    }

    /// What outlier detection did since the start.
    #[must_use]
    pub fn outlier_stats(&self) -> &Stats {
        self.0.detector.stats()
    }

    /// What is in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// Picks an endpoint at `now`; `None` if none may be used.
    #[must_use]
    pub fn pick(&self, context: &PickContext<'_>, rng: &SharedRng, now: Instant) -> Option<Picked> {
        self.tick(now);
        if let Some(model) = context.model.filter(|_| self.0.models.any()) {
            let base = self.0.snapshot.load_full();
            let snapshot = self.0.models.snapshot(model, &base, now).unwrap_or(base);
            return self.pick_from(&snapshot, context, rng, now);
        }
        self.pick_from(&self.0.snapshot.load(), context, rng, now)
    }

    fn pick_from(
        &self,
        snapshot: &Snapshot,
        context: &PickContext<'_>,
        rng: &SharedRng,
        now: Instant,
    ) -> Option<Picked> {
        let pick = pick(snapshot, context, &self.0.turns, rng, now)?;
        Some(Picked {
            endpoint: Arc::clone(snapshot.all.get(pick.member)?),
            set_cookie: pick.set_cookie,
        })
    }

    /// Counts what was seen of an endpoint at `now`, and ejects it if that was once too often.
    pub fn record(&self, endpoint: &Endpoint, seen: Observation, now: Instant) {
        self.tick(now);
        let snapshot = self.0.snapshot.load();
        let Some(params) = &snapshot.outlier else {
            return;
        };
        let detector = &self.0.detector;
        let Some(ejected) = detector.record(params, &snapshot.all, endpoint.host(), seen, now)
        else {
            return;
        };
        drop(snapshot);
        self.refresh();
        tracing::warn!(
            cluster = %self.0.name,
            endpoint = %endpoint.address(),
            reason = ejected.reason.as_str(),
            lasts = ?ejected.lasts,
            "endpoint ejected"
        );
    }

    /// Counts what was seen of a model at an endpoint at `now`, and ejects the endpoint for this model if that was once too
    /// often. Other models stay.
    pub fn record_model(
        &self,
        endpoint: &Endpoint,
        model: &Arc<str>,
        seen: Observation,
        now: Instant,
    ) {
        let base = self.0.snapshot.load_full();
        let Some(ejected) = self.0.models.record(model, &base, endpoint, seen, now) else {
            return;
        };
        tracing::warn!(
            cluster = %self.0.name,
            endpoint = %endpoint.address(),
            model = %model,
            reason = ejected.reason.as_str(),
            lasts = ?ejected.lasts,
            "endpoint ejected for one model"
        );
    }

    /// Lets endpoints back in whose ejection is over at `now`. Picks and records do so by themselves.
    pub fn tick(&self, now: Instant) {
        let snapshot = self.0.snapshot.load();
        let Some(params) = &snapshot.outlier else {
            return;
        };
        let back = self.0.detector.tick(params, &snapshot.all, now);
        if back.is_empty() {
            return;
        }
        self.refresh();
        for endpoint in back.iter().filter_map(|&i| snapshot.all.get(i)) {
            tracing::info!(
                cluster = %self.0.name,
                endpoint = %endpoint.address(),
                "endpoint back in service"
            );
        }
    }

    /// The latency estimate's parameters, if the policy wants one.
    pub(super) fn ewma(&self) -> Option<EwmaParams> {
        match self.0.snapshot.load().params.policy {
            Policy::PeakEwma(params) => Some(params),
            _ => None,
        }
    }

    /// Publishes the ejections as they are now.
    fn refresh(&self) {
        self.write(|b| (b.params.clone(), b.outlier.clone(), b.all.clone()));
    }

    fn write(
        &self,
        change: impl FnOnce(&Snapshot) -> (Params, Option<outlier::Params>, Vec<Arc<Endpoint>>),
    ) {
        let _writing = self
            .0
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.0.snapshot.load();
        let (params, outlier, all) = change(&before);
        let after = Snapshot::new(params, outlier, all, Some(&before));
        self.0.snapshot.store(Arc::new(after));
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
