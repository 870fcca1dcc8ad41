//! Every type that layers leave for each other in a request's or response's extensions.
//!
//! One file, so that the contract between layers can be read in one place. A missing extension always has a defined
//! meaning (written at its type) and is never an error. What belongs to an attempt is not among them: that travels in its body
//! ([`Context`](crate::body::Context)), which carries [`Attempt`], [`Deadline`], [`Tried`],
//! [`TryClock`] and [`CancelCause`].
//!
//! | type | written by | read by | absent means |
//! |---|---|---|---|
//! | [`Arrival`] | the listener | access log, consistent hash | unknown peer |
//! | [`PeerIdentity`] | the listener | authz, the inbound side | nothing was proved |
//! | [`AsksTls`] | the mesh client | the clusters' pools | plain text will do |
//! | [`Tunnelled`] | the listener's server; the pool counts | metrics | the connection stays HTTP |
//! | [`Record`] | the outer shell | access log, metrics; annotated by all | nothing is noted |
//! | [`RouteMeta`] | route | cluster dispatch, logs | label `-` |
//! | [`RetryHeaders`] | route | retry | the route's retries hold as they are |
//! | [`Uploading`] | the route's stack | deadline | the request is complete |
//! | [`Allowance`] | deadline, retry (per attempt) | those who read the body, deadline, retry, fallback ([`Until`]) | nothing begins only when the request is complete |
//! | [`Chain`] | fallback (per target) | retry | the only target |
//! | [`RequestedModel`] | fallback, or whoever reads the call | balance | an ordinary request |
//! | [`Caller`] | callers | token limits, models | nobody asks who it is |
//! | [`OurKey`] | fallback; a route that sets one | fallback, respond, the pool | the key is the caller's |
//! | [`Guarded`] | the stack of a route with an LLM policy | the pool | a key of this side may go in plain text |
//! | [`AnsweredBy`] | fallback (response) | respond, logs | the route's own target |
//! | [`AnsweredHere`] | lists of models (response) | the route stack | it is an upstream's |
//! | [`Ended`] | retry, fallback (response) | respond | nothing was left undone |
//! | [`AnswersTo`](crate::respond::AnswersTo) | respond; the stack of a route with an LLM policy | respond inside of the route | errors stay errors |
//! | [`Ordinary`] | the stack of a route with an LLM policy | retry, fallback | what the route says of retries holds |
//! | [`EndpointRef`] | balance (request and response) | pool, stream, logs | `-` |
//! | [`Buffered`] | whoever reads the request body | token limits (estimates) | the body was not read |
//! | [`Ledger`] | token limits create, stream and classify fill | token limits, logs | nobody counts costs |

mod chain;
mod ended;
mod flag;
mod peer;
mod retry_headers;
mod tunnelled;

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use crate::base::{cost::Ledger, time::Instant};

pub use crate::base::{
    attempt::{CancelCause, CancelReason},
    clock::{Held, TryClock},
    until::{Allowance, Until, Uploading},
};

pub use self::{
    chain::{
        AnsweredBy, Caller, Chain, Guarded, KEY_HEADERS, MODEL_HEADER, OurKey, RequestedModel,
    },
    ended::Ended,
    flag::Flag,
    peer::PeerIdentity,
    retry_headers::RetryHeaders,
    tunnelled::Tunnelled,
};

const CALLER_RETRIES: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// When and from where the request came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When its head was read.
    pub at: Instant,
    /// The direct peer.
    pub peer: Option<SocketAddr>,
    /// The address it was accepted on.
    pub local: Option<SocketAddr>,
    /// Whether the connection is TLS.
    pub tls: bool,
}

/// The program asked for an encrypted connection (`https`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsksTls;

/// The instant after which nobody waits for the answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// What is left at `now`; zero once passed.
    #[must_use]
    pub fn left(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// The sooner of two, where either may be absent.
    #[must_use]
    pub fn sooner(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// Which send of the request this is, over all targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first send.
    pub number: u32,
    /// Whether another attempt may still follow: as long as it may, response frames that could show an error are held
    /// back so that it stays possible.
    pub may_retry: bool,
}

/// No LLM call, though its route has an LLM policy: it is sent again only as the route's `retryOn` says, and to no other target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinary;

/// A response that was made here, for no error: no upstream had a part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnsweredHere;

/// The endpoints this request was already sent to, in order, over all attempts.
#[derive(Clone, Debug, Default)]
pub struct Tried(Arc<Mutex<Vec<SocketAddr>>>);

impl Tried {
    /// Notes an endpoint.
    pub fn push(&self, address: SocketAddr) {
        lock(&self.0).push(address);
    }

    /// Whether the endpoint was tried.
    #[must_use]
    pub fn contains(&self, address: SocketAddr) -> bool {
        lock(&self.0).contains(&address)
    }

    /// All so far, first tried first.
    #[must_use]
    pub fn all(&self) -> Vec<SocketAddr> {
        lock(&self.0).clone()
    }
}

/// The whole request body, where it was read before it is sent. Shares its memory with the body.
#[derive(Clone)]
pub struct Buffered(pub Bytes);

impl fmt::Debug for Buffered {
    /// Its size: prompts do not go into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffered({} bytes)", self.0.len())
    }
}

/// How many times a caller has sent a request before: `x-stainless-retry-count`, which the SDKs of OpenAI, Anthropic, Groq and
/// others send. Zero if it is absent or no number.
#[must_use]
pub fn caller_retries(headers: &HeaderMap) -> u32 {
    let count = headers.get(CALLER_RETRIES);
    count
        .and_then(|count| count.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

/// What the router decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMeta {
    /// Position of the route in its table.
    pub id: usize,
    /// The route's name (`-` if it has none).
    pub route: Arc<str>,
    /// The virtual host's name.
    pub virtual_host: Arc<str>,
    /// The cluster's name: `outbound|<port>|<subset>|<host>`.
    pub cluster: Arc<str>,
}

impl RouteMeta {
    /// What stands in logs and metrics for a host that nothing serves, in Istio's words.
    #[must_use]
    pub fn block_all() -> Self {
        Self {
            id: usize::MAX,
            route: "block_all".into(),
            virtual_host: "block_all".into(),
            cluster: "BlackHoleCluster".into(),
        }
    }
}

/// The endpoint that a request goes to, or that a response came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointRef(pub SocketAddr);

/// What happened to one request, noted by the layers as it goes and read once at its end.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Notes>>);

/// The contents of a [`Record`].
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Attempts made.
    pub attempts: u32,
    /// Waits taken because the provider asked for them.
    pub hints_honoured: u32,
    /// Response flags in the order in which they were set.
    pub flags: Vec<Flag>,
    /// Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub details: Option<String>,
    /// Why the connection to the upstream was not made or not of use, in plain words.
    pub transport_failure: Option<String>,
    /// What the router decided.
    pub route: Option<RouteMeta>,
    /// The namespace of the service that the route leads to, where it is known.
    pub namespace: Option<Arc<str>>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<SocketAddr>,
    /// The name that people know it by, where its address only stands for one.
    pub endpoint_name: Option<Arc<str>>,
    /// The `version` label of the workload behind it.
    pub version: Option<Arc<str>>,
    /// When the last attempt's response head came in, counted from the first send.
    pub upstream_time: Option<Duration>,
    /// How many times the caller itself has sent this request before, as its SDK says.
    pub caller_retries: u32,
    /// The name of the caller whose key the request came with.
    pub caller: Option<Arc<str>>,
    /// Whether nothing may be said of the key that the request carries: an answer that refuses it may repeat it.
    pub hides_key: bool,
    /// Whether the route puts a key of this side on: what an upstream says of it is none of the caller's business.
    pub our_key: bool,
    /// The model that the caller named, where it is an alias: another one is asked for.
    pub alias: Option<Arc<str>>,
    /// The target of a fallback chain that is answering.
    pub answered_by: Option<AnsweredBy>,
    /// What the attempts of an LLM call cost.
    pub ledger: Option<Ledger>,
}

impl Record {
    /// Reads or writes the notes. Keep it short: this holds a lock.
    pub fn note<T>(&self, f: impl FnOnce(&mut Notes) -> T) -> T {
        f(&mut lock(&self.0))
    }

    /// Sets a flag, once.
    pub fn flag(&self, flag: Flag) {
        self.note(|n| {
            if !n.flags.contains(&flag) {
                n.flags.push(flag);
            }
        });
    }

    /// A copy of the notes as they stand.
    #[must_use]
    pub fn snapshot(&self) -> Notes {
        lock(&self.0).clone()
    }
}

impl Notes {
    /// The flags joined with `,`; `-` if there are none.
    #[must_use]
    pub fn flags(&self) -> String {
        if self.flags.is_empty() {
            return "-".to_owned();
        }
        self.flags
            .iter()
            .map(|f| f.as_str())
            .collect::<Vec<_>>()
            .join(",")
    }
}

/// A panic while the lock was held leaves plain data behind, which stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_keep_their_order_and_come_once() {
        let record = Record::default();
        assert_eq!(record.snapshot().flags(), "-");
        for flag in [Flag::URX, Flag::UF, Flag::URX] {
            record.flag(flag);
        }
        assert_eq!(record.snapshot().flags(), "URX,UF");
    }
}
