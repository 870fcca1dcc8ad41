//! One request on its way along the chain.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::ACCEPT_ENCODING, request::Parts};
use http_body::Body as HttpBody;
use tower::{Service, ServiceExt};

use super::{
    Resume,
    chain::{self, Next, Place, Progress},
    cooldown::Out,
    first::First,
    health::Pass,
    resume::Splice,
    shared::Shared,
    target::Origin,
    watch::Watch,
};
use crate::{
    base::{
        BoxError, Error, Kind,
        ext::{AnsweredBy, Attempt, Chain, Ended, OurKey, Record, RequestedModel, Until},
        time::Instant,
    },
    body::{Body, Observed, RequestBody, box_errors},
    classify::{AttemptObserver, Class, Classified},
    layers::retry::budget::Price,
    llm::{Dialect, dialect::Api, request::Call},
};

/// A request. Place 0 is the route's own target, place `n` the n-th of the parameters'.
pub(super) struct Run<S> {
    /// The route's own service, ready.
    own: Option<S>,
    pub(super) shared: Arc<Shared<S>>,
    pub(super) head: Parts,
    pub(super) body: RequestBody,
    pub(super) places: Vec<Place>,
    chain: Chain,
    pub(super) asked: Vec<(usize, Class)>,
    pub(super) first: Option<First>,
    /// Whether the request carries the beginning of its answer.
    pub(super) begun: bool,
    until: Until,
    pub(super) record: Option<Record>,
    /// Why a target was not asked again, of the last one that says so.
    pub(super) ended: Option<Ended>,
}

// === impl Run ===

impl<S> Run<S> {
    pub(super) fn new(own: S, shared: Arc<Shared<S>>, request: Request<Body>) -> Self {
        let (head, body) = RequestBody::of_request(request);
        let body = body.keep(shared.cap);
        Self {
            places: shared.places(&head),
            until: Until::of(body.context().deadline(), &head.extensions),
            body,
            record: head.extensions.get().cloned(),
            own: Some(own),
            shared,
            head,
            chain: Chain::default(),
            asked: Vec::new(),
            first: None,
            begun: false,
            ended: None,
        }
    }

    /// The target to begin with: the first one that is well. If none is, the one that will be soonest, since it may be
    /// better than is known; unless its provider said that it will not serve before the deadline.
    pub(super) fn begin(&self, now: Instant) -> Result<(usize, Pass), Error> {
        let stats = &self.shared.stats;
        let health = &self.shared.health;
        // A body that cannot be sent twice goes where it was sent to.
        let choice = if self.body.can_replay() {
            self.places.len()
        } else {
            1
        };
        let mut soonest: Option<(usize, &Place, Out)> = None;
        let mut full = None;
        for (at, place) in self.places.iter().enumerate().take(choice) {
            if !self.has_room(place, now) && health.out(&place.who, now).is_none() {
                full = full.or(Some((at, place)));
                continue;
            }
            match health.admit(&place.who, now) {
                Ok(pass) => {
                    if full.is_some() {
                        stats.steered.inc();
                    }
                    return Ok((at, pass));
                }
                Err(out) if soonest.is_none_or(|(_, _, best)| out.until < best.until) => {
                    soonest = Some((at, place, out));
                }
                Err(_) => {}
            }
        }
        if let Some((at, place)) = full {
            return Ok((at, health.admit_anyway(&place.who, now)));
        }
        let Some((at, place, out)) = soonest else {
            return Err(Error::new(Kind::Internal).with_detail("a chain without targets"));
        };
        let wait = out.until.saturating_duration_since(now);
        if out.known && self.until.at(now).is_some_and(|d| d.left(now) < wait) {
            stats.refused.inc();
            return Err(Error::new(Kind::RateLimited)
                .with_detail("every target asks to be left alone")
                .with_retry_after(wait));
        }
        Ok((at, health.admit_anyway(&place.who, now)))
    }

    /// Whether another target could be asked after `at`, as far as one can know before its answer.
    fn follows(&self, at: usize, now: Instant) -> bool {
        let is_free = |(to, place): (usize, &Place)| {
            to != at
                && !self.asked.iter().any(|(asked, _)| *asked == to)
                && self.shared.health.out(&place.who, now).is_none()
        };
        self.body.can_replay() && self.places.iter().enumerate().any(is_free)
    }

    /// Marks a request as sent to this place.
    fn mark(&self, head: &mut Parts, body: &mut RequestBody, at: usize, probe: bool, now: Instant) {
        let follows = self.follows(at, now);
        let mut chain = self.chain.clone();
        (chain.follows, chain.probe) = (follows, probe);
        // For a target without retries of its own; with them, they count.
        let context = body.context_mut();
        context.set_attempt(Attempt {
            number: chain.sent().saturating_add(1),
            may_retry: follows,
        });
        if follows {
            context.set_retries_answers(true);
        }
        context.set_last_target(!follows);
        head.extensions.insert(chain);
        let streams = head.extensions.get::<Call>().is_some_and(|c| c.stream);
        if streams && self.resumes() && self.dialect().is_some_and(Splice::joins) {
            // Streams are joined as text.
            let identity = HeaderValue::from_static("identity");
            head.headers.insert(ACCEPT_ENCODING, identity);
        }
        if let Some(place) = self.places.get(at) {
            if let Some(model) = &place.who.model {
                head.extensions.insert(RequestedModel(Arc::clone(model)));
            }
            let (health, who) = (self.shared.health.clone(), place.who.clone());
            head.extensions
                .insert(AttemptObserver::new(move |class| health.note(&who, class)));
        }
    }

    /// Whether a stream that is cut may be gone on with.
    pub(super) fn resumes(&self) -> bool {
        self.shared.params.resume == Resume::Prefill && self.body.can_replay()
    }

    fn has_room(&self, place: &Place, now: Instant) -> bool {
        self.shared.has_room(&place.who, &self.head, now)
    }

    /// Decides after a target; takes the next one's pass and price. Those without room come last.
    pub(super) fn next(&self, now: Instant) -> Option<(usize, Pass)> {
        self.next_with(true, now)
            .or_else(|| self.next_with(false, now))
    }

    fn next_with(&self, room: bool, now: Instant) -> Option<(usize, Pass)> {
        let progress = Progress {
            asked: &self.asked,
            left: self.until.at(now).map(|d| d.left(now)),
            replayable: self.body.can_replay(),
        };
        let mut pass = None;
        let admit = |to| {
            pass = self.admit(to, room, now);
            pass.is_some()
        };
        match chain::next(&self.shared.params, &self.places, &progress, admit) {
            Next::Target(to) => pass.map(|pass| (to, pass)),
            Next::Answer(_) => None,
        }
    }

    fn admit(&self, to: usize, room: bool, now: Instant) -> Option<Pass> {
        let place = self.places.get(to)?;
        if self.has_room(place, now) != room
            || (self.begun && !self.shared.goes_on(to, &place.who, now))
        {
            return None;
        }
        let pass = self.shared.health.admit(&place.who, now).ok()?;
        let target = to.checked_sub(1).and_then(|n| self.shared.targets.get(n));
        if let Some(budget) = target.and_then(|t| t.budget.as_ref())
            && budget.withdraw(Price::Fallback, now).is_none()
        {
            self.shared.stats.budget_exhausted.inc();
            return None;
        }
        Some(pass)
    }

    pub(super) fn dialect(&self) -> Option<Dialect> {
        let Parts {
            method,
            uri,
            headers,
            extensions,
            ..
        } = &self.head;
        extensions
            .get::<Call>()
            .map(|call| call.dialect)
            .or_else(|| {
                let setting = self.shared.setting;
                Api::of_parts(setting, method, uri, headers, extensions).dialect
            })
    }

    pub(super) fn by(&self, at: usize) -> AnsweredBy {
        let who = self.places.get(at).map(|place| &place.who);
        let target = at.checked_sub(1).and_then(|n| self.shared.targets.get(n));
        AnsweredBy {
            cluster: who.map_or_else(
                || Arc::clone(&self.shared.cluster),
                |w| Arc::clone(&w.cluster),
            ),
            model: who.and_then(|who| who.model.clone()),
            place: at,
            our_key: {
                let own = self.head.extensions.get::<OurKey>().is_some();
                target.map_or(own, |target| target.has_our_key(own))
            },
        }
    }
}

impl<S, R> Run<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    /// Sends the request to a target; to one that is `probe`d once.
    pub(super) async fn send(&mut self, at: usize, probe: bool) -> Result<Response<R>, BoxError> {
        let shared = Arc::clone(&self.shared);
        let (service, request) = match at.checked_sub(1) {
            None => {
                let request = Request::from_parts(self.head.clone(), self.body.clone());
                (self.own.take(), request)
            }
            Some(n) => {
                let (Some(target), service) = (shared.targets.get(n), shared.services.get(n))
                else {
                    return Err(Error::new(Kind::Internal).into());
                };
                let origin = Origin {
                    head: &self.head,
                    body: &self.body,
                    setting: shared.setting,
                };
                (service.cloned(), target.request(origin).await?)
            }
        };
        let Some(mut service) = service else {
            return Err(Error::new(Kind::Internal).into());
        };
        let (mut head, mut body) = request.into_parts();
        self.mark(&mut head, &mut body, at, probe, Instant::now());
        let request = Request::from_parts(head, Body::new(body));
        let before = self.chain.sent();
        if at > 0 {
            service.ready().await.map_err(Into::into)?;
        }
        let result = service.call(request).await.map_err(Into::into);
        if self.chain.sent() == before {
            // Nobody counts there.
            let number = self.chain.send();
            if let Some(record) = &self.record {
                record.note(|n| n.attempts = number);
            }
        }
        result
    }
}

/// An answer whose end tells its target's health.
pub(super) fn watched<R>(response: Response<R>, pass: Pass, class: Class) -> Response<Body>
where
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    let classified = response.extensions().get::<Classified>().cloned();
    let watch = Watch::new(pass, classified, class);
    response.map(|body| Body::new(Observed::new(box_errors(body), watch)))
}

/// Says in the request's record which target its answer is from.
pub(super) fn note(record: Option<&Record>, by: &AnsweredBy) {
    if let Some(record) = record {
        record.note(|n| n.answered_by = Some(by.clone()));
    }
}
