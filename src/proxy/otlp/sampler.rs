//! Which traces are exported: whoever begins one decides.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{
    ParentBasedSampler, Sampler, SamplingDecision, SamplingResult, ShouldSample,
};

use crate::spans::Decided;

/// What was decided when the request came in: by its headers, else by the mesh's percentage.
#[derive(Clone, Debug)]
struct ByTheMesh;

/// The caller's decision; of traces that begin here, the mesh's.
pub(super) fn by_the_mesh() -> ParentBasedSampler {
    Sampler::parent_based(ByTheMesh)
}

impl ShouldSample for ByTheMesh {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let decided = parent.and_then(|parent| parent.get::<Decided>());
        SamplingResult {
            decision: match decided {
                Some(Decided(false)) => SamplingDecision::Drop,
                _ => SamplingDecision::RecordAndSample,
            },
            attributes: Vec::new(),
            trace_state: TraceState::default(),
        }
    }
}
