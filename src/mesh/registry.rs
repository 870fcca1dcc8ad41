//! State that outlives configurations: clusters with their endpoints, pools and counters, and the counts of limits.
//!
//! Keyed by cluster name and, within, by address: what a reload leaves unchanged keeps its ejections, counts and
//! connections. A cluster that no snapshot holds any more dies with its last request.

mod pools;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use tokio::task::JoinSet;

use self::pools::{Noted, Pools, origins};
use super::{
    discovery::{self, Resolved},
    pool::Limits,
    proxied::Network,
    tls::{self, Store},
};
use crate::{
    balance::Endpoint,
    base::{SharedRng, time::Instant},
    limit::tokens,
    llm::LlmClassifier,
    model::{self, ClusterName, Discovery, MeshModel},
    stack::{self, Boxed, EndpointService, endpoint},
};

/// All clusters in force.
#[derive(Clone)]
pub struct Registry {
    clusters: Arc<Mutex<BTreeMap<Arc<str>, Arc<Upstream>>>>,
    network: Network,
    rng: SharedRng,
    llm: stack::LlmState,
    tls: Arc<Store>,
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
            tls: Arc::default(),
        }
    }

    /// With these in place of the system's authorities and of no certificate of its own.
    #[must_use]
    pub fn with_tls(mut self, defaults: tls::Defaults) -> Self {
        self.tls = Arc::new(Store::new(defaults));
        self
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
    pub(super) async fn apply(&self, model: &MeshModel) -> BTreeMap<Arc<str>, Arc<Upstream>> {
        self.tls.set_secrets(&model.secrets);
        let mut resolving = JoinSet::new();
        let next = {
            let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            let mut next = BTreeMap::new();
            for (name, wanted) in &model.clusters {
                let (upstream, moved) = match clusters.get(name) {
                    Some(known) => (Arc::clone(known), known.set(wanted, &self.tls)),
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

    /// A cluster that no configuration names, such as the application behind this process.
    pub async fn alone(&self, cluster: &model::Cluster) -> Arc<Upstream> {
        let upstream = Upstream::new(cluster, self);
        Arc::clone(&upstream).discover(self.rng.clone()).await;
        upstream
    }

    /// Reads the certificates of these clusters again. New connections use what is new and good.
    pub(super) fn refresh_tls(&self, clusters: &BTreeMap<Arc<str>, Arc<Upstream>>) {
        for (name, upstream) in clusters {
            if let Some(client) = upstream.pools.tls() {
                client.refresh(&self.tls, name);
            }
        }
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
        let pools = Arc::new(Pools::new(
            Limits::new(wanted.pool.clone()),
            registry.network.clone(),
            client(wanted, &registry.tls),
            wanted.plain_text,
        ));
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
    fn set(&self, wanted: &model::Cluster, store: &Store) -> bool {
        let before = self.model.load_full();
        if *before == *wanted {
            return false;
        }
        self.model.store(Arc::new(wanted.clone()));
        self.state.set(wanted);
        self.pools.limits().set(wanted.pool.clone());
        self.pools.mean_plain_text(wanted.plain_text);
        if before.tls != wanted.tls {
            self.pools.renew(client(wanted, store));
        }
        before.discovery != wanted.discovery || before.tls.is_some() != wanted.tls.is_some()
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
        let tls = self.pools.tls().is_some();
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

    /// The certificates that its TLS is made with.
    #[must_use]
    pub fn certificates(&self) -> Vec<tls::InForce> {
        let client = self.pools.tls();
        client.map_or_else(Vec::new, |c| c.certificates())
    }

    /// The files that they are read from.
    pub(super) fn tls_files(&self) -> Vec<PathBuf> {
        let client = self.pools.tls();
        client.map_or_else(Vec::new, |c| c.files())
    }

    /// Its connections.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.pools.limits()
    }

    /// The host at the address of an endpoint, for people: a name where the address only stands for one.
    #[must_use]
    pub fn shown(&self, address: SocketAddr) -> String {
        let name = self.pools.named(address);
        name.map_or_else(|| address.ip().to_string(), |name| name.to_string())
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

/// The TLS of a cluster, if it has any.
fn client(wanted: &model::Cluster, store: &Store) -> Option<Arc<tls::Client>> {
    let tls = wanted.tls.clone()?;
    let client = tls::Client::new(tls, store, &wanted.name.to_string());
    Some(Arc::new(client))
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
