//! What happens to a request's trace once, when it comes in.

use http::{HeaderMap, HeaderName};

use super::{
    Tracer,
    context::Context,
    params::Params,
    propagation::extract,
    request_id::{self, Mark, RequestId},
};
use crate::base::SharedRng;

/// Takes up the caller's trace, or prepares one ([`Context::begun`]), and makes sure of an `x-request-id`.
///
/// Sampling, first that applies: the caller's trace context; where [`Params::force_headers`] allows it, the headers that
/// ask for it; a sampling mark in the caller's request id; [`Params::sample`] by the request id's digits. The returned
/// context has always been decided.
#[must_use]
pub fn begin(headers: &mut HeaderMap, params: &Params, rng: &SharedRng) -> Context {
    let extracted = extract(headers);
    let decided = match &extracted.context {
        Some(context) => context.sampled,
        None => extracted.sampled,
    };
    let sent = headers.get(request_id::HEADER).filter(|v| !v.is_empty());
    let kept = sent.is_some();
    let id = match sent {
        Some(value) => value.to_str().ok().and_then(RequestId::parse),
        None => None,
    };
    // The id that is drawn by: a caller's that is no UUID has no digits to draw by.
    let id = id.unwrap_or_else(|| RequestId::random(rng));
    let mark = mark(decided, headers, id, params);

    let begun = extracted.context.is_none();
    let mut context = extracted.context.unwrap_or_else(|| Context::root(rng));
    context.begun = begun;
    context.tracer = match extracted.sampled {
        // The caller says no without saying what of.
        Some(false) if begun => Tracer::off(),
        _ => params.tracer.clone(),
    };
    context.sampled = Some(mark != Mark::None);
    context.debug |= extracted.debug;
    context.carried = extracted.carried;
    context.formats = extracted.formats;
    if context.formats.is_none() {
        context.formats = params.formats;
    }
    if !kept && let Some(value) = id.with_mark(mark).value() {
        context.carried.set_request_id(value.clone());
        headers.insert(request_id::HEADER, value);
    }
    context
}

/// Makes sure of an `x-request-id` and nothing else.
pub(super) fn ensure_request_id(headers: &mut HeaderMap, rng: &SharedRng) {
    let sent = headers.get(request_id::HEADER);
    if sent.is_none_or(|id| id.is_empty())
        && let Some(value) = RequestId::random(rng).value()
    {
        headers.insert(request_id::HEADER, value);
    }
}

/// Whether and why the trace is sampled.
fn mark(decided: Option<bool>, headers: &HeaderMap, id: RequestId, params: &Params) -> Mark {
    const FORCE: HeaderName = HeaderName::from_static("x-envoy-force-trace");
    const CLIENT: HeaderName = HeaderName::from_static("x-client-trace-id");
    let asked = |name| params.force_headers && headers.contains_key(name);
    match decided {
        Some(true) => Mark::Sampled,
        Some(false) => Mark::None,
        None if asked(FORCE) => Mark::Forced,
        None if asked(CLIENT) => Mark::Client,
        None if id.mark() != Mark::None => id.mark(),
        None if id.draw(params.sample) => Mark::Sampled,
        None => Mark::None,
    }
}
