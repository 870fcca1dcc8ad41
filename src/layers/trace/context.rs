//! The trace context, free of any format.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{digits::Digits, legacy::Carried, tracer::Tracer};
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
    /// Whether the ids were drawn here, for want of a caller's: no span has them, so they are told to nobody.
    pub begun: bool,
    /// Where the request's spans go.
    pub tracer: Tracer,
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
            begun: false,
            tracer: Tracer::default(),
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
            begun: false,
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
