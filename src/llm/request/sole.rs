//! What follows the part of a body that was read for its model.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::named::{Naming, contradiction};
use crate::{
    base::{BoxError, Error},
    body::{Body as Whole, peek::Held},
};

/// A body in which nothing may name another model than what was read of it.
#[pin_project]
#[derive(Debug)]
pub(super) struct Sole<B> {
    #[pin]
    inner: B,
    naming: Naming,
    /// Data bytes that were read before.
    known: u64,
    /// Whether the same name may follow.
    repeats: bool,
}

// === impl Naming ===

impl Naming {
    /// The body that was read so far, watched for the rest. Another name fails it; so does the same one, unless it `repeats`.
    ///
    /// # Errors
    /// [`Kind::BadRequest`] if that is in what was read.
    pub(crate) fn watch(self, body: Held<Whole>, repeats: bool) -> Result<Whole, Error> {
        let named = self.named();
        if named.differs || (named.again && !repeats) {
            return Err(contradiction());
        }
        if self.is_over() || body.ended() || named.first.is_none() {
            return Ok(Whole::new(body));
        }
        let known = body.bytes();
        Ok(Whole::new(Sole::new(body, self, known, repeats)))
    }
}

// === impl Sole ===

impl<B> Sole<B> {
    /// Over a body of which so many bytes were read by `naming`.
    pub(super) fn new(inner: B, naming: Naming, known: u64, repeats: bool) -> Self {
        Self {
            inner,
            naming,
            known,
            repeats,
        }
    }
}

impl<B> Body for Sole<B>
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
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|f| f.as_ref().ok()?.data_ref()) {
            let known = (*this.known).min(data.len() as u64);
            *this.known -= known;
            let known = usize::try_from(known).unwrap_or(data.len());
            this.naming.push(data.get(known..).unwrap_or_default());
            let named = this.naming.named();
            if named.differs || (named.again && !*this.repeats) {
                return Poll::Ready(Some(Err(contradiction().into())));
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
