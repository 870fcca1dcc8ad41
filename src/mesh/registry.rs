//! State that outlives configurations: clusters with their endpoints, pools and counters, and the counts of limits.
//!
//! Keyed by cluster name and, within, by address: what a reload leaves unchanged keeps its ejections, counts and
//! connections. A cluster that no snapshot holds any more dies with its last request.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use http::{Request, Response};
use tokio::task::JoinSet;
use tower::Service;

use super::{
    connect::Connect,
    discovery::{self, Resolve, Resolved},
    pool::{Limits, Pool},
};
use crate::{
    balance::Endpoint,
    base::{BoxError, SharedRng, ext::Record, time::Instant},
    body::Body,
    limit::tokens,
    llm::LlmClassifier,
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
    llm: stack::LlmState,
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
    by_address: ArcSwap<BTreeMap<SocketAddr, Noted>>,
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
        Self {
            clusters: Arc::default(),
            connect,
            resolve,
            rng,
            llm: stack::LlmState::default(),
        }
    }

    /// The counts of token limits, for the layers of every configuration.
    #[must_use]
    pub fn limits(&self) -> &tokens::Registry {
        &self.llm.limits
    }

    /// The state of the LLM layers of every configuration.
    #[must_use]
    pub fn llm(&self) -> &stack::LlmState {
        &self.llm
    }

    /// Brings the clusters in line with a model. Unchanged ones are not touched. Waits (bounded) for the first answers of
    /// new names.
    pub(super) async fn apply(&self, model: &Model) -> BTreeMap<Arc<str>, Arc<Upstream>> {
        let mut resolving = JoinSet::new();
        let next = {
            let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            let mut next = BTreeMap::new();
            // TLS is not spoken yet, and plain text never in its place: such a cluster is not there.
            let plain = model.clusters.iter().filter(|(_, c)| c.tls.is_none());
            for (name, wanted) in plain {
                let (upstream, moved) = match clusters.get(name) {
                    Some(known) => (Arc::clone(known), known.set(wanted)),
                    None => (Upstream::new(wanted, self), true),
                };
                if moved {
                    resolving.spawn(
                        Arc::clone(&upstream).discover(Arc::clone(&self.resolve), self.rng.clone()),
                    );
                }
                next.insert(Arc::clone(name), upstream);
            }
            clusters.clone_from(&next);
            next
        };
        while resolving.join_next().await.is_some() {}
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
        Arc::new(Self {
            name: wanted.name.clone(),
            model: ArcSwap::from_pointee(wanted.clone()),
            state,
            pools,
            service,
            refresher: Mutex::new(None),
        })
    }

    /// Puts changed parameters in force. Returns whether endpoints are found another way now.
    fn set(&self, wanted: &model::Cluster) -> bool {
        let before = self.model.load_full();
        if *before == *wanted {
            return false;
        }
        self.model.store(Arc::new(wanted.clone()));
        self.state.set(wanted);
        self.pools.limits.set(wanted.pool.clone());
        before.discovery != wanted.discovery
    }

    /// Makes the endpoints known: at once where they are addresses, after the first answer where they are names.
    async fn discover(self: Arc<Self>, resolve: Arc<dyn Resolve>, rng: SharedRng) {
        let discovery = match &self.model().discovery {
            // The address the caller used is the one its Host names.
            Discovery::Original => Discovery::Dns(vec![model::Endpoint::new(
                self.name.host.clone(),
                self.name.port,
            )]),
            other => other.clone(),
        };
        let labels = versions(&discovery);
        let update = {
            let (endpoints, pools) = (self.state.endpoints.clone(), Arc::clone(&self.pools));
            move |known: Vec<Resolved>| {
                pools.keep(&known, &labels);
                endpoints.update_from(known.iter().map(|r| (r.address, r.weight)));
            }
        };
        let params = discovery::Params {
            rng,
            ..discovery::Params::default()
        };
        let (first, refresher) =
            discovery::start(&discovery, resolve, params, update.clone()).await;
        update(first);
        *self
            .refresher
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = refresher;
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
        all.iter()
            .filter(|e| e.is_ejected())
            .map(|e| e.address())
            .collect()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl Pools ===

impl Pools {
    /// Keeps the pools of these addresses, makes new ones, drops (and so drains) the rest.
    fn keep(&self, known: &[Resolved], versions: &[Option<Arc<str>>]) {
        let before = self.by_address.load();
        let host = |r: &Resolved| {
            let pool = before
                .get(&r.address)
                .map_or_else(|| self.pool(r.address), |h| h.pool.clone());
            Noted {
                pool,
                version: versions.get(r.origin).cloned().flatten(),
            }
        };
        self.by_address.store(Arc::new(
            known.iter().map(|r| (r.address, host(r))).collect(),
        ));
    }

    fn pool(&self, address: SocketAddr) -> Pool {
        Pool::new(address, self.limits.clone(), Arc::clone(&self.connect))
    }

    /// The host at an address. One that has just left the set gets a pool of its own for this last request.
    fn host(&self, address: SocketAddr) -> Noted {
        let known = self.by_address.load().get(&address).cloned();
        known.unwrap_or_else(|| Noted {
            pool: self.pool(address),
            version: None,
        })
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

/// The `version` label of each configured endpoint.
fn versions(discovery: &Discovery) -> Arc<[Option<Arc<str>>]> {
    let endpoints = match discovery {
        Discovery::Static(all) | Discovery::Dns(all) | Discovery::DnsFirst(all) => all.as_slice(),
        Discovery::Original => &[],
    };
    endpoints
        .iter()
        .map(|e| e.labels.get("version").map(|v| v.as_str().into()))
        .collect()
}

/// From a picked endpoint to the service that reaches it.
fn dial(
    pools: &Arc<Pools>,
    state: &stack::Cluster,
) -> impl Fn(&Arc<Endpoint>) -> EndpointService<Noted> + Clone + Send + Sync + use<> {
    let (pools, counters) = (Arc::clone(pools), Arc::clone(&state.counters));
    move |picked| {
        endpoint(
            pools.host(picked.address()),
            &counters,
            LlmClassifier::default(),
        )
    }
}
