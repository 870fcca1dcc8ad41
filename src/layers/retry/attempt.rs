//! The loop over the attempts of one request.

use std::{future::poll_fn, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, request::Parts};
use tower::Service;

use super::{
    Params, Policy, RetryBudget, Stats,
    budget::Paid,
    future::{Follow, Next},
    kept::Kept,
};
use crate::{
    base::{
        BoxError, Ceiling, Error, Kind, Permit, SharedRng,
        ext::{
            Attempt, Chain, Deadline, Ended, Ordinary, Record, RetryHeaders, Tried, TryClock, Until,
        },
        hops::{self, ATTEMPT_COUNT},
        time::{Instant, sleep},
    },
    body::RequestBody,
    classify::AttemptObserver,
};

/// What the services of a layer share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) params: Params,
    /// In the place of the rules of `params`.
    pub(super) policy: Option<Arc<dyn Policy>>,
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
pub(super) struct Call<S> {
    inner: S,
    pub(super) shared: Arc<Shared>,
    /// Kept while another attempt may follow.
    pub(super) kept: Option<Kept>,
    pub(super) body: RequestBody,
    pub(super) number: u32,
    pub(super) until: Until,
    /// Until when the caller waits for a head.
    pub(super) patience: Option<Deadline>,
    pub(super) record: Option<Record>,
    /// Whether another target may be asked after this one.
    pub(super) elsewhere: bool,
    /// Whether it is no LLM call: the classifier's own word is no reason to send it again.
    pub(super) ordinary: bool,
    /// Whether this is a retry of whoever sent it.
    pub(super) again: bool,
    /// Whether the upstream is told which attempt this is.
    told: bool,
    /// Whether the target is only probed: one send says enough.
    pub(super) probe: bool,
    pub(super) witness: Option<AttemptObserver>,
    /// Held while a retry is under way.
    pub(super) permit: Option<Permit>,
    /// What the last retry cost.
    pub(super) paid: Option<Paid>,
    /// Why there is no further attempt, where one was worth it.
    pub(super) ended: Option<Ended>,
}

/// What follows on an attempt that is not the answer.
pub(super) enum Then {
    Retry(Duration),
    /// No retry before the deadline, which is waited for.
    WaitOut,
}

// === impl Call ===

impl<S, R> Call<S>
where
    S: Service<Request<RequestBody>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    /// `inner` must be ready.
    pub(super) fn new(inner: S, shared: Arc<Shared>, head: &Parts, mut body: RequestBody) -> Self {
        let context = body.context_mut();
        if shared.params.avoid_tried && context.tried().is_none() {
            // What its attempts tell each other, where nobody above does.
            context.set_tried(Some(Tried::default()));
        }
        let sent = hops::sent(&head.headers);
        Self {
            until: Until::of(context.deadline(), &head.extensions),
            patience: context.head_deadline(),
            record: head.extensions.get::<Record>().cloned(),
            elsewhere: head.extensions.get::<Chain>().is_some_and(|c| c.follows),
            ordinary: head.extensions.get::<Ordinary>().is_some(),
            again: sent.again,
            told: shared.params.attempt_header || sent.counted,
            probe: head.extensions.get::<Chain>().is_some_and(|c| c.probe),
            witness: head.extensions.get::<AttemptObserver>().cloned(),
            inner,
            shared,
            kept: None,
            body,
            number: 0,
            permit: None,
            paid: None,
            ended: None,
        }
    }

    /// A request begins. What the caller sends again is a retry itself: it earns none.
    pub(super) fn deposit(&self) {
        if let Some(budget) = self.shared.budget.as_ref().filter(|_| !self.again) {
            budget.deposit(Instant::now());
        }
    }

    /// Sends the first attempt, where it has no limit of its own.
    pub(super) fn first(&mut self, head: Parts) -> Result<S::Future, BoxError> {
        let (request, _) = self.next_request(Some(head))?;
        Ok(self.start(request))
    }

    /// Whether the first attempt is bounded more than the whole request.
    pub(super) fn has_limit(&self) -> bool {
        self.shared.params.per_try_timeout.is_some()
    }

    /// All attempts.
    pub(super) async fn run(mut self, head: Parts) -> Result<Response<R>, BoxError> {
        let (request, limit) = self.next_request(Some(head))?;
        let result = self.send(request, limit).await;
        match self.then(result) {
            Ok(result) => result,
            Err(then) => self.go_on(then).await,
        }
    }

    /// All attempts but the first.
    async fn go_on(mut self, mut then: Then) -> Result<Response<R>, BoxError> {
        loop {
            match then {
                Then::Retry(wait) if wait.is_zero() => {}
                Then::Retry(wait) => sleep(wait).await,
                Then::WaitOut => self.until.wait().await,
            }
            if self.until.passed(Instant::now()) {
                return Err(Error::new(Kind::DeadlineExceeded).into());
            }
            self.ready().await?;
            self.shared.stats.retries.inc();
            let (request, limit) = self.next_request(None)?;
            let result = self.send(request, limit).await;
            match self.then(result) {
                Ok(result) => return result,
                Err(next) => then = next,
            }
        }
    }

    /// What an attempt came to, if that is the answer; else what follows, and it is dropped.
    fn then(
        &mut self,
        mut result: Result<Response<R>, BoxError>,
    ) -> Result<Result<Response<R>, BoxError>, Then> {
        self.permit = None;
        let head = result.as_mut().map(Response::headers_mut).ok();
        let last_word = head.and_then(hops::take_final);
        match self.judge(&result, last_word) {
            None => {
                if let Some(why) = self.ended {
                    hops::end(&mut result, why);
                }
                Ok(result)
            }
            Some(then) => Err(then),
        }
    }

    /// The request of the next attempt and its limit. Of the `first` one's head what is needed is kept if another attempt may follow.
    fn next_request(
        &mut self,
        first: Option<Parts>,
    ) -> Result<(Request<RequestBody>, Option<Duration>), BoxError> {
        self.number += 1;
        let params = &self.shared.params;
        let only_once = self.again || self.probe;
        let may_retry = !only_once && self.number <= params.retries && self.body.can_replay();
        let head = match first {
            None => self.kept.as_ref().map(Kept::head),
            first => first,
        };
        // `judge` ends the loop once nothing is kept.
        let mut head = head.ok_or(Kind::Internal).map_err(Error::new)?;
        if !may_retry {
            self.kept = None;
        } else if self.kept.is_none() {
            self.kept = Some(Kept::of(&head));
        }
        let mut body = if may_retry {
            self.body.clone()
        } else {
            self.body.take()
        };
        // A per-try timeout that does not end before the deadline is left to the deadline. Where that moves, so does it: see `send`.
        let limit = params.per_try_timeout.filter(|limit| {
            let now = Instant::now();
            self.until.at(now).is_none_or(|d| *limit < d.left(now))
        });
        let fixed = limit.filter(|_| !self.until.moves());
        // It ends sooner than the deadline, if there is one.
        if let Some(ends) = fixed.and_then(|limit| Instant::now().checked_add(limit)) {
            body.context_mut().bound_attempt(Deadline(ends));
        }
        let answers = may_retry && params.retry_on.answers();
        stamp(
            &mut head,
            &mut body,
            self.number,
            may_retry,
            answers,
            self.told,
        );
        Ok((Request::from_parts(head, body), limit))
    }

    /// Begins an attempt.
    fn start(&mut self, request: Request<RequestBody>) -> S::Future {
        // What was given up before says nothing about this attempt.
        if let Some(cause) = request.body().context().cancel_cause() {
            cause.set(None);
        }
        self.inner.call(watched(request))
    }

    /// Sends one attempt. At its limit the inner future is dropped.
    async fn send(
        &mut self,
        mut request: Request<RequestBody>,
        limit: Option<Duration>,
    ) -> Result<Response<R>, BoxError> {
        let Some(limit) = limit else {
            return self.start(request).await.map_err(Into::into);
        };
        let clock = TryClock::start();
        let context = request.body_mut().context_mut();
        context.set_try_clock(clock.clone());
        let cause = context.cancel_cause_mut().clone();
        if self.until.moves() {
            let each = self.until.allowance().clone().and(clock.clone(), limit);
            request.extensions_mut().insert(each);
        }
        // Set before the attempt is dropped: whoever watches it must know why.
        let expired = async {
            clock.expired(limit).await;
            cause.set(Some(Kind::AttemptTimeout));
        };
        tokio::select! {
            biased;
            result = self.start(request) => result.map_err(Into::into),
            () = expired => {
                self.shared.stats.per_try_timeout.inc();
                Err(Error::new(Kind::AttemptTimeout).into())
            }
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

impl<S, R> Follow<Response<R>> for Call<S>
where
    S: Service<Request<RequestBody>, Response = Response<R>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: Send + 'static,
{
    fn follow(mut self: Box<Self>, result: Result<Response<R>, BoxError>) -> Next<Response<R>> {
        match self.then(result) {
            Ok(result) => Next::Return(result),
            Err(then) => Next::Attempts(Box::pin(self.go_on(then))),
        }
    }
}

/// The request with a body that notes whether it waits for the caller.
fn watched(request: Request<RequestBody>) -> Request<RequestBody> {
    if !request.body().is_streamed() {
        return request;
    }
    let (head, body) = request.into_parts();
    let body = body.watched(&head.extensions);
    Request::from_parts(head, body)
}

/// Marks a request's head as this attempt, and notes it. What may be retried here may also be answered elsewhere.
/// If attempts are timed, the time of this one begins.
pub(super) fn stamp(
    head: &mut Parts,
    body: &mut RequestBody,
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
    let context = body.context_mut();
    context.set_attempt(Attempt { number, may_retry });
    context.set_retries_answers(answers);
    if context.try_clock().is_some() {
        context.set_try_clock(TryClock::start());
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
