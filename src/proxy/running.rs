//! A running proxy.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    Options, Own,
    admin::Admin,
    dispatch::{Canonical, Dispatch},
    drain::{self, Signal},
    inbound::{App, Gate, Guarded, InForce, Inbound},
    listener::Accept,
    registry::{Registry, Upstream},
    reload::{LoadError, Reloader},
    server, settings,
    state::ServerState,
    watch::{self, Watch},
};
use crate::{
    authz::params::Mode,
    base::time::sleep,
    mesh::{Network, tls},
    metrics::{
        Destination, Report, Summary,
        standard::{DURATION_BUCKETS, Standard},
    },
    model::Settings,
    stack::{self, Boxed},
};

/// A running proxy. Dropping it ends everything at once; [`stop`](Self::stop) ends it in order.
#[derive(Debug)]
pub struct Proxy {
    outbound: SocketAddr,
    inbound: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    own: Own,
    reloader: Arc<Reloader>,
    drain: Signal,
    tasks: JoinSet<()>,
}

/// Why a proxy did not start. `Debug` prints what `Display` does, many lines if the configuration has many errors.
pub enum StartError {
    /// The configuration is not good.
    Config(LoadError),
    /// A port could not be bound.
    Bind {
        /// What it is for.
        name: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

// === impl Proxy ===

impl Proxy {
    /// Binds the ports, loads the configuration and serves on the current tokio runtime.
    ///
    /// # Errors
    /// If the configuration has errors or a port cannot be bound.
    pub async fn start(mut options: Options) -> Result<Self, StartError> {
        let outbound = bind("outbound", &mut options.outbound).await?;
        let admin = match &mut options.admin {
            Some(address) => Some(bind("admin", address).await?),
            None => None,
        };
        Self::start_on(options, outbound, admin).await
    }

    /// As [`start`](Self::start), on listeners that exist already, of whatever network. The addresses in `options` are
    /// only what [`outbound`](Self::outbound) and [`admin`](Self::admin) tell.
    ///
    /// # Errors
    /// If the configuration has errors.
    pub async fn start_on<A: Accept, B: Accept>(
        mut options: Options,
        outbound: A,
        admin: Option<B>,
    ) -> Result<Self, StartError> {
        let mut inbound = Vec::new();
        for pair in &mut options.inbound {
            inbound.push((bind("inbound", &mut pair.listen).await?, *pair));
        }
        let Options { input, rng, .. } = &options;
        // Before the files are read, so that no change in between is missed.
        let watched: Vec<_> = input.files.iter().chain(&input.overlays).cloned().collect();
        let params = watch::Params {
            recursive: input.recursive,
            ..watch::Params::default()
        };
        let watch = if options.watch {
            Some(Watch::new(watched, params).await)
        } else {
            None
        };
        let (connect, resolve) = (Arc::clone(&options.connect), Arc::clone(&options.resolve));
        let proxy = options.upstream_proxy.clone();
        let network = Network::new(connect, resolve).through(proxy, &tls::Defaults::default());
        let registry = Registry::new(network, rng.clone());
        let reloader = Reloader::start(input.clone(), registry.clone(), rng.clone())
            .await
            .map_err(StartError::Config)?;
        let (drain, draining) = drain::channel();
        let prometheus = options.standard_metrics.as_ref().and_then(|_| recorder());
        let state = Arc::new(ServerState::new(prometheus.clone()));
        let mut proxy = Self {
            outbound: options.outbound,
            inbound: options.inbound.iter().map(|pair| pair.listen).collect(),
            admin: admin.as_ref().and(options.admin),
            own: options.own.clone(),
            reloader: Arc::clone(&reloader),
            drain: drain.clone(),
            tasks: JoinSet::new(),
        };
        state.add_listener("outbound", proxy.outbound);
        if let Some(address) = proxy.admin {
            state.add_listener("admin", address);
        }
        let settings = reloader.snapshot().model.settings.clone();
        let logs = logs(&options, &settings, &state);
        let shell = shell(&options, &settings, &reloader, &state, &logs);
        for (listener, pair) in inbound {
            let app = registry.alone(&pair.cluster()).await.service();
            proxy.serve_inbound((listener, pair), app, &options, &logs);
            state.add_listener("inbound", pair.listen);
        }
        let counted = Arc::clone(&state);
        let max_fields = options.server.max_headers;
        let make = move |_: &_| {
            counted.connections.inc();
            Canonical::new(shell.clone(), max_fields, settings.normalization)
        };
        proxy
            .tasks
            .spawn(server::serve(outbound, make, options.server, draining));
        if let Some(listener) = admin {
            let pages = Admin::new(Arc::clone(&reloader), state, drain);
            // Its own drain: health and numbers stay readable while requests finish.
            let (_, never) = drain::channel();
            proxy.tasks.spawn(server::serve(
                listener,
                move |_| pages.clone(),
                options.server,
                never,
            ));
        }
        if let Some(watch) = watch {
            proxy.tasks.spawn(reloader.follow(watch));
        }
        if let Some(prometheus) = prometheus {
            proxy.tasks.spawn(upkeep(prometheus));
        }
        Ok(proxy)
    }

    /// Where callers send their requests.
    #[must_use]
    pub fn outbound(&self) -> SocketAddr {
        self.outbound
    }

    /// Where requests for applications come in, in the order of [`Options::inbound`].
    #[must_use]
    pub fn inbound(&self) -> &[SocketAddr] {
        &self.inbound
    }

    /// Serves an application's requests.
    fn serve_inbound(
        &mut self,
        (listener, pair): (TcpListener, Inbound),
        app: Boxed,
        options: &Options,
        logs: &[Arc<dyn Report>],
    ) {
        let (policies, port) = (InForce(Arc::clone(&self.reloader)), pair.app.port());
        if policies.mode(port) == Mode::Strict {
            tracing::error!(
                target: "llmesh",
                "PeerAuthentication is STRICT for port {port}, and mutual TLS is not in force on the inbound side: every connection to {} is closed without an answer",
                pair.listen
            );
        }
        let settings = self.reloader.snapshot().model.settings.clone();
        let mut reports = logs.to_vec();
        if let Some(own) = &options.standard_metrics {
            reports.push(Arc::new(Destination::new(own.clone())));
        }
        let trace = settings::tracing(&options.trace, &settings);
        let app = App::new(app, port, policies.clone());
        let stack = stack::inbound(app, policies.clone(), port, reports, trace, &options.rng);
        let (max_fields, form) = (options.server.max_headers, settings.normalization);
        let make = move |_: &_| Canonical::new(Gate(stack.clone()), max_fields, form);
        let listener = Guarded {
            inner: listener,
            policies,
            port,
        };
        let draining = self.drain.watch();
        self.tasks
            .spawn(server::serve(listener, make, options.server, draining));
    }

    /// Where requests for the address of the outbound listener itself go.
    #[must_use]
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// Where the pages are.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The configuration in force, and how to change it.
    #[must_use]
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.reloader
    }

    /// The clusters in force.
    #[must_use]
    pub fn clusters(&self) -> Vec<Arc<Upstream>> {
        self.reloader
            .snapshot()
            .clusters
            .values()
            .cloned()
            .collect()
    }

    /// Tells when and how to stop.
    #[must_use]
    pub fn drain(&self) -> &Signal {
        &self.drain
    }

    /// Takes no more connections, lets requests in flight end for at most `limit`, then ends. Returns whether all ended
    /// by themselves.
    pub async fn stop(mut self, limit: Duration) -> bool {
        let all = self.drain.drain_for(limit).await;
        self.tasks.shutdown().await;
        all
    }
}

/// Who is told of every request, whichever way it goes.
fn logs(options: &Options, mesh: &Settings, state: &ServerState) -> Vec<Arc<dyn Report>> {
    let mut reports = options.reports.clone();
    let log = mesh.access_log.as_ref().filter(|_| options.mesh_access_log);
    match log.map(settings::access_log) {
        Some(Ok(log)) => reports.push(Arc::new(log)),
        Some(Err(why)) => {
            tracing::error!(target: "llmesh", "{why}");
            state.lacks(why);
        }
        None => {}
    }
    reports
}

fn shell(
    options: &Options,
    mesh: &Settings,
    reloader: &Arc<Reloader>,
    state: &Arc<ServerState>,
    logs: &[Arc<dyn Report>],
) -> stack::Outbound {
    let mut reports: Vec<Arc<dyn Report>> = vec![Arc::new(Answers(Arc::clone(state)))];
    if let Some(source) = &options.standard_metrics {
        reports.push(Arc::new(Standard::new(source.clone())));
    }
    reports.extend(logs.iter().cloned());
    let own = options.own.clone();
    let dispatch = Dispatch::new(Arc::clone(reloader), Arc::clone(state), own);
    let trace = settings::tracing(&options.trace, mesh);
    stack::outbound(dispatch, reports, trace, &options.rng)
}

/// Counts the statuses that callers got, and requests that are over.
struct Answers(Arc<ServerState>);

impl Report for Answers {
    fn report(&self, summary: &Summary) {
        // The dispatcher counted it in. Every request that passed it is reported exactly once.
        self.0.active.dec();
        if let Ok(status) = http::StatusCode::from_u16(summary.status) {
            self.0.downstream.answer(status);
        }
    }
}

/// Binds `address` and puts the bound one in its place.
async fn bind(name: &'static str, address: &mut SocketAddr) -> Result<TcpListener, StartError> {
    let wanted = *address;
    let error = |source| StartError::Bind {
        name,
        address: wanted,
        source,
    };
    let listener = TcpListener::bind(wanted).await.map_err(error)?;
    *address = listener.local_addr().map_err(error)?;
    Ok(listener)
}

/// The process's Prometheus recorder; `None` if another is installed already.
fn recorder() -> Option<PrometheusHandle> {
    let buckets = Matcher::Suffix("_milliseconds".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(buckets, &DURATION_BUCKETS);
    let installed = builder
        .map_err(|e| e.to_string())
        .and_then(|b| b.install_recorder().map_err(|e| e.to_string()));
    installed
        .inspect_err(
            |error| tracing::warn!(target: "llmesh::metrics", "no standard metrics: {error}"),
        )
        .ok()
}

/// Folds histogram samples, which would pile up otherwise.
async fn upkeep(handle: PrometheusHandle) {
    loop {
        sleep(Duration::from_secs(5)).await;
        handle.run_upkeep();
    }
}

// === impl StartError ===

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Bind {
                name,
                address,
                source,
            } => {
                write!(
                    f,
                    "cannot listen on {address} for --{name}: {source}; is another process there? --{name} takes another address"
                )
            }
        }
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => fmt::Debug::fmt(error, f),
            Self::Bind { .. } => fmt::Display::fmt(self, f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Its text is this error's own.
            Self::Config(error) => std::error::Error::source(error),
            Self::Bind { source, .. } => Some(source),
        }
    }
}
