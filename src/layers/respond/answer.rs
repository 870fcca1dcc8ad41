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
    const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
    const TIMEOUT: StatusCode = StatusCode::GATEWAY_TIMEOUT;
    const BAD_GATEWAY: StatusCode = StatusCode::BAD_GATEWAY;
    const LATE: &str = "upstream request timeout";
    let reset = |status, reason, flag| reset(status, reason, flag, retried);
    match kind {
        Kind::DeadlineExceeded => plain(TIMEOUT, LATE, Flag::UT, "response_timeout"),
        Kind::AttemptTimeout => plain(TIMEOUT, LATE, Flag::UT, "upstream_per_try_timeout"),
        // Not in Envoy: to the caller it is a per-try timeout with another clock.
        Kind::FirstTokenTimeout => plain(TIMEOUT, LATE, Flag::UT, "first_token_timeout"),
        Kind::IdleTimeout => plain(TIMEOUT, "stream timeout", Flag::SI, "stream_idle_timeout"),
        Kind::Connect(failure) => reset(UNAVAILABLE, connect_reason(failure), Flag::UF),
        Kind::Reset { reason, .. } => {
            let (reason, flag) = match reason {
                ResetReason::Terminated => ("connection termination", Flag::UC),
                ResetReason::Remote => ("remote reset", Flag::UR),
                ResetReason::Refused => ("remote refused stream reset", Flag::UR),
                ResetReason::Local => ("local reset", Flag::LR),
            };
            reset(UNAVAILABLE, reason, flag)
        }
        // A stream cut short before anything was passed on: Envoy knows it as a protocol error.
        Kind::UpstreamProtocol | Kind::StreamTruncated => {
            reset(BAD_GATEWAY, "protocol error", Flag::UPE)
        }
        Kind::Overflow => Answer {
            overloaded: true,
            ..reset(UNAVAILABLE, "overflow", Flag::UO)
        },
        // Not in Envoy, whose "circuit breaker" is a ceiling: the same flag, since dashboards watch it for "refused to
        // protect the upstream", but no `x-envoy-overloaded`, which means a full ceiling.
        Kind::CircuitOpen => plain(
            UNAVAILABLE,
            "circuit breaker open",
            Flag::UO,
            "circuit_open",
        ),
        Kind::NoEndpoints => plain(
            UNAVAILABLE,
            "no healthy upstream",
            Flag::UH,
            "no_healthy_upstream",
        ),
        Kind::NoCluster => plain(UNAVAILABLE, "", Flag::NC, "cluster_not_found"),
        Kind::NoRoute => plain(StatusCode::NOT_FOUND, "", Flag::NR, "route_not_found"),
        Kind::UnknownHost => plain(BAD_GATEWAY, "", None, "direct_response"),
        Kind::RateLimited => plain(
            StatusCode::TOO_MANY_REQUESTS,
            "local_rate_limited",
            Flag::RL,
            "local_rate_limited",
        ),
        Kind::FaultAbort(status) => plain(
            // An interim status cannot end a request.
            StatusCode::from_u16(status)
                .ok()
                .filter(|s| !s.is_informational())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            "fault filter abort",
            Flag::FI,
            "fault_filter_abort",
        ),
        Kind::Unauthorized => plain(
            StatusCode::UNAUTHORIZED,
            "Jwt verification fails",
            None,
            "jwt_authn_access_denied",
        ),
        Kind::Forbidden => plain(
            StatusCode::FORBIDDEN,
            "RBAC: access denied",
            None,
            "rbac_access_denied",
        ),
        Kind::BadRequest => plain(StatusCode::BAD_REQUEST, "", Flag::DPE, "bad_request"),
        Kind::BodyTooLarge => plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Payload Too Large",
            None,
            "request_payload_too_large",
        ),
        // nginx's 499; nobody reads it but the access log.
        Kind::Canceled => plain(
            StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            "",
            Flag::DC,
            "downstream_remote_disconnect",
        ),
        Kind::Internal => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal error",
            None,
            "internal_error",
        ),
    }
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

fn plain(
    status: StatusCode,
    body: &'static str,
    flag: impl Into<Option<Flag>>,
    details: &'static str,
) -> Answer {
    Answer {
        status,
        body: body.into(),
        flag: flag.into(),
        details: details.into(),
        overloaded: false,
    }
}

fn reset(status: StatusCode, reason: &str, flag: Flag, retried: bool) -> Answer {
    let latest = if retried {
        "retried and the latest "
    } else {
        ""
    };
    Answer {
        status,
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
