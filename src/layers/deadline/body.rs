//! The response body under the deadline.

use std::sync::Arc;

use super::Stats;
use crate::{
    base::{
        BoxError, Error, Kind, error,
        ext::{CancelCause, Flag, Record},
    },
    body::{End, Observe, Observed, timed::Timed},
};

/// A response body that fails with [`Kind::DeadlineExceeded`] if it is not over at the deadline.
pub type Body<B> = Observed<Timed<B>, Expiry>;

/// Notes a body that was cut at the deadline: Envoy's `UT`, `response_timeout`, and the counter.
#[derive(Debug)]
pub struct Expiry(pub(super) Option<Notes>);

/// Where a timeout is noted.
#[derive(Debug)]
pub(super) struct Notes {
    /// Told before an attempt is dropped, if the timeout is our own. Where it does not move, the clock tells.
    pub(super) cause: Option<CancelCause>,
    pub(super) record: Option<Record>,
    pub(super) stats: Arc<Stats>,
}

// === impl Expiry ===

impl Observe<BoxError> for Expiry {
    fn end(self, how: End<'_, BoxError>) {
        let (End::Failed(error), Some(notes)) = (how, self.0) else {
            return;
        };
        if !is_timeout(error) {
            return;
        }
        notes.stats.timeouts.inc();
        if let Some(record) = notes.record {
            record.flag(Flag::UT);
            record.note(|n| n.details = Some("response_timeout".to_owned()));
        }
    }
}

pub(super) fn is_timeout(error: &BoxError) -> bool {
    error::find(error.as_ref()).map(Error::kind) == Some(Kind::DeadlineExceeded)
}
