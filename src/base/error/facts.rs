//! What each kind is to everybody who acts on it: one row a kind.
//!
//! Statuses, bodies, flags and details are Envoy's (`source/common/router`, `response_code_details.h`). Where Envoy has no such
//! condition the row says so.

use super::{ConnectFailure, Kind, Origin, ResetReason};
use crate::base::ext::Flag;

/// Everything that is known of a [`Kind`] without the error at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// A stable, low-cardinality label for metrics and logs.
    pub label: &'static str,
    /// The same for people.
    pub message: &'static str,
    /// On whose side the fault lies.
    pub origin: Origin,
    /// Under which terms of `retryOn` it is sent again.
    pub term: Term,
    /// Whether a repetition would come to the same: the time is over, or the configuration decides so.
    pub lasting: bool,
    /// What the caller is told.
    pub reply: Reply,
}

/// Which terms of `retryOn` cover a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// None: it was decided on this side, or nobody waits any more. Envoy never retries overflow or local replies.
    Never,
    /// No connection was made, and another try may make one.
    Connect,
    /// The connection or stream died.
    Reset,
    /// A limit of this side on one attempt. Envoy resets the attempt itself: a reset here, after the request was sent.
    Silent,
    /// The upstream broke off or broke the rules.
    Broken,
}

/// What the caller is told of an error, and the access log notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, which may be empty; where it is a [`reset`](Self::reset), the reason.
    pub body: &'static str,
    /// The response flag.
    pub flag: Option<Flag>,
    /// Envoy's `%RESPONSE_CODE_DETAILS%`; empty for a reset, whose reason makes them.
    pub details: &'static str,
    /// Whether Envoy words it as a reset of the upstream, with its reason.
    pub reset: bool,
    /// Whether it may cut an answer whose head is out, and is noted then.
    pub cuts: bool,
}

// === impl Kind ===

impl Kind {
    /// What is known of it.
    #[must_use]
    #[rustfmt::skip]
    pub const fn facts(self) -> Facts {
        use {Flag::*, Origin::*};
        match self {
            Self::DeadlineExceeded => own("deadline_exceeded", "the deadline passed", plain(504, LATE, UT, "response_timeout")).lasting(),
            Self::AttemptTimeout => silent("attempt_timeout", "the attempt took longer than the per-try timeout", plain(504, LATE, UT, "upstream_per_try_timeout")),
            Self::IdleTimeout => silent("idle_timeout", "no bytes moved within the idle timeout", plain(504, "stream timeout", SI, "stream_idle_timeout").cuts()),
            // Not in Envoy: to the caller they are per-try timeouts with other clocks. That of the first token runs on after the head.
            Self::HeadersTimeout => silent("headers_timeout", "no response head came within the headers timeout", plain(504, LATE, UT, "headers_timeout")),
            Self::FirstTokenTimeout => silent("first_token_timeout", "no content came within the first-token timeout", plain(504, LATE, UT, "first_token_timeout").cuts()),
            Self::Connect(failure) => of_connect(failure),
            Self::Reset { reason, .. } => of_reset(reason),
            // Not in Envoy, whose "circuit breaker" is a ceiling: the same flag, since dashboards watch it for "refused to protect the
            // upstream", but no `x-envoy-overloaded`, which means a full ceiling.
            Self::CircuitOpen => own("circuit_open", "the circuit breaker is open", plain(503, "circuit breaker open", UO, "circuit_open")),
            Self::NoEndpoints => own("no_endpoints", "no endpoint is available", plain(503, "no healthy upstream", UH, "no_healthy_upstream")),
            Self::NoCluster => own("no_cluster", "the route's cluster does not exist", plain(503, "", NC, "cluster_not_found")).lasting(),
            Self::Overflow => own("overflow", "a resource ceiling was reached", reset(503, "overflow", UO)),
            Self::RateLimited => own("rate_limited", "the rate limit was reached", plain(429, "local_rate_limited", RL, "local_rate_limited")),
            // An interim status cannot end a request.
            Self::FaultAbort(100..=199) => Self::FaultAbort(500).facts(),
            Self::FaultAbort(status) => own("fault_abort", "an injected fault aborted the request", plain(status, "fault filter abort", FI, "fault_filter_abort")),
            Self::Unauthorized => own("unauthorized", "credentials are missing or bad", unflagged(401, "Jwt verification fails", "jwt_authn_access_denied")).of(Downstream).lasting(),
            Self::Forbidden => own("forbidden", "policy refuses the caller", unflagged(403, "RBAC: access denied", "rbac_access_denied")).lasting(),
            // Not in Envoy.
            Self::Withheld => own("withheld", "a key of the mesh is missing or was not to be sent", unflagged(503, "", "credential_withheld")).lasting(),
            Self::UnknownHost => own("unknown_host", "the host is not known to the mesh", unflagged(502, "", "direct_response")).lasting(),
            Self::NoRoute => own("no_route", "no route matches", plain(404, "", NR, "route_not_found")).lasting(),
            Self::BadRequest => own("bad_request", "the request is malformed", plain(400, "", DPE, "bad_request")).of(Downstream),
            Self::BodyTooLarge => own("body_too_large", "the request body is too large", unflagged(413, "Payload Too Large", "request_payload_too_large")).of(Downstream),
            // Envoy's stream idle timeout, when it is the request that is not over.
            Self::UploadTimeout => own("upload_timeout", "the caller stopped sending the request body", plain(408, "stream timeout", SI, "stream_idle_timeout")).of(Downstream),
            // A stream cut short before anything was passed on: Envoy knows it as a protocol error.
            Self::UpstreamProtocol => broken("upstream_protocol", "the upstream broke the protocol", PROTOCOL),
            Self::StreamTruncated => broken("stream_truncated", "the stream ended before its finish marker", PROTOCOL),
            Self::StreamError => broken("stream_error", "the stream carried an error", PROTOCOL),
            Self::StreamMalformed => broken("stream_malformed", "the stream carried an event that cannot be read", PROTOCOL),
            Self::StreamStalled => broken("stream_stalled", "the stream stood still", plain(504, "stream timeout", SI, "stream_stalled").cuts()),
            // nginx's 499; nobody reads it but the access log.
            Self::Canceled => own("canceled", "the caller went away", plain(499, "", DC, "downstream_remote_disconnect").cuts()).of(Downstream),
            Self::Internal => own("internal", "an internal error", unflagged(500, "internal error", "internal_error")),
        }
    }

    /// On whose side the fault lies.
    #[must_use]
    pub const fn origin(self) -> Origin {
        self.facts().origin
    }

    /// A stable, low-cardinality label for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().label
    }
}

// === the rows ===

const LATE: &str = "upstream request timeout";

const PROTOCOL: Reply = reset(502, "protocol error", Flag::UPE).cuts();

#[rustfmt::skip]
const fn of_connect(failure: ConnectFailure) -> Facts {
    // A failed handshake is a failed connection to Envoy; the cause goes in its log only. It would have no endpoints where the name
    // cannot be resolved; here that is part of the dial.
    const REMOTE: &str = "remote connection failure";
    const LOCAL: &str = "local connection failure";
    let (label, message, reason, term) = match failure {
        ConnectFailure::Refused => ("connect_refused", "the upstream refused the connection", REMOTE, Term::Connect),
        ConnectFailure::Timeout => ("connect_timeout", "the connection was not made within the connect timeout", "connection timeout", Term::Connect),
        ConnectFailure::Local => ("connect_local", "this host could not open a connection", LOCAL, Term::Connect),
        ConnectFailure::Dns => ("connect_dns", "the upstream's name could not be resolved", LOCAL, Term::Connect),
        // A certificate that is not good now is not good in a moment.
        ConnectFailure::Tls => ("connect_tls", "the TLS handshake failed", REMOTE, Term::Never),
    };
    upstream(label, message, term, reset(503, reason, Flag::UF))
}

#[rustfmt::skip]
const fn of_reset(reason: ResetReason) -> Facts {
    let (label, message, reason, flag) = match reason {
        ResetReason::Terminated => ("reset_terminated", "the upstream closed the connection", "connection termination", Flag::UC),
        ResetReason::Remote => ("reset_remote", "the upstream reset the stream", "remote reset", Flag::UR),
        ResetReason::Refused => ("reset_refused", "the upstream refused the stream", "remote refused stream reset", Flag::UR),
        ResetReason::Local => ("reset_local", "the stream was reset on this side", "local reset", Flag::LR),
    };
    upstream(label, message, Term::Reset, reset(503, reason, flag).cuts())
}

const fn own(label: &'static str, message: &'static str, reply: Reply) -> Facts {
    Facts {
        label,
        message,
        origin: Origin::Local,
        term: Term::Never,
        lasting: false,
        reply,
    }
}

const fn upstream(label: &'static str, message: &'static str, term: Term, reply: Reply) -> Facts {
    let mut row = own(label, message, reply).of(Origin::Upstream);
    row.term = term;
    row
}

const fn silent(label: &'static str, message: &'static str, reply: Reply) -> Facts {
    upstream(label, message, Term::Silent, reply)
}

const fn broken(label: &'static str, message: &'static str, reply: Reply) -> Facts {
    upstream(label, message, Term::Broken, reply)
}

impl Facts {
    const fn of(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    const fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }
}

const fn plain(status: u16, body: &'static str, flag: Flag, details: &'static str) -> Reply {
    Reply {
        flag: Some(flag),
        ..unflagged(status, body, details)
    }
}

const fn unflagged(status: u16, body: &'static str, details: &'static str) -> Reply {
    Reply {
        status,
        body,
        flag: None,
        details,
        reset: false,
        cuts: false,
    }
}

const fn reset(status: u16, reason: &'static str, flag: Flag) -> Reply {
    Reply {
        reset: true,
        ..plain(status, reason, flag, "")
    }
}

impl Reply {
    const fn cuts(mut self) -> Self {
        self.cuts = true;
        self
    }
}
