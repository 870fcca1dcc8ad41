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
    trace::{Context, InjectLayer, Params, TraceLayer, request_id::RequestId},
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
    let inject = InjectLayer::new().layer(leaf);
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
async fn without_spans_what_came_in_goes_out_untouched() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    for given in [
        &[][..],
        &[
            ("traceparent", &*parent),
            ("tracestate", "b=2"),
            ("tracestate", " a=1"),
        ],
        &[("traceparent", "broken"), ("tracestate", "a=1")],
        &[("b3", "463ac35c9f6413ad-a2fb4a1d1a96d312")],
        &[("b3", "0")],
        &[
            ("x-b3-traceid", TRACE),
            ("x-b3-spanid", SPAN),
            ("x-b3-flags", "1"),
        ],
    ] {
        let always = Params::default().with_sample(Ratio::ONE);
        for (mut headers, _) in sent(always.clone(), given, 2).await {
            assert!(headers.remove("x-request-id").is_some());
            assert_eq!(headers, *request(given).headers());
        }
    }
}

#[tokio::test]
async fn a_context_that_the_request_has_lost_is_written_as_it_came() {
    let context = {
        let mut headers = HeaderMap::new();
        let b3 = HeaderValue::from_static("463ac35c9f6413ad-a2fb4a1d1a96d312-1");
        headers.insert("b3", b3);
        llmesh::trace::begin(&mut headers, &Params::default(), &SharedRng::seeded(1))
    };
    let mut lost = Request::new(());
    lost.extensions_mut().insert(context);
    let leaf = service_fn(|request: Request<()>| async move { Ok::<_, Infallible>(request) });
    let out = InjectLayer::new().layer(leaf).oneshot(lost).await.unwrap();
    let b3 = text(out.headers(), "b3").unwrap();
    assert_eq!(b3, "463ac35c9f6413ad-a2fb4a1d1a96d312-1");
    assert_eq!(text(out.headers(), "traceparent"), None);
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
