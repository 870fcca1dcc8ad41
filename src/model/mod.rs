//! What a mesh is, in typed names and layer parameters.
//!
//! Configuration compiles to a [`MeshModel`]; stacks and the proxy are built from one. It is plain data and comparable:
//! a reload that compiles to an equal model changes nothing.

#[cfg(feature = "llm")]
pub mod llm;
mod security;
mod settings;
#[cfg(feature = "llm")]
pub mod tls;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::layers::{balance, outlier, retry, route::params::Route};

#[cfg(feature = "llm")]
pub use self::llm::LlmPolicy;
pub use self::security::{Security, Workload};
pub use self::settings::{AccessLog, Normalization, OutboundPolicy, Settings};

/// Everything that is in force.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MeshModel {
    /// Virtual hosts, in order of their names.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Clusters by name.
    pub clusters: BTreeMap<Arc<str>, Cluster>,
    /// What holds for the whole mesh.
    pub settings: Settings,
    /// Who may call what.
    pub security: Security,
    /// Secrets of the files, by `namespace/name`.
    #[cfg(feature = "llm")]
    pub secrets: BTreeMap<String, tls::Secret>,
}

/// A set of domains and the ordered routes that serve them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VirtualHost {
    /// `<fqdn>:<port>`, as Istio names it.
    pub name: Arc<str>,
    /// Lower-case, without port: exact (`a.b.c`) or with a leading wildcard (`*.b.c`).
    pub domains: Vec<String>,
    /// The ports of the service behind it; where the caller addresses none of them 80 is used if it is one, else the first.
    pub ports: Vec<u16>,
    /// First match wins.
    pub routes: Vec<Route>,
    /// The LLM policy of the route at the same position, if it has one. May be shorter than `routes`.
    #[cfg(feature = "llm")]
    pub llm: Vec<Option<llm::Shared>>,
    /// Where it was defined (`kind/namespace/name`), for people.
    pub origin: String,
}

/// An Istio cluster name: `outbound|<port>|<subset>|<host>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName {
    /// The service port.
    pub port: u16,
    /// The subset, or empty.
    pub subset: String,
    /// The service's full host name.
    pub host: String,
}

/// A set of endpoints and how they are used.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// Where its endpoints come from.
    pub discovery: Discovery,
    /// How one is picked.
    pub balance: balance::Params,
    /// When one is ejected; `None` is never.
    pub outlier: Option<outlier::Params>,
    /// Connections and ceilings.
    pub pool: Pool,
    /// How TLS is spoken to its endpoints; `None` is plain text.
    #[cfg(feature = "llm")]
    pub tls: Option<tls::Tls>,
    /// Whether plain text is what the files mean: they say `DISABLE`, or declare the port of a service of the mesh as an
    /// HTTP one. A program that asks for `https` is served in plain text then.
    pub plain_text: bool,
    /// What all retries to it share; `None` is no bound. A route's own budget goes before it.
    pub retry_budget: Option<retry::params::Budget>,
    /// The namespace of the Service or ServiceEntry behind it; empty where it is not known.
    pub namespace: Arc<str>,
    /// The DestinationRule that shapes it (`kind/namespace/name`), for people; empty where there is none.
    pub origin: String,
}

/// Where endpoints come from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Discovery {
    /// Known addresses.
    Static(Vec<Endpoint>),
    /// Names to be resolved again and again; all records are used.
    Dns(Vec<Endpoint>),
    /// As `Dns`, but only the first record of the first name.
    DnsFirst(Vec<Endpoint>),
    /// The address the caller used.
    Original,
}

/// One endpoint as configured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Endpoint {
    /// An IP address, or a name under DNS discovery.
    pub address: String,
    /// The port.
    pub port: u16,
    /// Its share relative to others.
    pub weight: u32,
    /// Workload labels.
    pub labels: BTreeMap<String, String>,
    /// `region/zone/subzone`.
    pub locality: Option<String>,
    /// Service account, for identity.
    pub service_account: Option<String>,
}

/// Connections and ceilings of a cluster: Istio's `connectionPool`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pool {
    /// HTTP/1 connections, over all endpoints; more requests wait as pending.
    pub max_connections: u32,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
    /// Requests waiting for a connection.
    pub max_pending: u32,
    /// Requests in flight.
    pub max_requests: u32,
    /// Concurrent retries.
    pub max_retries: u32,
    /// Requests on one connection before it is closed; 0 is no limit.
    pub max_requests_per_connection: u32,
    /// How long a connection without a request is kept; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a connection is kept at all.
    pub max_connection_duration: Option<Duration>,
    /// Concurrent streams on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// The protocol spoken to the endpoints.
    pub protocol: Protocol,
    /// TCP keep-alive.
    pub keepalive: Option<Keepalive>,
}

/// The protocol spoken upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// What the caller speaks.
    AsCaller,
    /// What is agreed upon in the TLS handshake (ALPN): HTTP/2 if the server takes it.
    Negotiated,
}

/// TCP keep-alive probes; `None` leaves the system's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// Idle time before the first probe.
    pub time: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Unanswered probes before the connection is dead.
    pub probes: Option<u32>,
}

// === impl ClusterName ===

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "outbound|{}|{}|{}", self.port, self.subset, self.host)
    }
}

impl ClusterName {
    /// A cluster name; `subset` may be empty.
    #[must_use]
    pub fn new(port: u16, subset: impl Into<String>, host: impl Into<String>) -> Self {
        Self {
            port,
            subset: subset.into(),
            host: host.into(),
        }
    }
}

// === impl VirtualHost ===

impl VirtualHost {
    /// A virtual host without routes.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, domains: Vec<String>) -> Self {
        Self {
            name: name.into(),
            domains,
            ports: Vec::new(),
            routes: Vec::new(),
            #[cfg(feature = "llm")]
            llm: Vec::new(),
            origin: String::new(),
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// A cluster with default policies.
    #[must_use]
    pub fn new(name: ClusterName, discovery: Discovery) -> Self {
        Self {
            name,
            discovery,
            balance: balance::Params::default(),
            outlier: None,
            pool: Pool::default(),
            #[cfg(feature = "llm")]
            tls: None,
            plain_text: false,
            retry_budget: Some(retry::params::Budget::standard()),
            namespace: Arc::default(),
            origin: String::new(),
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// An endpoint of weight 1, without labels.
    #[must_use]
    pub fn new(address: impl Into<String>, port: u16) -> Self {
        Self {
            address: address.into(),
            port,
            weight: 1,
            labels: BTreeMap::new(),
            locality: None,
            service_account: None,
        }
    }
}

impl Default for Pool {
    /// Istio's defaults.
    fn default() -> Self {
        Self {
            max_connections: u32::MAX,
            connect_timeout: Duration::from_secs(10),
            max_pending: u32::MAX,
            max_requests: u32::MAX,
            max_retries: u32::MAX,
            max_requests_per_connection: 0,
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connection_duration: None,
            max_concurrent_streams: i32::MAX as u32,
            protocol: Protocol::default(),
            keepalive: None,
        }
    }
}
