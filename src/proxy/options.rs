//! How a proxy is set up.

use std::{fmt, net::SocketAddr, sync::Arc};

use super::{
    connect::{Connect, Tcp},
    discovery::{Resolve, System},
    inbound::Inbound,
    own::Own,
    reload::Input,
    server,
};
use crate::{
    base::SharedRng,
    mesh::UpstreamProxy,
    metrics::{Report, standard::Source},
    trace,
};

/// How a proxy is set up.
#[non_exhaustive]
pub struct Options {
    /// Where configuration comes from.
    pub input: Input,
    /// Whether files are watched for changes.
    pub watch: bool,
    /// Where callers send their requests. Port 0 is a free one.
    pub outbound: SocketAddr,
    /// Applications, and where requests for them come in.
    pub inbound: Vec<Inbound>,
    /// Where pages about the proxy are; `None` is nowhere. Keep it on loopback.
    pub admin: Option<SocketAddr>,
    /// Where requests for the address of the outbound listener itself go.
    pub own: Own,
    /// Limits of the listeners.
    pub server: server::Params,
    /// Trace context.
    pub trace: trace::Params,
    /// Who reports the standard metrics; `None` reports none. The first proxy of a process to ask for them installs the
    /// process's recorder.
    pub standard_metrics: Option<Source>,
    /// Whether the access log that a MeshConfig asks for is written.
    pub mesh_access_log: bool,
    /// More takers of request summaries.
    pub reports: Vec<Arc<dyn Report>>,
    /// How upstream connections are made.
    pub connect: Arc<dyn Connect>,
    /// How names are resolved.
    pub resolve: Arc<dyn Resolve>,
    /// The HTTP proxies that upstream connections go through.
    pub upstream_proxy: Option<UpstreamProxy>,
    /// Every random draw.
    pub rng: SharedRng,
}

// === impl Options ===

impl Options {
    /// Istio's ports on loopback, no watching, no metrics.
    #[must_use]
    pub fn new(input: Input) -> Self {
        Self {
            input,
            watch: false,
            outbound: SocketAddr::from(([127, 0, 0, 1], 15001)),
            inbound: Vec::new(),
            admin: Some(SocketAddr::from(([127, 0, 0, 1], 15000))),
            own: Own::default(),
            server: server::Params::default(),
            trace: trace::Params::default(),
            standard_metrics: None,
            mesh_access_log: true,
            reports: Vec::new(),
            connect: Arc::new(Tcp),
            resolve: Arc::new(System),
            upstream_proxy: None,
            rng: SharedRng::from_entropy(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("input", &self.input)
            .field("outbound", &self.outbound)
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}
