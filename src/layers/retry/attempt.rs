//! The loop over the attempts of one request.

use std::{borrow::Cow, future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, request::Parts};
use http_body::Body;
use tower::Service;

use super::{
    Params, RetryBudget, RetryOn, Stats,
    budget::{Paid, Price},
    policy::{self, Decision, Reason},
};
use crate::{
    base::{
        BoxError, Ceiling, Error, Kind, Permit, SharedRng,
        ext::{
            Attempt, Chain, Deadline, Ended, Flag, GivenUp, Ordinary, Patience, Record,
            RetriesAnswers, RetryHeaders, Tried, TryClock, Until,
        },
        hops::{self, ATTEMPT_COUNT},
        time::{Instant, sleep},
    },
    body::replay::{Lag, Replay},
    classify::{Class, Witness, class_of_result},
};

/// What the services of a layer share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) params: Params,
    pub(super) budget: Option<Arc<RetryBudget>>,
    pub(super) ceiling: Option<Ceiling>,
    pub(super) rng: SharedRng,
    pub(super) stats: Arc<Stats>,
}

impl Shared {
    /// The same for a request that asks for other retries.
    pub(super) fn asked(&self, asked: &RetryHeaders) -> Self {
        Self {
            params: self.params.asked(asked),
            ..self.clone()
        }
    }
}

/// One request on its way through its attempts.
pub(super) struct Call<S, B> {
    inner: S,
    shared: Arc<Shared>,
    /// Kept while another attempt may follow.
    head: Option<Parts>,
    body: Replay<B>,
    number: u32,
    until: Until,
    /// Until when the caller waits for a head.
    patience: Option<Deadline>,
    record: Option<Record>,
    /// Whether another target may be asked after this one.
    elsewhere: bool,
    /// Whether it is no LLM call: the classifier's own word is no reason to send it again.
    ordinary: bool,
    /// Whether this is a retry of whoever sent it.
    again: bool,
    /// Whether the target is only probed: one send says enough.
    probe: bool,
    witness: Option<Witness>,
    /// Held while a retry is under way.
    permit: Option<Permit>,
    /// What the last retry cost.
    paid: Option<Paid>,
}

/// What follows on an attempt's result.
enum Then {
    Return,
    Retry(Duration),
    /// No retry before the deadline, which is waited for.
    WaitOut,
}

// === impl Call ===

impl<S, B, R> Call<S, B>
where
    S: Service<Request<Replay<B>>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// `inner` must be ready.
    pub(super) fn new(inner: S, shared: Arc<Shared>, mut head: Parts, body: Replay<B>) -> Self {
        if shared.params.avoid_tried && head.extensions.get::<Tried>().is_none() {
            head.extensions.insert(Tried::default());
        }
        Self {
            until: Until::of(&head.extensions),
            patience: head.extensions.get::<Patience>().map(|p| Deadline(p.0)),
            record: head.extensions.get::<Record>().cloned(),
            elsewhere: head.extensions.get::<Chain>().is_some_and(|c| c.follows),
            ordinary: head.extensions.get::<Ordinary>().is_some(),
            again: hops::is_retry(&head.headers),
            probe: head.extensions.get::<Chain>().is_some_and(|c| c.probe),
            witness: head.extensions.get::<Witness>().cloned(),
            inner,
            shared,
            head: Some(head),
            body,
            number: 0,
            permit: None,
            paid: None,
        }
    }

    pub(super) async fn run(mut self) -> Result<Response<R>, BoxError> {
        // What the caller sends again is a retry itself: it earns none.
        if let Some(budget) = self.shared.budget.as_ref().filter(|_| !self.again) {
            budget.deposit(Instant::now());
        }
        loop {
            let (request, limit) = self.next_request()?;
            let mut result = self.send(request, limit).await;
            self.permit = None;
            let last_word = result
                .as_mut()
                .ok()
                .and_then(|response| hops::take_final(response.headers_mut()));
            match self.judge(&result, last_word) {
                Then::Return => return result,
                Then::Retry(wait) if wait.is_zero() => drop(result),
                Then::Retry(wait) => {
                    drop(result);
                    sleep(wait).await;
                }
                Then::WaitOut => {
                    drop(result);
                    self.until.wait().await;
                }
            }
            if self.until.passed(Instant::now()) {
                return Err(Error::new(Kind::DeadlineExceeded).into());
            }
            self.ready().await?;
            self.shared.stats.retries.inc();
        }
    }

    /// The request of the next attempt and its limit. The head is copied only if yet another attempt may follow.
    fn next_request(&mut self) -> Result<(Request<Replay<B>>, Option<Duration>), BoxError> {
        self.number += 1;
        let params = &self.shared.params;
        let only_once = self.again || self.probe;
        let may_retry = !only_once && self.number <= params.retries && self.body.can_replay();
        let head = if may_retry {
            self.head.clone()
        } else {
            self.head.take()
        };
        // `judge` ends the loop once the head is gone.
        let mut head = head.ok_or(Kind::Internal).map_err(Error::new)?;
        let now = Instant::now();
        // A per-try timeout that does not end before the deadline is left to the deadline. Where that moves, so does it: see `send`.
        let limit = params
            .per_try_timeout
            .filter(|limit| self.until.at(now).is_none_or(|d| *limit < d.left(now)));
        let fixed = limit.filter(|_| !self.until.moves());
        let ends = fixed.and_then(|limit| now.checked_add(limit)).map(Deadline);
        if let Some(deadline) = Deadline::sooner(self.until.fixed(), ends) {
            head.extensions.insert(deadline);
        }
        let answers = may_retry && params.retry_on.answers();
        stamp(
            &mut head,
            self.number,
            may_retry,
            answers,
            params.attempt_header,
        );
        Ok((Request::from_parts(head, self.body.clone()), limit))
    }

    /// What holds for this request.
    fn params(&self) -> Cow<'_, Params> {
        let params = &self.shared.params;
        if !self.ordinary || !params.retry_on.llm {
            return Cow::Borrowed(params);
        }
        let mut params = params.clone();
        params.retry_on.llm = false;
        Cow::Owned(params)
    }

    /// Sends one attempt. At its limit the inner future is dropped.
    async fn send(
        &mut self,
        mut request: Request<Replay<B>>,
        limit: Option<Duration>,
    ) -> Result<Response<R>, BoxError> {
        // What was given up before says nothing about this attempt.
        if let Some(given_up) = request.extensions().get::<GivenUp>() {
            given_up.set(None);
        }
        let Some(limit) = limit else {
            let lag = Lag::of(request.extensions());
            let request = request.map(|body| body.with_lag(lag));
            return self.inner.call(request).await.map_err(Into::into);
        };
        let clock = TryClock::start();
        request.extensions_mut().insert(clock.clone());
        if self.until.moves() {
            let each = self.until.allowance().clone().and(clock.clone(), limit);
            request.extensions_mut().insert(each);
        }
        let given_up = request
            .extensions_mut()
            .get_or_insert_default::<GivenUp>()
            .clone();
        let lag = Lag::of(request.extensions());
        let request = request.map(|body| body.with_lag(lag));
        // Set before the attempt is dropped: whoever watches it must know why.
        let expired = async {
            clock.expired(limit).await;
            given_up.set(Some(Kind::AttemptTimeout));
        };
        tokio::select! {
            biased;
            result = self.inner.call(request) => result.map_err(Into::into),
            () = expired => {
                self.shared.stats.per_try_timeout.inc();
                Err(Error::new(Kind::AttemptTimeout).into())
            }
        }
    }

    /// What follows on a result. `last_word`: a hop below has given up on it, and why.
    fn judge(&mut self, result: &Result<Response<R>, BoxError>, last_word: Option<Ended>) -> Then {
        let (now, class) = (Instant::now(), class_of_result(result));
        let attempt = policy::Attempt {
            number: self.number,
            left: Deadline::sooner(self.until.at(now), self.patience).map(|d| d.left(now)),
            replayable: self.head.is_some() && self.body.can_replay(),
            elsewhere: self.elsewhere,
            again: self.again,
            given_up: last_word.is_some(),
            named: named(&self.shared.params.retry_on, result),
        };
        match policy::decide(&self.params(), &attempt, &class, &self.shared.rng) {
            Decision::Retry { after, hinted } if self.admit(&class, now) => {
                self.note_wait(hinted);
                if let Some(witness) = &self.witness {
                    witness.tell(&class);
                }
                return Then::Retry(after);
            }
            Decision::Retry { .. } => self.ended(Ended::Budget),
            Decision::Stop(Reason::Exhausted) => {
                self.shared.stats.limit_exceeded.inc();
                self.flag(Flag::URX);
                self.ended(Ended::Exhausted);
            }
            Decision::Stop(Reason::NoTime) => {
                if self.waits_in_vain(&class, now) {
                    return Then::WaitOut;
                }
                self.ended(Ended::Exhausted);
            }
            Decision::Stop(Reason::GivenUp) => {
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
        Then::Return
    }

    /// Whether a back-off lasts until the deadline ends it: as in Envoy it is the deadline that the caller is told of. Where a
    /// wait was asked for, somebody else may be asked, or the caller's own patience ends first, what is there is better.
    fn waits_in_vain(&self, class: &Class, now: Instant) -> bool {
        let own = self.shared.params.waits_out && !self.elsewhere && class.hint.is_none();
        let deadline = self.until.at(now).filter(|_| own);
        let patient = deadline.is_some_and(|d| self.patience.is_none_or(|p| d <= p));
        patient && !policy::throttled(class)
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

    fn ended(&self, why: Ended) {
        if let Some(record) = &self.record {
            record.note(|n| n.ended = Some(why));
        }
    }

    fn flag(&self, flag: Flag) {
        if let Some(record) = &self.record {
            record.flag(flag);
        }
    }

    /// Waits for the inner service, not beyond the deadline.
    async fn ready(&mut self) -> Result<(), BoxError> {
        let ready = poll_fn(|cx| self.inner.poll_ready(cx));
        tokio::select! {
            biased;
            ready = ready => ready.map_err(Into::into),
            () = self.until.wait() => Err(Error::new(Kind::DeadlineExceeded).into()),
        }
    }
}

/// Whether a response carries a field that is to be sent again for.
fn named<R>(on: &RetryOn, result: &Result<Response<R>, BoxError>) -> bool {
    let Ok(response) = result else { return false };
    let mut names = on.headers.iter();
    names.any(|name| response.headers().contains_key(name))
}

/// Marks a request's head as this attempt, and notes it. What may be retried here may also be answered elsewhere.
/// If attempts are timed, the time of this one begins.
pub(super) fn stamp(
    head: &mut Parts,
    number: u32,
    mut may_retry: bool,
    mut answers: bool,
    header: bool,
) {
    let mut number = number;
    if let Some(chain) = head.extensions.get::<Chain>() {
        number = chain.send();
        may_retry |= chain.follows;
        answers |= chain.follows;
    }
    head.extensions.insert(Attempt { number, may_retry });
    if head.extensions.get::<TryClock>().is_some() {
        head.extensions.insert(TryClock::start());
    }
    if answers {
        head.extensions.insert(RetriesAnswers);
    } else {
        head.extensions.remove::<RetriesAnswers>();
    }
    if let Some(record) = head.extensions.get::<Record>() {
        record.note(|n| n.attempts = number);
    }
    if header {
        let count = match number {
            1 => HeaderValue::from_static("1"),
            n => HeaderValue::from(n),
        };
        head.headers.insert(ATTEMPT_COUNT, count);
    }
}
