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
use tower::{Layer, Service, ServiceExt, util::Oneshot};

use super::{keys::Keys, registry::Upstream};
use crate::{
    base::{
        BoxError, Error, Kind, SharedRng,
        ext::{Record, RouteMeta},
    },
    body::Body,
    fallback::Target,
    layers::route::{
        self, Table,
        params::{Action, Forward},
    },
    model::{LlmPolicy, Model},
    stack::{self, Boxed, LlmRoute, LlmState, LlmTarget},
};

/// One configuration in force.
pub struct Snapshot {
    /// What it was built from.
    pub model: Arc<Model>,
    /// Its clusters.
    pub clusters: BTreeMap<Arc<str>, Arc<Upstream>>,
    /// The keys of its targets and callers.
    pub(super) keys: Keys,
    table: Arc<Table>,
    router: route::ReadModel<route::Route<Destinations>>,
}

/// The stacks of all weighted destinations, by route and position.
#[derive(Clone)]
struct Destinations(Arc<[Vec<Destination>]>);

/// One of them.
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
        model: Arc<Model>,
        clusters: BTreeMap<Arc<str>, Arc<Upstream>>,
        llm: &LlmState,
        rng: &SharedRng,
    ) -> Self {
        let mut table = Table::builder();
        for host in &model.virtual_hosts {
            table = table.virtual_host(
                Arc::clone(&host.name),
                &host.domains,
                host.ports.clone(),
                host.routes.iter().cloned(),
            );
        }
        let table = Arc::new(table.build());
        let keys = Keys::read(&model);
        keys.report();
        let builder = Builder {
            clusters: &clusters,
            keys: &keys,
            llm,
            rng,
        };
        let stacks = table.routes().zip(policies(&model));
        let stacks = stacks.map(|((_, route), (policy, named))| match &route.action {
            Action::Forward(forward) => builder.destinations(forward, policy, &named),
            Action::Redirect(_) | Action::Direct { .. } => Vec::new(),
        });
        let destinations = Destinations(stacks.collect());
        let router = route::Route::new(destinations, Arc::clone(&table), rng.clone());
        let router = route::ModelLayer::new(Arc::clone(&table)).layer(router);
        Self {
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
    pub async fn serve(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let response = self.router.clone().oneshot(request).await?;
        Ok(response.map(Body::new))
    }
}

/// The LLM policy of each route, in the order of the table's routes, and the models that its host's routes name.
fn policies(model: &Model) -> impl Iterator<Item = (Option<&Arc<LlmPolicy>>, Arc<[Arc<str>]>)> {
    model.virtual_hosts.iter().flat_map(|host| {
        let lists = host.llm.iter().flatten().any(|policy| policy.list_models);
        let named = if lists {
            route::named_models(&host.routes)
        } else {
            Vec::new()
        };
        let named: Arc<[Arc<str>]> = named.into();
        let policy = |i: usize| host.llm.get(i)?.as_ref();
        (0..host.routes.len()).map(move |i| (policy(i), Arc::clone(&named)))
    })
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
    fn destinations(
        &self,
        forward: &Forward,
        policy: Option<&Arc<LlmPolicy>>,
        named: &[Arc<str>],
    ) -> Vec<Destination> {
        let all = forward.destinations.iter();
        all.map(|to| Destination {
            stack: self.destination(forward, policy, named, &to.cluster),
            namespace: self.namespace(&to.cluster),
        })
        .collect()
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
        let Some(policy) = policy else {
            return stack::route(forward, &cluster.state, cluster.service(), self.rng);
        };
        let callers = self.keys.callers(policy);
        let route = LlmRoute {
            forward,
            policy,
            key: self.keys.own(policy),
            callers: callers.as_ref(),
            named,
            rng: self.rng,
        };
        let targets = policy.fallback.targets.iter();
        let chain = targets
            .filter_map(|target| self.link(route, name, target))
            .collect();
        let own = route.target(name, &cluster.state, cluster.service(), self.llm);
        route.stack(name, &cluster.state, own, chain, self.llm)
    }

    /// A target of a chain; `None` if it is the route's own once more, or its key cannot be read.
    fn link(&self, route: LlmRoute<'_>, own: &Arc<str>, target: &Target) -> Option<LlmTarget> {
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
        Some(route.link(target, key, &cluster.state, cluster.service(), self.llm))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("clusters", &self.clusters.len())
            .finish_non_exhaustive()
    }
}

// === impl Destinations ===

impl Service<Request<Body>> for Destinations {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Oneshot<Boxed, Request<Body>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let meta = request.extensions().get::<RouteMeta>();
        let to = meta.and_then(|m| self.0.get(m.id)?.get(m.destination));
        let Some(to) = to else {
            return stack_without_route().oneshot(request);
        };
        if let (Some(namespace), Some(record)) =
            (&to.namespace, request.extensions().get::<Record>())
        {
            record.note(|n| n.namespace = Some(Arc::clone(namespace)));
        }
        to.stack.clone().oneshot(request)
    }
}

/// The router always says where to go; a table and stacks of different configurations would be a bug.
fn stack_without_route() -> Boxed {
    Boxed::new(tower::service_fn(|_: Request<Body>| {
        let error = Error::new(Kind::Internal).with_detail("the route has no stack");
        std::future::ready(Err::<Response<Body>, BoxError>(error.into()))
    }))
}
