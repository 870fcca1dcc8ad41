//! A body whose beginning was read already.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::base::BoxError;

/// The frames that were held back, then whatever follows them, unchanged.
#[pin_project]
#[derive(Debug)]
pub(super) struct Peeked<B> {
    held: VecDeque<Frame<Bytes>>,
    /// How the body ended, if it did while frames were held back.
    over: Option<Over>,
    #[pin]
    rest: Rest<B>,
}

#[derive(Debug)]
pub(super) enum Over {
    Complete,
    Failed(BoxError),
}

#[pin_project(project = RestProj)]
#[derive(Debug)]
enum Rest<B> {
    Plain(#[pin] B),
    /// A body that had to be polled before its final place was known.
    Boxed(Pin<Box<B>>),
}

// === impl Peeked ===

impl<B> Peeked<B> {
    /// A body of which nothing was read.
    pub(super) fn untouched(body: B) -> Self {
        Self {
            held: VecDeque::new(),
            over: None,
            rest: Rest::Plain(body),
        }
    }

    /// A body after its `held` frames were read.
    pub(super) fn new(held: VecDeque<Frame<Bytes>>, over: Option<Over>, rest: Pin<Box<B>>) -> Self {
        Self {
            held,
            over,
            rest: Rest::Boxed(rest),
        }
    }
}

impl<B> Body for Peeked<B>
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
        let this = self.project();
        if let Some(frame) = this.held.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match this.over.take() {
            Some(Over::Complete) => {
                *this.over = Some(Over::Complete);
                return Poll::Ready(None);
            }
            Some(Over::Failed(error)) => {
                *this.over = Some(Over::Complete);
                return Poll::Ready(Some(Err(error)));
            }
            None => {}
        }
        let frame = match this.rest.project() {
            RestProj::Plain(body) => ready!(body.poll_frame(cx)),
            RestProj::Boxed(body) => ready!(body.as_mut().poll_frame(cx)),
        };
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty()
            && match &self.over {
                Some(Over::Complete) => true,
                Some(Over::Failed(_)) => false,
                None => match &self.rest {
                    Rest::Plain(body) => body.is_end_stream(),
                    Rest::Boxed(body) => body.is_end_stream(),
                },
            }
    }

    fn size_hint(&self) -> SizeHint {
        let held: u64 = self
            .held
            .iter()
            .filter_map(Frame::data_ref)
            .map(|chunk| chunk.len() as u64)
            .sum();
        let rest = match (&self.over, &self.rest) {
            (Some(Over::Complete), _) => SizeHint::with_exact(0),
            (_, Rest::Plain(body)) => body.size_hint(),
            (_, Rest::Boxed(body)) => body.size_hint(),
        };
        let mut hint = SizeHint::new();
        // The upper bound first: `set_lower` must not pass it.
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(rest.lower().saturating_add(held));
        hint
    }
}
