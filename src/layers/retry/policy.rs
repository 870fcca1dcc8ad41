//! Whether and when to try again: pure, so that a table can test it.
//!
//! The rules are Envoy's (`RetryStateImpl::shouldRetry`), with three additions. A provider's verdict that a repetition
//! is useless or harmful (an empty account, a prompt over the context window, a refused key, …) overrules the
//! configured terms. A provider that says how long to wait is obeyed instead of the back-off. And one of models that asks
//! to slow down without saying how long is not asked for about a second, not for Envoy's 25 ms.

use std::{fmt, time::Duration};

use http::StatusCode;

use super::{
    RetryBudget,
    budget::throttled,
    params::{Params, RetryOn},
};
use crate::{
    base::{
        Kind, SharedRng,
        error::{ResetReason, Term},
    },
    classify::{Class, Hint, Outcome, Signal},
};

/// The attempt that just ended.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// What is left until the deadline; `None` is no deadline.
    pub left: Option<Duration>,
    /// Whether the request can be sent again: its body was kept whole.
    pub replayable: bool,
    /// Whether another target may be asked instead.
    pub elsewhere: bool,
    /// Whether the request is a retry of whoever sent it: then the repetitions are theirs.
    pub again: bool,
    /// Whether the hop below has given up on it: its answer is the last word of that target.
    pub given_up: bool,
    /// Whether its answer carries a field that is to be sent again for ([`RetryOn::headers`]).
    pub named: bool,
    /// Whether retries are paid from a token bucket, as AWS' SDKs do: then a hint is followed as they follow it.
    pub bucket: bool,
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Hand on what the attempt came to.
    Stop(Reason),
    /// Send the request again.
    Retry {
        /// After this wait.
        after: Duration,
        /// Whether the provider asked for the wait.
        hinted: bool,
    },
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No term covers what happened.
    NotListed,
    /// The provider's verdict forbids a repetition.
    Forbidden,
    /// The hop below has tried what it may.
    CancelReason,
    /// The request is a retry itself.
    Again,
    /// All retries are used up.
    Exhausted,
    /// The request's body was not kept whole.
    NotReplayable,
    /// The provider asks for a longer wait than is accepted.
    HintTooLong,
    /// The wait does not fit into what is left until the deadline.
    NoTime,
}

/// The ceiling that AWS' SDKs put on a server's wish above their own wait.
const AWS_HINT_SPAN: Duration = Duration::from_secs(5);

/// Rules of one's own in the place of those of [`Params`], for [`RetryLayer::with_policy`](super::RetryLayer::with_policy).
///
/// It is asked after each attempt and should be pure: what it needs it is given, chance included. It is not asked to keep
/// within the number of retries, the budget, the ceiling or the time that is left: the layer sees to those, whatever it says.
pub trait Policy: fmt::Debug + Send + Sync {
    /// Decides after an attempt that came to `class`. `budget` is only to be looked at: the layer pays for what is decided.
    fn decide(
        &self,
        attempt: &Attempt,
        class: &Class,
        budget: Option<&RetryBudget>,
        rng: &SharedRng,
    ) -> Decision;
}

/// The rules that hold where nobody brings any: [`decide`]. For a policy that changes a part of them.
impl Policy for Params {
    fn decide(
        &self,
        attempt: &Attempt,
        class: &Class,
        _: Option<&RetryBudget>,
        rng: &SharedRng,
    ) -> Decision {
        decide(self, attempt, class, rng)
    }
}

/// Decides after an attempt.
#[must_use]
pub fn decide(params: &Params, attempt: &Attempt, class: &Class, rng: &SharedRng) -> Decision {
    if !listed(&params.retry_on, class, attempt.named) {
        return Decision::Stop(Reason::NotListed);
    }
    if forbidden(class) || (attempt.elsewhere && !class.retry_same) {
        return Decision::Stop(Reason::Forbidden);
    }
    if attempt.given_up {
        return Decision::Stop(Reason::CancelReason);
    }
    if attempt.again {
        return Decision::Stop(Reason::Again);
    }
    if attempt.number > params.retries {
        return Decision::Stop(Reason::Exhausted);
    }
    if !attempt.replayable {
        return Decision::Stop(Reason::NotReplayable);
    }
    let Some((after, hinted)) = wait(params, attempt, class, rng) else {
        return Decision::Stop(Reason::HintTooLong);
    };
    // Another target needs time too.
    let share = if attempt.elsewhere { 2 } else { 1 };
    let left = attempt.left.map(|left| left / share);
    match left.filter(|left| after >= *left) {
        None => Decision::Retry { after, hinted },
        // A pace of ours is shortened to what there is time for; as long as it is one.
        Some(left) if !hinted && paced(params, class) && left / 2 >= after / 4 => Decision::Retry {
            after: left / 2,
            hinted,
        },
        Some(_) => Decision::Stop(Reason::NoTime),
    }
}

/// Whether a term covers what happened.
fn listed(on: &RetryOn, class: &Class, named: bool) -> bool {
    match class.signal {
        Signal::Response {
            ratelimited: true, ..
        } => on.envoy_ratelimited,
        Signal::Response {
            status,
            grpc_status,
            ..
        } => {
            named
                || status_listed(on, status, class)
                || grpc_status.is_some_and(|code| on.grpc_statuses.contains(&code))
                || (on.llm && class.retry_same)
        }
        Signal::Error(kind) => error_listed(on, kind, class),
    }
}

fn status_listed(on: &RetryOn, status: StatusCode, class: &Class) -> bool {
    let outcome = class.inner.unwrap_or(class.outcome);
    let pacing = outcome.is_pacing();
    (on.server_error && status.is_server_error())
        || (on.gateway_error && matches!(status.as_u16(), 502..=504))
        || (on.retriable_4xx && (status == 409 || (status == 429 && pacing)))
        || on.statuses.contains(&status.as_u16())
}

fn error_listed(on: &RetryOn, kind: Kind, class: &Class) -> bool {
    let no_response = on.server_error || on.gateway_error || on.reset;
    match kind.facts().term {
        Term::Never => false,
        Term::Connect => no_response || on.reset_before_request || on.connect_failure,
        Term::Reset => {
            let unsent = matches!(kind, Kind::Reset { sent: false, .. }) && !class.sent;
            let refused = matches!(
                kind,
                Kind::Reset {
                    reason: ResetReason::Refused,
                    ..
                }
            );
            no_response || (on.reset_before_request && unsent) || (on.refused_stream && refused)
        }
        Term::Silent => no_response,
        Term::Broken => no_response || (on.llm && class.retry_same),
    }
}

/// Whether the provider's verdict forbids to ask the same target again.
fn forbidden(class: &Class) -> bool {
    let answered = match class.signal {
        // Our own limit, under Envoy's rule alone.
        Signal::Error(Kind::AttemptTimeout) => return false,
        // Limits of one target among several: the silent one is not asked again.
        Signal::Error(
            Kind::FirstTokenTimeout
            | Kind::HeadersTimeout
            | Kind::StreamError
            | Kind::StreamStalled,
        ) => return !class.retry_same,
        Signal::Error(_) => false,
        Signal::Response { .. } => true,
    };
    // `x-should-retry: false`, or an error inside the answer that forbids it.
    if answered && class.outcome.retry_same() && !class.retry_same {
        return true;
    }
    let verdict = matches!(
        class.outcome,
        Outcome::Auth
            | Outcome::Cancelled
            | Outcome::ContentFilter
            | Outcome::ContextLength
            | Outcome::InvalidRequest
            | Outcome::Permission
            | Outcome::QuotaExhausted
            | Outcome::QuotaWindow
            | Outcome::RequestExceedsLimit
            | Outcome::TooLarge
    );
    // A status without a word from the provider is no verdict against an operator who lists it.
    verdict && !class.status_only
}

/// The wait and whether it was asked for; `None` if it is longer than accepted.
fn wait(
    params: &Params,
    attempt: &Attempt,
    class: &Class,
    rng: &SharedRng,
) -> Option<(Duration, bool)> {
    let backoff = &params.backoff;
    let own = class
        .paced
        .then(|| backoff.paced(attempt.number, rng))
        .flatten()
        .unwrap_or_else(|| backoff.wait(attempt.number, throttled(class), rng));
    let Some(Hint { wait, .. }) = class.hint else {
        return Some((own, false));
    };
    if attempt.elsewhere && wait > params.fallback_hint {
        return None;
    }
    if attempt.bucket {
        return Some((wait.clamp(own, own.saturating_add(AWS_HINT_SPAN)), true));
    }
    // Up to a tenth more, so that callers told the same do not come back together; never less.
    (wait <= params.max_hint).then(|| (wait.saturating_add(wait.mul_f64(rng.unit() / 10.0)), true))
}

/// Whether the wait without a hint is a provider's pace.
fn paced(params: &Params, class: &Class) -> bool {
    class.paced && params.backoff.pace.is_some()
}

#[cfg(test)]
mod tests;
