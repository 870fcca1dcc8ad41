//! State that outlives configurations: clusters with their endpoints, pools and counters, and the counts of limits.
//!
//! Keyed by cluster name and, within, by address: what a reload leaves unchanged keeps its ejections, counts and
//! connections. A cluster that no snapshot holds any more dies with its last request.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use http::{Request, Response};
use tokio::task::JoinSet;
use tower::Service;

use super::{
    discovery::{self, Resolved},
    pool::{Limits, Pool},
    proxied::Network,
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
    network: Network,
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
    /// What the addresses before these were.
    left: ArcSwap<BTreeMap<SocketAddr, Origin>>,
    limits: Limits,
    network: Network,
    /// Whether TLS is spoken to them.
    tls: AtomicBool,
}

/// A pool that notes its workload's version in the request's record.
#[derive(Clone)]
struct Noted {
    pool: Pool,
    origin: Origin,
}

/// What is known of a configured endpoint, for all of its addresses.
#[derive(Clone, Default)]
struct Origin {
    /// Its name, if it is no address.
    host: Option<Arc<str>>,
    /// Its `version` label.
    version: Option<Arc<str>>,
}

// === impl Registry ===

impl Registry {
    /// An empty registry that connects and resolves through this.
    #[must_use]
    pub fn new(network: Network, rng: SharedRng) -> Self {
        Self {
            clusters: Arc::default(),
            network,
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
                    resolving.spawn(Arc::clone(&upstream).discover(self.rng.clone()));
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
            left: ArcSwap::default(),
            limits: Limits::new(wanted.pool.clone()),
            network: registry.network.clone(),
            tls: AtomicBool::new(wanted.tls.is_some()),
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
        let tls = wanted.tls.is_some();
        self.pools.tls.store(tls, Ordering::Relaxed);
        before.discovery != wanted.discovery || before.tls.is_some() != tls
    }

    /// Makes the endpoints known: at once where they are addresses, after the first answer where they are names.
    async fn discover(self: Arc<Self>, rng: SharedRng) {
        let discovery = match &self.model().discovery {
            // The address the caller used is the one its Host names.
            Discovery::Original => Discovery::Dns(vec![model::Endpoint::new(
                self.name.host.clone(),
                self.name.port,
            )]),
            other => other.clone(),
        };
        let origins = origins(&discovery);
        let update = {
            let (endpoints, pools) = (self.state.endpoints.clone(), Arc::clone(&self.pools));
            move |known: Vec<Resolved>| {
                pools.keep(&known, &origins);
                endpoints.update_from(known.iter().map(|r| (r.address, r.weight)));
            }
        };
        let params = discovery::Params {
            rng,
            ..discovery::Params::default()
        };
        let tls = self.pools.tls.load(Ordering::Relaxed);
        let resolve = self.pools.network.resolver(tls);
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
    fn keep(&self, known: &[Resolved], origins: &[Origin]) {
        let before = self.by_address.load();
        let noted = |r: &Resolved| {
            let origin = origins.get(r.origin).cloned().unwrap_or_default();
            match before.get(&r.address) {
                Some(Noted { pool, origin: was }) if was.host == origin.host => Noted {
                    pool: pool.clone(),
                    origin,
                },
                _ => self.noted(r.address, origin),
            }
        };
        let now = known.iter().map(|r| (r.address, noted(r))).collect();
        let left = before.iter();
        let left = left.map(|(address, noted)| (*address, noted.origin.clone()));
        self.left.store(Arc::new(left.collect()));
        self.by_address.store(Arc::new(now));
    }

    fn noted(&self, address: SocketAddr, origin: Origin) -> Noted {
        let tls = self.tls.load(Ordering::Relaxed);
        let connect = self.network.connector(tls, origin.host.as_ref());
        Noted {
            pool: Pool::new(address, self.limits.clone(), connect),
            origin,
        }
    }

    /// The host at an address. One that has just left the set gets a pool of its own for this last request.
    fn host(&self, address: SocketAddr) -> Noted {
        let known = self.by_address.load().get(&address).cloned();
        known.unwrap_or_else(|| {
            let left = self.left.load().get(&address).cloned();
            self.noted(address, left.unwrap_or_default())
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
            record.note(|n| n.version.clone_from(&self.origin.version));
        }
        self.pool.call(request)
    }
}

/// What is known of each configured endpoint.
fn origins(discovery: &Discovery) -> Arc<[Origin]> {
    let endpoints = match discovery {
        Discovery::Static(all) | Discovery::Dns(all) | Discovery::DnsFirst(all) => all.as_slice(),
        Discovery::Original => &[],
    };
    let origin = |e: &model::Endpoint| Origin {
        host: discovery::ip(&e.address)
            .is_none()
            .then(|| e.address.as_str().into()),
        version: e.labels.get("version").map(|v| v.as_str().into()),
    };
    endpoints.iter().map(origin).collect()
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
