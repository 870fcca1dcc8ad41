//! A span under way.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::HeaderValue;
use opentelemetry::{
    Array, Context as OtelContext, ContextGuard, Key, KeyValue, StringValue, Value as OtelValue,
    trace::{SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt},
};

use super::{attribute::Value, kind::Kind, progress::Progress};
use crate::layers::trace::{self, otel::span_context};

/// A span under way. Clones are the same span. It is over at [`end`](Self::end).
#[derive(Clone)]
pub(crate) struct Span(Arc<Inner>);

/// A span that is current as long as this lives.
pub(crate) type Entered = ContextGuard;

/// What was decided of a trace that begins here: in the context that a sampler is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided(pub bool);

struct Inner {
    cx: OtelContext,
    recording: bool,
    /// The span above.
    parent: Option<SpanId>,
    progress: Mutex<Progress>,
}

/// The flag of a trace id that is random.
const RANDOM: u8 = 0x02;

// === impl Span ===

impl Span {
    /// Begins a span under `above`; else under the current span of the process; else under that of the request's caller; else a
    /// new trace.
    ///
    /// `None`: nothing is exported and nothing has to be told; what came in goes on as it is.
    pub(crate) fn begin(
        above: Option<&Self>,
        context: &trace::Context,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
    ) -> Option<Self> {
        if !context.tracer.is_there() {
            return None;
        }
        let (parent, remote) = match above {
            Some(above) => (above.0.cx.clone(), false),
            None => outside(context),
        };
        let sc = parent.span().span_context().clone();
        if sc.is_valid() && !remote && !sc.is_sampled() && !parent.span().is_recording() {
            // It was decided above that nothing is exported: all there is to do is to tell so.
            return Some(Self::new(parent, false, None));
        }
        let builder = SpanBuilder::from_name(name).with_kind(kind.into());
        let span = context.tracer.start(builder, &parent)?;
        let recording = opentelemetry::trace::Span::is_recording(&span);
        if recording {
            let parent = sc.is_valid().then(|| sc.span_id());
            return Some(Self::new(OtelContext::new().with_span(span), true, parent));
        }
        // The caller's own context says that already.
        if remote {
            return None;
        }
        let made = opentelemetry::trace::Span::span_context(&span).clone();
        let cx = OtelContext::new().with_remote_span_context(made);
        Some(Self::new(cx, false, None))
    }

    fn new(cx: OtelContext, recording: bool, parent: Option<SpanId>) -> Self {
        Self(Arc::new(Inner {
            cx,
            recording,
            parent,
            progress: Mutex::default(),
        }))
    }

    /// Whether anybody wants to know. If not, nothing else is worth its price.
    pub(crate) fn is_recording(&self) -> bool {
        self.0.recording
    }

    /// What its attempts tell each other.
    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        // A panic while the lock was held leaves plain data behind, which stays usable.
        let progress = self.0.progress.lock();
        progress.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, name: &'static str, value: impl Into<Value>) {
        if self.0.recording {
            self.0
                .cx
                .span()
                .set_attribute(attribute(name, value.into()));
        }
    }

    pub(crate) fn event(&self, name: &'static str, attributes: Vec<(&'static str, Value)>) {
        if self.0.recording {
            let attributes = attributes.into_iter().map(|(k, v)| attribute(k, v));
            self.0.cx.span().add_event(name, attributes.collect());
        }
    }

    pub(crate) fn rename(&self, name: String) {
        if self.0.recording {
            self.0.cx.span().update_name(name);
        }
    }

    /// Its status is an error of this type.
    pub(crate) fn fail(&self, error_type: impl Into<Value>) {
        self.set(super::names::ERROR_TYPE, error_type);
        if self.0.recording {
            self.0.cx.span().set_status(Status::error(""));
        }
    }

    pub(crate) fn end(&self) {
        if self.0.recording {
            self.0.cx.span().end();
        }
    }

    /// Makes it the process's current span until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        self.0.cx.clone().attach()
    }

    /// The context that goes out, in the caller's formats and with what else came with it.
    pub(crate) fn told(&self, came: &trace::Context) -> Option<trace::Context> {
        told(self.0.cx.span().span_context(), self.0.parent, came)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("recording", &self.0.recording)
            .finish_non_exhaustive()
    }
}

// === free functions ===

/// The process's current span, as it goes out; `None` if there is none.
pub(crate) fn current(came: &trace::Context) -> Option<trace::Context> {
    if !came.tracer.is_there() {
        return None;
    }
    OtelContext::map_current(|cx| told(cx.span().span_context(), None, came))
}

/// The parent of a span with none of ours above it, and whether it is the caller's.
fn outside(context: &trace::Context) -> (OtelContext, bool) {
    let current = OtelContext::current();
    if current.span().span_context().is_valid() {
        return (current, false);
    }
    if context.begun {
        let decided = Decided(context.is_sampled());
        return (OtelContext::new().with_value(decided), false);
    }
    let remote = OtelContext::new().with_remote_span_context(span_context(context));
    (remote, true)
}

fn told(
    span: &SpanContext,
    parent: Option<SpanId>,
    came: &trace::Context,
) -> Option<trace::Context> {
    let number = |id: SpanId| u64::from_be_bytes(id.to_bytes());
    let trace_id = u128::from_be_bytes(span.trace_id().to_bytes());
    let span_id = trace::SpanId::new(number(span.span_id()))?;
    let same = !came.begun && came.trace_id.get() == trace_id;
    let mut context = trace::Context::new(trace::TraceId::new(trace_id)?, span_id);
    context.parent = parent.and_then(|id| trace::SpanId::new(number(id)));
    context.sampled = Some(span.is_sampled());
    context.formats = came.formats;
    context.tracer = came.tracer.clone();
    context.carried = came.carried.clone();
    context.debug = came.debug && span.is_sampled();
    if same {
        // A short id stays short.
        context.trace_id = came.trace_id;
        context.random = came.random;
        context.state.clone_from(&came.state);
    } else {
        // A trace that begins in this process has a random id, in every provider that follows the specification.
        context.random = span.trace_flags().to_u8() & RANDOM != 0 || came.begun;
        let state = span.trace_state().header();
        context.state = HeaderValue::try_from(state).ok().filter(|s| !s.is_empty());
    }
    Some(context)
}

fn attribute(name: &'static str, value: Value) -> KeyValue {
    let value = match value {
        Value::Str(text) => OtelValue::String(StringValue::from(text)),
        Value::Text(text) => OtelValue::String(text.into()),
        Value::Shared(text) => OtelValue::String(text.into()),
        Value::Int(n) => OtelValue::I64(n),
        Value::Float(n) => OtelValue::F64(n),
        Value::Bool(b) => OtelValue::Bool(b),
        Value::List(all) => {
            OtelValue::Array(Array::String(all.into_iter().map(Into::into).collect()))
        }
    };
    KeyValue::new(Key::from_static_str(name), value)
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Server => Self::Server,
            Kind::Client => Self::Client,
            Kind::Internal => Self::Internal,
        }
    }
}
