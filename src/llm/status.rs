//! The status that our own caller gets for a class.

use ::http::StatusCode;

use crate::{
    classify::{Class, Outcome, Signal},
    llm::dialect::Dialect,
};

/// Whose credential the upstream refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    /// The mesh put the credential on: its caller cannot mend it.
    #[default]
    Gateway,
    /// The caller's own, passed through.
    Caller,
}

/// The status to give to a caller that speaks `dialect`.
///
/// A refusal of *our* credential is a 502: as a 401 it would send the caller looking for a fault in theirs. 529 is
/// Anthropic's word for overload; others get 503.
#[must_use]
pub fn client_status(class: &Class, dialect: Option<Dialect>, key: KeyOwner) -> StatusCode {
    let received = match class.signal {
        Signal::Response { status, .. } => status,
        Signal::Error(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let status = match class.outcome {
        Outcome::StreamError => class.inner.unwrap_or(Outcome::ServerError),
        outcome => outcome,
    };
    let (gateway, caller) = match status {
        Outcome::Success | Outcome::OutputInvalid => return received,
        Outcome::ContentFilter if !received.is_server_error() => return received,
        Outcome::QuotaExhausted if received != StatusCode::TOO_MANY_REQUESTS => (402, 402),
        Outcome::QuotaExhausted
        | Outcome::QuotaWindow
        | Outcome::RampLimited
        | Outcome::RateLimited => (429, 429),
        Outcome::RequestExceedsLimit if received == StatusCode::PAYLOAD_TOO_LARGE => (413, 413),
        Outcome::RequestExceedsLimit => (429, 429),
        Outcome::InvalidRequest if received == StatusCode::UNPROCESSABLE_ENTITY => (422, 422),
        Outcome::ContentFilter | Outcome::ContextLength | Outcome::InvalidRequest => (400, 400),
        Outcome::TooLarge => (413, 413),
        Outcome::Auth => (502, 401),
        Outcome::Permission => (502, 403),
        Outcome::NotFound => (404, 404),
        Outcome::Conflict => (409, 409),
        Outcome::Cancelled => (499, 499),
        Outcome::Timeout | Outcome::FirstTokenTimeout => (504, 504),
        Outcome::Overloaded if dialect == Some(Dialect::Anthropic) => (529, 529),
        Outcome::Overloaded | Outcome::ModelNotReady | Outcome::Local => (503, 503),
        Outcome::Connect
        | Outcome::MalformedStream
        | Outcome::Reset
        | Outcome::ServerError
        | Outcome::StreamError
        | Outcome::StreamStalled
        | Outcome::StreamTruncated => (502, 502),
    };
    let status = match key {
        KeyOwner::Gateway => gateway,
        KeyOwner::Caller => caller,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(outcome: Outcome, status: u16) -> Class {
        let signal = Signal::Response {
            status: StatusCode::from_u16(status).unwrap(),
            grpc_status: None,
            ratelimited: false,
        };
        Class::new(outcome, signal)
    }

    #[test]
    fn whose_key_it_was_decides_what_a_refusal_looks_like() {
        for (outcome, wire, gateway, caller) in [
            (Outcome::Auth, 401, 502, 401),
            (Outcome::Permission, 403, 502, 403),
            (Outcome::RateLimited, 429, 429, 429),
            (Outcome::InvalidRequest, 405, 400, 400),
            (Outcome::ContentFilter, 200, 200, 200),
        ] {
            let class = class(outcome, wire);
            for (owner, expected) in [(KeyOwner::Gateway, gateway), (KeyOwner::Caller, caller)] {
                assert_eq!(client_status(&class, None, owner), expected, "{outcome:?}");
            }
        }
    }

    #[test]
    fn only_anthropics_callers_know_529() {
        let class = class(Outcome::Overloaded, 529);
        let of = |dialect| client_status(&class, dialect, KeyOwner::Gateway).as_u16();
        assert_eq!(of(Some(Dialect::Anthropic)), 529);
        assert_eq!(of(Some(Dialect::OpenAi)), 503);
        assert_eq!(of(None), 503);
    }
}
