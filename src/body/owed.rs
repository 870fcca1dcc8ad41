//! A request body that is read before the request is sent on.

use bytes::Bytes;
use http::Extensions;

use super::{Body, End, Observe, Observed};
use crate::base::ext::{Allowance, Held, TryClock};

/// Tells the clocks of an upload of each part that comes: its caller has not stalled.
struct Parts(Allowance);

impl<E> Observe<E> for Parts {
    fn data(&mut self, chunk: &Bytes) {
        if !chunk.is_empty() {
            self.0.clocks().for_each(TryClock::progress);
        }
    }

    fn end(self, _how: End<'_, E>) {}
}

/// The body of the request with these extensions, and what stops the request's time while it is read: that begins when the
/// request is complete.
pub(crate) fn owed(body: Body, request: &Extensions) -> (Body, Vec<Held>) {
    match request.get::<Allowance>() {
        Some(allowance) => {
            let held = allowance.hold();
            let parts = Parts(allowance.clone());
            (Body::new(Observed::new(body, parts)), held)
        }
        None => (body, Vec::new()),
    }
}
