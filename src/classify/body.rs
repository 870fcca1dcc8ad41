//! What decides the final class at the end of a response body.

use ::http::{HeaderMap, Response, response};
use bytes::Bytes;

use crate::{
    base::{BoxError, Error, Kind},
    body::{End, Observe},
    classify::{
        Class, Classified, Classifier,
        answer::{ResponseBody, watched},
    },
};

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

/// Puts a response together from its parts, and leaves its class in its body and, for those who see only a foreign body, in its extensions. One that is there
/// stays.
pub(super) fn finish<C: Classifier + Send + 'static>(
    mut parts: response::Parts,
    body: ResponseBody,
    classifier: C,
    known: Known,
) -> Response<ResponseBody> {
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
    watched(Response::from_parts(parts, body), watch)
}
