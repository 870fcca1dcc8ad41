//! What hyper's and h2's errors come to.

use std::error::Error as StdError;

use crate::base::{
    Error, Kind,
    error::{ConnectFailure, ResetReason},
};

/// Why a dial failed, for every request that waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DialFailure {
    kind: Kind,
    cause: String,
}

// === impl DialFailure ===

impl DialFailure {
    /// From a connector's error or a handshake's.
    pub(super) fn new(error: &Error) -> Self {
        let cause = error.source().unwrap_or(error).to_string();
        Self {
            kind: error.kind(),
            cause,
        }
    }

    /// The peer took the connection and then broke it off before a request could be sent.
    pub(super) fn handshake(error: &hyper::Error) -> Self {
        Self {
            kind: Kind::Connect(ConnectFailure::Refused),
            cause: error.to_string(),
        }
    }

    /// The peer took the connection and does not speak HTTP/2.
    pub(super) fn not_http2(error: Option<hyper::Error>) -> Self {
        let kind = match error.as_ref().map(kind_of) {
            Some(Kind::UpstreamProtocol) => Kind::UpstreamProtocol,
            _ => Kind::Connect(ConnectFailure::Refused),
        };
        let cause = error.map_or_else(
            || "closed before its settings came".to_owned(),
            |e| e.to_string(),
        );
        Self { kind, cause }
    }

    /// The peer did not say its settings in time.
    pub(super) fn no_settings() -> Self {
        Self {
            kind: Kind::Connect(ConnectFailure::Timeout),
            cause: "no HTTP/2 settings came".to_owned(),
        }
    }

    /// The runtime is going away and with it the task that dials.
    pub(super) fn abandoned() -> Self {
        Self {
            kind: Kind::Connect(ConnectFailure::Local),
            cause: "the dial was abandoned".to_owned(),
        }
    }
}

impl From<DialFailure> for Error {
    fn from(failure: DialFailure) -> Self {
        Self::new(failure.kind).with_source(failure.cause)
    }
}

// === free functions ===

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

fn kind_of(error: &hyper::Error) -> Kind {
    if let Some(h2) = find_h2(error) {
        return h2_kind(h2);
    }
    if error.is_parse() {
        return Kind::UpstreamProtocol;
    }
    // What is left that hyper calls the user's fault is the request body's.
    if error.is_user() {
        return Kind::Canceled;
    }
    Kind::Reset {
        reason: ResetReason::Terminated,
        sent: true,
    }
}

fn find_h2(error: &hyper::Error) -> Option<&h2::Error> {
    let mut next = error.source();
    while let Some(e) = next {
        if let Some(h2) = e.downcast_ref::<h2::Error>() {
            return Some(h2);
        }
        next = e.source();
    }
    None
}

fn h2_kind(error: &h2::Error) -> Kind {
    let reset = |reason, sent| Kind::Reset { reason, sent };
    if error.is_io() {
        return reset(ResetReason::Terminated, true);
    }
    if error.is_remote() {
        return match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => reset(ResetReason::Refused, false),
            // A stream that ends by GOAWAY is above the last one that the peer processed (RFC 9113 section 6.8). With
            // an error code, h2 does not tell it from one that was cut.
            Some(h2::Reason::NO_ERROR) if error.is_go_away() => reset(ResetReason::Refused, false),
            _ => reset(ResetReason::Remote, true),
        };
    }
    if error.is_library() {
        return Kind::UpstreamProtocol;
    }
    reset(ResetReason::Local, true)
}
