//! What the caller is told for each kind of error, from the [table](Kind::facts) of them, in Envoy's words.

use std::borrow::Cow;

use http::StatusCode;

use crate::base::{Kind, ext::Flag};

/// What the caller is told, and what the access log notes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status (for a gRPC call: what its `grpc-status` is made from).
    pub status: StatusCode,
    /// The body, or `grpc-message`. May be empty.
    pub body: Cow<'static, str>,
    /// The response flag.
    pub flag: Option<Flag>,
    /// Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub details: Cow<'static, str>,
    /// Whether `x-envoy-overloaded: true` is added.
    pub overloaded: bool,
}

/// The answer to an error. `retried`: whether it happened in an attempt after the first.
#[must_use]
pub fn answer(kind: Kind, retried: bool) -> Answer {
    let reply = kind.facts().reply;
    let (body, details) = if reply.reset {
        let latest = if retried {
            "retried and the latest "
        } else {
            ""
        };
        let body = format!(
            "upstream connect error or disconnect/reset before headers. {latest}reset reason: {}",
            reply.body
        );
        (body.into(), because("before_response", reply.body).into())
    } else {
        (reply.body.into(), reply.details.into())
    };
    Answer {
        // An impossible status (from an injected fault) is a 500.
        status: StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        body,
        flag: reply.flag,
        details,
        overloaded: kind == Kind::Overflow,
    }
}

/// What the access log notes of a response whose body broke off in the middle; `None` if that was not the upstream's
/// doing, nor the caller's. `framed`: by HTTP/1, over which a close, a reset and a short body are all a protocol error to
/// Envoy.
#[must_use]
pub fn cut(kind: Kind, framed: bool) -> Option<(Flag, String)> {
    let kind = match kind {
        Kind::Reset { .. } if framed => Kind::UpstreamProtocol,
        kind => kind,
    };
    let reply = kind.facts().reply;
    let flag = reply.flag.filter(|_| reply.cuts)?;
    let details = if reply.reset {
        because("after_response", reply.body)
    } else {
        reply.details.to_owned()
    };
    Some((flag, details))
}

/// The `grpc-status` that stands for an HTTP status on a local reply (Envoy's `httpToGrpcStatus`).
///
/// A timeout is 14 `UNAVAILABLE`, not 4: the 504 decides, not its cause.
#[must_use]
pub fn grpc_status(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// Envoy's details of a reset.
fn because(when: &str, reason: &str) -> String {
    format!(
        "upstream_reset_{when}_started{{{}}}",
        reason.replace(' ', "_")
    )
}
