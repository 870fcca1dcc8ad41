//! The ids of a context as header values.

use bytes::Bytes;
use http::HeaderValue;

use super::{context::Context, w3c};

/// All ids of a context as one text, `{traceparent}{parent}`, of which header values are parts: one allocation for all.
pub(super) struct Ids {
    text: Bytes,
    short: bool,
}

// === impl Ids ===

impl Ids {
    pub(super) fn of(context: &Context) -> Self {
        let text = w3c::digits(context);
        let text = match context.parent {
            Some(parent) => text.hex(parent.get().into(), 16),
            None => text,
        };
        Self {
            text: text.shared(),
            short: context.trace_id.is_short(),
        }
    }

    /// The whole `traceparent`.
    pub(super) fn traceparent(&self) -> Option<HeaderValue> {
        self.part(0, 55)
    }

    /// The trace id as in B3 headers.
    pub(super) fn trace(&self) -> Option<HeaderValue> {
        self.part(if self.short { 19 } else { 3 }, 35)
    }

    /// The span id.
    pub(super) fn span(&self) -> Option<HeaderValue> {
        self.part(36, 52)
    }

    /// The parent's id, if there is one.
    pub(super) fn parent(&self) -> Option<HeaderValue> {
        self.part(55, 71)
    }

    fn part(&self, from: usize, to: usize) -> Option<HeaderValue> {
        if self.text.len() < to {
            return None;
        }
        HeaderValue::from_maybe_shared(self.text.slice(from..to)).ok()
    }
}
