//! What a caller is told beside the status: whether to come back, and when. Pure.
//!
//! An SDK repeats by status alone, and its repetitions multiply those made here: two of each are nine upstream calls. The
//! SDKs of OpenAI, Anthropic, Groq and Together obey `x-should-retry`, so it says `false` wherever a decision is final, and
//! `true`, with the time, where coming back helps.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header::RETRY_AFTER};

use super::wait::whole_seconds;
use crate::{
    base::ext::{Ended, Notes},
    classify::{Class, Outcome, Signal},
};

const CLASS: HeaderName = HeaderName::from_static("x-llmesh-class");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-llmesh-attempts");
const TARGET: HeaderName = HeaderName::from_static("x-llmesh-target");
const MODEL: HeaderName = HeaderName::from_static("x-llmesh-model");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// SDKs drop or refuse longer waits, and some sleep for whatever they are told: who has to wait longer is not asked back.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether the caller should send the request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// No: the decision is final.
    Never,
    /// Yes, after this.
    After(Duration),
    /// The caller may decide: no repetition was considered here.
    Unsaid,
}

/// Whether a request that came to `class` should be sent again. `wait`: how long its error or its provider asks to wait.
pub(super) fn repeat(class: &Class, wait: Option<Duration>, ended: Option<Ended>) -> Repeat {
    let outcome = class.inner.unwrap_or(class.outcome);
    match outcome {
        Outcome::Success => return Repeat::Unsaid,
        // Verdicts on the request, the key or the account.
        Outcome::Auth
        | Outcome::Cancelled
        | Outcome::ContentFilter
        | Outcome::ContextLength
        | Outcome::InvalidRequest
        | Outcome::NotFound
        | Outcome::Permission
        | Outcome::QuotaExhausted
        | Outcome::QuotaWindow
        | Outcome::RequestExceedsLimit
        | Outcome::TooLarge => return Repeat::Never,
        _ => {}
    }
    if ended == Some(Ended::Budget) || forbidden(class, outcome) {
        return Repeat::Never;
    }
    let helps = matches!(
        outcome,
        Outcome::Local
            | Outcome::ModelNotReady
            | Outcome::Overloaded
            | Outcome::RampLimited
            | Outcome::RateLimited
    );
    match wait.filter(|_| helps) {
        Some(wait) if wait > LONGEST => Repeat::Never,
        Some(wait) => Repeat::After(wait),
        None if ended.is_some() => Repeat::Never,
        None => Repeat::Unsaid,
    }
}

/// Whether the provider forbade it, the time is over, or the mesh itself will say the same again.
fn forbidden(class: &Class, outcome: Outcome) -> bool {
    match class.signal {
        Signal::Response { .. } => outcome.retry_same() && !class.retry_same,
        Signal::Error(kind) => kind.facts().lasting,
    }
}

// === free functions ===

/// Writes the answer to [`repeat`].
pub(super) fn write_repeat(headers: &mut HeaderMap, repeat: Repeat) {
    match repeat {
        Repeat::Unsaid => {}
        Repeat::Never => {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        Repeat::After(wait) => {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("true"));
            headers.insert(RETRY_AFTER_MS, whole_millis(wait).into());
            headers.insert(RETRY_AFTER, whole_seconds(wait).into());
        }
    }
}

/// Writes what an answer came to, after how many attempts, and whose it is.
pub(super) fn write_class(headers: &mut HeaderMap, class: &Class, notes: &Notes) {
    let outcome = class.inner.unwrap_or(class.outcome);
    headers.insert(CLASS, HeaderValue::from_static(outcome.as_str()));
    headers.insert(ATTEMPTS, notes.attempts.into());
    write_target(headers, notes);
}

/// Writes what a good answer took: how many attempts if there was more than one, and whose it is if it is a fallback's.
pub(super) fn write_effort(headers: &mut HeaderMap, notes: &Notes) {
    if notes.attempts > 1 {
        headers.insert(ATTEMPTS, notes.attempts.into());
    }
    if notes.answered_by.as_ref().is_some_and(|by| by.place > 0) {
        write_target(headers, notes);
    }
}

/// Takes out what an upstream says in the names that speak of this side.
pub(super) fn strip(headers: &mut HeaderMap) {
    for name in [CLASS, ATTEMPTS, TARGET, MODEL] {
        headers.remove(name);
    }
}

/// Writes whose answer it is.
fn write_target(headers: &mut HeaderMap, notes: &Notes) {
    let fallback = notes.answered_by.as_ref();
    let routed = notes.route.as_ref().map(|route| &route.cluster);
    let cluster = fallback.map(|by| &by.cluster).or(routed);
    insert(headers, TARGET, cluster.map(|name| &**name));
    let model = fallback
        .filter(|by| by.place > 0)
        .and_then(|by| by.model.as_deref());
    insert(headers, MODEL, model);
}

fn whole_millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A name that is no header value is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::base::Kind;

    fn answered(outcome: Outcome, status: u16) -> Class {
        let signal = Signal::Response {
            status: StatusCode::from_u16(status).unwrap(),
            grpc_status: None,
            ratelimited: false,
        };
        Class::new(outcome, signal)
    }

    const fn seconds(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(n))
    }

    #[test]
    fn a_decision_that_is_final_is_said_to_be() {
        use Outcome::*;
        for (outcome, wait, ended, expected) in [
            (QuotaExhausted, seconds(5), None, Repeat::Never),
            (QuotaWindow, seconds(5), None, Repeat::Never),
            (ContextLength, None, None, Repeat::Never),
            (ContentFilter, None, None, Repeat::Never),
            (Auth, None, None, Repeat::Never),
            (Permission, None, None, Repeat::Never),
            (InvalidRequest, None, None, Repeat::Never),
            (TooLarge, None, None, Repeat::Never),
            (RequestExceedsLimit, seconds(5), None, Repeat::Never),
            (
                RateLimited,
                seconds(5),
                None,
                Repeat::After(Duration::from_secs(5)),
            ),
            (
                RampLimited,
                seconds(60),
                None,
                Repeat::After(Duration::from_secs(60)),
            ),
            (
                Overloaded,
                seconds(1),
                Some(Ended::Exhausted),
                Repeat::After(Duration::from_secs(1)),
            ),
            (RateLimited, seconds(61), None, Repeat::Never),
            (RateLimited, seconds(5), Some(Ended::Budget), Repeat::Never),
            (RateLimited, None, Some(Ended::Exhausted), Repeat::Never),
            (RateLimited, None, None, Repeat::Unsaid),
            (ServerError, None, Some(Ended::Exhausted), Repeat::Never),
            (
                ServerError,
                seconds(5),
                Some(Ended::Exhausted),
                Repeat::Never,
            ),
            (ServerError, None, None, Repeat::Unsaid),
            (Timeout, None, None, Repeat::Unsaid),
        ] {
            let class = answered(outcome, 500);
            assert_eq!(
                repeat(&class, wait, ended),
                expected,
                "{outcome:?} {wait:?} {ended:?}"
            );
        }
        let mut forbidden = answered(RateLimited, 429);
        forbidden.retry_same = false;
        assert_eq!(repeat(&forbidden, seconds(5), None), Repeat::Never);
        let mut inside = answered(StreamError, 200);
        inside.inner = Some(QuotaExhausted);
        assert_eq!(repeat(&inside, None, None), Repeat::Never);
    }

    #[test]
    fn errors_of_this_side_say_what_they_know() {
        for (kind, wait, expected) in [
            (Kind::DeadlineExceeded, None, Repeat::Never),
            (Kind::NoRoute, None, Repeat::Never),
            (
                Kind::RateLimited,
                seconds(3),
                Repeat::After(Duration::from_secs(3)),
            ),
            (Kind::RateLimited, seconds(90), Repeat::Never),
            (
                Kind::CircuitOpen,
                seconds(2),
                Repeat::After(Duration::from_secs(2)),
            ),
            (Kind::Overflow, None, Repeat::Unsaid),
        ] {
            let class = Class::new(Outcome::Local, Signal::Error(kind));
            let class = if kind == Kind::DeadlineExceeded {
                Class {
                    outcome: Outcome::Timeout,
                    ..class
                }
            } else {
                class
            };
            assert_eq!(repeat(&class, wait, None), expected, "{kind:?}");
        }
    }

    #[test]
    fn waits_are_rounded_up() {
        let mut headers = HeaderMap::new();
        write_repeat(
            &mut headers,
            Repeat::After(Duration::from_micros(1_000_001)),
        );
        assert_eq!(headers["x-should-retry"], "true");
        assert_eq!(headers["retry-after-ms"], "1001");
        assert_eq!(headers["retry-after"], "2");
    }
}
