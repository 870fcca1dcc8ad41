//! The response body that decides the final class.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use ::http::{HeaderMap, Response, response};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::MapErr;
use pin_project::pin_project;

use crate::{
    base::{BoxError, Error, Kind},
    body::{End, Observe, Observed, peek::Held},
    classify::{Class, Classified, Classifier},
};

/// The inner body, with its error erased.
pub(super) type Erased<B> = MapErr<B, fn(<B as Body>::Error) -> BoxError>;

/// A response body whose end decides the final class.
#[pin_project]
pub struct ResponseBody<B, C>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    #[pin]
    inner: Observed<Held<Erased<B>>, Watch<C>>,
}

struct Watch<C> {
    classifier: C,
    classified: Classified,
    /// Data frames that the classifier has seen while they were held back.
    seen: usize,
    /// The class, if the whole body was seen already.
    last: Option<Class>,
    trailers: Option<HeaderMap>,
}

/// What is known of a response when it is handed on.
pub(super) struct Known {
    /// The class, if it is decided.
    pub(super) head: Option<Class>,
    /// The final class, if the whole body was seen.
    pub(super) last: Option<Class>,
    /// Data frames that the classifier has seen.
    pub(super) seen: usize,
}

// === impl ResponseBody ===

impl<B, C> Body for ResponseBody<B, C>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B, C> fmt::Debug for ResponseBody<B, C>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("size_hint", &self.size_hint())
            .finish_non_exhaustive()
    }
}

// === impl Watch ===

impl<C: Classifier> Observe<BoxError> for Watch<C> {
    fn data(&mut self, chunk: &Bytes) {
        if self.seen > 0 {
            self.seen -= 1;
        } else {
            // Too late to be held back; the end will say what it came to.
            let _ = self.classifier.frame(chunk);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.trailers = Some(trailers.clone());
    }

    fn end(mut self, how: End<'_, BoxError>) {
        let class = match (self.last.take(), how) {
            (Some(class), _) => class,
            (None, End::Complete) => self.classifier.end(self.trailers.as_ref()),
            (None, End::Failed(error)) => self.cut(error),
            (None, End::Dropped) => self.cut(&Error::new(Kind::Canceled).into()),
        };
        self.classified.set_end(class);
    }
}

impl<C: Classifier> Watch<C> {
    /// The body was cut short. A failure that was certain before stays.
    fn cut(&mut self, error: &BoxError) -> Class {
        match self.classified.head() {
            Some(class) if !class.is_success() => class.clone(),
            _ => self.classifier.error(error),
        }
    }
}

/// Puts a response together from its parts, and leaves its class in its extensions. One that is there stays.
pub(super) fn finish<B, C>(
    mut parts: response::Parts,
    body: Held<Erased<B>>,
    classifier: C,
    known: Known,
) -> Response<ResponseBody<B, C>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    let classified = parts.extensions.get::<Classified>().cloned();
    let classified = classified.unwrap_or_default();
    if let Some(class) = known.head {
        classified.set_head(class);
    }
    parts.extensions.insert(classified.clone());
    let watch = Watch {
        classifier,
        classified,
        seen: known.seen,
        last: known.last,
        trailers: None,
    };
    let inner = Observed::new(body, watch);
    Response::from_parts(parts, ResponseBody { inner })
}
