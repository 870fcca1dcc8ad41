#![expect(
    clippy::unwrap_used,
    reason = "a test may panic; clippy knows only functions marked as tests"
)]

use http::{HeaderMap, HeaderName, HeaderValue};
use llmesh::{
    base::SharedRng,
    trace::{
        Context, Formats, Params, SpanId, TraceId, begin, extract, inject, request_id::RequestId,
    },
};
use proptest::prelude::*;

const NAMES: [&str; 8] = [
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
];

/// Half noise, half almost right.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        "[0-9a-f]{1,3}-[0-9a-fA-F]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{1,3}(-[a-z]*)?"
            .prop_map(Vec::from),
        "([a-z0-9@]{0,4}=[ -~]{0,4},){0,40}".prop_map(Vec::from),
        "[0-9a-f]{16}(-[0-9a-f]{16}(-[01d](-[0-9a-f]{16})?)?)?".prop_map(Vec::from),
    ]
}

fn ids() -> impl Strategy<Value = (TraceId, SpanId)> {
    let trace = prop_oneof![
        (1..=u128::MAX).prop_map(|v| TraceId::new(v).unwrap()),
        (1..=u64::MAX).prop_map(|v| TraceId::short(v).unwrap()),
    ];
    (trace, (1..=u64::MAX).prop_map(|v| SpanId::new(v).unwrap()))
}

proptest! {
    #[test]
    fn no_headers_make_it_panic_and_what_goes_out_is_valid(
        sent in prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..6),
        seed in any::<u64>(),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        let rng = SharedRng::seeded(seed);
        let context = begin(&mut headers, &Params::default(), &rng);
        let attempt = context.child(&rng);
        inject(&attempt, &mut headers);
        let read = extract(&headers).context.expect("what was written can be read");
        prop_assert_eq!(read.trace_id.get(), attempt.trace_id.get());
        prop_assert_eq!(read.span_id, attempt.span_id);
        prop_assert_eq!(read.is_sampled(), attempt.is_sampled());
        prop_assert_eq!(&read.state, if attempt.formats.w3c { &attempt.state } else { &None });
    }

    #[test]
    fn b3_keeps_everything((trace, span) in ids(), parent in 1..=u64::MAX, state in 0..4_usize, single: bool) {
        let mut context = Context::new(trace, span);
        context.parent = SpanId::new(parent);
        context.sampled = [None, Some(false), Some(true), Some(true)][state];
        context.debug = state == 3;
        context.formats = Formats { w3c: false, b3_single: single, b3_multi: !single };
        let mut headers = HeaderMap::new();
        inject(&context, &mut headers);
        let mut read = extract(&headers).context.unwrap();
        if single && state == 0 {
            // There is no place for a parent where the decision is open.
            read.parent = context.parent;
        }
        prop_assert_eq!(read, context);
    }

    #[test]
    fn w3c_keeps_everything(trace in 1..=u128::MAX, span in 1..=u64::MAX, sampled: bool, random: bool) {
        let mut context = Context::new(TraceId::new(trace).unwrap(), SpanId::new(span).unwrap());
        context.sampled = Some(sampled);
        context.random = random;
        context.state = Some(HeaderValue::from_static("a=1,b@c=2"));
        context.formats = Formats { w3c: true, ..Formats::NONE };
        let mut headers = HeaderMap::new();
        inject(&context, &mut headers);
        prop_assert_eq!(extract(&headers).context.unwrap(), context);
    }

    #[test]
    fn request_ids_are_read_as_written(seed in any::<u64>(), noise in "\\PC{0,40}") {
        let id = RequestId::random(&SharedRng::seeded(seed));
        prop_assert_eq!(RequestId::parse(&id.to_string()), Some(id));
        let _ = RequestId::parse(&noise);
    }
}
