//! The request body between our layers: bytes that can be sent again, and the [`Context`] of the attempt they are sent with.
//!
//! A retry needs the body a second time, but most requests are sent once, so nothing is read ahead: the first reader
//! streams the inner body and leaves a copy of each frame (shared bytes, not a second allocation) behind. A clone
//! replays what was left and, if the first reader stopped early, goes on with the rest of the inner body.
//!
//! The copy is capped in bytes. At the cap it is thrown away: the reader at work streams on undisturbed, and the body
//! cannot be sent again. A body that says at creation that it is larger is never copied.
//!
//! Bytes that are known at once ([`Full`](http_body_util::Full), [`Body`](crate::body::Body)) need none of this: each clone has them.
//!
//! One clone reads at a time: the one that began to read last. An earlier reader that is still about (a transport may
//! hold an abandoned request a little longer) gets an error and never steals frames or wake-ups.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use http::Extensions;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

use self::{lag::Lag, reader::Reader};
use super::context::Context;
use crate::base::BoxError;

mod buffer;
mod lag;
mod reader;

/// How many bytes are kept if nobody says otherwise (Envoy's default per-request retry buffer).
pub const DEFAULT_CAP: usize = 1024 * 1024;

/// The body of a request on its way through our layers, and its [`Context`]. See the [module](self).
///
/// A clone is another reader, which begins at the first byte, with the same context.
///
/// # Cancel safety
/// Dropping a clone at any point loses nothing: the next one begins at the first byte again.
#[derive(Clone, Default)]
pub struct RequestBody {
    data: Data,
    context: Context,
}

#[derive(Clone, Default)]
enum Data {
    /// The body was over at creation.
    #[default]
    Empty,
    Known(Known),
    Streamed(Box<Reader>),
}

/// All of it in one frame.
struct Known {
    bytes: Bytes,
    /// Whether it is over the cap.
    capped: bool,
    /// Whether this reader handed it out.
    done: bool,
}

// === impl RequestBody ===

impl RequestBody {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    pub(super) fn known(bytes: Bytes) -> Self {
        Self::with_data(Data::Known(Known {
            bytes,
            capped: true,
            done: false,
        }))
    }

    pub(super) fn streamed<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self::boxed(body.map_err(Into::into).boxed_unsync())
    }

    pub(super) fn boxed(body: UnsyncBoxBody<Bytes, BoxError>) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self::with_data(Data::Streamed(Box::new(Reader::new(body))))
    }

    fn with_data(data: Data) -> Self {
        Self {
            data,
            context: Context::default(),
        }
    }

    /// Keeps up to `cap` bytes for another reader. Where more is kept already, that stays.
    ///
    /// Known bytes over the cap are not sent again either.
    #[must_use]
    pub fn keep(mut self, cap: usize) -> Self {
        match &mut self.data {
            Data::Known(known) if known.done => self.data = Data::Empty,
            // What was read before is not part of it.
            Data::Streamed(reader) if reader.has_begun() => {
                let data = mem::take(&mut self.data);
                self.data = Self::streamed(Self::with_data(data)).data;
            }
            _ => {}
        }
        match &mut self.data {
            Data::Empty => {}
            Data::Known(known) => known.capped = known.bytes.len() > cap,
            Data::Streamed(reader) => reader.keep(cap),
        }
        self
    }

    /// What is known of the attempt.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// The same, to be changed.
    pub const fn context_mut(&mut self) -> &mut Context {
        &mut self.context
    }

    /// Sets what is known of the attempt.
    #[must_use]
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Notes for the attempt with these extensions whether this reader waits for the caller. Clones note nothing.
    #[must_use]
    pub fn watched(mut self, attempt: &Extensions) -> Self {
        if let Data::Streamed(reader) = &mut self.data {
            reader.lag = Lag::of(&mut self.context, attempt);
        }
        self
    }

    /// Takes it, and leaves no bytes.
    #[must_use]
    pub(crate) fn take(&mut self) -> Self {
        mem::take(self)
    }

    /// Whether nothing more of it is waited for: it is over, or all in memory.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match &self.data {
            Data::Empty | Data::Known(_) => true,
            Data::Streamed(_) => self.is_end_stream(),
        }
    }

    /// Whether it comes in parts, which may be waited for.
    pub(crate) const fn is_streamed(&self) -> bool {
        matches!(self.data, Data::Streamed(_))
    }

    /// Whether a clone that begins to read now can give the whole body.
    ///
    /// `false` once over the cap, once the inner body failed, and from the start for a body known to be too large
    /// (such a body can still be read once).
    #[must_use]
    pub fn can_replay(&self) -> bool {
        match &self.data {
            Data::Empty => true,
            Data::Known(known) => !known.capped,
            Data::Streamed(reader) => reader.can_replay(),
        }
    }

    /// Whether the body is, or is known to be, over the cap.
    #[must_use]
    pub fn is_capped(&self) -> bool {
        match &self.data {
            Data::Empty => false,
            Data::Known(known) => known.capped,
            Data::Streamed(reader) => reader.is_capped(),
        }
    }
}

impl<T: Into<Bytes>> From<T> for RequestBody {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::empty()
        } else {
            Self::known(bytes)
        }
    }
}

impl Clone for Known {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            capped: self.capped,
            done: false,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    /// # Errors
    /// Those of the inner body. [`Kind::BodyTooLarge`](crate::base::Kind::BodyTooLarge) if bytes this reader needs are over the cap
    /// and gone; [`Kind::Canceled`](crate::base::Kind::Canceled) if a later clone reads now; the kind of the inner body's failure
    /// (`Canceled` if it has none) if that happened to an earlier reader.
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().data {
            Data::Known(known) if !known.done => {
                known.done = true;
                Poll::Ready(Some(Ok(Frame::data(known.bytes.clone()))))
            }
            Data::Streamed(reader) => reader.poll_frame(cx),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.data {
            Data::Empty => true,
            Data::Known(known) => known.done,
            Data::Streamed(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.data {
            Data::Known(known) if !known.done => SizeHint::with_exact(known.bytes.len() as u64),
            Data::Streamed(reader) => reader.size_hint(),
            _ => SizeHint::with_exact(0),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("empty", &matches!(self.data, Data::Empty))
            .field("capped", &self.is_capped())
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
