//! Spans over an SDK that keeps them in memory.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::{BoxError, Ratio, SharedRng},
    body::Body,
    breaker, context,
    retry::{self, RetryOn, params::Backoff},
    spans::{AttemptSpanLayer, CallSpanLayer, ServerSpanLayer},
    stack::{self, Boxed, ClientParams},
    testing::body::Script,
    trace::{Formats, Params, TraceLayer, Tracer},
};
use opentelemetry::{
    Context as OtelContext, Value,
    trace::{Span as _, SpanId, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider},
};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, InMemorySpanExporterBuilder, Sampler, SdkTracerProvider, SpanData,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";

/// An SDK, and what it exported.
struct Sdk {
    provider: SdkTracerProvider,
    exporter: InMemorySpanExporter,
}

impl Sdk {
    fn new(sampler: Sampler) -> Self {
        let exporter = InMemorySpanExporterBuilder::new().build();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .with_sampler(sampler)
            .build();
        Self { provider, exporter }
    }

    /// The callers' decision, else yes.
    fn willing() -> Self {
        Self::new(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
    }

    fn params(&self) -> Params {
        Params::default().with_tracer(Tracer::new(&self.provider))
    }

    fn spans(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().unwrap()
    }

    /// Of this kind, in the order in which they ended.
    fn of(&self, kind: &SpanKind) -> Vec<SpanData> {
        let of = |span: &SpanData| span.span_kind == *kind;
        self.spans().into_iter().filter(of).collect()
    }
}

fn said(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|kv| kv.key.as_str() == name);
    found.map(|kv| kv.value.to_string())
}

fn events(span: &SpanData) -> Vec<String> {
    let mut all = Vec::new();
    for event in &span.events.events {
        let told = event.attributes.iter();
        let told: Vec<_> = told.map(|kv| format!("{}={}", kv.key, kv.value)).collect();
        all.push(format!("{} {}", event.name, told.join(" ")));
    }
    all
}

fn failed(span: &SpanData) -> bool {
    matches!(span.status, Status::Error { .. })
}

fn id(span: &SpanData) -> String {
    span.span_context.span_id().to_string()
}

fn request(headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::post("http://llm:8080/v1/chat?key=sk-secret")
        .body(Body::from("a prompt"))
        .unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    request
}

/// The heads that leave when one request comes in and is sent in `attempts` attempts.
async fn sent(params: Params, headers: &[(&'static str, &str)], attempts: usize) -> Vec<HeaderMap> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let leaf = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<()>| {
            seen.lock().unwrap().push(request.headers().clone());
            async { Ok::<_, BoxError>(Response::new(Body::from("an answer"))) }
        })
    };
    let attempt = AttemptSpanLayer::new().layer(leaf);
    // Stands for a retry: the same request again and again.
    let again = service_fn(move |request: Request<Body>| {
        let mut attempt = attempt.clone();
        async move {
            let (head, _) = request.into_parts();
            for _ in 1..attempts {
                let request = Request::from_parts(head.clone(), ());
                attempt.ready().await?.call(request).await?;
            }
            attempt
                .ready()
                .await?
                .call(Request::from_parts(head, ()))
                .await
        }
    });
    let response = ServiceBuilder::new()
        .layer(TraceLayer::new(params).with_rng(SharedRng::seeded(11)))
        .layer(ServerSpanLayer::new())
        .layer(CallSpanLayer::new())
        .service(again)
        .oneshot(request(headers))
        .await
        .unwrap();
    response.into_body().collect().await.unwrap();
    Arc::into_inner(seen).unwrap().into_inner().unwrap()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().unwrap();
    assert!(values.next().is_none(), "{name} twice");
    Some(value)
}

#[tokio::test]
async fn attempts_are_exported_spans_of_the_callers_trace() {
    let sdk = Sdk::willing();
    let parent = format!("00-{TRACE}-{SPAN}-03");
    let given = [
        ("traceparent", parent.as_str()),
        ("tracestate", "foo=1,bar=2"),
        ("tracestate", "baz=3"),
    ];
    let all = sent(sdk.params(), &given, 3).await;
    let (attempts, server) = (sdk.of(&SpanKind::Client), sdk.of(&SpanKind::Server));
    assert_eq!((attempts.len(), server.len(), sdk.spans().len()), (3, 1, 4));
    assert_eq!(server[0].parent_span_id.to_string(), SPAN);
    assert!(server[0].parent_span_is_remote);
    for (n, (headers, span)) in all.iter().zip(&attempts).enumerate() {
        let told = format!("00-{TRACE}-{}-03", id(span));
        assert_eq!(text(headers, "traceparent"), Some(&*told));
        assert_eq!(text(headers, "tracestate"), Some("foo=1,bar=2,baz=3"));
        assert_eq!(span.parent_span_id, server[0].span_context.span_id());
        assert_eq!(said(span, "llmesh.attempt"), Some((n + 1).to_string()));
    }
    let ids: HashSet<_> = attempts.iter().map(id).collect();
    assert_eq!(ids.len(), 3, "every attempt its own");
}

#[tokio::test]
async fn a_trace_that_begins_here_is_told_in_both_formats() {
    let sdk = Sdk::willing();
    let all = sent(sdk.params(), &[], 2).await;
    let (attempts, server) = (sdk.of(&SpanKind::Client), sdk.of(&SpanKind::Server));
    assert_eq!(server[0].parent_span_id, SpanId::INVALID);
    for (headers, span) in all.iter().zip(&attempts) {
        let trace = span.span_context.trace_id().to_string();
        // Random ids are said to be random (level 2): flags 03.
        let told = format!("00-{trace}-{}-03", id(span));
        assert_eq!(text(headers, "traceparent"), Some(&*told));
        assert_eq!(text(headers, "x-b3-traceid"), Some(&*trace));
        assert_eq!(text(headers, "x-b3-spanid"), Some(&*id(span)));
        assert_eq!(text(headers, "x-b3-parentspanid"), Some(&*id(&server[0])));
        assert_eq!(text(headers, "x-b3-sampled"), Some("1"));
        assert_eq!(text(headers, "b3"), None);
    }
    let only_b3 = Formats {
        b3_single: true,
        ..Formats::NONE
    };
    let all = sent(sdk.params().with_formats(only_b3), &[], 1).await;
    assert!(text(&all[0], "b3").is_some() && text(&all[0], "traceparent").is_none());
}

#[tokio::test]
async fn a_malformed_traceparent_starts_a_new_trace_and_takes_its_state_along() {
    for bad in [
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-01-more"),
    ] {
        let sdk = Sdk::willing();
        let given = [("traceparent", bad.as_str()), ("tracestate", "foo=1")];
        let all = sent(sdk.params(), &given, 3).await;
        for (headers, span) in all.iter().zip(sdk.of(&SpanKind::Client)) {
            let trace = span.span_context.trace_id().to_string();
            assert_ne!(trace, TRACE);
            let out = text(headers, "traceparent").unwrap();
            assert_eq!(out, format!("00-{trace}-{}-03", id(&span)));
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
async fn the_first_valid_format_counts_and_all_that_came_are_written() {
    let w3c = format!("00-{TRACE}-{SPAN}-01");
    let b3 = "463ac35c9f6413ad-a2fb4a1d1a96d312-1";
    let multi = [
        ("x-b3-traceid", "00000000000000ab"),
        ("x-b3-spanid", "00000000000000cd"),
    ];
    let sdk = Sdk::willing();
    let given = [&[("traceparent", w3c.as_str()), ("b3", b3)][..], &multi].concat();
    let headers = &sent(sdk.params(), &given, 1).await[0];
    let (span, server) = (&sdk.of(&SpanKind::Client)[0], &sdk.of(&SpanKind::Server)[0]);
    let (span, above) = (id(span), id(server));
    assert_eq!(
        text(headers, "traceparent"),
        Some(&*format!("00-{TRACE}-{span}-01"))
    );
    assert_eq!(
        text(headers, "b3"),
        Some(&*format!("{TRACE}-{span}-1-{above}"))
    );
    assert_eq!(text(headers, "x-b3-traceid"), Some(TRACE));

    let given = [&[("traceparent", "broken"), ("b3", b3)][..], &multi].concat();
    let headers = &sent(sdk.params(), &given, 1).await[0];
    // A 64-bit id is widened for W3C alone.
    let widened = format!("00-{}463ac35c9f6413ad-", "0".repeat(16));
    assert!(text(headers, "traceparent").unwrap().starts_with(&widened));
    assert!(
        text(headers, "b3")
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
    let sdk = Sdk::willing();
    let headers = &sent(sdk.params(), &ids, 1).await[0];
    let server = id(&sdk.of(&SpanKind::Server)[0]);
    assert_eq!(text(headers, "x-b3-flags"), Some("1"));
    assert_eq!(text(headers, "x-b3-sampled"), None);
    assert_eq!(text(headers, "x-b3-parentspanid"), Some(&*server));
    for absent in ["traceparent", "tracestate", "b3"] {
        assert_eq!(text(headers, absent), None);
    }
}

#[tokio::test]
async fn an_open_decision_is_taken_here() {
    let open = format!("{TRACE}-{SPAN}");
    let sdk = Sdk::willing();
    let always = sdk.params().with_sample(Ratio::ONE);
    let headers = &sent(always, &[("b3", &open)], 1).await[0];
    let (span, server) = (&sdk.of(&SpanKind::Client)[0], &sdk.of(&SpanKind::Server)[0]);
    assert_eq!(
        text(headers, "b3"),
        Some(&*format!("{TRACE}-{}-1-{}", id(span), id(server)))
    );
}

/// What is exported nowhere is told to nobody: the caller's own goes on, byte for byte.
#[tokio::test]
async fn the_callers_no_is_a_no_and_passes_as_it_came() {
    let w3c = format!("00-{TRACE}-{SPAN}-00");
    let b3 = format!("{TRACE}-{SPAN}-0");
    for given in [("traceparent", &*w3c), ("b3", &*b3), ("b3", "0")] {
        let sdk = Sdk::willing();
        for mut headers in sent(sdk.params().with_sample(Ratio::ONE), &[given], 2).await {
            assert!(headers.remove("x-request-id").is_some());
            assert_eq!(headers, *request(&[given]).headers(), "{given:?}");
        }
        assert!(sdk.spans().is_empty(), "{given:?}");
    }
}

/// Those further on must not export the half of a trace.
#[tokio::test]
async fn a_trace_that_begins_here_and_is_not_sampled_is_told_as_that() {
    let sdk = Sdk::new(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
    let all = sent(sdk.params(), &[], 2).await;
    assert!(sdk.spans().is_empty());
    assert_eq!(all[0], all[1]);
    let told = text(&all[0], "traceparent").unwrap();
    assert!(told.len() == 55 && told.ends_with("-02"), "{told}");
    assert_eq!(text(&all[0], "x-b3-sampled"), Some("0"));
}

#[tokio::test]
async fn with_tracing_off_nothing_is_made_or_told() {
    let sdk = Sdk::willing();
    for params in [
        sdk.params().with_enabled(false),
        sdk.params().with_tracer(Tracer::off()),
    ] {
        let mut headers = sent(params, &[], 1).await.remove(0);
        assert!(headers.remove("x-request-id").is_some());
        assert_eq!(headers, HeaderMap::new());
    }
    assert!(sdk.spans().is_empty());
}

// === the call ===

/// A client over an upstream that answers so, and what it was asked.
fn client(
    sdk: &Sdk,
    params: ClientParams,
    answers: Vec<Response<Body>>,
) -> (Boxed, Arc<Mutex<Vec<HeaderMap>>>) {
    let answers = Arc::new(Mutex::new(answers.into_iter()));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let upstream = service_fn(move |request: Request<Body>| {
        let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
        async move {
            seen.lock().unwrap().push(request.headers().clone());
            request.into_body().collect().await?;
            let next = answers.lock().unwrap().next();
            next.ok_or_else(|| BoxError::from("no more"))
        }
    });
    let layer = stack::client(params.with_trace(sdk.params()));
    (layer.with_rng(SharedRng::seeded(3)).layer(upstream), asked)
}

fn retries() -> ClientParams {
    let backoff = Backoff::from_base(Duration::from_millis(100))
        .with_max(Duration::from_millis(100))
        .with_jitter(false);
    let retry = retry::Params::default()
        .with_retries(2)
        .with_retry_on(RetryOn::envoy("5xx,retriable-4xx").unwrap())
        .with_backoff(backoff);
    ClientParams::default().with_retry(retry)
}

fn answer(status: u16, json: &'static str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::new(Full::new(Bytes::from_static(json.as_bytes()))))
        .unwrap()
}

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","model":"gpt-4o-2024","choices":[{"index":0,"message":{"role":"assistant","content":"the answer's secret"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":5,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}"#;

fn chat() -> Request<Body> {
    let body = r#"{"model":"gpt-4o","max_tokens":50,"messages":[{"role":"user","content":"the prompt's secret"}]}"#;
    Request::post("https://api.openai.com/v1/chat/completions?key=sk-in-query")
        .header("authorization", "Bearer sk-in-header")
        .header("cookie", "session=sk-in-cookie")
        .body(Body::from(body))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_model_is_one_span_over_its_attempts() {
    let sdk = Sdk::willing();
    let mut busy = answer(
        429,
        r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#,
    );
    busy.headers_mut()
        .insert("retry-after", HeaderValue::from_static("2"));
    let answers = vec![busy, answer(503, "{}"), answer(200, ANSWER)];
    let (client, asked) = client(&sdk, retries(), answers);
    let response = client.oneshot(chat()).await.unwrap();
    assert!(
        sdk.of(&SpanKind::Client).len() == 2,
        "those that failed are over, and no other"
    );
    response.into_body().collect().await.unwrap();

    let spans = sdk.of(&SpanKind::Client);
    let (call, attempts) = spans.split_last().unwrap();
    assert_eq!(sdk.spans().len(), 4);
    assert_eq!((&*call.name, failed(call)), ("chat gpt-4o", false));
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4o"),
        ("gen_ai.request.max_tokens", "50"),
        ("gen_ai.response.model", "gpt-4o-2024"),
        ("gen_ai.usage.input_tokens", "11"),
        ("gen_ai.usage.output_tokens", "5"),
        ("gen_ai.usage.cache_read.input_tokens", "4"),
        ("gen_ai.usage.reasoning.output_tokens", "2"),
        ("llmesh.attempts", "3"),
        ("llmesh.class", "success"),
        ("server.address", "api.openai.com"),
    ] {
        assert_eq!(said(call, name).as_deref(), Some(value), "{name}");
    }
    let told: Vec<Vec<_>> = attempts
        .iter()
        .map(|span| {
            [
                "http.response.status_code",
                "llmesh.class",
                "error.type",
                "http.request.resend_count",
                "llmesh.wait_source",
            ]
            .map(|name| said(span, name).unwrap_or_default())
            .to_vec()
        })
        .collect();
    assert_eq!(
        told,
        [
            ["429", "rate_limited", "429", "", ""],
            ["503", "overloaded", "503", "1", "retry-after"],
            ["200", "success", "", "2", "backoff"],
        ]
    );
    assert_eq!(
        attempts.iter().map(failed).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(
        said(&attempts[0], "llmesh.hint_ms").as_deref(),
        Some("2000")
    );
    let events = events(call);
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(
        events[0].starts_with("retry llmesh.attempt=2 llmesh.wait_ms=2"),
        "{events:?}"
    );
    assert!(
        events[1]
            .starts_with("retry llmesh.attempt=3 llmesh.wait_ms=100 llmesh.wait_source=backoff"),
        "{events:?}"
    );

    // Who is asked is told the span of the attempt.
    for (headers, span) in asked.lock().unwrap().iter().zip(attempts) {
        let told = text(headers, "traceparent").unwrap();
        assert!(told.contains(&id(span)), "{told}");
        assert_eq!(span.parent_span_id, call.span_context.span_id());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_prompts_answers_or_keys_is_in_a_span() {
    let sdk = Sdk::willing();
    let refused = r#"{"error":{"message":"Incorrect API key provided: sk-in-answer","code":"invalid_api_key"}}"#;
    let broken = answer(502, "the answer's secret");
    for answer in [answer(200, ANSWER), answer(401, refused), broken] {
        let (client, _) = client(&sdk, ClientParams::default().with_retries(0), vec![answer]);
        let response = client.oneshot(chat()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    let shown = format!("{:?}", sdk.spans());
    assert!(shown.contains("gpt-4o"), "{shown}");
    for secret in ["secret", "sk-in"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_in_the_end_says_why_and_one_left_by_its_caller_does_not() {
    let sdk = Sdk::willing();
    let answers = vec![answer(503, "{}"), answer(503, "{}"), answer(503, "{}")];
    let (service, _) = client(&sdk, retries(), answers);
    let response = service.oneshot(chat()).await.unwrap();
    response.into_body().collect().await.unwrap();
    let call = sdk.of(&SpanKind::Client).pop().unwrap();
    assert!(failed(&call));
    assert_eq!(said(&call, "error.type").as_deref(), Some("503"));
    assert_eq!(
        said(&call, "gen_ai.response.finish_reasons").as_deref(),
        Some(r#"["error"]"#)
    );

    sdk.exporter.reset();
    let (service, _) = client(&sdk, retries(), vec![answer(200, ANSWER)]);
    let response = service.oneshot(chat()).await.unwrap();
    assert!(sdk.spans().is_empty(), "its body is not over");
    drop(response);
    let spans = sdk.spans();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert!(!failed(span), "{span:?}");
        assert_eq!(said(span, "llmesh.end").as_deref(), Some("cancelled"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_fails_its_spans() {
    let sdk = Sdk::willing();
    let stream = Script::new()
        .data(
            "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n",
        )
        .fail("gone")
        .body();
    let mut response = Response::new(Body::new(stream));
    response.headers_mut().insert(
        "content-type",
        HeaderValue::from_static("text/event-stream"),
    );
    let (service, _) = client(
        &sdk,
        ClientParams::default().with_retries(0),
        vec![response],
    );
    let body = r#"{"model":"m","stream":true,"messages":[]}"#;
    let request = Request::post("http://llm/v1/chat/completions")
        .body(Body::from(body))
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    let spans = sdk.spans();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert!(failed(span), "{span:?}");
        assert_eq!(said(span, "llmesh.end").as_deref(), Some("broken"));
    }
    assert!(said(&spans[1], "gen_ai.response.time_to_first_chunk").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_refuses_is_an_event() {
    let sdk = Sdk::willing();
    let breaker = breaker::Params::default().with_consecutive(Some(1));
    let params = ClientParams::default()
        .with_retries(0)
        .with_breaker(breaker);
    let (service, _) = client(&sdk, params, vec![answer(500, "{}"), answer(200, "{}")]);
    let first = service.clone().oneshot(chat()).await.unwrap();
    first.into_body().collect().await.unwrap();
    sdk.exporter.reset();
    assert!(service.oneshot(chat()).await.is_err());
    let call = sdk.of(&SpanKind::Client).pop().unwrap();
    assert_eq!(said(&call, "error.type").as_deref(), Some("circuit_open"));
    assert!(
        events(&call).contains(&"refused by=breaker".to_owned()),
        "{:?}",
        events(&call)
    );
}

// === joining ===

/// The span that the program is in wins over the headers of who asked it.
#[tokio::test]
async fn the_parent_of_a_call_is_the_current_span() {
    let sdk = Sdk::willing();
    let (service, asked) = client(&sdk, ClientParams::default(), vec![answer(200, ANSWER)]);
    let own = sdk.provider.tracer("app").start("own work");
    let cx = OtelContext::new().with_span(own);
    let call = service.oneshot(chat());
    let call = opentelemetry::trace::FutureExt::with_context(call, cx.clone());
    call.await.unwrap().into_body().collect().await.unwrap();
    cx.span().end();
    let spans: HashMap<_, _> = sdk
        .spans()
        .into_iter()
        .map(|s| (s.name.to_string(), s))
        .collect();
    let (own, call) = (&spans["own work"], &spans["chat gpt-4o"]);
    assert_eq!(call.parent_span_id, own.span_context.span_id());
    assert!(!call.parent_span_is_remote);
    let told = asked.lock().unwrap()[0]["traceparent"].clone();
    let trace = own.span_context.trace_id().to_string();
    assert!(told.to_str().unwrap().contains(&trace));
}

/// Without a client of ours, too: what the server layer says to others is a span that is exported.
#[tokio::test]
async fn the_server_layer_makes_its_span_current_until_the_body_is_over() {
    let sdk = Sdk::willing();
    let tracer = Arc::new(sdk.provider.tracer("app"));
    let client = context::ClientLayer::new().layer(service_fn(|request: Request<()>| async move {
        Ok::<_, Infallible>(request.headers().clone())
    }));
    let told = Arc::new(Mutex::new(HeaderMap::new()));
    let handler = {
        let (tracer, told) = (Arc::clone(&tracer), Arc::clone(&told));
        service_fn(move |_: Request<Body>| {
            let (tracer, client, told) = (Arc::clone(&tracer), client, Arc::clone(&told));
            async move {
                tracer.start("own work").end();
                *told.lock().unwrap() = client.oneshot(Request::new(())).await?;
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
            }
        })
    };
    let server = context::ServerLayer::new()
        .with_trace(sdk.params())
        .layer(handler);
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let response = server
        .oneshot(request(&[("traceparent", &parent)]))
        .await
        .unwrap();
    assert!(sdk.of(&SpanKind::Server).is_empty(), "its body is not over");
    response.into_body().collect().await.unwrap();
    let server = sdk.of(&SpanKind::Server).pop().unwrap();
    assert_eq!(server.parent_span_id.to_string(), SPAN);
    assert_eq!(
        said(&server, "http.response.status_code").as_deref(),
        Some("200")
    );
    assert!(said(&server, "url.path").is_some_and(|path| path == "/v1/chat"));
    let own = sdk.of(&SpanKind::Internal).pop().unwrap();
    assert_eq!(own.parent_span_id, server.span_context.span_id());
    let told = told.lock().unwrap();
    assert_eq!(
        text(&told, "traceparent"),
        Some(&*format!("00-{TRACE}-{}-01", id(&server)))
    );
}

/// The names of values are as they should be for those who look for numbers.
#[tokio::test(start_paused = true)]
async fn numbers_are_numbers() {
    let sdk = Sdk::willing();
    let (service, _) = client(&sdk, ClientParams::default(), vec![answer(200, ANSWER)]);
    service
        .oneshot(chat())
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    for span in sdk.spans() {
        for kv in &span.attributes {
            let number = matches!(kv.value, Value::I64(_) | Value::F64(_));
            let name = kv.key.as_str();
            let counts =
                name.ends_with("_tokens") || name.ends_with("_code") || name.ends_with("_ms");
            assert!(!counts || number, "{name} {:?}", kv.value);
        }
    }
}
