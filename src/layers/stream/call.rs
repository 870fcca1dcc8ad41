//! What is known of a generation call while it is under way.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Method, Request, header::CONTENT_LENGTH, response};

use super::{
    Params,
    alarm::Alarm,
    clocks::{Limit, Stage},
    hold::Hold,
    open::Opening,
    strip::Strip,
    watch::Watch,
};
use crate::{
    base::{BoxError, Error, ext::TryClock, time::Instant},
    body::{self, BoxErrors, box_errors, peek::Peek},
    llm::{
        Dialect, DialectMode,
        account::Account,
        coding::Coding,
        content::{content, content_type},
        dialect::Api,
        request,
        sniff::Sniff,
        stream::{Framing, ReadAs, Reader},
    },
};

/// The policy of a request's route, in its extensions. Absent: the layer's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy(pub Arc<Params>);

/// One attempt at a generation call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) params: Params,
    api: Api,
    dialect: Dialect,
    /// Whether the answer is known to be a stream.
    streams: bool,
    /// Whether usage was asked for on the caller's behalf.
    injected: bool,
    clock: TryClock,
    pub(super) alarm: Alarm,
    account: Option<Account>,
}

// === impl Policy ===

impl Policy {
    /// Puts the policy into a request, above its retries, and with it all that makes it work below: the dialect, for the
    /// classifier, and, if it has clocks, the time of the attempts.
    pub fn put<B: 'static>(self, request: &mut Request<B>) {
        if self.0.clocks.any() {
            body::Context::edit(request, |context| context.set_try_clock(TryClock::start()));
        }
        let extensions = request.extensions_mut();
        if self.0.dialect != DialectMode::Auto {
            extensions.insert(self.0.dialect);
        }
        extensions.insert(self);
    }
}

// === impl Call ===

impl Call {
    /// `None`: no generation call as far as one can see. A clock for the attempt is made if it has none and needs one.
    pub(super) fn of<B: 'static>(
        request: &mut Request<B>,
        default: &Arc<Params>,
    ) -> Option<Box<Self>> {
        if request.method() != Method::POST {
            return None;
        }
        let policy = request.extensions().get::<Policy>();
        let params = policy.map_or(default, |policy| &policy.0);
        let api = Api::of_request(params.dialect, request);
        let dialect = api.dialect.filter(|_| api.generates)?;
        if params.dialect == DialectMode::StatusOnly {
            return None;
        }
        let mut params = Params::clone(params);
        let context = body::Context::of(request);
        let last = context.is_some_and(body::Context::last_target);
        if last && body::Context::until(request).at(Instant::now()).is_some() {
            params.clocks.first_token = None;
        }
        let injected = context.is_some_and(body::Context::usage_injected);
        let account = Account::of(context, request.extensions());
        let known = context.and_then(body::Context::try_clock).cloned();
        let clock = known.unwrap_or_else(TryClock::start);
        if params.clocks.any() {
            body::Context::edit(request, |context| context.set_try_clock(clock.clone()));
        }
        let asked = request.extensions().get::<request::Call>();
        Some(Box::new(Self {
            streams: api.streaming || asked.is_some_and(|call| call.stream),
            injected,
            account,
            alarm: Alarm::default(),
            api,
            dialect,
            clock,
            params,
        }))
    }

    /// Waits for a limit to be passed before the head.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Limit> {
        let streams = self.streams;
        self.poll_clocks(cx, Stage::Head { streams })
    }

    /// Waits for a limit to be passed before the answer is handed on.
    pub(super) fn poll_clocks(&mut self, cx: &mut Context<'_>, stage: Stage) -> Poll<Limit> {
        let (clocks, clock) = (&self.params.clocks, &self.clock);
        self.alarm
            .poll(cx, |now| clocks.check(stage, clock.since(), now))
    }

    /// What is left at `now` of the wait for the first content.
    pub(super) fn first_left(&self, now: Instant) -> Option<Duration> {
        let limit = self.params.clocks.first_token?;
        let since = self.clock.since().unwrap_or(now);
        Some(limit.saturating_sub(now.saturating_duration_since(since)))
    }

    /// The answer, to be looked at; or untouched if nothing of it can be told.
    pub(super) fn open<B>(
        self: Box<Self>,
        head: response::Parts,
        body: B,
    ) -> Result<Opening<BoxErrors<B>>, (response::Parts, BoxErrors<B>)>
    where
        B: http_body::Body<Data = bytes::Bytes>,
        B::Error: Into<BoxError>,
    {
        let body = box_errors(body);
        let coding = Coding::of(&head.headers);
        if !matches!(head.status.as_u16(), 200..=203) || coding.is_unreadable() {
            return Err((head, body));
        }
        let label = content(&content_type(&head.headers));
        let (dialect, by_path) = (self.api.dialect, self.api.streaming);
        let sniff = Sniff::new(label, dialect, by_path, self.streams);
        Ok(Opening::new(self, head, body, coding, sniff))
    }

    /// Whether the first content is waited for, of an answer of which nothing is known yet but its head.
    pub(super) fn streams(&self) -> bool {
        self.streams
    }

    /// What of an answer is held back, in bytes.
    pub(super) fn hold_cap(&self) -> usize {
        self.params.hold_cap
    }

    /// The answer, which is a stream, to be held back until its first content.
    pub(super) fn hold<B>(
        mut self: Box<Self>,
        mut head: response::Parts,
        peek: Peek<B>,
        framing: Framing,
    ) -> Hold<B>
    where
        B: http_body::Body<Data = bytes::Bytes, Error = BoxError>,
    {
        let coding = Coding::of(&head.headers);
        // Who codes although it was asked for `identity` leaves the usage in: coded bytes are not changed.
        let strips = self.injected && framing == Framing::Sse && self.dialect == Dialect::OpenAi;
        let strip = (strips && !coding.is_coded()).then(Strip::default);
        if strip.is_some() {
            head.headers.remove(CONTENT_LENGTH);
        }
        head.extensions.insert(ReadAs(Some(framing)));
        let reader = Reader::new(self.dialect, self.api.provider(&head.headers), framing)
            .with_reasoning_commits(self.params.reasoning_commits);
        let watch = Watch::new(reader, coding, self.api, &head, self.account.take());
        Hold::new(self, head, peek, watch, strip)
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }
}

/// The error of a limit that was passed.
pub(super) fn passed(limit: Limit) -> Error {
    let error = Error::new(limit.kind());
    match limit.detail() {
        Some(detail) => error.with_detail(detail),
        None => error,
    }
}
