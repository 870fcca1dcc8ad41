#![expect(
    clippy::unwrap_used,
    reason = "a test may panic; clippy knows only functions marked as tests"
)]

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{HeaderMap, HeaderValue, Request};
use llmesh::{
    base::{Ratio, SharedRng},
    trace::{Context, Formats, InjectLayer, Params, TraceLayer, request_id::RequestId},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";

fn request(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    request
}

/// The heads that leave when one request is sent in `attempts` attempts.
async fn sent(
    params: Params,
    headers: &[(&'static str, &str)],
    attempts: usize,
) -> Vec<(HeaderMap, Context)> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let leaf = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<()>| {
            let context = request.extensions().get::<Context>().cloned().unwrap();
            seen.lock()
                .unwrap()
                .push((request.headers().clone(), context));
            async { Ok::<_, Infallible>(()) }
        })
    };
    let rng = SharedRng::seeded(11);
    let inject = InjectLayer::new().with_rng(rng.clone()).layer(leaf);
    // Stands for a retry: the same request again and again.
    let again = service_fn(move |request: Request<()>| {
        let mut inject = inject.clone();
        async move {
            for _ in 0..attempts {
                inject.ready().await?.call(request.clone()).await?;
            }
            Ok::<_, Infallible>(())
        }
    });
    ServiceBuilder::new()
        .layer(TraceLayer::new(params).with_rng(rng))
        .service(again)
        .oneshot(request(headers))
        .await
        .unwrap();
    Arc::into_inner(seen).unwrap().into_inner().unwrap()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().unwrap();
    assert!(values.next().is_none(), "{name} twice");
    Some(value)
}

#[tokio::test]
async fn attempts_are_spans_of_one_trace() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let all = sent(Params::default(), &[("traceparent", &parent)], 3).await;
    let mut spans = vec![SPAN.to_owned()];
    for (headers, context) in &all {
        let out = text(headers, "traceparent").unwrap();
        assert_eq!(out[..36], format!("00-{TRACE}-"));
        assert_eq!(&out[36..], format!("{}-01", context.span_id));
        assert_eq!(context.parent.unwrap().to_string(), SPAN);
        spans.push(context.span_id.to_string());
    }
    spans.sort_unstable();
    spans.dedup();
    assert_eq!(spans.len(), 4, "every attempt its own, none the caller's");
}

#[tokio::test]
async fn without_a_trace_one_is_started_in_both_formats() {
    let all = sent(Params::default().with_sample(Ratio::ONE), &[], 2).await;
    let (first, second) = (&all[0], &all[1]);
    assert_eq!(first.1.trace_id, second.1.trace_id);
    assert_eq!(first.1.parent, second.1.parent);
    assert_ne!(first.1.span_id, second.1.span_id);
    for (headers, context) in &all {
        let parent = text(headers, "traceparent").unwrap();
        // Random ids are said to be random (level 2): flags 03.
        assert_eq!(
            parent,
            format!("00-{}-{}-03", context.trace_id, context.span_id)
        );
        assert_eq!(
            text(headers, "x-b3-traceid").unwrap(),
            context.trace_id.to_string()
        );
        assert_eq!(
            text(headers, "x-b3-spanid").unwrap(),
            context.span_id.to_string()
        );
        let above = context.parent.unwrap().to_string();
        assert_eq!(text(headers, "x-b3-parentspanid").unwrap(), above);
        assert_eq!(text(headers, "x-b3-sampled"), Some("1"));
        assert_eq!(text(headers, "b3"), None);
    }
}

#[tokio::test]
async fn a_malformed_traceparent_starts_a_new_trace_and_takes_its_state_along() {
    for bad in [
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-01-more"),
    ] {
        let given = [("traceparent", bad.as_str()), ("tracestate", "foo=1")];
        let all = sent(Params::default(), &given, 3).await;
        for (headers, context) in &all {
            assert_ne!(context.trace_id.to_string(), TRACE);
            let out = text(headers, "traceparent").unwrap();
            assert!(
                out.starts_with(&format!("00-{}-", context.trace_id)),
                "{out}"
            );
            assert_eq!(text(headers, "tracestate"), None);
            assert_eq!(
                text(headers, "x-b3-traceid"),
                None,
                "W3C came in, W3C goes out"
            );
        }
    }
}

#[tokio::test]
async fn a_valid_state_goes_along_as_one_header() {
    let parent = format!("00-{TRACE}-{SPAN}-00");
    let given = [
        ("traceparent", parent.as_str()),
        ("tracestate", "foo=1,bar=2"),
        ("tracestate", "baz=3"),
    ];
    let all = sent(Params::default(), &given, 1).await;
    assert_eq!(text(&all[0].0, "tracestate"), Some("foo=1,bar=2,baz=3"));
}

#[tokio::test]
async fn the_first_valid_format_counts_and_all_that_came_are_written() {
    let w3c = format!("00-{TRACE}-{SPAN}-00");
    let b3 = "463ac35c9f6413ad-a2fb4a1d1a96d312-1";
    let multi = [
        ("x-b3-traceid", "00000000000000ab"),
        ("x-b3-spanid", "00000000000000cd"),
    ];
    let given = [&[("traceparent", w3c.as_str()), ("b3", b3)][..], &multi].concat();
    let all = sent(Params::default(), &given, 1).await;
    let (headers, context) = &all[0];
    assert_eq!(context.trace_id.to_string(), TRACE);
    let span = context.span_id;
    assert_eq!(
        text(headers, "traceparent"),
        Some(&*format!("00-{TRACE}-{span}-00"))
    );
    assert_eq!(
        text(headers, "b3"),
        Some(&*format!("{TRACE}-{span}-0-{SPAN}"))
    );
    assert_eq!(text(headers, "x-b3-traceid"), Some(TRACE));

    let given = [&[("traceparent", "broken"), ("b3", b3)][..], &multi].concat();
    let all = sent(Params::default(), &given, 1).await;
    assert_eq!(all[0].1.trace_id.to_string(), "463ac35c9f6413ad");
    // A 64-bit id is widened for W3C alone.
    let widened = format!("00-{}463ac35c9f6413ad-", "0".repeat(16));
    assert!(
        text(&all[0].0, "traceparent")
            .unwrap()
            .starts_with(&widened)
    );
    assert!(
        text(&all[0].0, "b3")
            .unwrap()
            .starts_with("463ac35c9f6413ad-")
    );
}

#[tokio::test]
async fn only_the_formats_that_came_in_go_out() {
    let ids = [
        ("x-b3-traceid", TRACE),
        ("x-b3-spanid", SPAN),
        ("x-b3-flags", "1"),
    ];
    let all = sent(Params::default(), &ids, 1).await;
    let (headers, _) = &all[0];
    assert_eq!(text(headers, "x-b3-flags"), Some("1"));
    assert_eq!(text(headers, "x-b3-sampled"), None);
    assert_eq!(text(headers, "x-b3-parentspanid"), Some(SPAN));
    for absent in ["traceparent", "tracestate", "b3"] {
        assert_eq!(text(headers, absent), None);
    }
    let only_b3 = Formats {
        b3_single: true,
        ..Formats::NONE
    };
    let all = sent(Params::default().with_formats(only_b3), &[], 1).await;
    assert!(text(&all[0].0, "b3").is_some() && text(&all[0].0, "traceparent").is_none());
}

#[tokio::test]
async fn the_callers_decision_wins_over_the_share() {
    let never = Params::default().with_sample(Ratio::ZERO);
    let always = Params::default().with_sample(Ratio::ONE);
    let yes = format!("00-{TRACE}-{SPAN}-01");
    let no = format!("00-{TRACE}-{SPAN}-00");
    for (params, given, sampled) in [
        (&never, ("traceparent", yes.as_str()), true),
        (&always, ("traceparent", no.as_str()), false),
        (&always, ("b3", "0"), false),
        (&never, ("b3", "1"), true),
        (&never, ("b3", "d"), true),
        (&always, ("x-b3-sampled", "0"), false),
        (&never, ("x-other", "1"), false),
        (&always, ("x-other", "1"), true),
        // A sampling mark in the caller's request id.
        (
            &never,
            ("x-request-id", "00000000-0000-9000-8000-000000000000"),
            true,
        ),
        (
            &never,
            ("x-request-id", "00000000-0000-4000-8000-000000000000"),
            false,
        ),
        // Headers that ask for it are not listened to unless allowed.
        (&never, ("x-envoy-force-trace", "1"), false),
    ] {
        let all = sent(params.clone(), &[given], 1).await;
        assert_eq!(all[0].1.is_sampled(), sampled, "{given:?}");
    }
    let forced = never.with_force_headers(true);
    for (header, mark) in [("x-envoy-force-trace", 'a'), ("x-client-trace-id", 'b')] {
        let all = sent(forced.clone(), &[(header, "1")], 1).await;
        assert!(all[0].1.is_sampled());
        let id = text(&all[0].0, "x-request-id").unwrap();
        assert_eq!(id.chars().nth(14), Some(mark));
    }
}

#[tokio::test]
async fn an_open_decision_is_taken_here() {
    let open = format!("{TRACE}-{SPAN}");
    let always = Params::default().with_sample(Ratio::ONE);
    let all = sent(always, &[("b3", &open)], 1).await;
    assert_eq!(
        text(&all[0].0, "b3"),
        Some(&*format!("{TRACE}-{}-1-{SPAN}", all[0].1.span_id))
    );
}

#[tokio::test]
async fn a_request_id_is_made_once_and_the_callers_kept() {
    let all = sent(Params::default().with_sample(Ratio::ONE), &[], 2).await;
    let id = text(&all[0].0, "x-request-id").unwrap();
    assert!(RequestId::parse(id).is_some(), "{id}");
    assert_eq!(id.chars().nth(14), Some('9'), "sampled by draw");
    assert_eq!(text(&all[1].0, "x-request-id"), Some(id));

    let all = sent(Params::default(), &[("x-request-id", "my own")], 1).await;
    assert_eq!(text(&all[0].0, "x-request-id"), Some("my own"));
    let all = sent(Params::default(), &[("x-request-id", "")], 1).await;
    assert!(RequestId::parse(text(&all[0].0, "x-request-id").unwrap()).is_some());
}

#[tokio::test]
async fn the_share_sampled_is_the_share_asked_for() {
    let params = Params::default().with_sample(Ratio::from_percent(20.0).unwrap());
    let (rng, mut sampled) = (SharedRng::seeded(5), 0);
    for _ in 0..10_000 {
        let context = llmesh::trace::begin(&mut HeaderMap::new(), &params, &rng);
        sampled += u32::from(context.is_sampled());
    }
    // 3 sigma: sqrt(10,000 · 0.2 · 0.8) = 40.
    assert!((1_880..=2_120).contains(&sampled), "{sampled}");
}

#[tokio::test]
async fn other_tracers_headers_are_carried_to_calls_made_under_the_context() {
    let given = [
        ("x-request-id", "id"),
        ("x-ot-span-context", "a"),
        ("x-cloud-trace-context", "b"),
        ("grpc-trace-bin", "c"),
        ("x-datadog-trace-id", "d"),
        ("x-datadog-parent-id", "e"),
        ("x-datadog-sampling-priority", "f"),
        ("sw8", "g"),
    ];
    let all = sent(Params::default(), &given, 1).await;
    let mut fresh = HeaderMap::new();
    fresh.insert("sw8", HeaderValue::from_static("mine"));
    llmesh::trace::inject(&all[0].1, &mut fresh);
    for (name, value) in given {
        assert_eq!(text(&all[0].0, name), Some(value));
        let expected = if name == "sw8" { "mine" } else { value };
        assert_eq!(text(&fresh, name), Some(expected));
    }
}

#[tokio::test]
async fn a_request_without_a_context_passes_untouched() {
    let given = format!("00-{TRACE}-{SPAN}-01");
    let leaf = service_fn(|request: Request<()>| async move { Ok::<_, Infallible>(request) });
    let out = InjectLayer::new()
        .layer(leaf)
        .oneshot(request(&[("traceparent", &given)]))
        .await
        .unwrap();
    assert_eq!(out.headers().len(), 1);
    assert_eq!(out.headers()["traceparent"], given);
}

#[test]
fn a_context_shows_no_header_values() {
    let mut headers = HeaderMap::new();
    let secret = HeaderValue::from_static("hunter2");
    headers.insert("x-request-id", secret);
    headers.insert("tracestate", HeaderValue::from_static("foo=hunter2"));
    let parent = format!("00-{TRACE}-{SPAN}-01");
    headers.insert("traceparent", HeaderValue::from_str(&parent).unwrap());
    let context = llmesh::trace::begin(&mut headers, &Params::default(), &SharedRng::seeded(1));
    assert!(context.state.is_some());
    assert!(!format!("{context:?} {:?}", context.carried).contains("hunter2"));
}
