//! What lasts to the end of a response body.

use http::Response;

use super::guard::{Guard, How};
use crate::{
    base::BoxError,
    classify::{
        Classified, Outcome, Signal,
        http::{class_of_head, signal_of},
        transport::class_of_body_error,
    },
};

/// The guards of one answer, innermost first, and what its class is read from.
#[derive(Debug)]
pub(super) struct Tail {
    guards: [Option<Guard>; 4],
    more: Vec<Guard>,
    classified: Option<Classified>,
    /// The head, where nobody below has decided by it.
    plain: Option<Signal>,
}

// === impl Tail ===

impl Tail {
    /// Nobody waits yet.
    pub(super) fn of<B>(response: &Response<B>) -> Self {
        let classified = response.extensions().get::<Classified>().cloned();
        let decided = classified.as_ref().and_then(Classified::head).is_some();
        Self {
            guards: Default::default(),
            more: Vec::new(),
            plain: (!decided).then(|| signal_of(response)),
            classified,
        }
    }

    pub(super) fn push(&mut self, guard: Guard) {
        match self.guards.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(guard),
            None => self.more.push(guard),
        }
    }

    /// Tells all, once each. One that panics leaves the others to their drop, which tells them.
    pub(super) fn end(self, how: How, error: Option<&BoxError>) {
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
