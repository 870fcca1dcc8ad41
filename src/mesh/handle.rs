//! A mesh inside a process: files in, clients out.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use tokio::task::JoinSet;

use super::{
    authorize::AuthorizationLayer,
    client::MeshClient,
    connect::{Connect, Tcp},
    discovery::{Resolve, System},
    given::{Given, Pem},
    inner::{Inner, UnknownHosts},
    passthrough,
    proxied::{Network, UpstreamProxy},
    registry::Registry,
    reload::{Input, LoadError, Reloader},
    watch::{self, Watch},
};
use crate::{
    base::SharedRng,
    config::{Options, Source},
    context::ServerLayer,
    metrics::Report,
    trace,
};

/// A mesh at work inside this process: routes, endpoints with their health, pools, files that are watched.
///
/// Hosts that speak TLS are reached by `https://` and `http://` URLs alike, without any TLS code in the program.
///
/// Clones are handles of one mesh. When the last one goes, its clients included, so do its tasks and idle connections;
/// requests in flight end as they would have.
///
/// # Examples
/// ```no_run
/// use llmesh::{body::Body, mesh::Mesh};
///
/// # async fn run() -> Result<(), llmesh::base::BoxError> {
/// let mesh = Mesh::from_path("mesh/").await?;
/// let request = http::Request::get("http://llm-service/api/llm/chat").body(Body::empty())?;
/// let response = mesh.client().send(request).await?;
/// # drop(response);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Mesh(pub(super) Arc<Inner>);

/// Settings of a [`Mesh`].
#[must_use = "nothing runs before start()"]
pub struct Builder {
    input: Input,
    labels: BTreeMap<String, String>,
    watch: bool,
    unknown_hosts: UnknownHosts,
    connect: Arc<dyn Connect>,
    resolve: Arc<dyn Resolve>,
    upstream_proxy: Option<UpstreamProxy>,
    tls: Given,
    trace: trace::Params,
    reports: Vec<Arc<dyn Report>>,
    rng: SharedRng,
}

// === impl Mesh ===

impl Mesh {
    /// Loads a file or folder of Istio resources and watches it: a good change takes effect within a second or so, a
    /// bad one is logged and changes nothing.
    ///
    /// # Errors
    /// If it cannot be read or has errors.
    pub async fn from_path(path: impl Into<PathBuf>) -> Result<Self, LoadError> {
        Self::builder().path(path).start().await
    }

    /// Nothing loaded, watching, unknown hosts allowed, the host's network.
    pub fn builder() -> Builder {
        Builder {
            input: Input::default(),
            labels: BTreeMap::new(),
            watch: true,
            unknown_hosts: UnknownHosts::default(),
            connect: Arc::new(Tcp),
            resolve: Arc::new(System),
            upstream_proxy: None,
            tls: Given::default(),
            trace: trace::Params::default(),
            reports: Vec::new(),
            rng: SharedRng::from_entropy(),
        }
    }

    /// A client of everything that the mesh knows. All clients share the mesh's connections and endpoint health.
    #[must_use]
    pub fn client(&self) -> MeshClient {
        MeshClient::new(Arc::clone(&self.0))
    }

    /// The layer for this process's own server: what comes in goes along on every outbound call. See
    /// [`context`](crate::layers::context).
    pub fn server_layer(&self) -> ServerLayer {
        ServerLayer::new()
            .with_trace(self.0.trace.clone())
            .with_rng(self.0.rng.clone())
    }

    /// The layer that puts the AuthorizationPolicies of this process's own workload ([`Builder::namespace`],
    /// [`Builder::label`]) in force in front of its server. Who calls is what the program's TLS proved and left in a
    /// [`PeerIdentity`](crate::base::ext::PeerIdentity); PeerAuthentication is the listener's matter.
    pub fn authorization_layer(&self) -> AuthorizationLayer {
        AuthorizationLayer::new(Arc::clone(&self.0))
    }

    /// The configuration in force, and how to change it.
    #[must_use]
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.0.reloader
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh")
            .field("in_force", &self.0.reloader.snapshot())
            .field("unknown_hosts", &self.0.unknown_hosts)
            .finish_non_exhaustive()
    }
}

// === impl Builder ===

impl Builder {
    /// Adds a file or folder.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.input.files.push(path.into());
        self
    }

    /// Sets the folder of secrets that `credentialName` of a DestinationRule is looked up in, as Kubernetes mounts them:
    /// `NAMESPACE/NAME/tls.crt`, or `NAME/tls.crt`.
    pub fn secrets(mut self, folder: impl Into<PathBuf>) -> Self {
        self.input.options.secrets = Some(folder.into());
        self
    }

    /// Adds a file or folder that wins over the others for the same host: the place for an experiment.
    pub fn overlay(mut self, path: impl Into<PathBuf>) -> Self {
        self.input.overlays.push(path.into());
        self
    }

    /// Sets whether the sub-folders of folders are read too.
    pub fn recursive(mut self, recursive: bool) -> Self {
        self.input.recursive = recursive;
        self
    }

    /// Adds a text that is no file.
    pub fn inline(mut self, source: Source) -> Self {
        self.input.inline.push(source);
        self
    }

    /// Sets how resources are read. A [namespace](Self::namespace) or [label](Self::label) set after it is added to it.
    pub fn options(mut self, options: Options) -> Self {
        self.labels.clone_from(&options.workload_labels);
        self.input.options = options;
        self
    }

    /// Sets the namespace that this service is in.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.input.options.namespace = Some(namespace.into());
        self
    }

    /// Adds a label of this service, for `sourceLabels`.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Sets whether files are watched.
    pub fn watch(mut self, watch: bool) -> Self {
        self.watch = watch;
        self
    }

    /// Sets what happens to hosts that the mesh does not know.
    pub fn unknown_hosts(mut self, policy: UnknownHosts) -> Self {
        self.unknown_hosts = policy;
        self
    }

    /// Sets how connections are made.
    pub fn connect(mut self, connect: impl Connect) -> Self {
        self.connect = Arc::new(connect);
        self
    }

    /// Sets how names are resolved.
    pub fn resolve(mut self, resolve: impl Resolve) -> Self {
        self.resolve = Arc::new(resolve);
        self
    }

    /// Sets the HTTP proxies that connections go through, to hosts of the mesh and to others; without this there are none,
    /// whatever the environment says.
    pub fn upstream_proxy(mut self, proxy: UpstreamProxy) -> Self {
        self.upstream_proxy = Some(proxy);
        self
    }

    /// Sets the authorities that the certificates of TLS upstreams must lead to, in place of the system's: for tests, and
    /// for authorities of one's own. Where the files name authorities (`caCertificates`), theirs hold.
    pub fn tls_roots(mut self, roots: impl Into<Pem>) -> Self {
        self.tls.roots = Some(roots.into());
        self
    }

    /// Sets the certificate chain, the leaf first, and its key that are shown to TLS upstreams which ask for one. Where the
    /// files name one (`MUTUAL`), theirs is shown.
    pub fn client_identity(mut self, chain: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        self.tls.identity = Some((chain.into(), key.into()));
        self
    }

    /// Sets how new traces begin.
    pub fn trace(mut self, trace: trace::Params) -> Self {
        self.trace = trace;
        self
    }

    /// Adds a taker of request summaries: standard metrics, an access log.
    pub fn report(mut self, report: Arc<dyn Report>) -> Self {
        self.reports.push(report);
        self
    }

    /// Makes every random draw follow from a seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = SharedRng::seeded(seed);
        self
    }

    /// Loads everything and starts, on the current tokio runtime. Waits a while for the first addresses of names.
    ///
    /// # Errors
    /// If a path cannot be read, a resource has errors, or certificates that were given cannot be used.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn start(mut self) -> Result<Mesh, LoadError> {
        self.input.options.workload_labels = self.labels;
        // Before the files are read, so that no change in between is missed.
        let input = &self.input;
        let watched: Vec<_> = input.files.iter().chain(&input.overlays).cloned().collect();
        let params = watch::Params {
            recursive: input.recursive,
            ..watch::Params::default()
        };
        let watch = if self.watch && !watched.is_empty() {
            Some(Watch::new(watched, params).await)
        } else {
            None
        };
        let tls = self.tls.read()?;
        let network = Network::new(self.connect, self.resolve).through(self.upstream_proxy, &tls);
        let registry = Registry::new(network.clone(), self.rng.clone()).with_tls(tls);
        let reloader = Reloader::start(self.input, registry, self.rng.clone()).await?;
        let mut tasks = JoinSet::new();
        // Texts may name files.
        let named = !reloader.snapshot().files().is_empty();
        let watch = match watch {
            None if self.watch && named => Some(Watch::new(Vec::new(), params).await),
            watch => watch,
        };
        if let Some(watch) = watch {
            tasks.spawn(Arc::clone(&reloader).follow(watch));
        }
        Ok(Mesh(Arc::new(Inner {
            reloader,
            unknown_hosts: self.unknown_hosts,
            passthrough: passthrough::service(network),
            trace: self.trace,
            reports: self.reports,
            rng: self.rng,
            _tasks: tasks,
        })))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("input", &self.input)
            .field("watch", &self.watch)
            .field("unknown_hosts", &self.unknown_hosts)
            .finish_non_exhaustive()
    }
}
