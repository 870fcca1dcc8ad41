//! What the targets of a fallback chain leave for each other.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::{HeaderName, header::AUTHORIZATION};

/// Where a request stands in a chain of targets. Cloning shares the count.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    sent: Arc<AtomicU32>,
    /// Whether another target may still be asked after this one.
    pub follows: bool,
    /// Whether the target is known to be ill, and this is the one send that finds out if it still is.
    pub probe: bool,
}

impl Chain {
    /// Attempts sent so far, over all targets.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Counts an attempt and gives its number, from 1 over all targets.
    #[must_use]
    pub fn send(&self) -> u32 {
        self.sent.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

/// The model that is asked for. One address may serve many: what goes wrong with one says nothing of the others there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedModel(pub Arc<str>);

/// Where requests to models carry keys.
pub const KEY_HEADERS: [HeaderName; 4] = [
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// Where routes read the model that a request names; the inference extension of Gateway API has the same name for it.
pub const MODEL_HEADER: HeaderName = HeaderName::from_static("x-gateway-model-name");

/// The request carries a key of this side, not its caller's: what the upstream says of the key is none of the caller's
/// business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OurKey;

/// A key of this side that the request carries ([`OurKey`]) is not to go over the network in plain text: over a connection to
/// another host without TLS it is not sent at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guarded;

/// Who sent the request, by the name under which its key is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub Arc<str>);

/// The target of a chain that an answer, or the error that is shown, came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredBy {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// The model that was asked for, where it is known.
    pub model: Option<Arc<str>>,
    /// Its place in the chain; 0 is the route's own.
    pub place: usize,
    /// Whether it was asked with a key of this side.
    pub our_key: bool,
}
