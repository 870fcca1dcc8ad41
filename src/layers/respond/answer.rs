//! The table: what the caller is told for each kind of error.
//!
//! Statuses, bodies, flags and details are Envoy's (`source/common/router`, `response_code_details.h`). Where Envoy has
//! no such condition the row says so.

use std::borrow::Cow;

use http::StatusCode;

use crate::base::{
    Kind,
    error::{ConnectFailure, ResetReason},
    ext::Flag,
};

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
    const LATE: &str = "upstream request timeout";
    let reset = |status, (reason, flag)| reset(status, reason, flag, retried);
    match kind {
        Kind::DeadlineExceeded => plain(504, LATE, Flag::UT, "response_timeout"),
        Kind::AttemptTimeout => plain(504, LATE, Flag::UT, "upstream_per_try_timeout"),
        // Not in Envoy: to the caller they are per-try timeouts with other clocks.
        Kind::HeadersTimeout => plain(504, LATE, Flag::UT, "headers_timeout"),
        Kind::FirstTokenTimeout => plain(504, LATE, Flag::UT, "first_token_timeout"),
        Kind::IdleTimeout => plain(504, "stream timeout", Flag::SI, "stream_idle_timeout"),
        Kind::Connect(failure) => reset(503, (connect_reason(failure), Flag::UF)),
        Kind::Reset { reason, .. } => reset(503, reset_reason(reason)),
        // A stream cut short before anything was passed on: Envoy knows it as a protocol error.
        Kind::StreamError
        | Kind::StreamMalformed
        | Kind::StreamTruncated
        | Kind::UpstreamProtocol => reset(502, ("protocol error", Flag::UPE)),
        Kind::StreamStalled => plain(504, "stream timeout", Flag::SI, "stream_stalled"),
        Kind::Overflow => Answer {
            overloaded: true,
            ..reset(503, ("overflow", Flag::UO))
        },
        // Not in Envoy, whose "circuit breaker" is a ceiling: the same flag, since dashboards watch it for "refused to
        // protect the upstream", but no `x-envoy-overloaded`, which means a full ceiling.
        Kind::CircuitOpen => plain(503, "circuit breaker open", Flag::UO, "circuit_open"),
        Kind::NoEndpoints => plain(503, "no healthy upstream", Flag::UH, "no_healthy_upstream"),
        Kind::NoCluster => plain(503, "", Flag::NC, "cluster_not_found"),
        Kind::NoRoute => plain(404, "", Flag::NR, "route_not_found"),
        Kind::UnknownHost => plain(502, "", None, "direct_response"),
        Kind::RateLimited => plain(429, "local_rate_limited", Flag::RL, "local_rate_limited"),
        // An interim status cannot end a request.
        Kind::FaultAbort(100..=199) => answer(Kind::FaultAbort(500), retried),
        Kind::FaultAbort(status) => {
            plain(status, "fault filter abort", Flag::FI, "fault_filter_abort")
        }
        Kind::Unauthorized => {
            let details = "jwt_authn_access_denied";
            plain(401, "Jwt verification fails", None, details)
        }
        Kind::Forbidden => plain(403, "RBAC: access denied", None, "rbac_access_denied"),
        // Not in Envoy.
        Kind::Withheld => plain(503, "", None, "credential_withheld"),
        Kind::BadRequest => plain(400, "", Flag::DPE, "bad_request"),
        Kind::BodyTooLarge => plain(413, "Payload Too Large", None, "request_payload_too_large"),
        // Envoy's stream idle timeout, when it is the request that is not over.
        Kind::UploadTimeout => plain(408, "stream timeout", Flag::SI, "stream_idle_timeout"),
        // nginx's 499; nobody reads it but the access log.
        Kind::Canceled => plain(499, "", Flag::DC, "downstream_remote_disconnect"),
        Kind::Internal => plain(500, "internal error", None, "internal_error"),
    }
}

/// What the access log notes of a response whose body broke off in the middle; `None` if that was not the upstream's
/// doing, nor the caller's. `framed`: by HTTP/1, over which a close, a reset and a short body are all a protocol error to
/// Envoy.
#[must_use]
pub fn cut(kind: Kind, framed: bool) -> Option<(Flag, String)> {
    let (reason, flag) = match kind {
        Kind::Canceled => return Some((Flag::DC, "downstream_remote_disconnect".to_owned())),
        Kind::IdleTimeout => return Some((Flag::SI, "stream_idle_timeout".to_owned())),
        Kind::StreamStalled => return Some((Flag::SI, "stream_stalled".to_owned())),
        // A clock of ours, running on after the head.
        Kind::FirstTokenTimeout => return Some((Flag::UT, "first_token_timeout".to_owned())),
        Kind::Reset { reason, .. } if !framed => reset_reason(reason),
        Kind::Reset { .. }
        | Kind::StreamError
        | Kind::StreamMalformed
        | Kind::StreamTruncated
        | Kind::UpstreamProtocol => ("protocol error", Flag::UPE),
        _ => return None,
    };
    let reason = reason.replace(' ', "_");
    Some((
        flag,
        format!("upstream_reset_after_response_started{{{reason}}}"),
    ))
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

fn connect_reason(failure: ConnectFailure) -> &'static str {
    match failure {
        // A failed handshake is a failed connection to Envoy; the cause goes in its log only.
        ConnectFailure::Refused | ConnectFailure::Tls => "remote connection failure",
        ConnectFailure::Timeout => "connection timeout",
        // Envoy would have no endpoints; here the name is resolved as part of the dial.
        ConnectFailure::Local | ConnectFailure::Dns => "local connection failure",
    }
}

fn reset_reason(reason: ResetReason) -> (&'static str, Flag) {
    match reason {
        ResetReason::Terminated => ("connection termination", Flag::UC),
        ResetReason::Remote => ("remote reset", Flag::UR),
        ResetReason::Refused => ("remote refused stream reset", Flag::UR),
        ResetReason::Local => ("local reset", Flag::LR),
    }
}

/// An impossible status (from an injected fault) is a 500.
fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn plain(
    status: u16,
    body: &'static str,
    flag: impl Into<Option<Flag>>,
    details: &'static str,
) -> Answer {
    Answer {
        status: status_code(status),
        body: body.into(),
        flag: flag.into(),
        details: details.into(),
        overloaded: false,
    }
}

fn reset(status: u16, reason: &str, flag: Flag, retried: bool) -> Answer {
    let latest = if retried {
        "retried and the latest "
    } else {
        ""
    };
    Answer {
        status: status_code(status),
        body: format!(
            "upstream connect error or disconnect/reset before headers. {latest}reset reason: {reason}"
        )
        .into(),
        flag: Some(flag),
        details: format!(
            "upstream_reset_before_response_started{{{}}}",
            reason.replace(' ', "_")
        )
        .into(),
        overloaded: false,
    }
}
