//! Where spans go.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use opentelemetry::{
    Context as OtelContext, InstrumentationScope,
    global::{self, BoxedSpan, BoxedTracer},
    trace::{Span as _, SpanBuilder, TraceContextExt, Tracer as _, TracerProvider},
};

/// Where spans go: to the process's OpenTelemetry provider, to a given one, or nowhere. Clones are cheap.
///
/// A process without a provider has no spans: then trace headers pass as they came. One that is set later is found within
/// 256 requests; set it before the first.
#[derive(Clone, Default)]
pub struct Tracer(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    Global,
    Given(Arc<BoxedTracer>),
    Off,
}

/// The process's tracer, once there is one.
static GLOBAL: ArcSwapOption<BoxedTracer> = ArcSwapOption::const_empty();
/// How often there was none.
static MISSED: AtomicU32 = AtomicU32::new(0);
/// A look at the process's provider allocates: it is taken once in so many times as long as there is none.
const LOOK_EVERY: u32 = 256;

// === impl Tracer ===

impl Tracer {
    /// The process's provider (`opentelemetry::global`).
    #[must_use]
    pub const fn global() -> Self {
        Self(Source::Global)
    }

    /// A provider of one's own.
    #[must_use]
    pub fn new<P>(provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as opentelemetry::trace::Tracer>::Span: Send + Sync + 'static,
    {
        let tracer = provider.tracer_with_scope(scope());
        Self(Source::Given(Arc::new(BoxedTracer::new(Box::new(tracer)))))
    }

    /// Nowhere: there are no spans.
    #[must_use]
    pub const fn off() -> Self {
        Self(Source::Off)
    }

    /// Whether it is worth to begin a span.
    pub(crate) fn is_there(&self) -> bool {
        match &self.0 {
            Source::Given(_) => true,
            Source::Off => false,
            Source::Global => {
                GLOBAL.load().is_some()
                    || MISSED
                        .fetch_add(1, Ordering::Relaxed)
                        .is_multiple_of(LOOK_EVERY)
            }
        }
    }

    /// Begins a span; `None` if no provider makes any.
    pub(crate) fn start(&self, builder: SpanBuilder, parent: &OtelContext) -> Option<BoxedSpan> {
        match &self.0 {
            Source::Given(tracer) => begin(tracer, builder, parent),
            Source::Off => None,
            Source::Global => start_global(builder, parent),
        }
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("llmesh")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

fn start_global(builder: SpanBuilder, parent: &OtelContext) -> Option<BoxedSpan> {
    if let Some(tracer) = &*GLOBAL.load() {
        let span = begin(tracer, builder, parent);
        if span.is_none() {
            // Its provider was shut down; there may be another one.
            GLOBAL.store(None);
        }
        return span;
    }
    let tracer = global::tracer_with_scope(scope());
    let span = begin(&tracer, builder, parent)?;
    GLOBAL.store(Some(Arc::new(tracer)));
    Some(span)
}

/// What makes no spans hands the parent on, or nothing.
fn begin(tracer: &BoxedTracer, builder: SpanBuilder, parent: &OtelContext) -> Option<BoxedSpan> {
    let span = tracer.build_with_context(builder, parent);
    let made = span.span_context();
    let is_new = made.is_valid() && made.span_id() != parent.span().span_context().span_id();
    is_new.then_some(span)
}

/// Whether spans go to the same place.
impl PartialEq for Tracer {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Source::Global, Source::Global) | (Source::Off, Source::Off) => true,
            (Source::Given(a), Source::Given(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Tracer {}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::Global => "Tracer(global)",
            Source::Given(_) => "Tracer(given)",
            Source::Off => "Tracer(off)",
        })
    }
}
