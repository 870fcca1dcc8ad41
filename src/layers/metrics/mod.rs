//! One summary per request, when it is really over.
//!
//! A request ends when its response body ends, fails or is dropped, not when its head is sent; a stream that dies at
//! token 3 is not a success. [`MetricsLayer`] puts a [`Record`](crate::base::ext::Record) into the request, which the
//! layers below annotate, and at the end gives a [`Summary`] to every [`Report`]: metrics ([`standard`]) and the access
//! log ([`access_log`]).
//!
//! Dropping the response future (the caller went away before the head) reports the request with status 0 and flag `DC`.
//! An error of the inner service is reported with status 0 as well, without `DC`: above
//! [`respond`](crate::layers::respond) there is none.

pub mod access_log;
#[cfg(feature = "metrics")]
mod callers;
#[cfg(feature = "metrics")]
mod destination;
mod layer;
mod service;
#[cfg(feature = "metrics")]
pub mod standard;
#[cfg(feature = "metrics")]
mod tokens;

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, Method, Uri, Version};

use crate::base::{
    cost::{Ledger, Spent},
    ext::Notes,
};

#[cfg(feature = "metrics")]
pub use self::destination::Destination;
pub use self::{
    layer::MetricsLayer,
    service::{Metrics, ResponseFuture, SummaryBody},
};

/// Everything known about a request that is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// When it came in, by the wall clock.
    pub started: SystemTime,
    /// From the first byte in to the last byte out.
    pub duration: Duration,
    /// The request's head, if a report asked for it.
    pub head: Option<Head>,
    /// The header fields of the answer that the caller got, if a report asked for them.
    pub answer: Option<HeaderMap>,
    /// The direct peer.
    pub peer: Option<SocketAddr>,
    /// The address it was accepted on.
    pub local: Option<SocketAddr>,
    /// The status given to the caller; 0 if it left before one was.
    pub status: u16,
    /// Whether the request is gRPC.
    pub grpc: bool,
    /// Request body bytes read.
    pub bytes_received: u64,
    /// Response body bytes written.
    pub bytes_sent: u64,
    /// What the layers noted.
    pub notes: Notes,
}

// === impl Summary ===

impl Summary {
    /// What each attempt of an LLM call cost, in tokens, and which model answered it. Empty where nobody kept the account:
    /// of calls that are none of an LLM, and above layers that do not read them.
    #[must_use]
    pub fn spent(&self) -> Vec<Spent> {
        let ledger = self.notes.ledger.as_ref();
        ledger.map(Ledger::all).unwrap_or_default()
    }
}

/// The request's head, kept for the access log.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields of an HTTP request")]
pub struct Head {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
}

/// Takes the summary of every request.
pub trait Report: Send + Sync + 'static {
    /// A request is over. Called once per request; must not block.
    fn report(&self, summary: &Summary);

    /// Whether [`Summary::head`] is needed: it costs a copy of the headers.
    fn wants_head(&self) -> bool {
        false
    }

    /// Whether [`Summary::answer`] is needed: it costs a copy of the headers.
    fn wants_answer(&self) -> bool {
        false
    }
}
