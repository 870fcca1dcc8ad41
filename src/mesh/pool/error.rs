//! What failed dials and hyper's errors come to.

use std::error::Error as StdError;

use crate::{
    base::{
        BoxError, Error, Kind,
        error::{ConnectFailure, ResetReason},
    },
    classify::transport::kind_of,
};

/// Why a dial failed, for every request that waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DialFailure {
    kind: Kind,
    cause: String,
    /// None: there is a connection, of the other protocol.
    other_protocol: bool,
}

/// Why a request was not answered.
pub(super) struct Unanswered {
    pub(super) error: BoxError,
    /// The connection had served before, and was closed with no word on this request: its peer may have closed it while it
    /// was idle, and never have seen the request.
    pub(super) raced: bool,
}

// === impl Unanswered ===

impl Unanswered {
    /// The server has changed its protocol under a request that was made ready for the other. Nothing of it was sent.
    pub(super) fn moved() -> Self {
        Self {
            error: moved().into(),
            raced: true,
        }
    }
}

impl From<BoxError> for Unanswered {
    fn from(error: BoxError) -> Self {
        Self {
            error,
            raced: false,
        }
    }
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        BoxError::from(error).into()
    }
}

// === impl DialFailure ===

impl DialFailure {
    /// From a connector's error or a handshake's.
    pub(super) fn new(error: &Error) -> Self {
        let cause = error.source().unwrap_or(error).to_string();
        Self::of(error.kind(), cause)
    }

    fn of(kind: Kind, cause: impl Into<String>) -> Self {
        Self {
            kind,
            cause: cause.into(),
            other_protocol: false,
        }
    }

    /// The server chose the other protocol in its handshake: whoever waited for this one asks for that one.
    pub(super) fn other_protocol() -> Self {
        Self {
            other_protocol: true,
            ..Self::of(
                Kind::Connect(ConnectFailure::Tls),
                "the server speaks another protocol with each connection",
            )
        }
    }

    /// Whether it is none, but a connection of the other protocol.
    pub(super) fn is_other_protocol(&self) -> bool {
        self.other_protocol
    }

    /// The peer took the connection and then broke it off before a request could be sent.
    pub(super) fn handshake(error: &hyper::Error) -> Self {
        Self::of(Kind::Connect(ConnectFailure::Refused), error.to_string())
    }

    /// The peer took the connection and does not speak HTTP/2.
    pub(super) fn not_http2(error: Option<hyper::Error>) -> Self {
        let kind = match error.as_ref().map(|e| kind_of(e)) {
            Some(Kind::UpstreamProtocol) => Kind::UpstreamProtocol,
            _ => Kind::Connect(ConnectFailure::Refused),
        };
        let cause = error.map_or_else(
            || "closed before its settings came".to_owned(),
            |e| e.to_string(),
        );
        Self::of(kind, cause)
    }

    /// The peer did not say its settings in time.
    pub(super) fn no_settings() -> Self {
        let kind = Kind::Connect(ConnectFailure::Timeout);
        Self::of(kind, "no HTTP/2 settings came")
    }

    /// The runtime is going away and with it the task that dials.
    pub(super) fn abandoned() -> Self {
        let kind = Kind::Connect(ConnectFailure::Local);
        Self::of(kind, "the dial was abandoned")
    }
}

impl From<DialFailure> for Error {
    fn from(failure: DialFailure) -> Self {
        Self::new(failure.kind).with_source(failure.cause)
    }
}

// === free functions ===

/// The server has changed its protocol under a request that was made ready for the other.
pub(super) fn moved() -> Error {
    Error::new(Kind::Reset {
        reason: ResetReason::Terminated,
        sent: false,
    })
    .with_source("the server has changed its protocol")
}

/// A request in plain text was answered with TLS.
pub(super) fn speaks_tls() -> Error {
    Error::new(Kind::UpstreamProtocol)
        .with_source("the server speaks TLS on this port, and was spoken to in plain text")
}

/// The connection died and hyper gave the request back: nothing of it was sent.
pub(super) fn unsent(error: hyper::Error) -> Error {
    Error::new(Kind::Reset {
        reason: ResetReason::Terminated,
        sent: false,
    })
    .with_source(error)
}

/// An error after the request was handed to a connection. `upload` is the kind of the failure of the request body,
/// if that is what went wrong.
pub(super) fn sent(error: hyper::Error, upload: Option<Kind>) -> Error {
    Error::new(upload.unwrap_or_else(|| kind_of(&error))).with_source(error)
}
