//! Parameters of the trace layer.

use super::{context::Formats, tracer::Tracer};
use crate::base::Ratio;

/// What is sampled, and which formats a new trace speaks.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// The share of traces started here that are sampled. A caller's decision is never changed.
    pub sample: Ratio,
    /// The formats written where the caller used none.
    pub formats: Formats,
    /// Whether `x-envoy-force-trace` and `x-client-trace-id` make a trace sampled. Only for callers that may decide what
    /// is traced.
    pub force_headers: bool,
    /// Whether traces are begun and taken up at all. Without, trace headers pass as they came and none is made; requests
    /// have an `x-request-id` all the same.
    pub enabled: bool,
    /// Where spans go.
    pub tracer: Tracer,
}

impl Default for Params {
    /// 1 %, as Istio; W3C and B3 multi headers; no forcing.
    fn default() -> Self {
        Self {
            sample: Ratio::from_percent(1.0).unwrap_or(Ratio::ZERO),
            formats: Formats::default(),
            force_headers: false,
            enabled: true,
            tracer: Tracer::global(),
        }
    }
}

impl Params {
    /// Sets the share of sampled traces.
    #[must_use]
    pub fn with_sample(mut self, sample: Ratio) -> Self {
        self.sample = sample;
        self
    }

    /// Sets the formats written where the caller used none.
    #[must_use]
    pub fn with_formats(mut self, formats: Formats) -> Self {
        self.formats = formats;
        self
    }

    /// Sets where spans go.
    #[must_use]
    pub fn with_tracer(mut self, tracer: Tracer) -> Self {
        self.tracer = tracer;
        self
    }

    /// Sets whether traces are begun and taken up.
    #[must_use]
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Sets whether callers may force sampling.
    #[must_use]
    pub fn with_force_headers(mut self, force: bool) -> Self {
        self.force_headers = force;
        self
    }
}
