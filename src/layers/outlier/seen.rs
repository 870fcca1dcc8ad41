//! What one attempt says of its endpoint, in the detector's terms.

use crate::{
    base::{
        Kind,
        error::{ConnectFailure, ResetReason, Term},
    },
    classify::{Class, Outcome, Signal},
};

/// What was seen of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It answered with this HTTP status, or with a gRPC status that maps to it.
    Status(u16),
    /// It did not answer in time.
    Timeout,
    /// The connection failed, was reset or broke the protocol.
    Failure,
    /// No TLS connection could be agreed upon. Says something of this endpoint only where others of its set take them.
    Untrusted,
}

// === impl Observation ===

impl Observation {
    /// What this class says; `None` if it says nothing of the endpoint.
    ///
    /// A status of 500 or more whose class is the caller's mistake says nothing: some providers answer so to a bad
    /// request.
    #[must_use]
    pub fn of_class(class: &Class) -> Option<Self> {
        match class.signal {
            Signal::Response {
                status,
                grpc_status,
                ..
            } => {
                let status = grpc_status.map_or(status.as_u16(), http_of_grpc);
                let outcome = class.inner.unwrap_or(class.outcome);
                (status < 500 || !callers_mistake(outcome)).then_some(Self::Status(status))
            }
            Signal::Error(_) if matches!(class.outcome, Outcome::Local | Outcome::Cancelled) => {
                None
            }
            // Whose fault an error inside a stream is stands in the event, not in its kind.
            Signal::Error(Kind::StreamError) if !class.blames_target() => None,
            Signal::Error(kind) => Self::of_kind(kind),
        }
    }

    /// What an error of this kind says; `None` if it says nothing of the endpoint.
    #[must_use]
    pub fn of_kind(kind: Kind) -> Option<Self> {
        match (kind, kind.facts().term) {
            (Kind::DeadlineExceeded | Kind::StreamStalled, _) | (_, Term::Silent) => {
                Some(Self::Timeout)
            }
            // A stream that this side reset may have been reset for the caller's sake.
            (
                Kind::Reset {
                    reason: ResetReason::Local,
                    ..
                },
                _,
            ) => None,
            (Kind::Connect(ConnectFailure::Tls), _) => Some(Self::Untrusted),
            (_, Term::Connect | Term::Reset | Term::Broken) => Some(Self::Failure),
            (_, Term::Never) => None,
        }
    }

    /// The HTTP status it counts as.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Status(status) => status,
            Self::Timeout => 504,
            Self::Failure | Self::Untrusted => 503,
        }
    }

    /// Whether the failure was seen on this side, without an answer.
    #[must_use]
    pub fn is_local(self) -> bool {
        !matches!(self, Self::Status(_))
    }
}

fn callers_mistake(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::InvalidRequest
            | Outcome::TooLarge
            | Outcome::ContextLength
            | Outcome::RequestExceedsLimit
            | Outcome::ContentFilter
            | Outcome::Auth
            | Outcome::Permission
    )
}

/// Envoy's `Grpc::Utility::grpcToHttpStatus`.
fn http_of_grpc(status: u16) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn response(outcome: Outcome, status: StatusCode, grpc_status: Option<u16>) -> Class {
        let signal = Signal::Response {
            status,
            grpc_status,
            ratelimited: false,
        };
        Class::new(outcome, signal)
    }

    #[test]
    fn a_callers_mistake_never_counts() {
        let mistake = response(
            Outcome::InvalidRequest,
            StatusCode::INTERNAL_SERVER_ERROR,
            None,
        );
        assert_eq!(Observation::of_class(&mistake), None);
        let refused = response(Outcome::InvalidRequest, StatusCode::BAD_REQUEST, None);
        assert_eq!(
            Observation::of_class(&refused),
            Some(Observation::Status(400))
        );
        for kind in [
            Kind::BadRequest,
            Kind::BodyTooLarge,
            Kind::Canceled,
            Kind::Overflow,
            Kind::Reset {
                reason: ResetReason::Local,
                sent: true,
            },
        ] {
            assert_eq!(Observation::of_kind(kind), None, "{kind:?}");
        }
    }

    #[test]
    fn statuses_and_failures_as_envoy_counts_them() {
        let grpc = response(Outcome::ServerError, StatusCode::OK, Some(14));
        assert_eq!(Observation::of_class(&grpc), Some(Observation::Status(503)));
        let grpc_ok = response(Outcome::Success, StatusCode::OK, Some(0));
        assert_eq!(
            Observation::of_class(&grpc_ok),
            Some(Observation::Status(200))
        );
        let refused = Kind::Connect(ConnectFailure::Refused);
        assert_eq!(
            Observation::of_kind(refused).map(Observation::status),
            Some(503)
        );
        assert_eq!(
            Observation::of_kind(Kind::AttemptTimeout).map(Observation::status),
            Some(504)
        );
        let grpc_cancelled = response(Outcome::Cancelled, StatusCode::OK, Some(1));
        assert_eq!(
            Observation::of_class(&grpc_cancelled),
            Some(Observation::Status(499))
        );
        let local = Class::new(Outcome::Local, Signal::Error(refused));
        assert_eq!(Observation::of_class(&local), None);
    }
}
