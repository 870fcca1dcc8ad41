//! The ids of a context as header values.

use bytes::Bytes;
use http::HeaderValue;

use super::{context::Context, digits::Digits};

/// The flag of a sampled trace.
pub(super) const SAMPLED: u8 = 0x01;
/// The flag of a trace id whose right half is random.
pub(super) const RANDOM: u8 = 0x02;

/// All ids of a context as one text, `{traceparent}{parent}`, of which header values are parts: one allocation for all.
pub(super) struct Ids {
    text: Bytes,
    short: bool,
}

// === impl Ids ===

impl Ids {
    pub(super) fn of(context: &Context) -> Self {
        let text = digits(context);
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

/// The text of a `traceparent`.
fn digits(context: &Context) -> Digits {
    let sampled = if context.is_sampled() { SAMPLED } else { 0 };
    let random = if context.random { RANDOM } else { 0 };
    Digits::default()
        .hex(0, 2)
        .dash()
        .hex(context.trace_id.get(), 32)
        .dash()
        .hex(context.span_id.get().into(), 16)
        .dash()
        .hex(u128::from(sampled | random), 2)
}
