//! The class of an attempt: the one its response carries, or what its status or error alone tells.

use http::{HeaderMap, Response};

use crate::{
    base::{BoxError, Kind, error},
    classify::{Class, Classified, Outcome, Signal},
};

/// What the attempt came to.
pub(super) fn of<R>(result: &Result<Response<R>, BoxError>) -> Class {
    match result {
        Ok(response) => response
            .extensions()
            .get::<Classified>()
            .and_then(Classified::head)
            .cloned()
            .unwrap_or_else(|| by_status(response)),
        Err(error) => by_error(error),
    }
}

fn by_status<R>(response: &Response<R>) -> Class {
    let (status, headers) = (response.status(), response.headers());
    let outcome = match status.as_u16() {
        100..=399 => Outcome::Success,
        401 => Outcome::Auth,
        402 => Outcome::QuotaExhausted,
        403 => Outcome::Permission,
        404 => Outcome::NotFound,
        408 | 504 | 524 => Outcome::Timeout,
        409 => Outcome::Conflict,
        413 => Outcome::TooLarge,
        429 => Outcome::RateLimited,
        499 => Outcome::Cancelled,
        503 | 529 => Outcome::Overloaded,
        400..=498 => Outcome::InvalidRequest,
        _ => Outcome::ServerError,
    };
    let mut class = Class::new(
        outcome,
        Signal::Response {
            status,
            grpc_status: grpc_status(headers),
            ratelimited: headers.contains_key("x-envoy-ratelimited"),
        },
    );
    class.status_only = true;
    class
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn by_error(error: &BoxError) -> Class {
    let kind = error::find(error.as_ref()).map_or(Kind::Internal, error::Error::kind);
    let outcome = match kind {
        Kind::AttemptTimeout => Outcome::Timeout,
        Kind::Connect(_) => Outcome::Connect,
        Kind::FirstTokenTimeout => Outcome::FirstTokenTimeout,
        Kind::IdleTimeout => Outcome::StreamStalled,
        Kind::Reset { .. } => Outcome::Reset,
        Kind::StreamTruncated => Outcome::StreamTruncated,
        Kind::UpstreamProtocol => Outcome::MalformedStream,
        Kind::Canceled => Outcome::Cancelled,
        _ => Outcome::Local,
    };
    let mut class = Class::new(outcome, Signal::Error(kind));
    if let Kind::Reset { sent, .. } = kind {
        class.sent = sent;
    }
    class
}
