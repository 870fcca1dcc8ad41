//! The one error that layers raise, and the closed list of what can go wrong.
//!
//! Layers return errors; only [`respond`](crate::layers::respond) turns them into responses. [`Kind`] is the whole
//! vocabulary, and [`Kind::facts`] the one table of what each is: a new kind does not compile until it has its row.

mod facts;

use std::{borrow::Cow, error::Error as StdError, fmt, io, time::Duration};

pub use self::facts::{Facts, Reply, Term};

use crate::base::ext::Ended;

/// A type-erased error, as tower services use it.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// An error raised by a layer: a [`Kind`], an optional wait and the cause.
///
/// `Display` prints this level only; walk [`source`](StdError::source) for the rest.
pub struct Error {
    kind: Kind,
    retry_after: Option<Duration>,
    detail: Option<Cow<'static, str>>,
    source: Option<BoxError>,
    ended: Option<Ended>,
}

/// What went wrong, as a low-cardinality value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The deadline over all attempts passed.
    DeadlineExceeded,
    /// One attempt took longer than the per-try timeout.
    AttemptTimeout,
    /// No bytes moved for too long.
    IdleTimeout,
    /// No response head came in time.
    HeadersTimeout,
    /// Headers came, content did not come in time.
    FirstTokenTimeout,
    /// No connection could be made; nothing was sent.
    Connect(ConnectFailure),
    /// The connection or stream died before the response was complete.
    Reset {
        /// How it died.
        reason: ResetReason,
        /// Whether any byte of the request may have reached the peer.
        sent: bool,
    },
    /// A circuit breaker is open.
    CircuitOpen,
    /// No endpoint may be used: none known, or all ejected.
    NoEndpoints,
    /// The route names a cluster that does not exist.
    NoCluster,
    /// A resource ceiling (connections, pending, requests) was reached.
    Overflow,
    /// A rate limit refused the request.
    RateLimited,
    /// An injected fault with this HTTP status.
    FaultAbort(u16),
    /// No or bad credentials.
    Unauthorized,
    /// Policy refuses the caller.
    Forbidden,
    /// The request was not sent for the sake of a key of this side: it cannot be read, or would have gone in plain text.
    Withheld,
    /// The host is not in the registry and unknown hosts are not dialled.
    UnknownHost,
    /// No route of the virtual host matches.
    NoRoute,
    /// The request is malformed.
    BadRequest,
    /// The request body is over a limit.
    BodyTooLarge,
    /// The caller stopped sending the request body.
    UploadTimeout,
    /// The upstream broke the protocol.
    UpstreamProtocol,
    /// A stream ended without its finish marker.
    StreamTruncated,
    /// A stream carried an error event.
    StreamError,
    /// A stream carried an event that cannot be read.
    StreamMalformed,
    /// A stream stood still, or nearly so, in the middle.
    StreamStalled,
    /// The caller went away.
    Canceled,
    /// A bug or an impossible state.
    Internal,
}

/// Why a connection could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// The peer refused (Envoy: `remote connection failure`).
    Refused,
    /// The connect timeout passed (Envoy: `connection timeout`).
    Timeout,
    /// This side could not dial: no route, no descriptor (Envoy: `local connection failure`).
    Local,
    /// The name could not be resolved.
    Dns,
    /// The TLS handshake failed.
    Tls,
}

/// How a connection or stream died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetReason {
    /// The connection ended (Envoy: `connection termination`).
    Terminated,
    /// The peer reset the stream (Envoy: `remote reset`).
    Remote,
    /// The peer refused the stream unprocessed (HTTP/2 `REFUSED_STREAM`).
    Refused,
    /// This side reset the stream (Envoy: `local reset`).
    Local,
}

/// On whose side the fault lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The caller: never counted against an upstream.
    Downstream,
    /// This process: policy, limits, configuration.
    Local,
    /// The upstream.
    Upstream,
}

// === impl Error ===

impl Error {
    /// An error of this kind, with no cause.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            retry_after: None,
            detail: None,
            source: None,
            ended: None,
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds how long the caller should wait before it tries again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds a sentence for humans (logs). Never put request content or credentials in it.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Of a host that nothing defines, by name. The name is the caller's: cut, and quoted.
    pub(crate) fn unknown_host(host: &str) -> Self {
        let host: String = host.chars().take(255).collect();
        Self::new(Kind::UnknownHost).with_detail(format!(
            "{host:?}; a ServiceEntry or Service in its files makes it known"
        ))
    }

    /// The sentence for humans, if there is one.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Why it was not tried again, where that was worth it.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    pub(crate) fn set_ended(&mut self, why: Ended) {
        self.ended = Some(why);
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How long the caller should wait before it tries again, if known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("Error");
        s.field("kind", &self.kind);
        if let Some(wait) = self.retry_after {
            s.field("retry_after", &wait);
        }
        if let Some(detail) = &self.detail {
            s.field("detail", detail);
        }
        if let Some(source) = &self.source {
            s.field("source", source);
        }
        s.finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.facts().message)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|e| e as &(dyn StdError + 'static))
    }
}

// === free functions ===

/// Finds the outermost [`Error`] of this crate in an error's chain of sources.
#[must_use]
pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(e) = next {
        if let Some(found) = e.downcast_ref::<Error>() {
            return Some(found);
        }
        // An `io::Error` names the source of what it wraps as its own, and so hides what it wraps.
        next = match e.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => e.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Error);

    #[test]
    fn find_walks_sources_and_prefers_the_outermost() {
        let inner = Error::new(Kind::Connect(ConnectFailure::Refused));
        let error = Outer(Error::new(Kind::Overflow).with_source(inner));
        assert_eq!(find(&error).map(Error::kind), Some(Kind::Overflow));
        assert!(find(&io::Error::other("x")).is_none());
        let hidden = io::Error::other(Error::new(Kind::NoRoute));
        assert_eq!(find(&hidden).map(Error::kind), Some(Kind::NoRoute));
    }

    #[test]
    fn display_prints_its_own_level_only() {
        let error = Error::new(Kind::NoRoute)
            .with_detail("virtual host a")
            .with_source("secret");
        assert_eq!(error.to_string(), "no route matches: virtual host a");
        assert_eq!(
            StdError::source(&error).map(ToString::to_string).as_deref(),
            Some("secret")
        );
    }
}
