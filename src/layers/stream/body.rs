//! The response body.

use std::{
    fmt, mem,
    ops::ControlFlow::{self, Break, Continue},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{
    alarm::Alarm,
    call::passed,
    clocks::Flow,
    premature::Premature,
    strip::Strip,
    watch::{Ended, Watch, committed},
};
use crate::{
    base::{BoxError, Error, Kind, time::Instant},
    body::{BoxErrors, peek::Held},
    classify::{
        Class, Failure, Outcome, Signal,
        transport::{class_of_body_error, class_of_error, kind_of},
    },
    llm::stream::Fault,
};

/// The body of a response that went through [`Stream`](super::Stream): a stream that is looked at, a refusal in its
/// place, or what came.
#[pin_project]
pub struct ResponseBody<B: Body>(#[pin] Inner<B>);

#[pin_project(project = Projected)]
enum Inner<B: Body> {
    Untouched(#[pin] BoxErrors<B>),
    /// No stream, of which the beginning was looked at.
    Other(Pin<Box<Held<BoxErrors<B>>>>),
    Stream(Pin<Box<Streaming<BoxErrors<B>>>>),
    Refused(Option<Bytes>),
}

/// A stream that was handed on.
#[pin_project(project = Flowing)]
pub(super) struct Streaming<B: Body> {
    /// `None` once it is over.
    #[pin]
    inner: Option<Held<B>>,
    /// Held frames that were looked at.
    seen: usize,
    /// What goes on before anything else is read.
    next: Option<Result<Frame<Bytes>, BoxError>>,
    watch: Watch,
    strip: Option<Strip>,
    premature: Premature,
    flow: Flow,
    alarm: Alarm,
}

/// What is handed on; `Continue` is nothing yet.
type Step = ControlFlow<Option<Result<Frame<Bytes>, BoxError>>>;

// === impl ResponseBody ===

impl<B> ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(super) fn untouched(body: BoxErrors<B>) -> Self {
        Self(Inner::Untouched(body))
    }

    pub(super) fn other(body: Held<BoxErrors<B>>) -> Self {
        Self(Inner::Other(Box::pin(body)))
    }

    pub(super) fn refused(body: Bytes) -> Self {
        Self(Inner::Refused(Some(body)))
    }

    pub(super) fn stream(body: Streaming<BoxErrors<B>>) -> Self {
        Self(Inner::Stream(Box::pin(body)))
    }
}

/// # Errors
/// Those of the inner body, and an [`Error`] with a [`Failure`] where a stream goes wrong.
impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().0.project() {
            Projected::Untouched(body) => body.poll_frame(cx),
            Projected::Other(body) => body.as_mut().poll_frame(cx),
            Projected::Stream(body) => body.as_mut().project().poll(cx),
            Projected::Refused(body) => Poll::Ready(body.take().map(|b| Ok(Frame::data(b)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Untouched(body) => body.is_end_stream(),
            Inner::Other(body) => body.is_end_stream(),
            // The inner body may be over and the answer not whole: that is told by an error, so somebody must ask.
            Inner::Stream(body) => body.inner.is_none() && body.next.is_none(),
            Inner::Refused(body) => body.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Untouched(body) => body.size_hint(),
            Inner::Other(body) => body.size_hint(),
            Inner::Stream(body) => match &body.inner {
                // Until the answer is whole it may end with an error, whatever the size of what came.
                Some(_) if body.strip.is_some() || !body.watch.finished() => SizeHint::new(),
                Some(inner) => inner.size_hint(),
                None => SizeHint::with_exact(0),
            },
            Inner::Refused(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |b| b.len() as u64))
            }
        }
    }
}

impl<B: Body> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Inner::Untouched(_) => "Untouched",
            Inner::Other(_) => "Other",
            Inner::Stream(_) => "Stream",
            Inner::Refused(_) => "Refused",
        })
    }
}

// === impl Streaming ===

impl<B: Body> Streaming<B> {
    pub(super) fn new(
        inner: Held<B>,
        seen: usize,
        watch: Watch,
        strip: Option<Strip>,
        flow: Flow,
        alarm: Alarm,
    ) -> Self {
        Self {
            inner: Some(inner),
            seen,
            next: None,
            watch,
            strip,
            premature: Premature::default(),
            flow,
            alarm,
        }
    }
}

impl<B> Flowing<'_, B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    fn poll(mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(next) = self.next.take() {
                return Poll::Ready(Some(next));
            }
            let Some(inner) = self.inner.as_mut().as_pin_mut() else {
                return Poll::Ready(None);
            };
            let step = match inner.poll_frame(cx) {
                Poll::Pending => return self.pending(cx),
                Poll::Ready(None) => self.over(None),
                Poll::Ready(Some(Err(error))) if self.watch.finished() => {
                    tracing::debug!(%error, "the connection died after the answer");
                    self.over(None)
                }
                Poll::Ready(Some(Err(error))) => self.cut(error),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) => self.data(chunk),
                    Err(trailers) => self.over(Some(trailers)),
                },
            };
            if let Break(out) = step {
                return Poll::Ready(out);
            }
        }
    }

    fn pending(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.flow.any() {
            return Poll::Pending;
        }
        if !self.flow.waits() {
            self.flow.wait(Instant::now());
        }
        let flow = &mut *self.flow;
        let limit = std::task::ready!(self.alarm.poll(cx, |now| flow.check(now)));
        let step = if self.watch.finished() {
            self.over(None)
        } else {
            let error = passed(limit);
            let class = committed(class_of_error(&Error::new(limit.kind()).into()));
            self.fail(error, class, None)
        };
        Poll::Ready(match step {
            Break(out) => out,
            Continue(()) => None,
        })
    }

    fn data(&mut self, chunk: Bytes) -> Step {
        let fault = if *self.seen > 0 {
            *self.seen -= 1;
            None
        } else {
            self.look(&chunk)
        };
        match fault {
            Some(fault) => {
                let error = self.told(&fault);
                *self.next = Some(Err(error));
            }
            None => self.end_early(),
        }
        let chunk = match &mut *self.strip {
            None => chunk,
            Some(strip) => {
                let mut rest = strip.feed(&chunk);
                if self.next.is_some() {
                    rest = [rest, strip.end()].concat().into();
                }
                if rest.is_empty() {
                    return Continue(());
                }
                rest
            }
        };
        let chunk = match self.watch.is_premature() {
            true => self.premature.keep(chunk),
            false => chunk,
        };
        if chunk.is_empty() {
            return Continue(());
        }
        Break(Some(Ok(Frame::data(chunk))))
    }

    /// Looks at a frame that is new.
    fn look(&mut self, chunk: &Bytes) -> Option<Fault> {
        let timed = self.flow.any();
        if timed {
            self.flow.woke(Instant::now());
        }
        let progress = self.watch.feed(chunk);
        let opaque = !self.watch.understood();
        if timed && (progress.content > 0 || opaque && self.flow.begun()) {
            // What limits it now is another clock, or none.
            if opaque || !self.flow.begun() {
                self.alarm.reset();
            }
            if opaque {
                self.flow.opaque();
            } else {
                self.flow.content(progress.content);
            }
        }
        progress.fault
    }

    /// A body that says that it is over need not be asked again; nor must its reader be.
    fn end_early(&mut self) {
        let over = self.inner.as_ref().as_pin_ref();
        if !over.is_some_and(|inner| inner.is_end_stream()) || self.strip.is_some() {
            return;
        }
        if let Ended::Whole(class) = self.watch.end() {
            self.watch.close(class);
            self.inner.set(None);
            let done = self.premature.release();
            *self.next = done.map(|done| Ok(Frame::data(done)));
        }
    }

    /// The body is over.
    fn over(&mut self, trailers: Option<Frame<Bytes>>) -> Step {
        match self.watch.end() {
            Ended::Whole(class) => {
                self.watch.close(class);
                self.inner.set(None);
                *self.next = trailers.map(Ok);
                self.rest()
            }
            Ended::Truncated => {
                let kind = Kind::StreamTruncated;
                let class = Class::new(Outcome::StreamTruncated, Signal::Error(kind));
                self.fail(Error::new(kind), committed(class), None)
            }
            Ended::Fault(Fault::Malformed) => self.malformed(),
            Ended::Fault(fault) => {
                // Its bytes went on, but for those that the strip keeps.
                let error = self.told(&fault);
                *self.next = Some(Err(error));
                self.rest()
            }
        }
    }

    /// What the strip kept, now that the body is over.
    fn rest(&mut self) -> Step {
        let rest = mem::take(self.strip).map(|mut strip| strip.end());
        let rest = rest.unwrap_or_default();
        let rest = if self.watch.is_premature() {
            self.premature.keep(rest)
        } else {
            let done = self.premature.release().unwrap_or_default();
            [rest, done].concat().into()
        };
        match rest.is_empty() {
            true => Continue(()),
            false => Break(Some(Ok(Frame::data(rest)))),
        }
    }

    fn malformed(&mut self) -> Step {
        let kind = Kind::StreamMalformed;
        let class = self.watch.class_after(&Fault::Malformed, kind);
        self.fail(Error::new(kind), class, None)
    }

    /// The connection died before the answer was whole.
    fn cut(&mut self, error: BoxError) -> Step {
        let mut class = class_of_body_error(&error);
        if class.outcome == Outcome::Reset {
            class = Class::new(Outcome::StreamTruncated, class.signal);
        }
        let kind = kind_of(&*error);
        self.fail(Error::new(kind), committed(class), Some(error))
    }

    /// The error that follows the provider's own error event. The stream is closed with it.
    fn told(&mut self, fault: &Fault) -> BoxError {
        let kind = Kind::StreamError;
        let class = self.watch.class_after(fault, kind);
        self.watch.close(class.clone());
        self.inner.set(None);
        let failure = Failure::new(class).with_told(!self.watch.unheard());
        Error::new(kind).with_source(failure).into()
    }

    fn fail(&mut self, error: Error, class: Class, cause: Option<BoxError>) -> Step {
        self.watch.close(class.clone());
        self.inner.set(None);
        *self.strip = None;
        let mut failure = Failure::new(class);
        if let Some(cause) = cause {
            failure = failure.with_source(cause);
        }
        Break(Some(Err(error.with_source(failure).into())))
    }
}
