//! The canonical client stack: its order, seen from outside.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::{BoxError, Kind, SharedRng, error, time::Instant},
    body::Body,
    breaker::{self, State},
    context::{self, Context},
    deadline,
    llm::{Dialect, DialectMode, dialect::LlmCall},
    metrics::{MetricsLayer, Report, Summary},
    retry::{self, RetryOn, params::Backoff},
    stack::{self, Boxed, ClientLayer, ClientParams},
    trace,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

const QUOTA: &str = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;

const OVERLOADED: &str =
    r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;

/// What a target answers, in order (then 200), and what it was asked.
#[derive(Clone, Default)]
struct Target {
    answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
    asked: Arc<Mutex<Vec<HeaderMap>>>,
    slow: Duration,
}

impl Target {
    fn answering(answers: impl IntoIterator<Item = (u16, &'static str)>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Self::default()
        }
    }

    fn under(&self, layer: &ClientLayer) -> Boxed {
        let target = self.clone();
        layer.layer(service_fn(move |request: Request<Body>| {
            let target = target.clone();
            async move {
                target.asked.lock().unwrap().push(request.headers().clone());
                tokio::time::sleep(target.slow).await;
                request.into_body().collect().await?;
                let next = target.answers.lock().unwrap().pop_front();
                let (status, text) = next.unwrap_or((200, "{}"));
                let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert("content-type", json);
                Ok::<_, BoxError>(response)
            }
        }))
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// Three retries of 5xx and 429, 100 ms apart.
fn params() -> ClientParams {
    let backoff = Backoff::from_base(Duration::from_millis(100))
        .with_max(Duration::from_millis(100))
        .with_jitter(false);
    ClientParams::default().with_retry(
        retry::Params::default()
            .with_retries(3)
            .with_retry_on(RetryOn::envoy("5xx,retriable-4xx").unwrap())
            .with_backoff(backoff),
    )
}

fn layer(params: ClientParams) -> ClientLayer {
    stack::client(params).with_rng(SharedRng::seeded(3))
}

fn chat() -> Request<Body> {
    Request::post("http://llm/v1/chat/completions")
        .body(Body::from("{}"))
        .unwrap()
}

fn kind(error: &BoxError) -> Option<Kind> {
    error::find(&**error).map(llmesh::base::Error::kind)
}

async fn status(service: &Boxed) -> Result<u16, BoxError> {
    let response = service.clone().oneshot(chat()).await?;
    let status = response.status().as_u16();
    response.into_body().collect().await?;
    Ok(status)
}

#[tokio::test(start_paused = true)]
async fn each_attempt_tells_what_is_left() {
    let target = Target::answering([(503, "{}"), (503, "{}")]);
    let timeout = deadline::Params::default().with_timeout(Duration::from_secs(1));
    let service = target.under(&layer(params().with_deadline(timeout)));
    assert_eq!(status(&service).await.unwrap(), 200);
    let asked = target.asked.lock().unwrap();
    let column = |name: &str| -> Vec<String> {
        let text = |h: &HeaderMap| h[name].to_str().unwrap().to_owned();
        asked.iter().map(text).collect()
    };
    assert_eq!(
        column("x-envoy-expected-rq-timeout-ms"),
        ["1000", "900", "800"]
    );
    assert_eq!(column("x-request-id")[0], column("x-request-id")[2]);
}

#[tokio::test(start_paused = true)]
async fn one_deadline_spans_all_attempts_and_waits() {
    let target = Target::answering([(503, "{}"); 9]);
    let timeout = deadline::Params::default().with_timeout(Duration::from_millis(250));
    let slow = Target {
        slow: Duration::from_millis(60),
        ..target
    };
    let service = slow.under(&layer(params().with_deadline(timeout)));
    let begin = Instant::now();
    // 60 ms, 100 ms wait, 60 ms; the next wait cannot end in time.
    let outcome = status(&service).await;
    assert!(begin.elapsed() <= Duration::from_millis(250));
    assert_eq!(slow.asked(), 2);
    assert_eq!(outcome.unwrap(), 503);
}

#[tokio::test(start_paused = true)]
async fn the_circuit_counts_attempts_and_stops_retries() {
    let target = Target::answering([(503, "{}"); 9]);
    let breaker = breaker::Params::default().with_consecutive(Some(2));
    let layer = layer(params().with_breaker(breaker));
    let error = status(&target.under(&layer)).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::CircuitOpen));
    assert_eq!(target.asked(), 2, "the third attempt met an open circuit");
    assert!(matches!(layer.breaker().state(), State::Open));
}

#[tokio::test(start_paused = true)]
async fn an_empty_account_is_neither_repeated_nor_held_against_the_target() {
    let target = Target::answering([(429, QUOTA); 9]);
    let breaker = breaker::Params::default().with_consecutive(Some(1));
    let layer = layer(params().with_breaker(breaker));
    assert_eq!(status(&target.under(&layer)).await.unwrap(), 429);
    assert_eq!(target.asked(), 1);
    assert!(matches!(layer.breaker().state(), State::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_ceiling_uses_no_probe_and_waits_hold_no_permit() {
    let target = Target::answering([(503, "{}"), (200, "{}")]);
    let breaker = breaker::Params::default()
        .with_consecutive(Some(1))
        .with_open_for(Duration::from_millis(10), Duration::from_millis(10));
    let params = params().with_breaker(breaker).with_max_in_flight(Some(1));
    let layer = layer(params);
    let service = target.under(&layer);
    // The first attempt opens the circuit; during the wait nothing is in flight.
    let running = tokio::spawn({
        let service = service.clone();
        async move { status(&service).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((target.asked(), layer.ceiling().used()), (1, 0));
    // With the ceiling full, a request is refused before the circuit is asked: the one probe stays free.
    let permit = layer.ceiling().try_acquire().unwrap();
    let refused = status(&service).await.unwrap_err();
    assert_eq!(kind(&refused), Some(Kind::Overflow));
    drop(permit);
    assert_eq!(running.await.unwrap().unwrap(), 200, "the probe was free");
}

#[tokio::test(start_paused = true)]
async fn the_ceiling_is_asked_before_the_circuit() {
    let breaker = breaker::Params::default().with_consecutive(Some(1));
    let params = params().with_retry(retry::Params::off());
    let layer = layer(params.with_breaker(breaker).with_max_in_flight(Some(1)));
    let service = Target::answering([(503, "{}")]).under(&layer);
    assert_eq!(status(&service).await.unwrap(), 503);
    let open = status(&service).await.unwrap_err();
    assert_eq!(kind(&open), Some(Kind::CircuitOpen));
    let _permit = layer.ceiling().try_acquire().unwrap();
    let full = status(&service).await.unwrap_err();
    assert_eq!(kind(&full), Some(Kind::Overflow));
}

#[tokio::test(start_paused = true)]
async fn the_circuit_knows_an_error_inside_a_200() {
    let target = Target::answering([(200, OVERLOADED)]);
    let breaker = breaker::Params::default().with_consecutive(Some(1));
    let layer = layer(
        params()
            .with_retry(retry::Params::off())
            .with_breaker(breaker),
    );
    assert_eq!(status(&target.under(&layer)).await.unwrap(), 200);
    assert!(matches!(layer.breaker().state(), State::Open));
}

#[tokio::test(start_paused = true)]
async fn a_permit_lasts_to_the_end_of_the_body() {
    let layer = layer(params().with_max_in_flight(Some(1)));
    let service = Target::default().under(&layer);
    let response = service.clone().oneshot(chat()).await.unwrap();
    assert_eq!(layer.ceiling().used(), 1);
    drop(response);
    assert_eq!(layer.ceiling().used(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_inbound_context_is_taken_up_before_the_trace_begins() {
    let target = Target::default();
    let service = target.under(&layer(params()));
    let trace = trace::Context::root(&SharedRng::seeded(5));
    let id = trace.trace_id.to_string();
    let mut trace = trace;
    trace.formats = trace::Formats::default();
    let call = async move { status(&service).await };
    context::scope(Context::new(trace), call).await.unwrap();
    let sent = target.asked.lock().unwrap()[0]["traceparent"].clone();
    assert!(sent.to_str().unwrap().contains(&id));
}

/// Keeps what was reported.
#[derive(Default)]
struct Kept(Mutex<Vec<Summary>>);

impl Report for Kept {
    fn report(&self, summary: &Summary) {
        self.0.lock().unwrap().push(summary.clone());
    }
}

const WHOLE: &str = r#"{"id":"c","object":"chat.completion","model":"m-2026","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":7,"total_tokens":19}}"#;
const STREAM: &str = "data: {\"object\":\"chat.completion.chunk\",\"model\":\"m-2026\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":null}]}\n\ndata: {\"object\":\"chat.completion.chunk\",\"model\":\"m-2026\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"object\":\"chat.completion.chunk\",\"model\":\"m-2026\",\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":7,\"total_tokens\":19}}\n\n";

/// The metrics layer stands over the client stack as it is, and knows tokens and model with no configuration.
#[tokio::test(start_paused = true)]
async fn tokens_and_model_are_reported_above_the_client_stack() {
    let ask = |stream: bool| {
        format!(
            r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"0123456789"}}]}}"#
        )
    };
    let with_usage = format!("{STREAM}{USAGE}data: [DONE]\n\n");
    let without = format!("{STREAM}data: [DONE]\n\n");
    for (label, kind, answer, tokens, estimated) in [
        (
            "whole",
            "application/json",
            WHOLE.to_owned(),
            Some((12, 7)),
            false,
        ),
        (
            "stream",
            "text/event-stream",
            with_usage,
            Some((12, 7)),
            false,
        ),
        ("no usage", "text/event-stream", without, None, true),
    ] {
        let kept = Arc::new(Kept::default());
        let upstream = service_fn(move |request: Request<Body>| {
            let answer = answer.clone();
            async move {
                request.into_body().collect().await?;
                let answer = Response::builder()
                    .header("content-type", kind)
                    .body(Body::from(answer));
                Ok::<_, BoxError>(answer.unwrap())
            }
        });
        let client = ServiceBuilder::new()
            .layer(MetricsLayer::new(vec![kept.clone()]))
            .layer(stack::client(ClientParams::default()))
            .service(upstream);
        let request = Request::post("http://llm/v1/chat/completions")
            .body(Full::new(Bytes::from(ask(kind != "application/json"))))
            .unwrap();
        let response = client.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{label}");
        response.into_body().collect().await.unwrap();
        let summaries = kept.0.lock().unwrap();
        let spent = summaries[0].spent();
        assert_eq!((summaries.len(), spent.len()), (1, 1), "{label}");
        assert_eq!(spent[0].estimated, estimated, "{label}");
        assert_eq!(spent[0].model.as_deref(), Some("m-2026"), "{label}");
        let usage = spent[0].usage;
        match tokens {
            Some(counted) => assert_eq!((usage.input, usage.output), counted, "{label}"),
            None => assert!(usage.input > 0 && usage.output > 0, "{label}: {usage:?}"),
        }
    }
}

/// What a 200 holds is judged in answers to LLM calls alone, whichever dialect the stack is told to read.
#[tokio::test(start_paused = true)]
async fn only_the_200_of_a_call_is_judged() {
    const ERROR: &str = r#"{"error":{"code":503,"message":"overloaded"}}"#;
    let post = |path: &str| Request::post(format!("http://llm{path}"));
    let get = |path: &str| Request::get(format!("http://llm{path}"));
    let rows = [
        ("a chat", post("/v1/chat/completions"), false, 2),
        ("a path that is named", post("/ask"), true, 2),
        ("the same, not named", post("/ask"), false, 1),
        ("a read of a chat", get("/v1/chat/completions/c"), false, 1),
        (
            "a read of the path of chats",
            get("/v1/chat/completions"),
            false,
            1,
        ),
        ("a read of a path that is named", get("/ask"), true, 1),
        ("embeddings", post("/v1/embeddings"), false, 1),
        ("a job", get("/v1/fine_tuning/jobs/j"), false, 1),
        ("a new job", post("/v1/fine_tuning/jobs"), false, 1),
        ("a tool", post("/mcp"), false, 1),
        ("an image", post("/v1/images/generations"), false, 1),
    ];
    for setting in [DialectMode::Auto, DialectMode::Fixed(Dialect::OpenAi)] {
        for (what, request, named, sends) in rows.iter().map(|(w, r, n, s)| (*w, r, *n, *s)) {
            let target = Target::answering([(200, ERROR)]);
            let params = ClientParams::default().with_retries(3);
            let service = target.under(&layer(params.with_dialect(setting)));
            let uri = request.uri_ref().unwrap().clone();
            let method = request.method_ref().unwrap().clone();
            let mut request = Request::builder().method(method).uri(uri);
            if named {
                request = request.extension(LlmCall);
            }
            let request = request.body(Body::from("{}")).unwrap();
            let answer = service.oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 200, "{what}");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, if sends == 1 { ERROR } else { "{}" }, "{what}");
            assert_eq!(target.asked(), sends, "{what}");
        }
    }
}
