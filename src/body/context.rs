//! What the layers of a call tell the attempt below them.
//!
//! A [`Context`] travels by value in the request's body ([`RequestBody`](super::RequestBody)): each attempt has its own, and a layer
//! that keeps, clones, buffers or moves a request keeps what belongs to it. Nothing of it is shared with another attempt but what is
//! meant to be: the list of endpoints that were [tried](Context::tried).
//!
//! # Reading it
//! [`Context::of`] gives it for any request:
//!
//! ```
//! use http::Request;
//! use llmesh::body::{Context, RequestBody};
//!
//! fn attempt(request: &Request<RequestBody>) -> u32 {
//!     let attempt = Context::of(request).and_then(Context::attempt);
//!     attempt.map_or(1, |attempt| attempt.number)
//! }
//! assert_eq!(attempt(&Request::new(RequestBody::empty())), 1);
//! ```
//!
//! # Layers that exchange bodies
//! A layer that gives a request another body drops the context with the old one. Where the layers below should have it, put it into
//! the request's extensions first: it is taken from there.
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use llmesh::body::{Context, RequestBody};
//!
//! async fn compress(request: Request<RequestBody>) -> Request<Full<Bytes>> {
//!     let mut request = Context::into_extension(request);
//!     let whole = std::mem::take(request.body_mut()).collect().await.unwrap().to_bytes();
//!     request.map(|_| Full::new(whole)) // compressed
//! }
//! ```

use std::{fmt, sync::Arc};

use crate::base::ext::{Attempt, CancelCause, CancelReason, Deadline, Tried, TryClock};

/// What is known of an attempt from above. See the [module](self).
///
/// What is absent has a defined meaning, said at each accessor.
#[derive(Clone, Default)]
pub struct Context {
    deadline: Option<Deadline>,
    tried: Option<Tried>,
    exchange: Option<Arc<Exchange>>,
    /// 0: not known.
    attempt: u16,
    flags: u16,
}

/// What few requests need.
#[derive(Clone, Debug, Default)]
struct Exchange {
    head: Option<Deadline>,
    cause: Option<CancelCause>,
    clock: Option<TryClock>,
    /// When a limit of this side ends the whole request, where the attempt's own deadline is another.
    ours: Option<Deadline>,
}

const MAY_RETRY: u16 = 1;
const RETRIES_ANSWERS: u16 = 1 << 1;
const EXPLAINS: u16 = 1 << 2;
const LAST_TARGET: u16 = 1 << 3;
const USAGE_INJECTED: u16 = 1 << 4;
/// The deadline is a limit of this side.
const OURS: u16 = 1 << 5;

// === impl Context ===

impl Context {
    /// When nobody waits for the answer any more. Absent: no limit.
    #[must_use]
    pub const fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// Sets or removes the deadline. `ours`: whether it is a limit of this side, so that a target that does not keep it is slow.
    pub fn set_deadline(&mut self, deadline: Option<Deadline>, ours: bool) {
        self.deadline = deadline;
        self.set(OURS, ours && deadline.is_some());
    }

    /// Makes the deadline sooner, if it is later than what the caller says.
    pub fn shorten(&mut self, deadline: Deadline) {
        if self.deadline.is_none_or(|known| deadline < known) {
            self.set_deadline(Some(deadline), false);
        }
    }

    /// Bounds one attempt more than the whole request.
    pub(crate) fn bound_attempt(&mut self, ends: Deadline) {
        let ours = self.ours();
        if ours.is_some() {
            self.exchange().ours = ours;
        }
        self.set_deadline(Some(ends), false);
    }

    fn ours(&self) -> Option<Deadline> {
        match self.is(OURS) {
            true => self.deadline,
            false => self.exchange.as_ref().and_then(|x| x.ours),
        }
    }

    /// Whether the deadline is a limit of this side.
    pub(crate) const fn is_ours(&self) -> bool {
        self.is(OURS)
    }

    /// Which attempt this is. Absent: the only one.
    #[must_use]
    pub fn attempt(&self) -> Option<Attempt> {
        (self.attempt > 0).then(|| Attempt {
            number: self.attempt.into(),
            may_retry: self.is(MAY_RETRY),
        })
    }

    /// Makes it that of this attempt. Numbers over 65,535 are told as that.
    pub fn set_attempt(&mut self, attempt: Attempt) {
        self.attempt = u16::try_from(attempt.number).unwrap_or(u16::MAX).max(1);
        self.set(MAY_RETRY, attempt.may_retry);
    }

    /// Whether a 2xx answer is sent again too if its body shows an error. Otherwise only the beginnings of error responses are held
    /// back: nobody would do anything about an answer, so it must not wait.
    #[must_use]
    pub const fn retries_answers(&self) -> bool {
        self.is(RETRIES_ANSWERS)
    }

    /// Sets [`retries_answers`](Self::retries_answers).
    pub const fn set_retries_answers(&mut self, answers: bool) {
        self.set(RETRIES_ANSWERS, answers);
    }

    /// Whether the caller is told what an answer means: one that could be an error is held back until that is known, also where it is
    /// not sent again.
    #[must_use]
    pub const fn explains(&self) -> bool {
        self.is(EXPLAINS)
    }

    /// Sets [`explains`](Self::explains).
    pub const fn set_explains(&mut self, explains: bool) {
        self.set(EXPLAINS, explains);
    }

    /// Whether no other target is asked after this one: it may take all the time that there is.
    #[must_use]
    pub const fn last_target(&self) -> bool {
        self.is(LAST_TARGET)
    }

    /// Sets [`last_target`](Self::last_target).
    pub const fn set_last_target(&mut self, last: bool) {
        self.set(LAST_TARGET, last);
    }

    /// Whether usage was asked for on behalf of a caller who did not: what comes of it is taken out of the caller's stream.
    #[must_use]
    pub const fn usage_injected(&self) -> bool {
        self.is(USAGE_INJECTED)
    }

    /// Sets [`usage_injected`](Self::usage_injected).
    pub const fn set_usage_injected(&mut self, injected: bool) {
        self.set(USAGE_INJECTED, injected);
    }

    /// The endpoints that the request was sent to so far: balancers note and avoid them. Absent: nobody wants to know.
    #[must_use]
    pub const fn tried(&self) -> Option<&Tried> {
        self.tried.as_ref()
    }

    /// Sets the list that attempts share.
    pub fn set_tried(&mut self, tried: Option<Tried>) {
        self.tried = tried;
    }

    /// Until when the caller waits for the response head, where that is sooner than the deadline. What comes after is not bounded
    /// by it.
    #[must_use]
    pub fn head_deadline(&self) -> Option<Deadline> {
        self.exchange.as_ref().and_then(|x| x.head)
    }

    /// Sets [`head_deadline`](Self::head_deadline).
    pub fn set_head_deadline(&mut self, head: Option<Deadline>) {
        if self.head_deadline() != head {
            self.exchange().head = head;
        }
    }

    /// The clock of the attempt: whoever waits for a connection or the caller holds it. Absent: nobody times attempts.
    #[must_use]
    pub fn try_clock(&self) -> Option<&TryClock> {
        self.exchange.as_ref().and_then(|x| x.clock.as_ref())
    }

    /// Sets it. Where a request has one above its retries, each attempt gets a new one.
    pub fn set_try_clock(&mut self, clock: TryClock) {
        self.exchange().clock = Some(clock);
    }

    /// Why the attempt was given up, if it is dropped now.
    #[must_use]
    pub fn cancel_reason(&self) -> CancelReason {
        let cause = self.cancel_cause().cloned();
        CancelReason::new(self.ours().map(|at| at.0), cause)
    }

    /// Where reasons are said that no clock tells.
    #[must_use]
    pub fn cancel_cause(&self) -> Option<&CancelCause> {
        self.exchange.as_ref().and_then(|x| x.cause.as_ref())
    }

    /// The same; there is one from now on.
    pub fn cancel_cause_mut(&mut self) -> &mut CancelCause {
        self.exchange().cause.get_or_insert_default()
    }

    /// Says where reasons are said that no clock tells.
    pub fn set_cancel_cause(&mut self, cause: CancelCause) {
        self.exchange().cause = Some(cause);
    }

    /// Whether nothing is known.
    pub(crate) const fn is_empty(&self) -> bool {
        self.attempt == 0
            && self.flags == 0
            && self.deadline.is_none()
            && self.tried.is_none()
            && self.exchange.is_none()
    }

    fn exchange(&mut self) -> &mut Exchange {
        Arc::make_mut(self.exchange.get_or_insert_default())
    }

    const fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    const fn set(&mut self, flag: u16, value: bool) {
        if value {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("deadline", &self.deadline)
            .field("attempt", &self.attempt)
            .field("flags", &format_args!("{:#b}", self.flags))
            .finish_non_exhaustive()
    }
}
