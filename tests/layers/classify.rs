//! The classify layer: every whole-response and transport case of the case file, pure and through the service.
#![cfg(feature = "llm")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use llmesh::testing::body::Script;
use llmesh::{
    base::{
        BoxError, Error, Kind, SharedRng,
        ext::Attempt,
        time::{Instant, format_http_date, parse_rfc3339},
    },
    body::{self, RequestBody},
    classify::{
        Class, Classified, Classifier, ClassifyLayer, FallbackScope, HttpClassifier, Outcome,
        Scope, Verdict, hint,
    },
    llm::{
        Dialect, DialectMode, LlmClassifier, Usage,
        status::{KeyOwner, client_status},
    },
    retry::{self, RetryLayer, RetryOn},
};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

const MAX_HINT: Duration = Duration::from_secs(120);

/// A line of the case file.
pub(crate) struct Case(pub(crate) Value);

/// What is compared, as text, so that a mismatch can be printed.
#[derive(Debug, PartialEq)]
struct Facts {
    class: String,
    inner: Option<String>,
    retry_same: bool,
    wait_ms: Option<u64>,
    wait_source: Option<String>,
    reset_at: Option<SystemTime>,
    fallback: &'static str,
    breaker: &'static str,
    client_status: u16,
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        Self::lines()
            .filter(|c| c.text("phase") != "stream")
            .collect()
    }

    pub(crate) fn streams() -> Vec<Self> {
        Self::lines()
            .filter(|c| c.text("phase") == "stream")
            .collect()
    }

    fn lines() -> impl Iterator<Item = Self> {
        include_str!("../data/llm-error-cases.jsonl")
            .lines()
            .map(|line| Self(serde_json::from_str(line).unwrap()))
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    fn now(&self) -> SystemTime {
        parse_rfc3339(self.text("now")).unwrap()
    }

    /// The request, to the provider itself or by way of a mesh name.
    pub(crate) fn request(&self, direct: bool) -> Request<()> {
        let host = match self.text("provider") {
            "openai" => "api.openai.com",
            "azure.openai" => "x.openai.azure.com",
            "anthropic" => "api.anthropic.com",
            "gcp.gemini" => "generativelanguage.googleapis.com",
            "gcp.vertex_ai" => "us-central1-aiplatform.googleapis.com",
            "aws.bedrock" => "bedrock-runtime.us-east-1.amazonaws.com",
            "mistral_ai" => "api.mistral.ai",
            "cohere" => "api.cohere.com",
            "groq" => "api.groq.com",
            "together" => "api.together.xyz",
            "fireworks" => "api.fireworks.ai",
            "openrouter" => "openrouter.ai",
            "deepseek" => "api.deepseek.com",
            "vllm"
            | "ollama"
            | "huggingface.tgi"
            | "huggingface.inference"
            | "cloudflare-edge"
            | "any" => "llm-service",
            other => panic!("no host for {other}"),
        };
        let host = if direct { host } else { "llm-service" };
        let path = match self.text("api") {
            "chat" | "any" => "/v1/chat/completions",
            "responses" => "/v1/responses",
            "messages" => "/v1/messages",
            "generateContent" => "/v1beta/models/m:generateContent",
            "streamGenerateContent" => "/v1beta/models/m:streamGenerateContent",
            "interactions" => "/v1beta/interactions",
            "converse" => "/model/m/converse",
            "converse-stream" => "/model/m/converse-stream",
            "v2/chat" => "/v2/chat",
            "native" => "/api/chat",
            "generate" => "/generate",
            other => panic!("no path for {other}"),
        };
        Request::post(format!("http://{host}{path}"))
            .body(())
            .unwrap()
    }

    pub(crate) fn head(&self) -> response::Parts {
        let status = u16::try_from(self.0["status"].as_u64().unwrap()).unwrap();
        let mut head = Response::builder().status(status);
        for (name, value) in self.0["headers"].as_object().unwrap() {
            head = head.header(name, value.as_str().unwrap());
        }
        head.body(()).unwrap().into_parts().0
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        match self.0.get("body") {
            Some(body) => serde_json::to_vec(body).unwrap(),
            None => self.text("body_text").as_bytes().to_vec(),
        }
    }

    fn error(&self) -> BoxError {
        match self.0["transport"]["kind"].as_str().unwrap() {
            "no_headers" => Error::new(Kind::AttemptTimeout).into(),
            "connect_refused" => io::Error::from(io::ErrorKind::ConnectionRefused).into(),
            "reset_before_headers" => io::Error::from(io::ErrorKind::ConnectionReset).into(),
            "client_disconnected" => Error::new(Kind::Canceled).into(),
            other => panic!("no error for {other}"),
        }
    }

    fn expected(&self) -> Facts {
        let expect = &self.0["expect"];
        let text = |key: &str| expect[key].as_str();
        let one_of = |key: &str, all: &[&'static str]| {
            let value = text(key).unwrap();
            *all.iter().find(|name| **name == value).unwrap()
        };
        Facts {
            class: text("class").unwrap().to_owned(),
            inner: text("inner_class").map(str::to_owned),
            retry_same: expect["retry_same"].as_bool().unwrap(),
            wait_ms: expect["wait_ms"].as_u64(),
            wait_source: text("wait_source").map(str::to_owned),
            reset_at: text("reset_at").map(|at| parse_rfc3339(at).unwrap()),
            fallback: one_of(
                "fallback",
                &["any", "other_account", "larger", "opt_in", "none"],
            ),
            breaker: one_of("breaker", &["none", "target", "credential", "account"]),
            client_status: u16::try_from(expect["client_status"].as_u64().unwrap()).unwrap(),
        }
    }

    /// The facts of a class, with the retry policy's view of its hint.
    fn facts(&self, class: &Class) -> Facts {
        let left = self.0["ctx"]["deadline_left_ms"]
            .as_u64()
            .map(Duration::from_millis);
        let retry_same = hint::allowed(class, MAX_HINT, left);
        let backoff = retry_same.then(|| "backoff".to_owned());
        let dialect = (self.text("provider") == "anthropic").then_some(Dialect::Anthropic);
        Facts {
            class: format!("{:?}", class.outcome),
            inner: class.inner.map(|inner| format!("{inner:?}")),
            retry_same,
            wait_ms: class
                .hint
                .map(|h| u64::try_from(h.wait.as_millis()).unwrap()),
            wait_source: class.hint.map(|h| h.source.to_owned()).or(backoff),
            reset_at: class.reset_at,
            fallback: match class.elsewhere {
                FallbackScope::Any => "any",
                FallbackScope::OtherAccount => "other_account",
                FallbackScope::Larger => "larger",
                FallbackScope::OptIn => "opt_in",
                FallbackScope::None => "none",
            },
            breaker: match class.scope {
                Scope::None => "none",
                Scope::Target => "target",
                Scope::Credential => "credential",
                Scope::Account => "account",
            },
            client_status: client_status(class, dialect, KeyOwner::Gateway).as_u16(),
        }
    }

    /// The usage that is expected, with what was not asked for taken from `found`.
    fn usage(&self, found: Option<Usage>) -> Option<Usage> {
        let expect = self.0["expect"].get("usage")?;
        let mut usage = found?;
        usage.input = expect["input"].as_u64().unwrap();
        usage.output = expect["output"].as_u64().unwrap();
        if let Some(read) = expect.get("cache_read") {
            usage.cache_read = read.as_u64();
        }
        if let Some(reasoning) = expect.get("reasoning") {
            usage.reasoning = reasoning.as_u64();
        }
        Some(usage)
    }
}

/// Cuts a body at random places, empty chunks included.
fn cut(body: &[u8], rng: &SharedRng) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small share of a small length"
        )]
        let at = ((rng.unit() * 40.0) as usize).min(rest.len());
        let (chunk, tail) = rest.split_at(at);
        chunks.push(Bytes::copy_from_slice(chunk));
        rest = tail;
    }
    chunks
}

fn report(mismatches: &[String]) {
    assert!(
        mismatches.is_empty(),
        "{} mismatches:\n{}",
        mismatches.len(),
        mismatches.join("\n")
    );
}

#[test]
fn every_whole_response_is_classified_as_the_case_file_says() {
    let rng = SharedRng::seeded(7);
    let mut mismatches = Vec::new();
    for case in Case::all() {
        for direct in [true, false] {
            let (parts, ()) = case.request(direct).into_parts();
            let mut attempt = LlmClassifier::new(DialectMode::Auto).attempt(
                &parts.method,
                &parts.uri,
                &parts.headers,
            );
            let class = if case.text("phase") == "transport" {
                attempt.error(&case.error())
            } else {
                let head = attempt.head(&case.head(), case.now());
                for chunk in cut(&case.body(), &rng) {
                    let _ = attempt.frame(&chunk);
                }
                let end = attempt.end(None);
                if let Verdict::Done(head) = head {
                    assert_eq!(head, end, "{}", case.text("id"));
                }
                end
            };
            let (expected, found) = (case.expected(), case.facts(&class));
            let id = format!(
                "{} ({})",
                case.text("id"),
                if direct { "direct" } else { "mesh" }
            );
            if expected != found {
                mismatches.push(format!(
                    "{id}\n  expected {expected:?}\n  found    {found:?}"
                ));
            }
            if case.0["expect"].get("usage").is_some() {
                let usage = attempt.usage();
                if usage.is_none() || case.usage(usage) != usage {
                    mismatches.push(format!("{id}: usage {usage:?}"));
                }
            }
        }
    }
    report(&mismatches);
}

/// A body of these chunks that yields between them, with trailers, an error or neither at its end.
struct Chunks {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    pending: bool,
}

impl Chunks {
    fn new(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        Self {
            frames: chunks.into_iter().map(|c| Ok(Frame::data(c))).collect(),
            pending: true,
        }
    }

    fn then(mut self, last: Result<Frame<Bytes>, BoxError>) -> Self {
        self.frames.push_back(last);
        self
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.pending = !self.pending;
        if self.pending {
            return Poll::Ready(self.frames.pop_front());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Asks a service that answers with this, as an attempt that may or may not be retried.
async fn ask(
    mut request: Request<()>,
    may_retry: bool,
    answer: Response<Chunks>,
) -> Response<impl Body<Data = Bytes, Error = BoxError>> {
    body::Context::edit(&mut request, |context| {
        context.set_attempt(Attempt {
            number: 1,
            may_retry,
        });
        context.set_retries_answers(true);
    });
    let mut answer = Some(answer);
    let inner = service_fn(move |_: Request<()>| {
        let answer = answer.take().unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    ClassifyLayer::new(LlmClassifier::new(DialectMode::Auto))
        .layer(inner)
        .oneshot(request)
        .await
        .unwrap()
}

fn classified<B>(response: &Response<B>) -> Classified {
    response.extensions().get::<Classified>().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn the_service_comes_to_the_same_class_and_changes_no_byte() {
    let rng = SharedRng::seeded(8);
    let mut mismatches = Vec::new();
    for case in Case::all().iter().filter(|c| c.text("phase") == "response") {
        for may_retry in [true, false] {
            let mut head = case.head();
            // The service reads the wall clock; the response's own date stands in for the case's.
            let date = format_http_date(case.now());
            head.headers.insert("date", date.parse().unwrap());
            let body = Chunks::new(cut(&case.body(), &rng));
            let answer = Response::from_parts(head, body);
            let response = ask(case.request(true), may_retry, answer).await;
            let classified = classified(&response);
            let first = classified.head().cloned();
            assert_eq!(classified.end(), None);
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(bytes, case.body(), "{}", case.text("id"));

            let end = classified.end().unwrap();
            let (mut expected, mut found) = (case.expected(), case.facts(end));
            assert_eq!(expected.reset_at.is_some(), found.reset_at.is_some());
            (expected.reset_at, found.reset_at) = (None, None);
            if expected != found {
                mismatches.push(format!(
                    "{}\n  expected {expected:?}\n  found    {found:?}",
                    case.text("id")
                ));
            }
            if may_retry || first.is_some() {
                assert_eq!(first.as_ref(), Some(end), "{}", case.text("id"));
            }
        }
    }
    report(&mismatches);
}

fn chat() -> Request<()> {
    Request::post("http://llm-service/v1/chat/completions")
        .body(())
        .unwrap()
}

fn json<B>(status: u16, body: B) -> Response<B> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_handed_on_at_its_head() {
    let body = Chunks::new([Bytes::from("data: {}\n\n")]);
    let mut answer = Response::new(body);
    let kind = "text/event-stream; charset=utf-8".parse().unwrap();
    answer.headers_mut().insert("content-type", kind);
    let response = ask(chat(), true, answer).await;
    let classified = classified(&response);
    assert!(classified.head().unwrap().is_success());
    assert_eq!(classified.end(), None);
    drop(response);
    assert_eq!(classified.end().unwrap().outcome, Outcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn trailers_and_body_errors_pass_through_a_held_body() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    let body = Chunks::new([Bytes::from("{}")]).then(Ok(Frame::trailers(trailers.clone())));
    let response = ask(chat(), true, json(200, body)).await;
    assert!(classified(&response).head().unwrap().is_success());
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "{}");

    let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
    for may_retry in [true, false] {
        let body = Chunks::new([Bytes::from("{")]).then(reset());
        let response = ask(chat(), may_retry, json(200, body)).await;
        let classified = classified(&response);
        let head = classified.head().map(|class| class.outcome);
        assert_eq!(head, may_retry.then_some(Outcome::Reset));
        let mut body = Box::pin(response.into_body());
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "{");
        let error = body.frame().await.unwrap().unwrap_err();
        let error = error.downcast::<io::Error>().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(body.frame().await.is_none());
        assert_eq!(classified.end().unwrap().outcome, Outcome::Reset);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_is_cancelled_unless_the_answer_had_failed() {
    for (status, may_retry, outcome) in [
        (200, false, Outcome::Cancelled),
        (500, false, Outcome::ServerError),
        (500, true, Outcome::ServerError),
        // The whole answer was seen: who leaves then takes nothing from it.
        (200, true, Outcome::Success),
    ] {
        let body = Chunks::new([Bytes::from("{}")]);
        let response = ask(chat(), may_retry, json(status, body)).await;
        let classified = classified(&response);
        drop(response);
        let end = classified.end().unwrap();
        assert_eq!(end.outcome, outcome, "{status} {may_retry}");
    }
}

#[tokio::test(start_paused = true)]
async fn holding_back_ends_at_its_cap() {
    let big = || Chunks::new((0..100).map(|_| Bytes::from(vec![b' '; 4096])));
    let response = ask(chat(), true, json(200, big())).await;
    assert_eq!(classified(&response).head(), None);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes.len(), 100 * 4096);
    // An error's status decides where its body is too long to tell more.
    let response = ask(chat(), true, json(429, big())).await;
    let class = classified(&response).head().cloned().unwrap();
    assert_eq!(class.outcome, Outcome::RateLimited);
}

/// An error whose body stalls is retried by its status, not held until somebody's timeout.
#[tokio::test(start_paused = true)]
async fn holding_back_ends_with_patience() {
    let inner = service_fn(|request: Request<RequestBody>| async move {
        let first = request.body().context().attempt().unwrap().number == 1;
        let script = if first {
            Script::new().data("{").hang()
        } else {
            Script::new().data("{}")
        };
        let mut response = Response::new(script.body());
        *response.status_mut() = if first {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        };
        Ok::<_, Infallible>(response)
    });
    let terms = RetryOn::envoy("503").unwrap();
    let service = RetryLayer::new(retry::Params::default().with_retry_on(terms))
        .layer(ClassifyLayer::new(LlmClassifier::new(DialectMode::Auto)).layer(inner));
    let begin = Instant::now();
    let response = service.oneshot(Request::new(Empty::new())).await.unwrap();
    assert_eq!(response.status(), 200);
    let took = begin.elapsed();
    assert!((1000..1100).contains(&took.as_millis()), "{took:?}");
}

/// Blanks are no content, however long they last: the answer behind them decides, and a good one passes with its blanks.
#[tokio::test(start_paused = true)]
async fn blanks_before_the_first_meaning_are_waited_through() {
    const BROKEN: &str = r#"{"error": {"code": 502, "message": "m"}}"#;
    const GOOD: &str = r#"{"choices": [{"message": {"content": "a"}}]}"#;
    for (blank, kind, seconds, first, attempts) in [
        (" ", "application/json", 2, BROKEN, 2),
        ("\n", "application/json", 30, BROKEN, 2),
        ("\r\n\t", "text/plain", 30, BROKEN, 2),
        (" ", "", 5, BROKEN, 2),
        (" ", "application/json", 30, GOOD, 1),
        ("\n", "text/plain", 30, GOOD, 1),
    ] {
        let inner = service_fn(move |request: Request<RequestBody>| async move {
            let number = request.body().context().attempt().unwrap().number;
            let mut script = Script::new();
            if number == 1 {
                for _ in 0..seconds {
                    script = script.data(blank).wait(Duration::from_secs(1));
                }
                script = script.data(first);
            } else {
                script = script.data(GOOD);
            }
            let mut answer = Response::builder().header("x-attempt", number);
            if !kind.is_empty() {
                answer = answer.header("content-type", kind);
            }
            Ok::<_, Infallible>(answer.body(script.body()).unwrap())
        });
        let mut terms = RetryOn::envoy("503").unwrap();
        terms.llm = true;
        let service = RetryLayer::new(retry::Params::default().with_retry_on(terms))
            .layer(ClassifyLayer::new(LlmClassifier::new(DialectMode::Auto)).layer(inner));
        let request = chat().map(|()| Empty::new());
        let begin = Instant::now();
        let answer = service.oneshot(request).await.unwrap();
        let sent = answer.headers()["x-attempt"].to_str().unwrap().to_owned();
        assert_eq!(sent, attempts.to_string(), "{blank:?} {kind} {first}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let whole = match attempts {
            1 => blank.repeat(seconds) + GOOD,
            _ => GOOD.to_owned(),
        };
        assert_eq!(body, whole, "{blank:?} {kind} {first}");
        assert!(begin.elapsed() >= Duration::from_secs(seconds as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_were_held_are_not_read_twice() {
    let spaces = (0..30).map(|_| Bytes::from(vec![b' '; 4096]));
    let error = Bytes::from(r#"{"error": {"code": 503, "message": "m"}}"#);
    let body = Chunks::new(std::iter::once(error).chain(spaces));
    let response = ask(chat(), true, json(200, body)).await;
    let classified = classified(&response);
    assert_eq!(classified.head(), None);
    response.into_body().collect().await.unwrap();
    assert_eq!(classified.end().unwrap().outcome, Outcome::Overloaded);
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_is_decided_at_once() {
    let inner = service_fn(|_: Request<()>| async {
        let body = http_body_util::Empty::<Bytes>::new();
        let response = Response::builder().status(503).body(body).unwrap();
        Ok::<_, Infallible>(response)
    });
    let response = ClassifyLayer::new(LlmClassifier::default())
        .layer(inner)
        .oneshot(chat())
        .await
        .unwrap();
    let classified = classified(&response);
    assert_eq!(classified.head().unwrap().outcome, Outcome::Overloaded);
    assert_eq!(classified.end(), classified.head());
}

#[tokio::test(start_paused = true)]
async fn errors_pass_unchanged() {
    let inner = service_fn(|_: Request<()>| async {
        Err::<Response<Chunks>, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    });
    let error = ClassifyLayer::new(HttpClassifier::default())
        .layer(inner)
        .oneshot(chat())
        .await
        .unwrap_err();
    let error = error.downcast::<io::Error>().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_would_send_again_does_not_wait() {
    // The head is in, the body comes in an hour.
    for (status, handed_on) in [(200, true), (503, false)] {
        let inner = service_fn(move |_: Request<()>| async move {
            let body = Script::new()
                .data("{}")
                .wait(Duration::from_secs(3600))
                .body();
            Ok::<_, Infallible>(json(status, body))
        });
        let service = ClassifyLayer::new(LlmClassifier::default()).layer(inner);
        let mut request = chat();
        body::Context::edit(&mut request, |context| {
            context.set_attempt(Attempt {
                number: 1,
                may_retry: true,
            });
        });
        let soon = tokio::time::timeout(Duration::from_millis(900), service.oneshot(request)).await;
        assert_eq!(soon.is_ok(), handed_on, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_possible_retry_nothing_is_held_back() {
    // A body that never comes: only its head is there.
    let inner = service_fn(|_: Request<()>| async {
        let body = Chunks::new([]).then(Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        Ok::<_, Infallible>(json(500, body))
    });
    let service = ClassifyLayer::new(LlmClassifier::default()).layer(inner);
    let response = service.oneshot(chat()).await.unwrap();
    let classified = classified(&response);
    assert_eq!(classified.head(), None);
    let error = response.into_body().collect().await.unwrap_err();
    assert!(error.is::<io::Error>());
    assert_eq!(classified.end().unwrap().outcome, Outcome::ServerError);
}
