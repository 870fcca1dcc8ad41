//! Parameters of the balancer.

use std::time::Duration;

use http::HeaderName;

/// How an endpoint is picked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Params {
    /// The algorithm.
    pub policy: Policy,
    /// Below this percentage of usable endpoints, ejections are ignored ("panic"). 0 is never.
    pub panic_threshold: u32,
    /// How often a pick that was already tried in this request is drawn again before it is taken all the same.
    pub repicks: u32,
}

/// The algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The less loaded of two random endpoints, by requests in flight. Istio's default.
    #[default]
    LeastRequest,
    /// Uniform.
    Random,
    /// In turn, by weight, from a random start.
    RoundRobin,
    /// The lower latency estimate of two random endpoints; failures count as [`penalty`](EwmaParams::penalty).
    PeakEwma(EwmaParams),
    /// The same key goes to the same endpoint.
    ConsistentHash {
        /// What is hashed.
        key: HashKey,
        /// How hashes map to endpoints.
        table: HashTable,
    },
}

/// Parameters of the latency estimate (Finagle's peak EWMA).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EwmaParams {
    /// Estimate of an endpoint that has not answered yet.
    pub default_rtt: Duration,
    /// The window over which old measurements fade.
    pub decay: Duration,
    /// What a failed attempt counts as; a longer provider hint wins.
    pub penalty: Duration,
}

/// What consistent hashing hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashKey {
    /// A request header's value.
    Header(HeaderName),
    /// A cookie's value; with a TTL one is made where it is absent.
    Cookie {
        /// Its name.
        name: String,
        /// The path attribute of a cookie we make.
        path: Option<String>,
        /// Lifetime of a cookie we make; zero is a session cookie; `None` makes none.
        ttl: Option<Duration>,
    },
    /// The peer's IP address.
    SourceIp,
    /// A query parameter's value.
    Query(String),
}

/// How hashes map to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashTable {
    /// A ring of at least this many entries.
    Ring {
        /// The least number of entries in all.
        min_size: u64,
    },
    /// Maglev (Eisenbud et al., NSDI 2016) with a table of this prime size.
    Maglev {
        /// The table's size, a prime.
        size: u64,
    },
}

impl Default for Params {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            panic_threshold: 0,
            repicks: 5,
        }
    }
}

impl Default for EwmaParams {
    /// linkerd's: 30 ms at first, 10 s decay; 5 s penalty.
    fn default() -> Self {
        Self {
            default_rtt: Duration::from_millis(30),
            decay: Duration::from_secs(10),
            penalty: Duration::from_secs(5),
        }
    }
}

impl Default for HashTable {
    fn default() -> Self {
        Self::Ring { min_size: 1024 }
    }
}

impl Params {
    /// Parameters with this algorithm.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Sets the panic threshold in percent.
    #[must_use]
    pub fn with_panic_threshold(mut self, percent: u32) -> Self {
        self.panic_threshold = percent;
        self
    }

    /// Sets how often a tried endpoint is drawn again.
    #[must_use]
    pub fn with_repicks(mut self, repicks: u32) -> Self {
        self.repicks = repicks;
        self
    }
}
