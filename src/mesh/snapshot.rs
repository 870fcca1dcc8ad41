//! One configuration in force: the route table and the stacks that it leads to.
//!
//! A snapshot is built whole and never changes. A request loads it once and keeps what it needs of it, so no answer
//! mixes two configurations; the old one dies with its last request.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::{Layer, Service};

use super::{keys::Keys, registry::Upstream};
use crate::{
    authz,
    base::{BoxError, Called, SharedRng, ext::Record},
    body::Body,
    fallback::Target,
    layers::route::{self, Table, TableBuilder, params::Forward},
    model::{LlmPolicy, MeshModel, VirtualHost},
    stack::{self, Boxed, BoxedFuture, LlmRules, LlmState, LlmTarget, RouteStack},
};

/// One configuration in force.
pub struct Snapshot {
    /// What it was built from.
    pub model: Arc<MeshModel>,
    /// Who may call this process's own workload.
    pub authorization: Arc<authz::Engine>,
    /// Its clusters.
    pub clusters: BTreeMap<Arc<str>, Arc<Upstream>>,
    /// The keys of its targets and callers.
    pub(super) keys: Keys,
    table: Arc<Table<Destination>>,
    router: route::ReadModel<route::Router<Destination>, Destination>,
}

/// The stack of a weighted destination.
#[derive(Clone)]
struct Destination {
    stack: Boxed,
    /// Of the service behind it.
    namespace: Option<Arc<str>>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Builds the table and all stacks over these clusters.
    #[must_use]
    pub fn build(
        model: Arc<MeshModel>,
        clusters: BTreeMap<Arc<str>, Arc<Upstream>>,
        llm: &LlmState,
        rng: &SharedRng,
    ) -> Self {
        let keys = Keys::read(&model);
        keys.report();
        let builder = Builder {
            clusters: &clusters,
            keys: &keys,
            llm,
            rng,
        };
        let mut table = TableBuilder::new();
        for host in &model.virtual_hosts {
            table = builder.virtual_host(table, host);
        }
        let table = Arc::new(table.build());
        let router = route::Router::new(Arc::clone(&table), rng.clone());
        let router = route::ModelLayer::new(Arc::clone(&table)).layer(router);
        Self {
            authorization: Arc::new(authorization(&model)),
            model,
            clusters,
            keys,
            table,
            router,
        }
    }

    /// Whether a host name, without port, is one of the mesh.
    #[must_use]
    pub fn knows(&self, host: &str) -> bool {
        self.table.knows(host)
    }

    /// The files, besides those of the configuration, that it was built from: keys, certificates.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = self.keys.files();
        files.extend(self.clusters.values().flat_map(|c| c.tls_files()));
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Serves one request.
    ///
    /// # Errors
    /// As the layers' (see [`respond`](crate::layers::respond)).
    pub fn serve(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, BoxError>> + Send + use<> {
        let call = Called::new(self.router.clone(), request);
        async { Ok(call.await?.map(Body::new)) }
    }
}

/// The policies for this process's own workload. Nobody checks tokens.
fn authorization(model: &MeshModel) -> authz::Engine {
    let own = &model.security;
    let policies = own.policies_of(&model.settings, &own.namespace, &own.labels);
    let domains = model.settings.trust_domains();
    authz::Engine::new(policies, &domains, authz::Sight::http())
}

/// What the stacks of routes are built from.
struct Builder<'a> {
    clusters: &'a BTreeMap<Arc<str>, Arc<Upstream>>,
    keys: &'a Keys,
    llm: &'a LlmState,
    rng: &'a SharedRng,
}

// === impl Builder ===

impl Builder<'_> {
    fn virtual_host(
        &self,
        table: TableBuilder<Destination>,
        host: &VirtualHost,
    ) -> TableBuilder<Destination> {
        let lists = host.llm.iter().flatten().any(|policy| policy.list_models);
        let named = if lists {
            route::named_models(&host.routes)
        } else {
            Vec::new()
        };
        table.virtual_host_to(
            Arc::clone(&host.name),
            &host.domains,
            host.ports.clone(),
            host.routes.iter().cloned(),
            |route, forward, to| {
                let policy = host.llm.get(route).and_then(Option::as_ref);
                Destination {
                    stack: self.destination(forward, policy, &named, &to.cluster),
                    namespace: self.namespace(&to.cluster),
                }
            },
        )
    }

    fn namespace(&self, cluster: &Arc<str>) -> Option<Arc<str>> {
        let namespace = Arc::clone(&self.clusters.get(cluster)?.model().namespace);
        (!namespace.is_empty()).then_some(namespace)
    }

    fn destination(
        &self,
        forward: &Forward,
        policy: Option<&Arc<LlmPolicy>>,
        named: &[Arc<str>],
        name: &Arc<str>,
    ) -> Boxed {
        let Some(cluster) = self.clusters.get(name) else {
            return stack::missing(name);
        };
        let callers = policy.and_then(|policy| self.keys.callers(policy));
        let route = RouteStack {
            forward,
            rng: self.rng,
            llm: policy.map(|policy| LlmRules {
                policy,
                key: self.keys.own(policy),
                callers: callers.as_ref(),
                named,
                state: self.llm,
            }),
        };
        let targets = policy.into_iter().flat_map(|p| &p.fallback.targets);
        let chain = targets
            .filter_map(|target| self.link(route, name, target))
            .collect();
        route.stack(name, &cluster.state, cluster.service(), chain)
    }

    /// A target of a chain; `None` if it is the route's own once more, or its key cannot be read.
    fn link(&self, route: RouteStack<'_>, own: &Arc<str>, target: &Target) -> Option<LlmTarget> {
        if target.cluster == *own && target.asks_the_same() {
            return None;
        }
        let cluster = self.clusters.get(&target.cluster)?;
        let key = target.credential.as_ref();
        let key = match key.and_then(|credential| self.keys.get(credential)) {
            Some(Ok(key)) => Some(key.clone()),
            // That was said.
            Some(Err(_)) => return None,
            None => None,
        };
        route.link(target, key, &cluster.state, cluster.service())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("clusters", &self.clusters.len())
            .finish_non_exhaustive()
    }
}

// === impl Destination ===

impl Service<Request<Body>> for Destination {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxedFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let (Some(namespace), Some(record)) =
            (&self.namespace, request.extensions().get::<Record>())
        {
            record.note(|n| n.namespace = Some(Arc::clone(namespace)));
        }
        self.stack.call(request)
    }
}
