//! What the caller of an LLM API is told: the status, the body in its dialect, whether to come back, and a stream that fails.
#![cfg(feature = "llm")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, Response, response::Parts};
use http_body_util::BodyExt;
use llmesh::{
    base::{
        BoxError, Error, Kind,
        error::{ConnectFailure, ResetReason},
        ext::{AnsweredBy, Ended, OurKey, Record, RouteMeta},
        hops,
        quota::{Quota, Refused, Unit},
        time::Instant,
    },
    body::Body,
    classify::{Class, Classified, ClassifyLayer, Failure, Outcome, Signal},
    llm::{Dialect, DialectMode, LlmClassifier},
    respond::{AnswersTo, InRouteLayer, RespondLayer},
    stream::StreamLayer,
    testing::body::{Script, drain},
};
use serde_json::Value;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::classify::Case;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const GEMINI: &str = "/v1beta/models/m:streamGenerateContent";

fn request(path: &str) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(r#"{"messages":["a secret prompt"]}"#))
        .unwrap()
}

/// A service that gives this once.
fn once<T: Send + 'static>(
    result: Result<Response<T>, BoxError>,
) -> impl Service<Request<Body>, Response = Response<T>, Error = BoxError, Future: Send> {
    let mut result = Some(result);
    service_fn(move |_: Request<Body>| {
        let result = result.take().unwrap();
        async move { result }
    })
}

async fn told(
    layer: RespondLayer,
    request: Request<Body>,
    error: impl Into<BoxError>,
) -> (Parts, String) {
    let inner = once::<Body>(Err(error.into()));
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    whole(response).await
}

/// The same from within a route that says something of its answers.
async fn told_in_a_route(
    request: Request<Body>,
    error: impl Into<BoxError>,
    say: impl Fn(&mut AnswersTo) + Clone,
) -> (Parts, String) {
    let route = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .map_request(saying(say))
        .layer(InRouteLayer)
        .service(once::<Body>(Err(error.into())));
    let Ok(response) = route.oneshot(request).await;
    whole(response).await
}

fn saying(say: impl Fn(&mut AnswersTo) + Clone) -> impl Fn(Request<Body>) -> Request<Body> + Clone {
    move |mut request| {
        say(request.extensions_mut().get_mut().unwrap());
        request
    }
}

async fn whole(response: Response<Body>) -> (Parts, String) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head, String::from_utf8(body.to_vec()).unwrap())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// An upstream's answer that came to this class.
fn classed<T>(body: T, status: u16, class: Class) -> Response<T> {
    let classified = Classified::default();
    classified.set_head(class);
    let mut response = Response::new(body);
    *response.status_mut() = status.try_into().unwrap();
    response.extensions_mut().insert(classified);
    response
}

fn answered(outcome: Outcome, status: u16) -> Class {
    let signal = Signal::Response {
        status: status.try_into().unwrap(),
        grpc_status: None,
        ratelimited: false,
    };
    Class::new(outcome, signal)
}

async fn seen(request: Request<Body>, response: Response<Body>) -> (Parts, String) {
    let Ok(response) = RespondLayer::new()
        .layer(once(Ok(response)))
        .oneshot(request)
        .await;
    whole(response).await
}

/// Every answer of the case file, with our key and with the caller's.
#[tokio::test(start_paused = true)]
async fn the_status_is_the_one_of_the_case_file() {
    let mut checked = 0;
    for case in Case::all().iter().filter(|c| c.text("phase") == "response") {
        for ours in [true, false] {
            let answer = Response::from_parts(case.head(), Body::from(case.body()));
            let answer = match ours {
                true => {
                    let mut answer = answer;
                    answer.extensions_mut().insert(OurKey);
                    answer
                }
                false => answer,
            };
            let stack = ServiceBuilder::new()
                .layer(RespondLayer::new())
                .map_response(|response: Response<_>| response.map(Body::new))
                .layer(ClassifyLayer::new(LlmClassifier::new(DialectMode::Auto)))
                .service(once(Ok(answer)));
            let mut request = case.request(true).map(|()| Body::empty());
            llmesh::body::Context::edit(&mut request, |context| {
                context.set_attempt(llmesh::base::ext::Attempt {
                    number: 1,
                    may_retry: true,
                });
                context.set_retries_answers(true);
            });
            let Ok(response) = stack.oneshot(request).await;
            let expect = &case.0["expect"];
            let class = expect["class"].as_str().unwrap();
            let status = match (class, ours) {
                ("Auth", false) => 401,
                ("Permission", false) => 403,
                _ => expect["client_status"].as_u64().unwrap(),
            };
            let id = case.text("id");
            assert_eq!(
                u64::from(response.status().as_u16()),
                status,
                "{id}, ours: {ours}"
            );
            let headers = response.headers();
            assert_eq!(
                headers.contains_key("x-llmesh-class"),
                class != "Success",
                "{id}"
            );
            let said = header(headers, "x-should-retry");
            if matches!(
                class,
                "QuotaExhausted"
                    | "QuotaWindow"
                    | "ContextLength"
                    | "ContentFilter"
                    | "Auth"
                    | "Permission"
                    | "InvalidRequest"
                    | "TooLarge"
                    | "RequestExceedsLimit"
            ) {
                assert_eq!(said, Some("false"), "{id}");
            }
            let secret = ours && matches!(class, "Auth" | "Permission");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(
                body != case.body(),
                secret,
                "{id}: only a refusal of our key is hidden"
            );
            checked += 1;
        }
    }
    assert!(checked > 150, "{checked}");
}

/// Every stream of the case file that its frames decide, through the layer that holds streams back.
#[tokio::test(start_paused = true)]
async fn a_stream_is_told_of_as_the_case_file_says() {
    let mut checked = 0;
    for case in Case::streams() {
        let Some(frames) = case.0["frames"]
            .as_array()
            .filter(|_| case.text("end") == "eof")
        else {
            continue;
        };
        let kind = if case.text("provider") == "ollama" {
            "application/x-ndjson"
        } else {
            "text/event-stream"
        };
        let script = Script::chunks(frames.iter().map(|f| f.as_str().unwrap().to_owned()));
        let answer = Response::builder()
            .header("content-type", kind)
            .body(script.body())
            .unwrap();
        let stack = ServiceBuilder::new()
            .layer(RespondLayer::new())
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(ClassifyLayer::new(LlmClassifier::new(DialectMode::Auto)))
            .layer(StreamLayer::default())
            .service(once(Ok(answer)));
        let Ok(response) = stack
            .oneshot(case.request(true).map(|()| Body::empty()))
            .await;
        let expect = &case.0["expect"];
        let id = case.text("id");
        let status = u64::from(response.status().as_u16());
        assert_eq!(Some(status), expect["client_status"].as_u64(), "{id}");
        let end = drain(response.into_body()).await;
        let bad = status == 200 && expect["class"] != "Success";
        assert_eq!(end.error.is_some(), bad, "{id}: {:?}", end.error);
        if bad {
            let text = String::from_utf8(end.data.to_vec()).unwrap();
            assert!(text.contains("error"), "{id}: {text}");
        }
        checked += 1;
    }
    assert!(checked > 12, "{checked}");
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_in_the_callers_dialect_with_envoys_status() {
    let reset = Kind::Reset {
        reason: ResetReason::Terminated,
        sent: true,
    };
    for (path, kind, status, field, word) in [
        (
            CHAT,
            Kind::Connect(ConnectFailure::Refused),
            503,
            "/error/type",
            "server_error",
        ),
        (
            CHAT,
            Kind::RateLimited,
            429,
            "/error/code",
            "rate_limit_exceeded",
        ),
        (
            CHAT,
            Kind::DeadlineExceeded,
            504,
            "/error/code",
            "request_timeout",
        ),
        (
            CHAT,
            Kind::NoRoute,
            404,
            "/error/message",
            "There is nothing at this address.",
        ),
        ("/v1/responses", reset, 503, "/error/type", "server_error"),
        (MESSAGES, Kind::NoEndpoints, 503, "/error/type", "api_error"),
        (
            CHAT,
            Kind::NoCluster,
            503,
            "/error/message",
            "The destination of this route does not exist.",
        ),
        (CHAT, Kind::NoCluster, 503, "/error/type", "server_error"),
        (
            MESSAGES,
            Kind::BodyTooLarge,
            413,
            "/error/type",
            "request_too_large",
        ),
        (MESSAGES, Kind::Internal, 500, "/error/type", "api_error"),
        (
            GEMINI,
            Kind::RateLimited,
            429,
            "/error/status",
            "RESOURCE_EXHAUSTED",
        ),
        (
            "/model/m/converse",
            Kind::RateLimited,
            429,
            "/__type",
            "ThrottlingException",
        ),
        (
            "/v2/chat",
            Kind::NoEndpoints,
            503,
            "/message",
            "no healthy upstream",
        ),
        (
            "/api/chat",
            Kind::Overflow,
            503,
            "/error",
            "upstream connect error or disconnect/reset before headers. reset reason: overflow",
        ),
        (
            "/generate",
            Kind::RateLimited,
            429,
            "/error_type",
            "overloaded",
        ),
    ] {
        let error = Error::new(kind)
            .with_detail("outbound|443||internal.host")
            .with_source("key sk-123");
        let (head, body) = told(RespondLayer::new(), request(path), error).await;
        assert_eq!(head.status, status, "{path} {kind:?}");
        assert_eq!(
            header(&head.headers, "content-type"),
            Some("application/json")
        );
        let json: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            json.pointer(field).and_then(Value::as_str),
            Some(word),
            "{body}"
        );
        for secret in ["sk-123", "internal.host", "secret prompt"] {
            assert!(!body.contains(secret), "{body}");
        }
        let overloaded = head.headers.contains_key("x-envoy-overloaded");
        assert_eq!(overloaded, kind == Kind::Overflow, "Envoy's headers stay");
        let aws = header(&head.headers, "x-amzn-errortype");
        assert_eq!(aws.is_some(), path.starts_with("/model"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_llm_call_is_answered_as_by_envoy() {
    let grpc = |mut request: Request<Body>| {
        let kind = "application/grpc".parse().unwrap();
        request.headers_mut().insert("content-type", kind);
        request
    };
    let get = Request::get(CHAT).body(Body::empty()).unwrap();
    let off = RespondLayer::new().with_dialect(DialectMode::StatusOnly);
    let ours =
        |name: &http::HeaderName| name.as_str().starts_with("x-llmesh") || name == "x-should-retry";
    let (head, _) = told_in_a_route(request(CHAT), Error::new(Kind::NoEndpoints), |to| {
        to.restrict(true, false);
    })
    .await;
    assert_eq!(header(&head.headers, "content-type"), Some("text/plain"));
    assert!(!head.headers.keys().any(ours), "{:?}", head.headers);
    for (layer, request, kind) in [
        (RespondLayer::new(), request("/api/knowledge"), "text/plain"),
        (RespondLayer::new(), get, "text/plain"),
        (RespondLayer::new(), grpc(request(CHAT)), "application/grpc"),
        (off, request(CHAT), "text/plain"),
    ] {
        let error = Error::new(Kind::NoEndpoints);
        let (head, _) = told(layer, request, error).await;
        assert_eq!(header(&head.headers, "content-type"), Some(kind));
        assert!(!head.headers.keys().any(ours), "{:?}", head.headers);
    }
    let forced =
        RespondLayer::new().with_dialect(DialectMode::Fixed(llmesh::llm::Dialect::Anthropic));
    let (_, body) = told(forced, request("/chat"), Error::new(Kind::NoEndpoints)).await;
    assert!(body.contains(r#""api_error""#), "{body}");
}

/// A refusal of a limit says which, how much and how long, and one that can never be granted is no pacing.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_ours_gives_its_figures_in_the_callers_dialect() {
    let refused = |wait: Option<Duration>, asked| Refused {
        quota: Quota {
            name: "free".into(),
            unit: Unit::Tokens,
            limit: 10_000,
            per: Duration::from_secs(60),
            remaining: 120,
            reset: Duration::from_secs(30),
        },
        wait,
        asked,
    };
    let pacing = "Limit \"free\" is reached, which allows 10000 tokens in 60s: Limit 10000, Used 9880, Requested 1200. \
                  Please try again in 12.5s.";
    let never = "Request too large for limit \"free\", which allows 10000 tokens in 60s: Limit 10000, Requested 20000.";
    for (refused, message, code, retry) in [
        (
            refused(Some(Duration::from_millis(12_500)), 1200),
            pacing,
            "rate_limit_exceeded",
            "true",
        ),
        (refused(None, 20_000), never, "rate_limit_exceeded", "false"),
    ] {
        for path in [CHAT, "/api/knowledge"] {
            let error = Error::new(Kind::RateLimited).with_source(refused.clone());
            let (head, body) = told(RespondLayer::new(), request(path), error).await;
            assert_eq!(
                (
                    head.status.as_u16(),
                    header(&head.headers, "x-should-retry")
                ),
                (429, Some(retry))
            );
            if path == CHAT {
                let json: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(
                    (&json["error"]["message"], &json["error"]["code"]),
                    (&message.into(), &code.into())
                );
            } else {
                assert_eq!(body, message);
            }
        }
    }
}

/// An unknown host is named, with the way out, for every caller.
#[tokio::test(start_paused = true)]
async fn an_unknown_host_is_named() {
    let table = Arc::new(llmesh::route::Table::default());
    for (path, in_json) in [(CHAT, true), ("/api/knowledge", false)] {
        let layer = llmesh::route::RouteLayer::new(Arc::clone(&table));
        let inner = layer.layer(once::<Body>(Ok(Response::new(Body::empty()))));
        let mut request = request(path);
        request
            .headers_mut()
            .insert("host", "api.unknown.example".parse().unwrap());
        let Ok(response) = RespondLayer::new().layer(inner).oneshot(request).await;
        let (head, body) = whole(response).await;
        assert_eq!(head.status, 502);
        assert_eq!(serde_json::from_str::<Value>(&body).is_ok(), in_json);
        for word in ["api.unknown.example", "ServiceEntry"] {
            assert!(body.contains(word), "{body}");
        }
    }
}

fn noted(path: &str, note: impl FnOnce(&mut llmesh::base::ext::Notes)) -> Request<Body> {
    let record = Record::default();
    record.note(note);
    let mut request = request(path);
    request.extensions_mut().insert(record);
    request
}

fn route() -> RouteMeta {
    RouteMeta {
        id: 0,
        route: Arc::from("chat"),
        virtual_host: Arc::from("llm"),
        cluster: Arc::from("outbound|80||llm"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_what_came_of_the_request() {
    let request = noted(CHAT, |n| {
        n.attempts = 3;
        n.route = Some(route());
    });
    let connect = Error::new(Kind::Connect(ConnectFailure::Refused));
    let mut connect: Result<Response<Body>, BoxError> = Err(connect.into());
    hops::end(&mut connect, Ended::Exhausted);
    let (head, _) = told(RespondLayer::new(), request, connect.unwrap_err()).await;
    for (name, value) in [
        ("x-llmesh-class", "connect"),
        ("x-llmesh-attempts", "3"),
        ("x-llmesh-target", "outbound|80||llm"),
        ("x-should-retry", "false"),
    ] {
        assert_eq!(header(&head.headers, name), Some(value));
    }
    assert_eq!(header(&head.headers, "x-llmesh-model"), None);

    let limited = Error::new(Kind::RateLimited).with_retry_after(Duration::from_millis(1500));
    let (head, _) = told(RespondLayer::new(), self::request(CHAT), limited).await;
    for (name, value) in [
        ("x-should-retry", "true"),
        ("retry-after-ms", "1500"),
        ("retry-after", "2"),
        ("x-llmesh-attempts", "0"),
    ] {
        assert_eq!(header(&head.headers, name), Some(value));
    }
}

/// A key that the route puts on is refused: the caller would look for the fault in a key of theirs.
#[tokio::test]
async fn a_refusal_of_the_routes_key_is_no_matter_of_the_callers() {
    let mut inside = answered(Outcome::StreamError, 200);
    inside.inner = Some(Outcome::Auth);
    for (class, wire) in [
        (answered(Outcome::Auth, 401), 401),
        (answered(Outcome::Permission, 403), 403),
        (inside, 200),
    ] {
        for ours in [true, false] {
            let request = noted(CHAT, |n| n.our_key = ours);
            let answer = classed(Body::from("bad key sk-1"), wire, class.clone());
            let (head, body) = seen(request, answer).await;
            let status = head.status.as_u16();
            assert_eq!(status == 502, ours, "{status} {class:?}");
            assert_eq!(matches!(status, 401 | 403), !ours, "{status} {class:?}");
            assert_eq!(body.contains("sk-1"), !ours, "{body}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_a_retry_made_good_says_so() {
    for (sends, told) in [(1, None), (2, Some("2")), (3, Some("3"))] {
        let record = Record::default();
        record.note(|n| n.attempts = sends);
        let mut request = request(CHAT);
        request.extensions_mut().insert(record);
        let answer = classed(Body::from("{}"), 200, answered(Outcome::Success, 200));
        let (head, _) = seen(request, answer).await;
        assert_eq!(header(&head.headers, "x-llmesh-attempts"), told);
        assert_eq!(header(&head.headers, "x-llmesh-class"), None);
        assert_eq!(header(&head.headers, "x-llmesh-target"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_headers_can_be_switched_off() {
    let error = || Error::new(Kind::DeadlineExceeded);
    let quiet = RespondLayer::new().with_headers(false);
    for (head, body) in [
        told(quiet, request(CHAT), error()).await,
        told_in_a_route(request(CHAT), error(), |to| to.restrict(false, true)).await,
    ] {
        let ours = |name: &http::HeaderName| name.as_str().starts_with("x-llmesh");
        assert!(!head.headers.keys().any(ours), "{:?}", head.headers);
        assert_eq!(header(&head.headers, "x-should-retry"), Some("false"));
        assert!(body.starts_with("{\"error\":"), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_says_who_answered() {
    let by = AnsweredBy {
        cluster: Arc::from("outbound|443||backup"),
        model: Some(Arc::from("small")),
        place: 1,
        our_key: true,
    };
    let request = || {
        noted(CHAT, |n| {
            n.route = Some(route());
            n.answered_by = Some(by.clone());
        })
    };
    let success = classed(Body::from("ok"), 200, answered(Outcome::Success, 200));
    let (head, body) = seen(request(), success).await;
    assert_eq!((head.status.as_u16(), &*body), (200, "ok"));
    assert_eq!(
        header(&head.headers, "x-llmesh-target"),
        Some("outbound|443||backup")
    );
    assert_eq!(header(&head.headers, "x-llmesh-model"), Some("small"));
    assert_eq!(header(&head.headers, "x-llmesh-class"), None);

    let mut refused = classed(
        Body::from("bad key sk-1"),
        401,
        answered(Outcome::Auth, 401),
    );
    refused
        .headers_mut()
        .insert("www-authenticate", "Bearer".parse().unwrap());
    refused.headers_mut().insert("content-length", 12.into());
    let (head, body) = seen(request(), refused).await;
    assert_eq!(head.status, 502);
    assert!(
        body.contains("server_error") && !body.contains("sk-1"),
        "{body}"
    );
    for gone in ["www-authenticate", "content-length"] {
        assert_eq!(header(&head.headers, gone), None);
    }
    assert_eq!(header(&head.headers, "x-llmesh-class"), Some("auth"));
}

#[tokio::test(start_paused = true)]
async fn only_anthropics_callers_see_529() {
    for (path, status) in [(CHAT, 503), (MESSAGES, 529)] {
        let body = Body::from("provider's words");
        let answer = classed(body, 529, answered(Outcome::Overloaded, 529));
        let (head, body) = seen(request(path), answer).await;
        assert_eq!((head.status.as_u16(), &*body), (status, "provider's words"));
    }
}

/// Content, and then this error.
fn broken(kind: &str, text: &str, error: impl Into<BoxError>) -> Response<Body> {
    let script = Script::new().data(text.to_owned()).fail(error);
    let mut response = Response::new(Body::new(script.body()));
    response
        .headers_mut()
        .insert("content-type", kind.parse().unwrap());
    response
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_says_so_and_then_fails() {
    const SSE: &str = "text/event-stream; charset=utf-8";
    let cut = || Error::new(Kind::StreamTruncated);
    let json = "application/json";
    for (path, kind, text, event) in [
        (
            CHAT,
            SSE,
            "data: {}\n\n",
            "data: {\"error\":{\"code\":\"stream_truncated\"",
        ),
        (CHAT, SSE, "data: {\"cho", "\n\ndata: {\"error\":{"),
        (
            "/v1/responses",
            SSE,
            "data: {}\n\n",
            "event: error\ndata: {",
        ),
        (
            MESSAGES,
            SSE,
            "event: ping\ndata: {}\n\n",
            "event: error\ndata: {\"error\":{",
        ),
        (
            GEMINI,
            SSE,
            "data: {}\n\n",
            "data: {\"error\":{\"code\":502",
        ),
        (GEMINI, json, "[{}", ",{\"error\":{\"code\":502"),
        (
            "/api/chat",
            "application/x-ndjson",
            "{}\n",
            "{\"error\":\"The answer was cut off",
        ),
        (
            "/v2/chat",
            SSE,
            "data: {}\n\n",
            "event: message-end\ndata: {",
        ),
    ] {
        let Ok(response) = RespondLayer::new()
            .layer(once(Ok(broken(kind, text, cut()))))
            .oneshot(request(path))
            .await;
        let end = drain(response.into_body()).await;
        let data = String::from_utf8(end.data.to_vec()).unwrap();
        let added = data.strip_prefix(text).unwrap();
        assert!(added.starts_with(event), "{path}: {added:?}");
        let error = end.error.unwrap();
        let kind = llmesh::base::error::find(error.as_ref()).map(Error::kind);
        assert_eq!(kind, Some(Kind::StreamTruncated), "the error stays itself");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_added_where_it_would_not_be_read() {
    const SSE: &str = "data: {}\n\n";
    let cut = || -> BoxError { Error::new(Kind::StreamTruncated).into() };
    let told = Failure::new(answered(Outcome::StreamError, 200)).with_told(true);
    let told: BoxError = Error::new(Kind::StreamError).with_source(told).into();
    let left: BoxError = Error::new(Kind::Canceled).into();
    let sse = "text/event-stream";
    let with = |name: &'static str, value: &str| {
        let mut response = broken(sse, SSE, cut());
        response.headers_mut().insert(name, value.parse().unwrap());
        response
    };
    for (path, text, response) in [
        (
            CHAT,
            "{\"id\":",
            broken("application/json", "{\"id\":", cut()),
        ),
        (GEMINI, "[{\"a", broken("application/json", "[{\"a", cut())),
        (CHAT, SSE, broken(sse, SSE, told)),
        (CHAT, SSE, broken(sse, SSE, left)),
        (CHAT, SSE, with("content-length", "100")),
        (CHAT, SSE, with("content-encoding", "gzip")),
        ("/events", SSE, broken(sse, SSE, cut())),
    ] {
        let Ok(response) = RespondLayer::new()
            .layer(once(Ok(response)))
            .oneshot(request(path))
            .await;
        let end = drain(response.into_body()).await;
        assert!(end.error.is_some());
        assert_eq!(String::from_utf8(end.data).unwrap(), text, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_event_has_time_to_leave_and_what_the_body_held_does_not_wait() {
    let (script, watch) = Script::new()
        .data("data: {}\n\n")
        .fail(Error::new(Kind::StreamTruncated))
        .watched();
    let mut response = Response::new(Body::new(script));
    response
        .headers_mut()
        .insert("content-type", "text/event-stream".parse().unwrap());
    let Ok(response) = RespondLayer::new()
        .layer(once(Ok(response)))
        .oneshot(request(CHAT))
        .await;
    let mut body = response.into_body();
    let begun = Instant::now();
    for _ in 0..2 {
        assert!(body.frame().await.unwrap().is_ok());
    }
    assert!(watch.dropped(), "permits are free");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(begun.elapsed(), Duration::from_millis(100));
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_route_says_what_is_spoken_on_a_path_of_its_own() {
    for (path, said, text) in [
        ("/team/ask", None, "data: {}\n\n".to_owned()),
        (
            "/team/ask",
            Some(Dialect::OpenAi),
            "stream_truncated".to_owned(),
        ),
        (
            "/team/ask",
            Some(Dialect::Anthropic),
            "event: error".to_owned(),
        ),
        (CHAT, Some(Dialect::Anthropic), "event: error".to_owned()),
    ] {
        let cut = Error::new(Kind::StreamTruncated);
        let answer = broken("text/event-stream", "data: {}\n\n", cut);
        let route = ServiceBuilder::new()
            .layer(RespondLayer::new())
            .map_request(saying(move |to| {
                assert!(said.is_none_or(|said| to.speaks(said, true)));
            }))
            .layer(InRouteLayer)
            .service(once(Ok(answer)));
        let Ok(response) = route.oneshot(request(path)).await;
        let end = drain(response.into_body()).await;
        assert!(end.error.is_some());
        let seen = String::from_utf8(end.data).unwrap();
        assert!(seen.contains(&text), "{path} {said:?} {seen}");
        assert_eq!(seen.contains("error"), said.is_some(), "{path} {seen}");
    }
}

#[tokio::test]
async fn what_an_upstream_says_in_our_names_is_not_passed_on() {
    for (status, outcome) in [(200, Outcome::Success), (500, Outcome::ServerError)] {
        let mut answer = classed(Body::from("{}"), status, answered(outcome, status));
        for name in [
            "x-llmesh-class",
            "x-llmesh-attempts",
            "x-llmesh-target",
            "x-llmesh-model",
        ] {
            answer.headers_mut().insert(name, "evil".parse().unwrap());
        }
        let (head, _) = seen(request(CHAT), answer).await;
        let evil = head.headers.values().any(|value| value == "evil");
        assert!(!evil, "{:?}", head.headers);
    }
}

#[tokio::test]
async fn half_an_answer_is_not_the_body_of_its_failure() {
    let reset = Kind::Reset {
        reason: ResetReason::Remote,
        sent: true,
    };
    let class = Class::new(Outcome::Reset, Signal::Error(reset));
    let body = Script::new()
        .data("{\"choices\":[{\"mess")
        .fail(Error::new(reset));
    let answer = classed(Body::new(body.body()), 200, class);
    let (head, body) = seen(request(CHAT), answer).await;
    assert_eq!(head.status, 502);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(body["error"]["message"].is_string(), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_providers_own_error_event_has_time_to_leave_too() {
    let failure = Failure::new(answered(Outcome::StreamError, 200)).with_told(true);
    let told = Error::new(Kind::StreamError).with_source(failure);
    let answer = broken("text/event-stream", "data: {\"error\":{}}\n\n", told);
    let Ok(response) = RespondLayer::new()
        .layer(once(Ok(answer)))
        .oneshot(request(CHAT))
        .await;
    let mut body = response.into_body();
    let begun = Instant::now();
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(begun.elapsed(), Duration::from_millis(100));
    assert!(body.frame().await.is_none());
}
