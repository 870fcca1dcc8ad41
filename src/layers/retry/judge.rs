//! What follows on the result of an attempt.

use std::borrow::Cow;

use http::Response;

use super::{
    Params, RetryOn,
    attempt::{Call, Then},
    budget::{Price, throttled},
    policy::{self, Attempt, Decision, Reason},
};
use crate::{
    base::{
        BoxError,
        ext::{Deadline, Ended, Flag},
        time::Instant,
    },
    classify::{Class, class_of_result},
};

impl<S> Call<S> {
    /// What follows on a result; `None`: it is the answer. `last_word`: a hop below has given up on it, and why.
    pub(super) fn judge<R>(
        &mut self,
        result: &Result<Response<R>, BoxError>,
        last_word: Option<Ended>,
    ) -> Option<Then> {
        let (now, class) = (Instant::now(), class_of_result(result));
        let attempt = Attempt {
            number: self.number,
            left: Deadline::sooner(self.until.at(now), self.patience).map(|d| d.left(now)),
            replayable: self.kept.is_some() && self.body.can_replay(),
            elsewhere: self.elsewhere,
            again: self.again,
            given_up: last_word.is_some(),
            named: named(&self.shared.params.retry_on, result),
            bucket: self.shared.budget.as_ref().is_some_and(|b| b.is_bucket()),
        };
        match self.decide(&attempt, &class) {
            Decision::Retry { after, hinted } if self.admit(&class, now) => {
                self.note_wait(hinted);
                if let Some(witness) = &self.witness {
                    witness.tell(&class);
                }
                return Some(Then::Retry(after));
            }
            Decision::Retry { .. } => self.ended(Ended::Budget),
            Decision::Stop(Reason::Exhausted) => {
                self.shared.stats.limit_exceeded.inc();
                self.flag(Flag::URX);
                self.ended(Ended::Exhausted);
            }
            Decision::Stop(Reason::NoTime) => {
                if self.waits_in_vain(&class, now) {
                    return Some(Then::WaitOut);
                }
                self.ended(Ended::Exhausted);
            }
            Decision::Stop(Reason::CancelReason) => {
                self.ended(last_word.unwrap_or(Ended::Exhausted));
            }
            // A probe was all that there is to it: the caller's own repetition would be the next one.
            Decision::Stop(Reason::NotReplayable) if self.probe => self.ended(Ended::Exhausted),
            Decision::Stop(_) if class.is_success() => {
                if let Some(budget) = &self.shared.budget {
                    budget.succeeded(self.paid.take());
                }
                if self.number > 1 {
                    self.shared.stats.retry_success.inc();
                }
            }
            Decision::Stop(_) => {}
        }
        None
    }

    /// Whether a back-off lasts until the deadline ends it: as in Envoy it is the deadline that the caller is told of. Where a
    /// wait was asked for, somebody else may be asked, or the caller's own patience ends first, what is there is better.
    fn waits_in_vain(&self, class: &Class, now: Instant) -> bool {
        let own = self.shared.params.waits_out && !self.elsewhere && class.hint.is_none();
        let deadline = self.until.at(now).filter(|_| own);
        let patient = deadline.is_some_and(|d| self.patience.is_none_or(|p| d <= p));
        patient && !throttled(class)
    }

    /// Takes what a retry needs beside the policy's consent: a place under the ceiling, then its price.
    fn admit(&mut self, class: &Class, now: Instant) -> bool {
        let shared = &self.shared;
        let permit = match &shared.ceiling {
            None => None,
            Some(ceiling) => {
                let permit = ceiling.try_acquire();
                if permit.is_none() {
                    shared.stats.overflow.inc();
                    self.flag(Flag::UO);
                    return false;
                }
                permit
            }
        };
        if let Some(budget) = &shared.budget {
            let Some(paid) = budget.withdraw(Price::of(class), now) else {
                shared.stats.budget_exhausted.inc();
                return false;
            };
            self.paid = Some(paid);
        }
        self.permit = permit;
        true
    }

    fn note_wait(&self, hinted: bool) {
        if hinted {
            self.shared.stats.hinted.inc();
            if let Some(record) = &self.record {
                record.note(|n| n.hints_honoured += 1);
            }
        } else {
            self.shared.stats.backoff.inc();
        }
    }

    fn ended(&mut self, why: Ended) {
        self.ended = Some(why);
    }

    fn flag(&self, flag: Flag) {
        if let Some(record) = &self.record {
            record.flag(flag);
        }
    }

    /// What the policy says, within what is possible: a request that was not kept cannot be sent again, nor one that would be too
    /// late.
    fn decide(&self, attempt: &Attempt, class: &Class) -> Decision {
        let shared = &self.shared;
        let Some(own) = &shared.policy else {
            return policy::decide(&self.params(), attempt, class, &shared.rng);
        };
        match own.decide(attempt, class, shared.budget.as_deref(), &shared.rng) {
            Decision::Retry { .. } if attempt.number > shared.params.retries => {
                Decision::Stop(Reason::Exhausted)
            }
            Decision::Retry { .. } if !attempt.replayable => Decision::Stop(Reason::NotReplayable),
            Decision::Retry { after, .. } if attempt.left.is_some_and(|left| after >= left) => {
                Decision::Stop(Reason::NoTime)
            }
            decision => decision,
        }
    }

    /// What holds for this request, where nobody brings a policy of their own.
    fn params(&self) -> Cow<'_, Params> {
        let params = &self.shared.params;
        if !self.ordinary || !params.retry_on.llm {
            return Cow::Borrowed(params);
        }
        let mut params = params.clone();
        params.retry_on.llm = false;
        Cow::Owned(params)
    }
}

/// Whether a response carries a field that is to be sent again for.
fn named<R>(on: &RetryOn, result: &Result<Response<R>, BoxError>) -> bool {
    let Ok(response) = result else { return false };
    let mut names = on.headers.iter();
    names.any(|name| response.headers().contains_key(name))
}
