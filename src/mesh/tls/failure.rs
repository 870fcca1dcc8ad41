//! Why there is no TLS connection, and what it counts as.

use std::sync::{Arc, OnceLock};

use crate::base::{self, Kind, error::ConnectFailure};

/// Why there is no TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What it counts as.
    pub(crate) what: What,
    /// In plain words: for the access log.
    pub(crate) reason: String,
}

/// What a failed handshake counts as, in Envoy's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "tls"),
    expect(dead_code, reason = "nothing fails in these ways")
)]
pub(crate) enum What {
    /// The server's certificate is not good.
    Certificate,
    /// Its names are not the wanted ones.
    Names,
    /// The two sides do not agree, or one does not speak TLS.
    Protocol,
    /// The connection broke in the middle: nothing is known.
    Broken,
    /// This side has nothing to speak TLS with.
    Unusable,
}

/// Why the server refused a connection after this side had done its part of the handshake. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal(Arc<OnceLock<Failure>>);

// === impl Failure ===

impl Failure {
    pub(super) fn new(what: What, reason: impl Into<String>) -> Self {
        Self {
            what,
            reason: reason.into(),
        }
    }

    /// As the error of a connection that was not made.
    pub(crate) fn into_error(self) -> base::Error {
        let failure = match self.what {
            What::Broken => ConnectFailure::Refused,
            _ => ConnectFailure::Tls,
        };
        base::Error::new(Kind::Connect(failure)).with_source(self.reason)
    }
}

// === impl Refusal ===

impl Refusal {
    /// Why, if it was refused.
    pub(crate) fn get(&self) -> Option<&Failure> {
        self.0.get()
    }

    /// Says why, unless it was said; the first reason is the one.
    #[cfg(feature = "tls")]
    pub(super) fn say(&self, why: Failure) -> &Failure {
        self.0.get_or_init(|| why)
    }
}
