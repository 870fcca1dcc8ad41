//! What lasts to the end of a response body.

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;

use super::guard::{Guard, How};
use crate::{
    base::BoxError,
    body::{End, Observe},
    classify::{
        Classified, Outcome, Signal,
        http::{class_of_head, signal_of},
        transport::class_of_body_error,
    },
};

/// The guards of one answer, innermost first, and what its class is read from.
#[derive(Default)]
pub(super) struct Tail {
    watch: Option<Box<dyn Watch>>,
    guards: [Option<Guard>; 4],
    more: Vec<Guard>,
    classified: Option<Classified>,
    /// The head, where nobody below has decided by it.
    plain: Option<Signal>,
}

/// Sees what passes, and decides the class before the guards hear of the end.
trait Watch: Send {
    fn data(&mut self, chunk: &Bytes);
    fn trailers(&mut self, trailers: &HeaderMap);
    fn end(self: Box<Self>, how: End<'_, BoxError>);
}

// === impl Watch ===

impl<O: Observe<BoxError> + Send> Watch for O {
    fn data(&mut self, chunk: &Bytes) {
        Observe::data(self, chunk);
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        Observe::trailers(self, trailers);
    }

    fn end(self: Box<Self>, how: End<'_, BoxError>) {
        Observe::end(*self, how);
    }
}

// === impl Tail ===

impl Tail {
    /// Nobody waits yet.
    pub(super) fn of<B>(response: &Response<B>) -> Box<Self> {
        let mut tail = Box::new(Self::default());
        tail.read(response);
        tail
    }

    /// Reads what the response says of its class.
    fn read<B>(&mut self, response: &Response<B>) {
        self.classified = response.extensions().get::<Classified>().cloned();
        let decided = self.classified.as_ref().and_then(Classified::head);
        self.plain = decided.is_none().then(|| signal_of(response));
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// Has `watch` decide the class, which it left in the response.
    pub(super) fn watch<B>(
        &mut self,
        response: &Response<B>,
        watch: impl Observe<BoxError> + Send + 'static,
    ) {
        self.watch = Some(Box::new(watch));
        self.read(response);
    }

    /// A frame passes.
    pub(super) fn show(&mut self, frame: &Frame<Bytes>) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        if let Some(chunk) = frame.data_ref() {
            watch.data(chunk);
        } else if let Some(trailers) = frame.trailers_ref() {
            watch.trailers(trailers);
        }
    }

    pub(super) fn push(&mut self, guard: Guard) {
        match self.guards.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(guard),
            None => self.more.push(guard),
        }
    }

    /// Tells all, once each. One that panics leaves the others to their drop, which tells them.
    pub(super) fn end(mut self, how: How, error: Option<&BoxError>) {
        if let Some(watch) = self.watch.take() {
            watch.end(match (how, error) {
                (_, Some(error)) => End::Failed(error),
                (How::Dropped, None) => End::Dropped,
                (_, None) => End::Complete,
            });
        }
        let failed = error.map(class_of_body_error);
        let plain = self.plain.map(class_of_head);
        let noted = self.classified.as_ref();
        let class = match (noted.and_then(Classified::end), how) {
            (Some(class), How::Dropped) if class.outcome == Outcome::Cancelled => None,
            (Some(class), _) => Some(class),
            (None, How::Dropped) => None,
            (None, _) => failed
                .as_ref()
                .or_else(|| noted.and_then(Classified::head))
                .or(plain.as_ref()),
        };
        for guard in self.guards.into_iter().flatten().chain(self.more) {
            guard.finish(class, how);
        }
    }
}
