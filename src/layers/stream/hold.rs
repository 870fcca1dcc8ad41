//! A stream whose beginning is held back.

use std::{
    ops::ControlFlow,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, header::CONTENT_LENGTH, response};
use http_body::Body;
use serde_json::Value;

use super::{
    body::Streaming,
    call::{Call, passed},
    clocks::{Flow, Stage},
    refusal,
    strip::Strip,
    watch::{Ended, Watch},
};
use crate::{
    base::{BoxError, Error, Kind, time::Instant},
    body::peek::{Peek, Stopped},
    classify::{Classified, Failure, Signal, transport::class_of_error},
    llm::stream::{Fault, Spoken},
};

/// The head and the first frames of a stream, until it is known what to do with them.
pub(super) struct Hold<B: Body> {
    call: Box<Call>,
    head: response::Parts,
    peek: Peek<B>,
    watch: Watch,
    strip: Option<Strip>,
    /// Data frames that were looked at.
    seen: usize,
    /// Whether those that came before it was known that this is a stream were not.
    behind: bool,
    /// The clocks, once there is content that does not commit.
    flow: Option<Flow>,
}

/// What is to be done.
pub(super) enum Settled {
    /// The stream goes on.
    Pass,
    /// It was refused with this error event.
    Refused(Value),
    /// It failed.
    Failed(BoxError),
}

// === impl Hold ===

impl<B> Hold<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    /// Frames that are held in `peek` were not looked at yet.
    pub(super) fn new(
        mut call: Box<Call>,
        head: response::Parts,
        peek: Peek<B>,
        watch: Watch,
        strip: Option<Strip>,
    ) -> Self {
        call.alarm.reset();
        Self {
            behind: true,
            call,
            head,
            peek,
            watch,
            strip,
            seen: 0,
            flow: None,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Settled> {
        let Self {
            call,
            peek,
            watch,
            seen,
            flow,
            ..
        } = self;
        let mut look = |chunk: &Bytes| {
            let progress = watch.feed(chunk);
            if progress.content > 0 {
                let alive = flow.get_or_insert_with(|| {
                    call.alarm.reset();
                    Flow::new(call.params.clocks, None)
                });
                alive.woke(Instant::now());
                if watch.understood() {
                    alive.content(progress.content);
                } else {
                    alive.opaque();
                }
            }
            match progress.fault {
                Some(fault) => ControlFlow::Break(Some(fault)),
                None if watch.committed() || progress.finished => ControlFlow::Break(None),
                None => ControlFlow::Continue(()),
            }
        };
        let mut polled = None;
        if std::mem::take(&mut self.behind) {
            let held = peek.data().find_map(|chunk| {
                *seen += 1;
                look(chunk).break_value()
            });
            polled = held.map(|decided| Poll::Ready(Stopped::Decided(decided)));
        }
        let polled = polled.unwrap_or_else(|| {
            let polled = peek.poll_until(cx, |frame| match frame.data_ref() {
                Some(chunk) => look(chunk),
                None => ControlFlow::Continue(()),
            });
            // All that is held was looked at; many small frames may have become one.
            *seen = peek.data().count();
            polled
        });
        let Poll::Ready(stopped) = polled else {
            let limit = match flow {
                Some(flow) => {
                    flow.wait(Instant::now());
                    ready!(call.alarm.poll(cx, |now| flow.check(now)))
                }
                None => ready!(call.poll_clocks(cx, Stage::Body)),
            };
            return Poll::Ready(Settled::Failed(passed(limit).into()));
        };
        Poll::Ready(match stopped {
            Stopped::Decided(None) | Stopped::Full => Settled::Pass,
            Stopped::Decided(Some(fault)) => self.fault(fault),
            Stopped::Ended => match self.watch.end() {
                Ended::Whole(_) => Settled::Pass,
                Ended::Fault(fault) => self.fault(fault),
                Ended::Truncated => Settled::Failed(Error::new(Kind::StreamTruncated).into()),
            },
            Stopped::Failed => match self.peek.take_error() {
                Some(error) => Settled::Failed(error),
                None => Settled::Failed(Error::new(Kind::StreamTruncated).into()),
            },
        })
    }

    /// Nobody has seen anything of a stream with this fault.
    fn fault(&self, fault: Fault) -> Settled {
        match fault {
            Fault::Error(event) => Settled::Refused(event),
            Fault::Malformed => {
                let kind = Kind::StreamMalformed;
                let headers = &self.head.headers;
                let mut class = self.watch.class_before(&Fault::Malformed, headers);
                class.signal = Signal::Error(kind);
                let error = Error::new(kind);
                Settled::Failed(error.with_source(Failure::new(class)).into())
            }
        }
    }

    /// The response that the stream is.
    pub(super) fn pass(mut self) -> Response<Streaming<B>> {
        let flow = self.flow.take().unwrap_or_else(|| {
            let first = if self.watch.finished() {
                None
            } else {
                self.call.first_left(Instant::now())
            };
            Flow::new(self.call.params.clocks, first)
        });
        if !self.watch.finished() {
            // A server that announced a length stops there, and would not tell that the answer is not whole.
            self.head.headers.remove(CONTENT_LENGTH);
        }
        self.head.extensions.insert(self.watch.classified());
        if let Some(spoken) = self.watch.spoken() {
            self.head.extensions.insert(spoken);
        }
        let mut alarm = std::mem::take(&mut self.call.alarm);
        alarm.reset();
        let body = Streaming::new(
            self.peek.into_body(),
            self.seen,
            self.watch,
            self.strip,
            flow,
            alarm,
        );
        Response::from_parts(self.head, body)
    }

    /// The response that the provider would have given, had it known at the head.
    pub(super) fn refuse(mut self, event: Value) -> Response<Bytes> {
        let spoken = self.watch.spoken();
        let dialect = spoken.map_or_else(|| self.call.dialect(), |Spoken(dialect)| dialect);
        let fault = Fault::Error(event);
        let class = self.watch.class_before(&fault, &self.head.headers);
        let event = match &fault {
            Fault::Error(event) => event,
            Fault::Malformed => &Value::Null,
        };
        let refusal = refusal::of(dialect, event, class);
        let classified = Classified::default();
        classified.set_head(refusal.class.clone());
        classified.set_end(refusal.class.clone());
        self.head.extensions.insert(classified);
        refusal.dress(&mut self.head);
        self.watch.close(refusal.class);
        Response::from_parts(self.head, refusal.body)
    }

    /// It failed, and nobody has seen anything of it.
    pub(super) fn fail(mut self, error: &BoxError) {
        self.watch.close(class_of_error(error));
    }
}
