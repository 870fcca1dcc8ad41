//! Ejections for one model: an address may serve many, and one that fails says nothing of the others.
//!
//! If a model fails at all addresses, it is the model and not an address: then none is out for it, and what is beyond (a
//! breaker of the target, a fallback) has to tell.
//!
//! A model has counters and ejections of its own from its first failure on; one that never failed costs nothing. The
//! number of models is bounded: a name is the caller's to choose. Beyond the bound those without an ejection make room, and
//! if there is none, a further model ejects nothing.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{endpoint::Endpoint, snapshot::Snapshot};
use crate::{
    base::time::Instant,
    layers::outlier::{self, Detector, Ejected, Host, Observation, detector},
};

/// How many models are kept.
const MOST: usize = 64;

/// The models of a set that have failed.
#[derive(Debug, Default)]
pub(super) struct Models {
    /// Whether there are any: read without the lock.
    any: AtomicBool,
    views: Mutex<HashMap<Arc<str>, View>>,
}

/// A set as one model sees it.
#[derive(Debug)]
struct View {
    detector: Detector,
    /// What it was made from.
    base: Arc<Snapshot>,
    /// One for each endpoint of `base`.
    hosts: Vec<Arc<Host>>,
    /// `base` without those that are out for this model.
    snapshot: Arc<Snapshot>,
}

// === impl Models ===

impl Models {
    /// Whether any model has failed so far.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// The set as this model sees it; `None`: as all do.
    pub(super) fn snapshot(
        &self,
        model: &str,
        base: &Arc<Snapshot>,
        now: Instant,
    ) -> Option<Arc<Snapshot>> {
        let params = base.outlier.as_ref()?;
        let mut views = self.lock();
        let view = views.get_mut(model)?;
        view.follow(base);
        view.tick(params, now);
        Some(Arc::clone(&view.snapshot))
    }

    /// Counts what was seen of a model at an endpoint.
    pub(super) fn record(
        &self,
        model: &Arc<str>,
        base: &Arc<Snapshot>,
        endpoint: &Endpoint,
        seen: Observation,
        now: Instant,
    ) -> Option<Ejected> {
        let params = base.outlier.as_ref()?;
        let failed = seen.status() >= 500 || params.error_statuses.contains(&seen.status());
        if !failed && !self.any() {
            return None;
        }
        let mut views = self.lock();
        if !views.contains_key(model) {
            if !failed || !make_room(&mut views) {
                return None;
            }
            views.insert(Arc::clone(model), View::new(params, base, now));
            self.any.store(true, Ordering::Release);
        }
        let view = views.get_mut(model)?;
        view.follow(base);
        view.tick(params, now);
        let at = base
            .all
            .iter()
            .position(|e| e.address() == endpoint.address())?;
        let host = Arc::clone(view.hosts.get(at)?);
        let ejected = view
            .detector
            .record(params, &view.hosts, &host, seen, now)?;
        view.refresh();
        Some(ejected)
    }

    /// A panic while the lock was held leaves plain data behind, which stays usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, View>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one more fits in.
fn make_room(views: &mut HashMap<Arc<str>, View>) -> bool {
    if views.len() < MOST {
        return true;
    }
    let well = views
        .iter()
        .find(|(_, view)| detector::active(&view.hosts) == 0)
        .map(|(model, _)| Arc::clone(model));
    well.is_some_and(|model| views.remove(&model).is_some())
}

// === impl View ===

impl View {
    fn new(params: &outlier::Params, base: &Arc<Snapshot>, now: Instant) -> Self {
        Self {
            detector: Detector::new(params, now),
            base: Arc::clone(base),
            hosts: base.all.iter().map(|_| Arc::default()).collect(),
            snapshot: Arc::clone(base),
        }
    }

    /// Follows a change of the set; endpoints that stay keep their counts.
    fn follow(&mut self, base: &Arc<Snapshot>) {
        if Arc::ptr_eq(&self.base, base) {
            return;
        }
        let known: HashMap<SocketAddr, &Arc<Host>> = self
            .base
            .all
            .iter()
            .map(|e| e.address())
            .zip(&self.hosts)
            .collect();
        let kept = |e: &Arc<Endpoint>| known.get(&e.address()).map(|host| Arc::clone(host));
        self.hosts = base
            .all
            .iter()
            .map(|e| kept(e).unwrap_or_default())
            .collect();
        self.base = Arc::clone(base);
        self.refresh();
    }

    fn tick(&mut self, params: &outlier::Params, now: Instant) {
        if !self.detector.tick(params, &self.hosts, now).is_empty() {
            self.refresh();
        }
    }

    fn refresh(&mut self) {
        self.snapshot = if detector::active(&self.hosts) == 0 {
            Arc::clone(&self.base)
        } else {
            let is_out = |i: usize| self.hosts.get(i).is_some_and(|host| host.is_ejected());
            let left = self.base.without(is_out);
            if left.usable.is_empty() {
                Arc::clone(&self.base)
            } else {
                Arc::new(left)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        base::SharedRng,
        layers::balance::{EndpointSet, Params, PickContext},
    };

    fn set(addresses: &[&str]) -> EndpointSet {
        let outlier = outlier::Params::default().with_max_ejection_percent(100);
        let set = EndpointSet::new("llm", Params::default(), Some(outlier));
        set.update_from(addresses.iter().map(|a| (a.parse().unwrap(), 1)));
        set
    }

    fn picks(set: &EndpointSet, model: Option<&str>) -> Vec<SocketAddr> {
        let (request, rng) = (http::Request::new(()), SharedRng::seeded(1));
        let model = model.map(Arc::from);
        let context = PickContext {
            model: model.as_ref(),
            ..PickContext::of(&request)
        };
        let mut all: Vec<_> = (0..50)
            .filter_map(|_| set.pick(&context, &rng, Instant::now()))
            .map(|picked| picked.endpoint.address())
            .collect();
        all.sort();
        all.dedup();
        all
    }

    fn fail(set: &EndpointSet, at: usize, model: &str, status: u16) {
        let endpoint = Arc::clone(&set.endpoints()[at]);
        set.record_model(
            &endpoint,
            &model.into(),
            Observation::Status(status),
            Instant::now(),
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_out_for_the_model_that_fails_and_no_other() {
        let set = set(&["10.0.0.1:80", "10.0.0.2:80"]);
        for _ in 0..5 {
            fail(&set, 0, "ill", 503);
        }
        let second: Vec<SocketAddr> = vec!["10.0.0.2:80".parse().unwrap()];
        assert_eq!(picks(&set, Some("ill")), second);
        assert_eq!(picks(&set, Some("well")).len(), 2);
        assert_eq!(picks(&set, None).len(), 2);
        assert_eq!(set.ejections_active(Instant::now()), 0);
        // At all addresses: it is the model.
        for _ in 0..5 {
            fail(&set, 1, "ill", 503);
        }
        assert_eq!(picks(&set, Some("ill")).len(), 2);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(picks(&set, Some("ill")).len(), 2);
        for _ in 0..5 {
            fail(&set, 1, "ill", 503);
        }
        assert_eq!(picks(&set, Some("ill")).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn rows_are_each_models_own() {
        let set = set(&["10.0.0.1:80", "10.0.0.2:80"]);
        for n in 0..20 {
            fail(&set, 0, ["a", "b", "c", "d", "e"][n % 5], 503);
        }
        assert_eq!(picks(&set, Some("a")).len(), 2);
        fail(&set, 0, "b", 200);
        for model in ["a", "b"] {
            fail(&set, 0, model, 503);
        }
        let second: Vec<SocketAddr> = vec!["10.0.0.2:80".parse().unwrap()];
        assert_eq!(picks(&set, Some("a")), second);
        assert_eq!(picks(&set, Some("b")).len(), 2);
        // The ejection survives a change of the set.
        let addresses = ["10.0.0.3:80", "10.0.0.1:80", "10.0.0.2:80"];
        set.update_from(addresses.iter().map(|a| (a.parse().unwrap(), 1)));
        assert_eq!(picks(&set, Some("a")).len(), 2);
        assert_eq!(picks(&set, Some("b")).len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_models_is_bounded() {
        let set = set(&["10.0.0.1:80", "10.0.0.2:80"]);
        for n in 0..MOST {
            for _ in 0..5 {
                fail(&set, 0, &format!("ejected-{n}"), 500);
            }
        }
        for _ in 0..9 {
            fail(&set, 0, "one more", 500);
        }
        assert_eq!(picks(&set, Some("one more")).len(), 2);
        assert_eq!(picks(&set, Some("ejected-7")).len(), 1);
        tokio::time::sleep(Duration::from_secs(40)).await;
        // One that is back in service makes room.
        assert_eq!(picks(&set, Some("ejected-7")).len(), 2);
        for _ in 0..5 {
            fail(&set, 0, "one more", 500);
        }
        assert_eq!(picks(&set, Some("one more")).len(), 1);
    }
}
