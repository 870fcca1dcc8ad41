//! An answer of which it is not known yet what it is.

use std::{
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, response};
use http_body::Body;

use super::{
    call::{Call, passed},
    clocks::Stage,
    hold::Hold,
};
use crate::{
    base::{BoxError, time},
    body::peek::{Held, Peek, Stopped},
    classify::PATIENCE,
    llm::{
        coding::Coding,
        sniff::{Found, Sniff},
        stream::ReadAs,
    },
};

/// The head and the first frames of an answer, until its first bytes of meaning tell what it is.
pub(super) struct Opening<B: Body> {
    call: Box<Call>,
    head: response::Parts,
    peek: Peek<B>,
    coding: Coding,
    sniff: Sniff,
    /// Runs from the first byte of meaning: what leaves it open for long passes.
    patience: Option<Pin<Box<time::Sleep>>>,
}

/// What came of it.
pub(super) enum Opened<B: Body> {
    /// A stream.
    Stream(Box<Hold<B>>),
    /// Anything else, to be handed on as it is.
    Other(Response<Held<B>>),
}

// === impl Opening ===

impl<B> Opening<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    pub(super) fn new(
        mut call: Box<Call>,
        head: response::Parts,
        body: B,
        coding: Coding,
        sniff: Sniff,
    ) -> Self {
        call.alarm.reset();
        Self {
            peek: Peek::with_limit(body, call.hold_cap()).patient(),
            call,
            head,
            coding,
            sniff,
            patience: None,
        }
    }

    /// What the body is. An error is a limit that was passed, or that of a stream that was promised.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Found, BoxError>> {
        let Self {
            call,
            peek,
            coding,
            sniff,
            patience,
            ..
        } = self;
        let polled = peek.poll_until(cx, |frame| match frame.data_ref() {
            Some(chunk) => {
                let mut found = None;
                coding.show(chunk, |piece| {
                    found = found.or_else(|| sniff.feed(piece));
                });
                match found {
                    Some(found) => ControlFlow::Break(found),
                    None if coding.is_unreadable() => ControlFlow::Break(sniff.label()),
                    None => ControlFlow::Continue(()),
                }
            }
            None => ControlFlow::Continue(()),
        });
        match polled {
            Poll::Ready(Stopped::Decided(found)) => Poll::Ready(Ok(found)),
            Poll::Ready(Stopped::Failed) if call.streams() || sniff.is_promised() => {
                Poll::Ready(peek.take_error().map_or(Ok(Found::Unknown), Err))
            }
            Poll::Ready(_) => Poll::Ready(Ok(sniff.end())),
            Poll::Pending => {
                // Whether its first content is waited for is known of a stream alone.
                if (call.streams() || sniff.is_promised())
                    && let Poll::Ready(limit) = call.poll_clocks(cx, Stage::Body)
                {
                    return Poll::Ready(Err(passed(limit).into()));
                }
                if sniff.is_blank() {
                    *patience = None;
                    return Poll::Pending;
                }
                let patience = patience.get_or_insert_with(|| Box::pin(time::sleep(PATIENCE)));
                patience.as_mut().poll(cx).map(|()| Ok(sniff.end()))
            }
        }
    }

    /// Goes on with it as what it is.
    pub(super) fn open(mut self, found: Found) -> Opened<B> {
        if let Found::Stream(framing) = found {
            return Opened::Stream(Box::new(self.call.hold(self.head, self.peek, framing)));
        }
        self.head.extensions.insert(ReadAs(None));
        Opened::Other(Response::from_parts(self.head, self.peek.into_body()))
    }
}
