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
/// Anthropic's word for overload; others get 503. Money that is gone is a 429, as SDKs know it; a 402 only where the
/// provider asks for payment in a status of its own for it and names no quota.
#[must_use]
pub fn client_status(class: &Class, dialect: Option<Dialect>, key: KeyOwner) -> StatusCode {
    let inside = class.outcome == Outcome::StreamError;
    let received = match (class.stands_for, class.signal) {
        (Some(status), _) => status,
        // An error is no success, whatever came before it.
        (None, Signal::Response { status, .. }) if inside && status.is_success() => {
            StatusCode::BAD_REQUEST
        }
        (None, Signal::Response { status, .. }) => status,
        (None, Signal::Error(_)) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let outcome = match class.outcome {
        Outcome::StreamError => class.inner.unwrap_or(Outcome::ServerError),
        outcome => outcome,
    };
    let asked = !(inside && class.stands_for.is_none());
    let (gateway, caller) = match outcome {
        Outcome::Success | Outcome::OutputInvalid => return received,
        Outcome::ContentFilter if !received.is_server_error() => return received,
        Outcome::QuotaExhausted if asked && matches!(received.as_u16(), 400 | 402 | 412) => {
            (402, 402)
        }
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

    #[test]
    fn an_error_inside_a_success_has_the_status_that_it_would_have_had() {
        for (outcome, told, expected) in [
            (Outcome::QuotaExhausted, None, 429),
            (Outcome::QuotaExhausted, Some(402), 402),
            (Outcome::QuotaExhausted, Some(429), 429),
            (Outcome::ContentFilter, None, 400),
            (Outcome::ContentFilter, Some(403), 403),
            (Outcome::OutputInvalid, None, 400),
            (Outcome::InvalidRequest, None, 400),
            (Outcome::InvalidRequest, Some(422), 422),
            (Outcome::ContextLength, Some(500), 400),
            (Outcome::RequestExceedsLimit, None, 429),
            (Outcome::RequestExceedsLimit, Some(413), 413),
            (Outcome::RateLimited, None, 429),
            (Outcome::ServerError, None, 502),
        ] {
            let mut class = class(Outcome::StreamError, 200);
            class.inner = Some(outcome);
            class.stands_for = told.map(|status| StatusCode::from_u16(status).unwrap());
            let status = client_status(&class, None, KeyOwner::Caller);
            assert_eq!(status, expected, "{outcome:?} {told:?}");
        }
    }

    #[test]
    fn money_that_is_gone_is_a_429_but_where_payment_is_asked_for() {
        for (wire, told, expected) in [
            (429, None, 429),
            (403, None, 429),
            (500, None, 429),
            (402, None, 402),
            (400, None, 402),
            (402, Some(429), 429),
            (200, Some(402), 402),
        ] {
            let mut class = class(Outcome::QuotaExhausted, wire);
            class.stands_for = told.map(|status| StatusCode::from_u16(status).unwrap());
            let status = client_status(&class, None, KeyOwner::Caller);
            assert_eq!(status, expected, "{wire} {told:?}");
        }
    }

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
