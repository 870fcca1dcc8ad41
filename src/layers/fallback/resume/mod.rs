//! A stream that was cut after content goes on at the next target (opt-in).
//!
//! The text so far is sent along as the beginning of the assistant's answer, and what the next target adds follows in the
//! same stream: one beginning, one finish, one end ([`splice`]). Only plain text is gone on with, up to 256 KiB of it: not a
//! call of a tool, not one of several answers. Events reach the caller whole or not at all, and a provider's error event
//! only when nobody goes on.
//!
//! A target that refuses the beginning, or none being left, ends the stream as if it had not been tried: with the error that
//! cut it. One that repeats what it was sent before it adds to it is cut by the repetition.
//!
//! As long as the caller was shown nothing but the beginning of a stream (a role, `message_start`, comments), the next target
//! answers the caller's own request anew, and its beginning is left out: nothing is asked of it that it could refuse, and calls
//! with tools are no exception.
//!
//! What each dialect says of the odd cases:
//! - *A list of messages that the caller ended with the assistant's* is, to Anthropic, the beginning of the answer: the text
//!   follows in that message. OpenAI's API leaves open whether it is a turn of its own, and servers differ: not gone on with.
//! - *`[DONE]` while `finish_reason` is `null`*: OpenAI's marker of a whole answer is the finish reason; `[DONE]` ends the
//!   transport, and servers send it after failures too. So such a stream was cut, it may be gone on with, and its `[DONE]`
//!   is not shown: neither in the middle of the joined stream, nor before the error if nobody goes on.
//! - *A `stop_reason` without `message_stop`* (Anthropic): all content came, so there is nothing to go on with; the stream ends as
//!   without this.
//!
//! For OpenAI chat and Anthropic, in server-sent events that are not compressed; all else passes untouched.

mod anthropic;
mod events;
mod facts;
mod openai;
mod splice;

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};

pub(super) use self::splice::Splice;
use crate::{
    base::{BoxError, Kind},
    body::Body,
    classify::{Class, FallbackScope, Outcome, Signal, transport::class_of_body_error},
};

/// Asks the next targets to go on with a text after this failure. Gives the stream, and what asks after that one. `None`:
/// nobody does.
pub(super) trait GoOn: Send {
    fn go_on(self: Box<Self>, failure: Class, text: String) -> Going;
}

/// See [`GoOn`].
pub(super) type Going = Pin<Box<dyn Future<Output = Option<(Body, Box<dyn GoOn>)>> + Send>>;

/// A body that outlives its target.
pub(super) struct Resumed {
    state: State,
    splice: Splice,
    /// `None` while it is asking.
    next: Option<Box<dyn GoOn>>,
    ready: VecDeque<Result<Frame<Bytes>, BoxError>>,
}

enum State {
    Streaming(Body),
    Asking(Going, BoxError),
    Over,
}

// === impl Resumed ===

impl Resumed {
    pub(super) fn new(body: Body, splice: Splice, next: Box<dyn GoOn>) -> Self {
        Self {
            state: State::Streaming(body),
            splice,
            next: Some(next),
            ready: VecDeque::new(),
        }
    }

    fn put(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.ready.push_back(Ok(Frame::data(bytes)));
        }
    }

    /// The stream was cut: somebody else may go on.
    fn cut(&mut self, error: BoxError) {
        let text = self.splice.text().map(str::to_owned);
        if let (Some(failure), Some(text)) = (failure(&error), text)
            && let Some(next) = self.next.take()
        {
            self.state = State::Asking(next.go_on(failure, text), error);
        } else {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: BoxError) {
        let rest = self.splice.rest(false);
        self.put(rest);
        self.ready.push_back(Err(error));
        self.state = State::Over;
    }
}

impl HttpBody for Resumed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Some(frame) = this.ready.pop_front() {
                return Poll::Ready(Some(frame));
            }
            match &mut this.state {
                State::Over => return Poll::Ready(None),
                State::Streaming(body) => match ready!(Pin::new(body).poll_frame(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(chunk) => {
                            let out = this.splice.feed(chunk);
                            this.put(out);
                        }
                        Err(trailers) => {
                            let rest = this.splice.rest(true);
                            this.put(rest);
                            this.ready.push_back(Ok(trailers));
                            this.state = State::Over;
                        }
                    },
                    None => {
                        let rest = this.splice.rest(true);
                        this.put(rest);
                        this.state = State::Over;
                    }
                    Some(Err(error)) => this.cut(error),
                },
                State::Asking(going, _) => {
                    let went = ready!(going.as_mut().poll(cx));
                    let State::Asking(_, error) = std::mem::replace(&mut this.state, State::Over)
                    else {
                        continue;
                    };
                    match went {
                        Some((body, next)) => {
                            let out = this.splice.join();
                            this.put(out);
                            this.state = State::Streaming(body);
                            this.next = Some(next);
                        }
                        None => this.fail(error),
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && matches!(self.state, State::Over)
    }
}

impl fmt::Debug for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resumed")
    }
}

/// What the failure of a stream says of who may go on; `None`: nobody. What forbids to send a request again after content
/// does not forbid to go on.
fn failure(error: &BoxError) -> Option<Class> {
    let class = class_of_body_error(error);
    if matches!(
        class.signal,
        Signal::Error(Kind::DeadlineExceeded | Kind::Canceled)
    ) {
        return None;
    }
    let outcome = class.inner.unwrap_or(class.outcome);
    let mut failure = Class::new(outcome, class.signal);
    if outcome == Outcome::StreamStalled {
        failure.elsewhere = FallbackScope::Any;
    }
    let goes = !matches!(
        failure.elsewhere,
        FallbackScope::None | FallbackScope::OptIn | FallbackScope::Larger
    );
    goes.then_some(failure)
}
