//! State that outlives configurations: clusters with their endpoints, pools and counters.
//!
//! Keyed by cluster name and, within, by address: what a reload leaves unchanged keeps its ejections, counts and
//! connections. A cluster that no snapshot holds any more dies with its last request.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use http::{Request, Response};
use tower::Service;

use super::{
    connect::Connect,
    discovery::{self, Resolve},
    pool::{Limits, Pool},
};
use crate::{
    balance::Endpoint,
    base::{BoxError, SharedRng, ext::Record, time::Instant},
    body::Body,
    llm::LlmMakeClassifier,
    model::{self, ClusterName, Discovery, Model},
    stack::{self, Boxed, EndpointService, endpoint},
};

/// All clusters in force.
#[derive(Clone)]
pub struct Registry {
    clusters: Arc<Mutex<BTreeMap<Arc<str>, Arc<Upstream>>>>,
    connect: Arc<dyn Connect>,
    resolve: Arc<dyn Resolve>,
    rng: SharedRng,
}

/// One cluster: its state, its pools and its stack.
pub struct Upstream {
    name: ClusterName,
    /// The parameters in force.
    model: ArcSwap<model::Cluster>,
    /// Endpoints, ceilings, counters.
    pub state: stack::Cluster,
    pools: Arc<Pools>,
    service: Boxed,
    refresher: Mutex<Option<discovery::Refresher>>,
}

/// The connection pools of a cluster, one an address.
struct Pools {
    by_address: ArcSwap<HashMap<SocketAddr, Noted>>,
    limits: Limits,
    connect: Arc<dyn Connect>,
}

/// A pool that notes its workload's version in the request's record.
#[derive(Clone)]
struct Noted {
    pool: Pool,
    version: Option<Arc<str>>,
}


// === impl Registry ===

impl Registry {
    /// An empty registry that connects and resolves through these.
    #[must_use]
    pub fn new(connect: Arc<dyn Connect>, resolve: Arc<dyn Resolve>, rng: SharedRng) -> Self {
        Self { clusters: Arc::default(), connect, resolve, rng }
    }

    /// Brings the clusters in line with a model. Unchanged ones are not touched.
    pub(super) fn apply(&self, model: &Model) -> BTreeMap<Arc<str>, Arc<Upstream>> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = BTreeMap::new();
        for (name, wanted) in &model.clusters {
            let upstream = match clusters.get(name) {
                Some(known) => {
                    known.set(wanted, self);
                    Arc::clone(known)
                }
                None => Upstream::new(wanted, self),
            };
            next.insert(Arc::clone(name), upstream);
        }
        clusters.clone_from(&next);
        next
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

// === impl Upstream ===

impl Upstream {
    fn new(wanted: &model::Cluster, registry: &Registry) -> Arc<Self> {
        let state = stack::Cluster::new(wanted);
        let pools = Arc::new(Pools {
            by_address: ArcSwap::default(),
            limits: Limits::new(wanted.pool.clone()),
            connect: Arc::clone(&registry.connect),
        });
        let service = state.service(dial(&pools, &state), &registry.rng);
        let upstream = Arc::new(Self {
            name: wanted.name.clone(),
            model: ArcSwap::from_pointee(wanted.clone()),
            state,
            pools,
            service,
            refresher: Mutex::new(None),
        });
        upstream.discover(wanted, registry);
        upstream
    }

    fn set(&self, wanted: &model::Cluster, registry: &Registry) {
        let before = self.model.load_full();
        if *before == *wanted {
            return;
        }
        self.model.store(Arc::new(wanted.clone()));
        self.state.set(wanted);
        self.pools.limits.set(wanted.pool.clone());
        if before.discovery != wanted.discovery {
            self.discover(wanted, registry);
        }
    }

    /// Makes the endpoints known: at once where they are addresses, by resolving where they are names.
    fn discover(&self, wanted: &model::Cluster, registry: &Registry) {
        let update = {
            let (endpoints, pools) = (self.state.endpoints.clone(), Arc::clone(&self.pools));
            move |known: &[(SocketAddr, model::Endpoint)]| {
                pools.keep(known);
                endpoints.update_from(known.iter().map(|(address, e)| (*address, e.weight)));
            }
        };
        let mut refresher = self.refresher.lock().unwrap_or_else(PoisonError::into_inner);
        *refresher = None;
        let (names, first_only) = match &wanted.discovery {
            Discovery::Static(endpoints) => {
                update(&discovery::literal(endpoints));
                return;
            }
            Discovery::Dns(endpoints) => (endpoints.clone(), false),
            Discovery::DnsFirst(endpoints) => (endpoints.clone(), true),
            // The address the caller used is the one its Host names.
            Discovery::Original => (vec![model::Endpoint::new(wanted.name.host.clone(), wanted.name.port)], false),
        };
        let resolve = Arc::clone(&registry.resolve);
        *refresher = Some(discovery::refresh(wanted.name.to_string(), names, first_only, resolve, update));
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// The parameters in force.
    #[must_use]
    pub fn model(&self) -> Arc<model::Cluster> {
        self.model.load_full()
    }

    /// Its stack.
    #[must_use]
    pub fn service(&self) -> Boxed {
        self.service.clone()
    }

    /// Its connections.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.pools.limits
    }

    /// Addresses of the endpoints that are ejected now.
    #[must_use]
    pub fn ejected(&self) -> Vec<SocketAddr> {
        self.state.endpoints.tick(Instant::now());
        let all = self.state.endpoints.endpoints();
        all.iter().filter(|e| e.is_ejected()).map(|e| e.address()).collect()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

// === impl Pools ===

impl Pools {
    /// Keeps the pools of these addresses, makes new ones, drops (and so drains) the rest.
    fn keep(&self, known: &[(SocketAddr, model::Endpoint)]) {
        let before = self.by_address.load();
        let host = |address: SocketAddr, endpoint: &model::Endpoint| {
            let pool = before.get(&address).map_or_else(|| self.pool(address), |h| h.pool.clone());
            Noted { pool, version: endpoint.labels.get("version").map(|v| v.as_str().into()) }
        };
        let next = known.iter().map(|(address, endpoint)| (*address, host(*address, endpoint))).collect();
        self.by_address.store(Arc::new(next));
    }

    fn pool(&self, address: SocketAddr) -> Pool {
        Pool::new(address, self.limits.clone(), Arc::clone(&self.connect))
    }

    /// The host at an address. One that has just left the set gets a pool of its own for this last request.
    fn host(&self, address: SocketAddr) -> Noted {
        let known = self.by_address.load().get(&address).cloned();
        known.unwrap_or_else(|| Noted { pool: self.pool(address), version: None })
    }
}

// === impl Noted ===

impl Service<Request<Body>> for Noted {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = <Pool as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.pool.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(record) = request.extensions().get::<Record>() {
            record.note(|n| n.version.clone_from(&self.version));
        }
        self.pool.call(request)
    }
}

/// From a picked endpoint to the service that reaches it.
fn dial(
    pools: &Arc<Pools>,
    state: &stack::Cluster,
) -> impl Fn(&Arc<Endpoint>) -> EndpointService<Noted> + Clone + Send + Sync + use<> {
    let (pools, counters) = (Arc::clone(pools), Arc::clone(&state.counters));
    move |picked| {
        endpoint(pools.host(picked.address()), &counters, LlmMakeClassifier::default())
    }
}
