//! The trace context, free of any format, and its way in and out of headers.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{b3, digits::Digits, legacy::Carried, w3c};
use crate::base::SharedRng;

/// Which trace and span a request belongs to.
///
/// [`Trace`](super::Trace) leaves one in the request's extensions, [`Inject`](super::Inject) replaces it by the
/// attempt's own. Absent means that the request is not traced.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that work done under this context is a child of.
    pub span_id: SpanId,
    /// The parent of that span, where known.
    pub parent: Option<SpanId>,
    /// Whether the trace is sampled; `None` leaves it to the next hop (B3 alone can say that).
    pub sampled: Option<bool>,
    /// B3's debug flag, which implies sampling.
    pub debug: bool,
    /// W3C level 2: whether the trace id's right half is random.
    pub random: bool,
    /// W3C `tracestate`, valid and joined into one.
    pub state: Option<HeaderValue>,
    /// The formats to write.
    pub formats: Formats,
    /// Headers of other tracers and the request id, passed on as they came.
    pub carried: Carried,
}

/// What headers say about the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extracted {
    /// The caller's context, from the first format that held a valid one.
    pub context: Option<Context>,
    /// A decision without ids (`b3: 0`).
    pub sampled: Option<bool>,
    /// A debug request without ids (`b3: d`).
    pub debug: bool,
    /// The formats that were there, valid or not.
    pub formats: Formats,
    /// Headers to pass on.
    pub carried: Carried,
}

/// A set of header formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// `traceparent` and `tracestate`.
    pub w3c: bool,
    /// `b3`.
    pub b3_single: bool,
    /// `x-b3-traceid` and its companions.
    pub b3_multi: bool,
}

/// A trace id of 128 bits, or of 64 where the caller sent as few (B3), which it then keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId {
    value: NonZeroU128,
    short: bool,
}

/// A span id; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

// === impl Context ===

impl Context {
    /// A context with nothing but ids; no formats.
    #[must_use]
    pub fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        Self {
            trace_id,
            span_id,
            parent: None,
            sampled: None,
            debug: false,
            random: false,
            state: None,
            formats: Formats::NONE,
            carried: Carried::default(),
        }
    }

    /// The first span of a new trace, with random ids.
    #[must_use]
    pub fn root(rng: &SharedRng) -> Self {
        let mut context = Self::new(TraceId::random(rng), SpanId::random(rng));
        context.random = true;
        context
    }

    /// A new span in the same trace, child of this one.
    #[must_use]
    pub fn child(&self, rng: &SharedRng) -> Self {
        Self {
            span_id: SpanId::random(rng),
            parent: Some(self.span_id),
            ..self.clone()
        }
    }

    /// Whether the trace is known to be sampled.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.debug || self.sampled == Some(true)
    }
}

/// Header values of callers are left out.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("trace_id", &format_args!("{}", self.trace_id))
            .field("span_id", &format_args!("{}", self.span_id))
            .field("sampled", &self.sampled)
            .field("formats", &self.formats)
            .finish_non_exhaustive()
    }
}

// === impl Extracted ===

impl Default for Extracted {
    /// Nothing was there.
    fn default() -> Self {
        Self {
            context: None,
            sampled: None,
            debug: false,
            formats: Formats::NONE,
            carried: Carried::default(),
        }
    }
}

// === impl Formats ===

impl Formats {
    /// None of them.
    pub const NONE: Self = Self {
        w3c: false,
        b3_single: false,
        b3_multi: false,
    };

    /// Whether none is set.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Those that are there at all.
    fn seen(headers: &HeaderMap) -> Self {
        Self {
            w3c: headers.contains_key(w3c::TRACEPARENT),
            b3_single: headers.contains_key(b3::SINGLE),
            b3_multi: b3::MULTI.iter().any(|name| headers.contains_key(name)),
        }
    }
}

impl Default for Formats {
    /// W3C and B3 multi: services of either kind join.
    fn default() -> Self {
        Self {
            w3c: true,
            b3_single: false,
            b3_multi: true,
        }
    }
}

// === impl TraceId ===

impl TraceId {
    /// An id of 128 bits; `None` for zero.
    #[must_use]
    pub fn new(value: u128) -> Option<Self> {
        let value = NonZeroU128::new(value)?;
        Some(Self {
            value,
            short: false,
        })
    }

    /// An id of 64 bits; `None` for zero.
    #[must_use]
    pub fn short(value: u64) -> Option<Self> {
        let value = NonZeroU64::new(value)?.into();
        Some(Self { value, short: true })
    }

    fn random(rng: &SharedRng) -> Self {
        let value = (u128::from(rng.next()) << 64) | u128::from(rng.next());
        Self {
            value: NonZeroU128::new(value).unwrap_or(NonZeroU128::MIN),
            short: false,
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u128 {
        self.value.get()
    }

    /// As in B3 headers.
    pub(super) fn digits(self) -> Digits {
        Digits::default().hex(self.get(), if self.short { 16 } else { 32 })
    }

    /// Whether it has 64 bits.
    #[must_use]
    pub fn is_short(self) -> bool {
        self.short
    }
}

/// 32 hexadecimal digits, or 16 for a short one.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.short { 16 } else { 32 };
        write!(f, "{:0width$x}", self.value)
    }
}

// === impl SpanId ===

impl SpanId {
    /// An id; `None` for zero.
    #[must_use]
    pub fn new(value: u64) -> Option<Self> {
        NonZeroU64::new(value).map(Self)
    }

    fn random(rng: &SharedRng) -> Self {
        Self(NonZeroU64::new(rng.next()).unwrap_or(NonZeroU64::MIN))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// 16 hexadecimal digits.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Reads a context. Of several formats the first valid one counts: W3C, B3 single, B3 multi.
#[must_use]
pub fn extract(headers: &HeaderMap) -> Extracted {
    // Most requests have none, and a look at all names is cheaper than looking for each.
    if !headers.keys().any(is_any) {
        return Extracted::default();
    }
    let formats = Formats::seen(headers);
    let mut extracted = w3c::extract(headers)
        .or_else(|| b3::extract_single(headers))
        .or_else(|| b3::extract_multi(headers))
        .unwrap_or_default();
    extracted.formats = formats;
    extracted.carried = Carried::read(headers);
    if let Some(context) = &mut extracted.context {
        context.formats = formats;
        context.carried = extracted.carried.clone();
    }
    extracted
}

/// Writes a context in its formats, in place of whatever context was there; carried headers only where absent.
pub fn inject(context: &Context, headers: &mut HeaderMap) {
    if headers.keys().any(is_written) {
        for name in [&w3c::TRACEPARENT, &w3c::TRACESTATE, &b3::SINGLE] {
            headers.remove(name);
        }
        for name in &b3::MULTI {
            headers.remove(name);
        }
    }
    let ids = Ids::of(context);
    if context.formats.w3c {
        w3c::inject(context, &ids, headers);
    }
    if context.formats.b3_single {
        b3::inject_single(context, headers);
    }
    if context.formats.b3_multi {
        b3::inject_multi(context, &ids, headers);
    }
    context.carried.write(headers);
}

/// Whether a context is written to this header.
fn is_written(name: &HeaderName) -> bool {
    // Faster than comparing with each.
    matches!(
        name.as_str(),
        "traceparent"
            | "tracestate"
            | "b3"
            | "x-b3-traceid"
            | "x-b3-spanid"
            | "x-b3-parentspanid"
            | "x-b3-sampled"
            | "x-b3-flags"
    )
}

/// Whether a context is read from this header, or it is passed on.
fn is_any(name: &HeaderName) -> bool {
    is_written(name) || Carried::has(name)
}

/// The only value of a header; `None` if it is absent, repeated or no text. Optional whitespace is cut off.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => first_text(value),
        _ => None,
    }
}

pub(super) fn first_text(value: &HeaderValue) -> Option<&str> {
    Some(value.to_str().ok()?.trim_matches([' ', '\t']))
}

/// Sets a header to a value if there is one.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// All ids of a context as one text, `{traceparent}{parent}`, of which header values are parts: one allocation for all.
pub(super) struct Ids {
    text: Bytes,
    short: bool,
}

// === impl Ids ===

impl Ids {
    fn of(context: &Context) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_look_knows_all_names() {
        let all = [w3c::TRACEPARENT, w3c::TRACESTATE, b3::SINGLE];
        assert!(all.iter().chain(&b3::MULTI).all(is_written));
        assert!(!is_written(&http::header::HOST));
    }
}
