//! Trace context headers.

use http::HeaderMap;

use super::text::headers;
use crate::{
    base::SharedRng,
    trace::{Params, begin, extract, inject},
};

/// Input: header lines.
///
/// What is read can be written and reads back with the same ids, decision and state; from then on nothing changes; an
/// attempt's headers are those of its context, whatever the caller sent.
///
/// # Panics
/// If one of these does not hold.
pub fn trace(data: &[u8]) {
    let (sent, _) = headers(data);
    let read = extract(&sent);
    if let Some(context) = &read.context {
        assert!(!context.formats.is_none(), "it came in some format");
        let mut once = sent.clone();
        inject(context, &mut once);
        let back = extract(&once).context;
        let back = back.expect("what was written can be read");
        assert_eq!(back.trace_id.get(), context.trace_id.get());
        assert_eq!(back.span_id, context.span_id);
        assert_eq!(back.is_sampled(), context.is_sampled());
        if context.formats.w3c {
            assert_eq!(back.state, context.state);
        }
        assert_eq!(back.formats, context.formats);
        assert_eq!(back.carried, context.carried);
        let mut twice = HeaderMap::new();
        inject(&back, &mut twice);
        assert_eq!(extract(&twice).context, Some(back), "stable");
        let shown = format!("{context:?}");
        assert!(shown.len() < 400, "no header values in {shown}");
    }
    attempt(&sent, data.len() as u64);
}

fn attempt(sent: &HeaderMap, seed: u64) {
    let rng = SharedRng::seeded(seed);
    let mut headers = sent.clone();
    let context = begin(&mut headers, &Params::default(), &rng);
    assert!(headers.contains_key("x-request-id"));
    assert!(context.sampled.is_some(), "decided");
    let child = context.child(&rng);
    inject(&child, &mut headers);
    let back = extract(&headers).context;
    let back = back.expect("what was written can be read");
    assert_eq!(back.trace_id.get(), context.trace_id.get());
    assert_eq!(back.span_id, child.span_id);
    assert_eq!(back.is_sampled(), context.is_sampled());
    if let Some(state) = headers.get("tracestate") {
        assert!(state.len() <= 512, "shortened");
        assert_eq!(headers.get_all("tracestate").iter().count(), 1);
    }
}
