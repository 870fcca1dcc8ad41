//! Foreign errors to [`Kind`], in one place.
//!
//! Clients report failures in their own types: `std::io`, hyper, h2. Every mechanism here speaks [`Kind`], and asks one
//! more thing of a failure: may any byte of the request have reached the peer? Only a "no" makes a repeat free of doubt.
//! Where a foreign error does not tell, the answer is "yes".
//!
//! Errors of the *request's* body are the caller's: a broken upload must never count against the upstream.

use std::{error::Error as StdError, io};

use crate::{
    base::{
        BoxError, Error, Kind,
        error::{ConnectFailure, Origin, ResetReason},
    },
    classify::{Class, Failure, Outcome, Scope, Signal},
};

/// What an error that nobody recognises counts as: the exchange broke, and the request may have been seen.
const UNKNOWN: Kind = Kind::Reset {
    reason: ResetReason::Terminated,
    sent: true,
};

/// What happened on one level of a chain of errors.
enum Level {
    /// This is it.
    Is(Kind),
    /// This, unless a deeper level says more. The connection stood when it happened.
    Perhaps(Kind),
    /// The caller's request body failed; the cause is below.
    #[cfg_attr(
        not(feature = "hyper"),
        expect(dead_code, reason = "only hyper tells request bodies apart")
    )]
    RequestBody,
    /// Nothing is known from this level.
    Unknown,
}

/// What went wrong, from an error of any kind.
///
/// Walks the sources, outermost first: an [`Error`] of this crate decides at once, foreign errors by what they tell.
/// An error that says nothing is a [`Kind::Reset`] with `sent`.
#[must_use]
pub fn kind_of(error: &(dyn StdError + 'static)) -> Kind {
    let mut connected = false;
    let mut found = UNKNOWN;
    let mut next = Some(error);
    while let Some(e) = next {
        match level(e, connected) {
            Level::Is(kind) => return kind,
            Level::Perhaps(kind) => {
                connected = true;
                found = kind;
            }
            Level::RequestBody => return request_body(e),
            Level::Unknown => {}
        }
        next = e.source();
    }
    found
}

/// What an attempt that ended with this error came to.
///
/// Refusals of this process (ceilings, breaker, no endpoint, policy) are [`Outcome::Local`] and nobody's fault. Our own
/// timeouts do not recommend the same target again: it was silent for the whole wait. An error that carries a
/// [`Failure`] is of that class.
#[must_use]
pub fn class_of_error(error: &BoxError) -> Class {
    match Failure::find(error.as_ref()) {
        Some(failure) => failure.class.clone(),
        None => class_of_kind(kind_of(error.as_ref())),
    }
}

/// As [`class_of_error`], for an error of the response's body: the request was seen, and idling is a stall.
#[must_use]
pub fn class_of_body_error(error: &BoxError) -> Class {
    if let Some(failure) = Failure::find(error.as_ref()) {
        return failure.class.clone();
    }
    let kind = kind_of(error.as_ref());
    let mut class = match kind {
        Kind::IdleTimeout => Class::new(Outcome::StreamStalled, Signal::Error(kind)),
        _ => class_of_kind(kind),
    };
    class.sent = true;
    class
}

fn class_of_kind(kind: Kind) -> Class {
    let outcome = match kind {
        Kind::AttemptTimeout
        | Kind::DeadlineExceeded
        | Kind::HeadersTimeout
        | Kind::IdleTimeout => Outcome::Timeout,
        Kind::FirstTokenTimeout => Outcome::FirstTokenTimeout,
        Kind::Connect(_) => Outcome::Connect,
        Kind::Reset { .. } | Kind::UpstreamProtocol => Outcome::Reset,
        Kind::StreamTruncated => Outcome::StreamTruncated,
        Kind::StreamError => Outcome::StreamError,
        Kind::StreamMalformed => Outcome::MalformedStream,
        Kind::StreamStalled => Outcome::StreamStalled,
        Kind::Canceled | Kind::UploadTimeout => Outcome::Cancelled,
        Kind::BadRequest => Outcome::InvalidRequest,
        Kind::BodyTooLarge => Outcome::TooLarge,
        Kind::CircuitOpen
        | Kind::FaultAbort(_)
        | Kind::Forbidden
        | Kind::Internal
        | Kind::NoCluster
        | Kind::NoEndpoints
        | Kind::NoRoute
        | Kind::Overflow
        | Kind::RateLimited
        | Kind::Unauthorized
        | Kind::UnknownHost
        | Kind::Withheld => Outcome::Local,
    };
    let mut class = Class::new(outcome, Signal::Error(kind));
    if outcome == Outcome::Timeout {
        class.retry_same = false;
    }
    if kind == Kind::DeadlineExceeded {
        // How much time the caller gave is no property of the upstream.
        class.scope = Scope::None;
    }
    if let Kind::Reset { sent, .. } = kind {
        class.sent = sent;
    }
    class
}

fn level(error: &(dyn StdError + 'static), connected: bool) -> Level {
    if let Some(ours) = error.downcast_ref::<Error>() {
        return Level::Is(ours.kind());
    }
    if error.is::<tokio::time::error::Elapsed>() {
        return Level::Is(Kind::AttemptTimeout);
    }
    if let Some(io) = error.downcast_ref::<io::Error>() {
        return io_level(io, connected);
    }
    hyper_level(error)
}

fn io_level(error: &io::Error, connected: bool) -> Level {
    use io::ErrorKind as K;
    // `io::Error` names the source of what it wraps as its own, and so hides what it wraps.
    if let Some(wrapped) = error.get_ref() {
        let found = level(wrapped, connected);
        if !matches!(found, Level::Unknown) {
            return found;
        }
    }
    let connect = |failure| {
        if connected {
            Level::Perhaps(UNKNOWN)
        } else {
            Level::Is(Kind::Connect(failure))
        }
    };
    match error.kind() {
        K::ConnectionRefused => connect(ConnectFailure::Refused),
        K::TimedOut => connect(ConnectFailure::Timeout),
        K::AddrInUse
        | K::AddrNotAvailable
        | K::HostUnreachable
        | K::NetworkDown
        | K::NetworkUnreachable
        | K::PermissionDenied => connect(ConnectFailure::Local),
        K::BrokenPipe
        | K::ConnectionAborted
        | K::ConnectionReset
        | K::NotConnected
        | K::UnexpectedEof
        | K::WriteZero => Level::Is(UNKNOWN),
        // hyper's words for chunks that are none; requests' bodies are told apart before.
        K::InvalidData | K::InvalidInput if connected => Level::Is(Kind::UpstreamProtocol),
        _ => Level::Unknown,
    }
}

/// The caller's body failed: whatever the reason, it is not the upstream's.
fn request_body(error: &(dyn StdError + 'static)) -> Kind {
    crate::base::error::find(error)
        .map(Error::kind)
        .filter(|kind| kind.origin() != Origin::Upstream)
        .unwrap_or(Kind::Canceled)
}

#[cfg(not(feature = "hyper"))]
fn hyper_level(_: &(dyn StdError + 'static)) -> Level {
    Level::Unknown
}

#[cfg(feature = "hyper")]
fn hyper_level(error: &(dyn StdError + 'static)) -> Level {
    let terminated = |sent| Kind::Reset {
        reason: ResetReason::Terminated,
        sent,
    };
    if let Some(e) = error.downcast_ref::<h2::Error>() {
        return h2_level(e);
    }
    let Some(e) = error.downcast_ref::<hyper::Error>() else {
        return Level::Unknown;
    };
    if e.is_user() || e.is_body_write_aborted() {
        Level::RequestBody
    } else if e.is_canceled() || e.is_closed() {
        // The connection went away before the request was written.
        Level::Perhaps(terminated(false))
    } else if e.is_parse() {
        Level::Perhaps(Kind::UpstreamProtocol)
    } else {
        Level::Perhaps(terminated(true))
    }
}

/// RFC 9113 sections 7 and 8.7: `REFUSED_STREAM`, and streams above the last one that a graceful `GOAWAY` names, were
/// not processed.
#[cfg(feature = "hyper")]
fn h2_level(error: &h2::Error) -> Level {
    use h2::Reason;
    let reset = |reason, sent| Level::Is(Kind::Reset { reason, sent });
    if error.is_io() {
        return error
            .get_io()
            .map_or(Level::Perhaps(UNKNOWN), |io| io_level(io, true));
    }
    if error.is_remote() {
        return match error.reason() {
            Some(Reason::REFUSED_STREAM) => reset(ResetReason::Refused, false),
            Some(Reason::NO_ERROR) if error.is_go_away() => reset(ResetReason::Refused, false),
            _ => reset(ResetReason::Remote, true),
        };
    }
    if error.is_library() {
        // This side found the peer's frames to be wrong.
        return Level::Is(Kind::UpstreamProtocol);
    }
    match error.reason() {
        // This side gave up the stream: its reader, or its request body, went away.
        Some(Reason::CANCEL) => Level::Is(Kind::Canceled),
        _ => reset(ResetReason::Local, true),
    }
}

#[cfg(test)]
mod tests;
