//! Streams: held back, timed, told apart, accounted for.
#![cfg(feature = "llm")]

use std::{
    convert::Infallible,
    io::{self, Write as _},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use llmesh::{
    balance::{self, Balance, Endpoint, EndpointSet},
    base::{
        BoxError, Error, Kind,
        cost::{Ledger, Spent, Usage},
        error,
        ext::{Deadline, TryClock},
        time::Instant,
    },
    body::{Body, Context},
    classify::{
        Class, Classified, Classify, ClassifyLayer, Failure, FallbackScope, Outcome, Scope, Signal,
        transport::class_of_body_error,
    },
    llm::{Dialect, DialectMode, LlmClassifier, dialect::LlmCall},
    outlier,
    respond::RespondLayer,
    retry::{self, RetryLayer, RetryOn},
    stream::{Clocks, Params, Policy, Stream, StreamLayer},
    testing::body::{Script, ScriptedBody, Watch, drain},
};
use tower::{Layer, Service, ServiceExt, service_fn};

const CHAT: &str = "/v1/chat/completions";
const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const PING: &str = ": ping\n\n";
const TOKEN: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
const FINISH: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const OVERLOADED: &str =
    "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"code\":503}}\n\n";
const LIMITED: &str = "data: {\"error\":{\"message\":\"slow\",\"type\":\"rate_limit_error\",\"code\":\"rate_limit_exceeded\"}}\n\n";
const OPEN: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const BROKEN: &str = "data: {\"choices\":[{\"index\"\n\n";

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What the upstream does with each request in turn: its head comes after a wait.
#[derive(Clone)]
struct Upstream(Arc<Mutex<Vec<Planned>>>);

type Planned = (Duration, Response<Script>);

type Bodies = Arc<Mutex<Vec<Watch>>>;

fn stream(script: Script) -> Response<Script> {
    Response::builder()
        .header("content-type", "text/event-stream; charset=utf-8")
        .body(script)
        .unwrap()
}

fn chunks(all: &[&'static str]) -> Script {
    Script::chunks(all.iter().copied())
}

impl Upstream {
    fn of(answers: impl IntoIterator<Item = Response<Script>>) -> Self {
        let answers = answers.into_iter().map(|a| (Duration::ZERO, a));
        Self(Arc::new(Mutex::new(answers.collect())))
    }

    fn after(self, wait: Duration) -> Self {
        for (before, _) in self.0.lock().unwrap().iter_mut() {
            *before = wait;
        }
        self
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn service<B: Send + 'static>(
        &self,
        bodies: &Bodies,
    ) -> impl Service<
        Request<B>,
        Response = Response<ScriptedBody>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + use<B> {
        let (answers, bodies) = (Arc::clone(&self.0), Arc::clone(bodies));
        service_fn(move |_: Request<B>| {
            let (wait, answer) = answers.lock().unwrap().remove(0);
            let bodies = Arc::clone(&bodies);
            async move {
                tokio::time::sleep(wait).await;
                let (head, script) = answer.into_parts();
                let (body, watch) = script.watched();
                bodies.lock().unwrap().push(watch);
                Ok(Response::from_parts(head, body))
            }
        })
    }
}

/// What came of one request.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    text: String,
    error: Option<BoxError>,
    head: Option<Class>,
    end: Option<Class>,
    ledger: Vec<Spent>,
}

fn request() -> Request<Body> {
    Request::post(CHAT).body(Body::from("{}")).unwrap()
}

fn layered<S: Clone>(params: Params, inner: S) -> Classify<Stream<S>, LlmClassifier> {
    let classify = ClassifyLayer::new(LlmClassifier::default());
    classify.layer(StreamLayer::new(params).layer(inner))
}

/// One request through CLASSIFY and STREAM, to its end.
async fn ask(
    params: Params,
    upstream: Upstream,
    mut request: Request<Body>,
) -> Result<Answer, (BoxError, Vec<Spent>)> {
    let ledger = Ledger::default();
    request.extensions_mut().insert(ledger.clone());
    let service = layered(params, upstream.service(&Bodies::default()));
    let response = match service.oneshot(request).await {
        Ok(response) => response,
        Err(error) => return Err((error, ledger.all())),
    };
    let classified = response.extensions().get::<Classified>().unwrap().clone();
    let (status, head) = (response.status(), classified.head().cloned());
    let drained = drain(response.into_body()).await;
    Ok(Answer {
        status,
        text: String::from_utf8(drained.data).unwrap(),
        error: drained.error,
        head,
        end: classified.end().cloned(),
        ledger: ledger.all(),
    })
}

async fn answered(all: &[&'static str]) -> Answer {
    let upstream = Upstream::of([stream(chunks(all))]);
    ask(Params::default(), upstream, request()).await.unwrap()
}

async fn failed(script: Script) -> (BoxError, Vec<Spent>) {
    let upstream = Upstream::of([stream(script)]);
    ask(Params::default(), upstream, request())
        .await
        .unwrap_err()
}

fn kind(error: &BoxError) -> Option<Kind> {
    error::find(&**error).map(Error::kind)
}

fn outcome(class: Option<&Class>) -> Option<Outcome> {
    class.map(|class| class.outcome)
}

// === before the first content ===

#[tokio::test(start_paused = true)]
async fn a_good_stream_passes_unchanged_and_is_a_success_at_its_end() {
    let all = [PING, ROLE, TOKEN, TOKEN, FINISH, USAGE, DONE];
    let got = answered(&all).await;
    assert_eq!((got.status, got.text), (StatusCode::OK, all.concat()));
    assert!(got.error.is_none());
    assert_eq!(got.head, None);
    assert_eq!(outcome(got.end.as_ref()), Some(Outcome::Success));
    assert_eq!(got.ledger.len(), 1);
    let spent = &got.ledger[0];
    assert_eq!((spent.usage, spent.estimated), (Usage::new(7, 9), false));
    assert_eq!(spent.model.as_deref(), Some("m-1"));
}

/// Clients stop reading at `[DONE]`, so what is cut must not end with it.
#[tokio::test(start_paused = true)]
async fn done_before_the_finish_is_never_shown_before_the_error() {
    let both = [OPEN, DONE].concat();
    let both: &'static str = both.leak();
    let (head, tail) = DONE.split_at(9);
    for (all, text, failed) in [
        (
            &[ROLE, OPEN, DONE][..],
            [ROLE, OPEN].concat(),
            Kind::StreamTruncated,
        ),
        (&[ROLE, both], [ROLE, OPEN].concat(), Kind::StreamTruncated),
        (&[both, PING], [OPEN, PING].concat(), Kind::StreamTruncated),
        (
            &[OPEN, head, tail],
            [OPEN, head].concat(),
            Kind::StreamTruncated,
        ),
        (
            &[OPEN, DONE, OVERLOADED],
            [OPEN, OVERLOADED].concat(),
            Kind::StreamError,
        ),
        (
            &[OPEN, BROKEN, DONE],
            [OPEN, BROKEN].concat(),
            Kind::StreamMalformed,
        ),
    ] {
        let got = answered(all).await;
        assert_eq!(got.text, text);
        assert_eq!(got.error.as_ref().and_then(kind), Some(failed), "{all:?}");
    }
    // Where the answer turns out to be whole it ends as it should, and where it is, nothing is moved.
    for all in [[OPEN, DONE, FINISH], [OPEN, FINISH, DONE]] {
        let got = answered(&all).await;
        assert_eq!(got.text, [OPEN, FINISH, DONE].concat());
        assert!(got.error.is_none());
    }
    let upstream = Upstream::of([stream(chunks(&[OPEN, USAGE, DONE]))]);
    let mut request = request();
    Context::edit(&mut request, |context| context.set_usage_injected(true));
    let got = ask(Params::default(), upstream, request).await.unwrap();
    assert_eq!(got.text, OPEN);
}

#[tokio::test(start_paused = true)]
async fn the_head_waits_for_content() {
    let script = chunks(&[PING]).wait(secs(2)).data(ROLE).wait(secs(3));
    let upstream = Upstream::of([stream(script.data(TOKEN).hang())]);
    let service = layered(Params::default(), upstream.service(&Bodies::default()));
    let begin = Instant::now();
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(begin.elapsed(), secs(5));
    let mut body = response.into_body();
    for expected in [PING, ROLE, TOKEN] {
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), expected);
    }
    assert_eq!(begin.elapsed(), secs(5));
}

#[tokio::test(start_paused = true)]
async fn an_error_before_content_is_the_response_it_should_have_been() {
    for (event, status, inner, same) in [
        (OVERLOADED, 503, Outcome::Overloaded, true),
        (LIMITED, 429, Outcome::RateLimited, true),
        (
            "data: {\"error\":{\"message\":\"long\",\"code\":\"context_length_exceeded\"}}\n\n",
            400,
            Outcome::ContextLength,
            false,
        ),
        (
            "data: {\"error\":{\"message\":\"no money\",\"code\":\"insufficient_quota\"}}\n\n",
            429,
            Outcome::QuotaExhausted,
            false,
        ),
    ] {
        let got = answered(&[PING, ROLE, event, DONE]).await;
        assert_eq!(got.status.as_u16(), status, "{event}");
        let sent: serde_json::Value =
            serde_json::from_str(event.trim_start_matches("data: ")).unwrap();
        let body: serde_json::Value = serde_json::from_str(&got.text).unwrap();
        assert_eq!(body["error"]["message"], sent["error"]["message"]);
        let class = got.head.unwrap();
        assert_eq!(got.end.as_ref(), Some(&class));
        assert_eq!(
            (class.outcome, class.inner),
            (Outcome::StreamError, Some(inner))
        );
        assert_eq!(class.retry_same, same, "{event}");
        assert!(matches!(class.signal, Signal::Response { status: s, .. } if s == got.status));
        assert_eq!(got.ledger, [], "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn content_and_error_in_one_piece_were_seen_by_nobody() {
    let upstream = Upstream::of([stream(Script::chunks([[TOKEN, OVERLOADED].concat()]))]);
    let got = ask(Params::default(), upstream, request()).await.unwrap();
    assert_eq!(got.status, 503);
    // It was generated all the same.
    assert_eq!(got.ledger.len(), 1);
    assert_eq!(
        (got.ledger[0].usage.output, got.ledger[0].estimated),
        (1, true)
    );
}

#[tokio::test(start_paused = true)]
async fn what_breaks_before_content_is_an_error() {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    for (script, expected, cost) in [
        (chunks(&[PING, ROLE]), Some(Kind::StreamTruncated), 1),
        (chunks(&[ROLE, DONE]), Some(Kind::StreamTruncated), 1),
        (chunks(&[ROLE, BROKEN]), Some(Kind::StreamMalformed), 1),
        (chunks(&[ROLE]).fail(reset()), None, 1),
    ] {
        let (error, ledger) = failed(script).await;
        assert_eq!(kind(&error), expected);
        let class = llmesh::classify::transport::class_of_error(&error);
        assert!(class.retry_same && class.blames_target(), "{class:?}");
        assert_eq!(ledger.len(), cost);
        assert!(ledger[0].estimated);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_see_the_meaning_of_the_error() {
    async fn attempts(event: &'static str, terms: &str) -> (StatusCode, usize) {
        let bad = || stream(chunks(&[ROLE, event]));
        let good = stream(chunks(&[TOKEN, FINISH]));
        let upstream = Upstream::of([bad(), bad(), good]);
        let params = retry::Params::default()
            .with_retries(2)
            .with_retry_on(RetryOn::envoy(terms).unwrap());
        let inner = upstream.service(&Bodies::default());
        let service = RetryLayer::new(params).layer(layered(Params::default(), inner));
        let response = service.oneshot(request()).await.unwrap();
        (response.status(), upstream.left())
    }
    assert_eq!(attempts(OVERLOADED, "5xx").await, (StatusCode::OK, 0));
    assert_eq!(
        attempts(LIMITED, "retriable-4xx").await,
        (StatusCode::OK, 0)
    );
    assert_eq!(attempts(LIMITED, "5xx").await.1, 2);
    assert_eq!(attempts(BROKEN, "reset").await, (StatusCode::OK, 0));
    assert_eq!(attempts(PING, "5xx").await, (StatusCode::OK, 0));
    let quota = "data: {\"error\":{\"code\":\"insufficient_quota\",\"message\":\"\"}}\n\n";
    assert_eq!(attempts(quota, "retriable-4xx,5xx").await.1, 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_content_is_an_answer() {
    let got = answered(&[ROLE, FINISH, DONE]).await;
    assert_eq!(outcome(got.end.as_ref()), Some(Outcome::Success));
    let filtered = FINISH.replace("stop", "content_filter");
    let upstream = Upstream::of([stream(Script::chunks([filtered.clone()]))]);
    let got = ask(Params::default(), upstream, request()).await.unwrap();
    assert_eq!((got.status, got.text), (StatusCode::OK, filtered));
    assert_eq!(outcome(got.end.as_ref()), Some(Outcome::ContentFilter));
}

#[tokio::test(start_paused = true)]
async fn at_the_cap_the_stream_is_handed_on_and_errors_can_only_be_shown() {
    let params = Params::default().with_hold_cap(ROLE.len() + 1);
    let upstream = Upstream::of([stream(chunks(&[ROLE, ROLE, OVERLOADED]))]);
    let got = ask(params, upstream, request()).await.unwrap();
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.text, [ROLE, ROLE, OVERLOADED].concat());
    assert_eq!(kind(&got.error.unwrap()), Some(Kind::StreamError));
    assert_eq!(outcome(got.end.as_ref()), Some(Outcome::StreamError));
}

#[tokio::test(start_paused = true)]
async fn reasoning_commits_unless_told_otherwise() {
    let thought =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n";
    let all = [thought, OVERLOADED];
    assert_eq!(answered(&all).await.status, StatusCode::OK);
    let params = Params::default().with_reasoning_commits(false);
    let got = ask(
        params.clone(),
        Upstream::of([stream(chunks(&all))]),
        request(),
    )
    .await
    .unwrap();
    assert_eq!(got.status, 503);
    // It proves a model at work: the first token came.
    let clocks = Clocks::default()
        .with_first_token(secs(2))
        .with_inter_token(secs(5));
    let script = chunks(&[thought])
        .wait(secs(4))
        .data(thought)
        .wait(secs(4))
        .data(TOKEN);
    let upstream = Upstream::of([stream(script.data(FINISH))]);
    let got = ask(params.with_clocks(clocks), upstream, request())
        .await
        .unwrap();
    assert_eq!(outcome(got.end.as_ref()), Some(Outcome::Success));
}

// === what is not understood ===

#[tokio::test(start_paused = true)]
async fn a_stream_of_nobodys_passes_at_once_and_ends_well() {
    let all = [
        "event: output\ndata: Hel\n\n",
        "event: output\ndata: lo\n\n",
        "event: done\ndata: {}\n\n",
    ];
    let script = all.iter().fold(Script::new(), |script, event| {
        script.data(*event).wait(secs(15))
    });
    // None of it is a token, and none is due.
    let clocks = Clocks::default()
        .with_first_token(secs(1))
        .with_inter_token(secs(5))
        .with_min_tokens_per_second(50.0);
    let params = Params::default().with_clocks(clocks);
    let service = layered(
        params.clone(),
        Upstream::of([stream(script)]).service(&Bodies::default()),
    );
    let begin = Instant::now();
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(
        (begin.elapsed(), response.status()),
        (Duration::ZERO, StatusCode::OK)
    );
    let classified = response.extensions().get::<Classified>().unwrap().clone();
    let drained = drain(response.into_body()).await;
    assert_eq!(
        (drained.data, drained.error.is_none()),
        (all.concat().into_bytes(), true)
    );
    let end = classified.end().unwrap();
    assert_eq!((end.outcome, end.status_only), (Outcome::Success, true));
    // Who goes away from one has seen no end of it.
    let upstream = Upstream::of([stream(chunks(&[all[0]]).hang())]);
    let service = layered(params, upstream.service(&Bodies::default()));
    let response = service.oneshot(request()).await.unwrap();
    let classified = response.extensions().get::<Classified>().unwrap().clone();
    drop(response);
    assert_eq!(outcome(classified.end()), Some(Outcome::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn one_event_that_cannot_be_read_passes_in_a_good_stream() {
    for all in [
        [ROLE, TOKEN, BROKEN, TOKEN, FINISH, DONE],
        [BROKEN, ROLE, TOKEN, TOKEN, FINISH, DONE],
        [ROLE, BROKEN, TOKEN, TOKEN, FINISH, DONE],
        [ROLE, TOKEN, TOKEN, FINISH, BROKEN, DONE],
    ] {
        let got = answered(&all).await;
        assert_eq!((got.status, got.text), (StatusCode::OK, all.concat()));
        assert!(got.error.is_none());
        assert_eq!(outcome(got.end.as_ref()), Some(Outcome::Success));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_cut_is_told_in_the_words_of_its_own_events() {
    const BLOCK: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
    for path in [CHAT, "/v1/messages"] {
        for (event, words) in [
            (OPEN, "data: {\"error\":"),
            (BLOCK, "event: error\ndata: {"),
        ] {
            let inner = layered(
                Params::default(),
                Upstream::of([stream(chunks(&[event]))]).service(&Bodies::default()),
            );
            let request = Request::post(path).body(Body::from("{}")).unwrap();
            let Ok(response) = RespondLayer::new().layer(inner).oneshot(request).await;
            assert_eq!(response.status(), StatusCode::OK);
            let drained = drain(response.into_body()).await;
            let text = String::from_utf8(drained.data).unwrap();
            let told = text.strip_prefix(event).unwrap();
            assert!(
                told.starts_with(words) && drained.error.is_some(),
                "{path} {told}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_in_no_event_is_told_once_more() {
    let line = "{\"error\":{\"message\":\"slow\",\"code\":\"rate_limit_exceeded\"}}\n";
    let field = "error: {\"code\":429,\"message\":\"slow\"}\n\n";
    for (error, heard) in [(line, false), (field, false), (LIMITED, true)] {
        let upstream = Upstream::of([stream(chunks(&[TOKEN, error, FINISH]))]);
        let inner = layered(Params::default(), upstream.service(&Bodies::default()));
        let Ok(response) = RespondLayer::new().layer(inner).oneshot(request()).await;
        let drained = drain(response.into_body()).await;
        let text = String::from_utf8(drained.data).unwrap();
        let rest = text.strip_prefix(&[TOKEN, error].concat()).unwrap();
        assert_eq!(rest.is_empty(), heard, "{text}");
        assert!(
            heard || rest.contains("\ndata: {\"error\"") || rest.starts_with("data: {\"error\""),
            "{text}"
        );
        assert!(heard || rest.contains("rate_limit_exceeded"), "{text}");
        assert!(drained.error.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_keeps_the_providers_words_and_code_in_whatever_form_it_came() {
    const BEGIN: &str = "event: interaction.created\ndata: {\"interaction\":{\"id\":\"i\"},\"event_type\":\"interaction.created\"}\n\n";
    for (path, events) in [
        (
            CHAT,
            [
                "id:1\nevent:error\n:HTTP_STATUS/429\ndata:{\"code\":\"rate_limit_exceeded\",\"message\":\"So slow\",\"request_id\":\"r\"}\n\n",
                "",
            ],
        ),
        (
            CHAT,
            [
                ROLE,
                "error: {\"code\":429,\"message\":\"So slow\",\"type\":\"rate_limit_exceeded\"}\n\n",
            ],
        ),
        (
            CHAT,
            [
                ": hi\n\n",
                "{\"error\": {\"message\": \"So slow\",\n\"code\": \"rate_limit_exceeded\"}}\n",
            ],
        ),
        (
            "/v1beta/interactions",
            [
                BEGIN,
                "{\"error\":{\"message\":\"So slow\",\"code\":\"rate_limit_exceeded\"}}\n",
            ],
        ),
        (
            "/v1/messages",
            [
                "event: ping\ndata: {\"type\":\"ping\"}\n\n",
                "data: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_exceeded\",\"message\":\"So slow\"}}\n\n",
            ],
        ),
    ] {
        let request = Request::post(path).body(Body::from("{}")).unwrap();
        let upstream = Upstream::of([stream(chunks(&events))]);
        let got = ask(Params::default(), upstream, request).await.unwrap();
        assert_eq!(got.status, StatusCode::TOO_MANY_REQUESTS, "{events:?}");
        let body: serde_json::Value = serde_json::from_str(&got.text).unwrap();
        assert_eq!(body["error"]["message"], "So slow", "{events:?}");
        assert!(got.text.contains("rate_limit_exceeded"), "{}", got.text);
    }
}

// === after it ===

#[tokio::test(start_paused = true)]
async fn every_fault_after_content_ends_the_body_with_an_error() {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    for (script, passed, expected, class) in [
        (
            chunks(&[TOKEN, OVERLOADED, TOKEN, FINISH]),
            [TOKEN, OVERLOADED].concat(),
            Some(Kind::StreamError),
            Outcome::StreamError,
        ),
        (
            chunks(&[TOKEN, BROKEN, TOKEN]),
            [TOKEN, BROKEN, TOKEN].concat(),
            Some(Kind::StreamMalformed),
            Outcome::MalformedStream,
        ),
        (
            chunks(&[OPEN, OPEN, DONE]),
            [OPEN, OPEN].concat(),
            Some(Kind::StreamTruncated),
            Outcome::StreamTruncated,
        ),
        (
            chunks(&[TOKEN]).trailer("x-end", "1"),
            TOKEN.to_owned(),
            Some(Kind::StreamTruncated),
            Outcome::StreamTruncated,
        ),
        (
            chunks(&[TOKEN]).sized(),
            TOKEN.to_owned(),
            Some(Kind::StreamTruncated),
            Outcome::StreamTruncated,
        ),
        (
            chunks(&[TOKEN]).fail(reset()),
            TOKEN.to_owned(),
            Some(Kind::Reset {
                reason: llmesh::base::error::ResetReason::Terminated,
                sent: true,
            }),
            Outcome::StreamTruncated,
        ),
        (
            chunks(&[TOKEN]).fail(Error::new(Kind::IdleTimeout)),
            TOKEN.to_owned(),
            Some(Kind::IdleTimeout),
            Outcome::StreamStalled,
        ),
    ] {
        let upstream = Upstream::of([stream(script)]);
        let got = ask(Params::default(), upstream, request()).await.unwrap();
        assert_eq!((got.status, &got.text), (StatusCode::OK, &passed));
        let error = got.error.unwrap();
        assert_eq!(kind(&error), expected);
        let end = got.end.unwrap();
        assert_eq!(end.outcome, class);
        assert_eq!(class_of_body_error(&error), end);
        assert!(!end.retry_same && end.elsewhere == FallbackScope::None && end.blames_target());
        let told = Failure::find(&*error).unwrap().told;
        assert_eq!(told, class == Outcome::StreamError);
        assert_eq!(got.ledger.len(), 1);
        assert!(got.ledger[0].estimated && got.ledger[0].usage.output >= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn whose_fault_an_error_event_is_stands_in_it() {
    let upstream = Upstream::of([stream(chunks(&[TOKEN, LIMITED]))]);
    let end = ask(Params::default(), upstream, request())
        .await
        .unwrap()
        .end
        .unwrap();
    assert_eq!(
        (end.outcome, end.inner, end.scope),
        (
            Outcome::StreamError,
            Some(Outcome::RateLimited),
            Scope::None
        )
    );
}

#[tokio::test(start_paused = true)]
async fn once_finished_the_answer_is_whole_however_the_connection_ends() {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    for script in [
        chunks(&[TOKEN, FINISH]),
        chunks(&[TOKEN, FINISH]).sized(),
        chunks(&[TOKEN, FINISH]).fail(reset()),
        chunks(&[TOKEN, FINISH]).hang(),
    ] {
        let params = Params::default().with_clocks(Clocks::default().with_inter_token(secs(3)));
        let got = ask(params, Upstream::of([stream(script)]), request())
            .await
            .unwrap();
        assert!(got.error.is_none(), "{got:?}");
        assert_eq!(got.text, [TOKEN, FINISH].concat());
        assert_eq!(outcome(got.end.as_ref()), Some(Outcome::Success));
        assert_eq!(got.ledger.len(), 1);
        assert_eq!(
            (got.ledger[0].usage.output, got.ledger[0].estimated),
            (1, true)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_of_a_whole_answer_pass() {
    let script = chunks(&[TOKEN, FINISH]).trailer("x-end", "1");
    let service = layered(
        Params::default(),
        Upstream::of([stream(script)]).service(&Bodies::default()),
    );
    let body = service.oneshot(request()).await.unwrap().into_body();
    let drained = drain(body).await;
    assert_eq!(drained.trailers.unwrap()["x-end"], "1");
    assert!(drained.error.is_none());
}

#[tokio::test(start_paused = true)]
async fn no_frame_is_merged_or_late() {
    let mut script = chunks(&[ROLE, TOKEN]);
    for _ in 0..5 {
        script = script.wait(secs(1)).data(TOKEN).data(PING);
    }
    let script = script.wait(secs(1)).data(FINISH);
    let service = layered(
        Params::default(),
        Upstream::of([stream(script)]).service(&Bodies::default()),
    );
    let begin = Instant::now();
    let mut body = service.oneshot(request()).await.unwrap().into_body();
    let mut came = Vec::new();
    while let Some(frame) = body.frame().await {
        came.push((
            begin.elapsed().as_secs(),
            frame.unwrap().into_data().unwrap(),
        ));
    }
    let mut expected = vec![(0, ROLE), (0, TOKEN)];
    for at in 1..=5 {
        expected.extend([(at, TOKEN), (at, PING)]);
    }
    expected.push((6, FINISH));
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(at, t)| (at, Bytes::from(t)))
        .collect();
    assert_eq!(came, expected);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_the_same_however_they_are_cut() {
    let all = [PING, ROLE, TOKEN, FINISH, USAGE, DONE].concat();
    for size in 1..=all.len() {
        let pieces: Vec<Bytes> = all
            .as_bytes()
            .chunks(size)
            .map(Bytes::copy_from_slice)
            .collect();
        let upstream = Upstream::of([stream(Script::chunks(pieces.clone()))]);
        let service = layered(Params::default(), upstream.service(&Bodies::default()));
        let response = service.oneshot(request()).await.unwrap();
        let classified = response.extensions().get::<Classified>().unwrap().clone();
        let mut body = response.into_body();
        let mut came = Vec::new();
        while let Some(frame) = body.frame().await {
            came.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(came, pieces, "{size}");
        assert_eq!(outcome(classified.end()), Some(Outcome::Success));
    }
}

/// The label is no promise: a stream under another one is followed as well.
#[tokio::test(start_paused = true)]
async fn a_stream_is_followed_whatever_its_label() {
    for label in [
        "application/json",
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "",
    ] {
        for (events, whole) in [
            (&[ROLE, TOKEN, FINISH, DONE][..], true),
            (&[ROLE, TOKEN, TOKEN][..], false),
        ] {
            // Also where content comes after patience with the first bytes has ended.
            for pause in [secs(0), secs(3)] {
                let mut script = Script::new();
                for event in events {
                    script = script.data(*event).wait(pause);
                }
                let mut answer = Response::builder();
                if !label.is_empty() {
                    answer = answer.header("content-type", label);
                }
                let upstream = Upstream::of([answer.body(script).unwrap()]);
                let answer = ask(Params::default(), upstream, request()).await.unwrap();
                let what = format!("{label} {whole} {pause:?}");
                assert_eq!(answer.error.is_none(), whole, "{what}");
                assert_eq!(answer.text, events.concat(), "{what}");
                let ended = outcome(answer.end.as_ref());
                assert_eq!(ended == Some(Outcome::Success), whole, "{what}");
            }
        }
    }
}

// === what is no stream ===

#[tokio::test(start_paused = true)]
async fn what_is_no_stream_of_an_llm_passes_untouched() {
    let get = Request::get(CHAT).body(Body::empty()).unwrap();
    let other = Request::post("/api/events").body(Body::empty()).unwrap();
    let mut policy = request();
    let status_only = Params::default().with_dialect(DialectMode::StatusOnly);
    Policy(Arc::new(status_only)).put(&mut policy);
    let answer = |f: &dyn Fn(http::response::Builder) -> http::response::Builder| {
        let builder = Response::builder().header("content-type", "text/event-stream");
        f(builder).body(chunks(&[PING]).hang()).unwrap()
    };
    let plain = || answer(&|b| b);
    let json = Response::builder()
        .header("content-type", "application/json")
        .body(chunks(&["{"]).hang())
        .unwrap();
    let untyped = Response::new(chunks(&["{"]).hang());
    for (request, answer) in [
        (get, plain()),
        (other, plain()),
        (policy, plain()),
        (request(), answer(&|b| b.status(500))),
        (request(), answer(&|b| b.header("content-encoding", "gzip"))),
        (request(), json),
        (request(), untyped),
    ] {
        let what = format!("{} {} {:?}", request.method(), request.uri(), answer);
        let service =
            StreamLayer::default().layer(Upstream::of([answer]).service(&Bodies::default()));
        let response = tokio::time::timeout(secs(1), service.oneshot(request)).await;
        let mut body = response.expect(&what).unwrap().into_body();
        assert!(body.frame().await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_coded_as_its_label_says_passes_and_says_so() {
    let answer = Response::builder()
        .header("content-type", "text/event-stream")
        .header("content-encoding", "gzip")
        .body(chunks(&["0123456789abcdef"]))
        .unwrap();
    let got = ask(Params::default(), Upstream::of([answer]), request())
        .await
        .unwrap();
    let end = got.end.unwrap();
    assert_eq!((end.outcome, end.status_only), (Outcome::Success, true));
    assert_eq!(got.ledger.len(), 1);
    assert_eq!(
        (got.ledger[0].usage.output, got.ledger[0].estimated),
        (4, true)
    );
}

/// A stream whose events were gzipped, each sent off on its own.
fn gzipped(events: &[&str]) -> (Response<Script>, Vec<u8>) {
    let level = flate2::Compression::default();
    let mut to = flate2::write::GzEncoder::new(Vec::new(), level);
    let (mut frames, mut sent) = (Vec::new(), 0);
    for event in events {
        to.write_all(event.as_bytes()).unwrap();
        to.flush().unwrap();
        frames.push(Bytes::copy_from_slice(&to.get_ref()[sent..]));
        sent = to.get_ref().len();
    }
    let whole = to.finish().unwrap();
    frames.push(Bytes::copy_from_slice(&whole[sent..]));
    let answer = Response::builder()
        .header("content-type", "text/event-stream")
        .header("content-encoding", "gzip")
        .body(Script::chunks(frames));
    (answer.unwrap(), whole)
}

#[tokio::test(start_paused = true)]
async fn a_compressed_stream_passes_as_it_came_and_is_judged_by_what_stands_in_it() {
    let (answer, bytes) = gzipped(&[PING, ROLE, TOKEN, TOKEN, FINISH, USAGE, DONE]);
    let layer = StreamLayer::new(Params::default());
    let service = layer.layer(Upstream::of([answer]).service(&Bodies::default()));
    let ledger = Ledger::default();
    let mut asked = request();
    asked.extensions_mut().insert(ledger.clone());
    let response = service.oneshot(asked).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let classified = response.extensions().get::<Classified>().unwrap().clone();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), bytes);
    assert_eq!(classified.end().unwrap().outcome, Outcome::Success);
    let spent = ledger.all();
    assert_eq!(
        (spent[0].usage, spent[0].estimated),
        (Usage::new(7, 9), false)
    );
}

#[tokio::test(start_paused = true)]
async fn a_compressed_error_before_content_is_the_error_that_it_is() {
    let (answer, _) = gzipped(&[PING, ROLE, LIMITED]);
    let layer = StreamLayer::new(Params::default());
    let service = layer.layer(Upstream::of([answer]).service(&Bodies::default()));
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 429);
    assert!(!response.headers().contains_key("content-encoding"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{"), "{body:?}");
    // Nothing at all of an answer.
    let (answer, _) = gzipped(&[PING, ROLE]);
    let service = layer.layer(Upstream::of([answer]).service(&Bodies::default()));
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!(error::find(&*error).unwrap().kind(), Kind::StreamTruncated);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_stream_that_is_not_whole_does_not_look_so() {
    for (events, kind) in [
        (&[ROLE, TOKEN][..], Kind::StreamTruncated),
        (&[ROLE, TOKEN, OVERLOADED], Kind::StreamError),
    ] {
        let (answer, _) = gzipped(events);
        let layer = StreamLayer::new(Params::default());
        let service = layer.layer(Upstream::of([answer]).service(&Bodies::default()));
        let response = service.oneshot(request()).await.unwrap();
        let error = response.into_body().collect().await.unwrap_err();
        assert_eq!(error::find(&*error).unwrap().kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_noted_once() {
    let answer = |text: &'static str| {
        let builder = Response::builder().header("content-type", "application/json");
        Upstream::of([builder.body(chunks(&[text])).unwrap()])
    };
    let whole = "{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}";
    let got = ask(Params::default(), answer(whole), request())
        .await
        .unwrap();
    assert_eq!(got.ledger.len(), 1);
    assert_eq!(
        (got.ledger[0].usage, got.ledger[0].estimated),
        (Usage::new(3, 4), false)
    );
    let silent = "{\"choices\":[{\"message\":{\"content\":\"aaaa\"},\"finish_reason\":\"stop\"}]}";
    let got = ask(Params::default(), answer(silent), request())
        .await
        .unwrap();
    assert_eq!(got.ledger.len(), 1);
    assert_eq!(got.ledger[0].usage.output, silent.len() as u64 / 4);
    assert!(got.ledger[0].estimated);
    let refused = "{\"error\":{\"message\":\"no\",\"code\":503}}";
    let got = ask(Params::default(), answer(refused), request())
        .await
        .unwrap();
    assert_eq!(got.ledger, []);
}

// === clocks ===

fn timed(clocks: Clocks) -> Params {
    Params::default().with_clocks(clocks)
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let params = timed(Clocks::default().with_headers(secs(3)));
    let begin = Instant::now();
    let upstream = Upstream::of([stream(Script::new())]).after(secs(60));
    let (error, ledger) = ask(params, upstream, request()).await.unwrap_err();
    assert_eq!(begin.elapsed(), secs(3));
    assert_eq!(kind(&error), Some(Kind::HeadersTimeout));
    let class = llmesh::classify::transport::class_of_error(&error);
    assert_eq!((class.outcome, class.retry_same), (Outcome::Timeout, false));
    assert_eq!(ledger, []);
}

#[tokio::test(start_paused = true)]
async fn a_silent_target_is_not_asked_twice() {
    let params = timed(
        Clocks::default()
            .with_headers(secs(3))
            .with_first_token(secs(9)),
    );
    let pings = || stream(chunks(&[PING]).hang());
    for (upstream, expected) in [
        (
            Upstream::of([pings(), pings()]).after(secs(60)),
            Kind::HeadersTimeout,
        ),
        (Upstream::of([pings(), pings()]), Kind::FirstTokenTimeout),
    ] {
        let retry = retry::Params::default()
            .with_retries(1)
            .with_retry_on(RetryOn::envoy("5xx,reset").unwrap());
        let inner = layered(params.clone(), upstream.service(&Bodies::default()));
        let error = RetryLayer::new(retry)
            .layer(inner)
            .oneshot(request())
            .await
            .unwrap_err();
        assert_eq!((kind(&error), upstream.left()), (Some(expected), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_no_first_token() {
    let params = timed(Clocks::default().with_first_token(secs(15)));
    let mut script = Script::new();
    for _ in 0..20 {
        script = script.data(PING).data(ROLE).wait(secs(1));
    }
    let begin = Instant::now();
    let upstream = Upstream::of([stream(script.data(TOKEN))]).after(secs(4));
    let bodies = Bodies::default();
    let service = layered(params, upstream.service(&bodies));
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!(begin.elapsed(), secs(15));
    assert_eq!(kind(&error), Some(Kind::FirstTokenTimeout));
    assert!(bodies.lock().unwrap()[0].dropped());
}

#[tokio::test(start_paused = true)]
async fn the_last_target_has_until_the_deadline() {
    let params = timed(Clocks::default().with_first_token(secs(15)));
    let late = || {
        Upstream::of([stream(
            chunks(&[PING]).wait(secs(20)).data(TOKEN).data(FINISH),
        )])
    };
    let deadline = Deadline(Instant::now() + secs(600));
    let mut last = request();
    Context::edit(&mut last, |context| context.set_last_target(true));
    let no_deadline = ask(params.clone(), late(), last).await.unwrap_err();
    assert_eq!(kind(&no_deadline.0), Some(Kind::FirstTokenTimeout));
    let mut last = request();
    Context::edit(&mut last, |context| context.set_last_target(true));
    Context::edit(&mut last, |context| context.shorten(deadline));
    assert!(
        ask(params.clone(), late(), last)
            .await
            .unwrap()
            .error
            .is_none()
    );
    let mut other = request();
    other.extensions_mut().insert(deadline);
    assert!(ask(params, late(), other).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_late_that_was_not_sent() {
    let params = timed(
        Clocks::default()
            .with_headers(secs(3))
            .with_first_token(secs(5)),
    );
    let upstream = Upstream::of([stream(chunks(&[TOKEN, FINISH]))]).after(secs(62));
    let clock = TryClock::start();
    let held = clock.hold();
    let mut request = request();
    Context::edit(&mut request, |context| context.set_try_clock(clock));
    let begin = Instant::now();
    let asked = tokio::spawn(async move { ask(params, upstream, request).await });
    tokio::time::sleep(secs(60)).await;
    assert!(!asked.is_finished());
    // A connection is there, and the head comes two seconds later.
    drop(held);
    let got = asked.await.unwrap().unwrap();
    assert_eq!(begin.elapsed(), secs(62));
    assert!(got.error.is_none());
}

#[tokio::test(start_paused = true)]
async fn retry_times_each_attempt_from_its_own_send() {
    let params = timed(Clocks::default().with_first_token(secs(5)));
    let mut request = request();
    Policy(Arc::new(params)).put(&mut request);
    let slow = |event| stream(Script::new().wait(secs(4)).data(event));
    let good = stream(Script::new().wait(secs(4)).data(TOKEN).data(FINISH));
    let upstream = Upstream::of([slow(OVERLOADED), slow(OVERLOADED), good]);
    let retry = retry::Params::default()
        .with_retries(2)
        .with_retry_on(RetryOn::envoy("5xx").unwrap());
    let inner = layered(Params::default(), upstream.service(&Bodies::default()));
    let response = RetryLayer::new(retry)
        .layer(inner)
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_stall_after_content_ends_the_stream() {
    let params = timed(
        Clocks::default()
            .with_first_token(secs(9))
            .with_inter_token(secs(5)),
    );
    let script = chunks(&[TOKEN])
        .wait(secs(4))
        .data(TOKEN)
        .wait(secs(2))
        .data(PING);
    let begin = Instant::now();
    let upstream = Upstream::of([stream(script.wait(secs(60)).data(FINISH))]);
    let got = ask(params, upstream, request()).await.unwrap();
    assert_eq!(begin.elapsed(), secs(9));
    let error = got.error.unwrap();
    assert_eq!(kind(&error), Some(Kind::StreamStalled));
    let end = got.end.unwrap();
    assert_eq!(
        (end.outcome, end.scope),
        (Outcome::StreamStalled, Scope::Target)
    );
    assert_eq!(got.text, [TOKEN, TOKEN, PING].concat());
}

#[tokio::test(start_paused = true)]
async fn a_drip_passes_every_idle_limit_and_not_the_floor() {
    let clocks = Clocks::default()
        .with_inter_token(secs(5))
        .with_min_tokens_per_second(2.0);
    let mut script = chunks(&[TOKEN]);
    for _ in 0..60 {
        script = script.wait(secs(1)).data(TOKEN);
    }
    let begin = Instant::now();
    let got = ask(
        timed(clocks),
        Upstream::of([stream(script.data(FINISH))]),
        request(),
    )
    .await
    .unwrap();
    assert_eq!(begin.elapsed(), secs(10));
    let error = got.error.unwrap();
    assert_eq!(kind(&error), Some(Kind::StreamStalled));
    assert!(error.to_string().contains("floor"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_the_upstreams_stall() {
    let params = timed(
        Clocks::default()
            .with_inter_token(secs(5))
            .with_min_tokens_per_second(1.0),
    );
    let script = chunks(&[TOKEN, TOKEN, TOKEN])
        .wait(secs(1))
        .data(TOKEN)
        .data(FINISH);
    let service = layered(
        params,
        Upstream::of([stream(script)]).service(&Bodies::default()),
    );
    let mut body = service.oneshot(request()).await.unwrap().into_body();
    let mut frames = 0;
    while let Some(frame) = body.frame().await {
        frame.unwrap();
        frames += 1;
        tokio::time::sleep(secs(60)).await;
    }
    assert_eq!(frames, 5);
}

// === cost ===

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_at_any_point_costs_once() {
    for stop in 0..6 {
        let ledger = Ledger::default();
        let mut request = request();
        request.extensions_mut().insert(ledger.clone());
        let script = chunks(&[ROLE])
            .wait(secs(1))
            .data(TOKEN)
            .data(TOKEN)
            .wait(secs(1));
        let script = script.data(FINISH).data(USAGE).wait(secs(1)).data(DONE);
        let upstream = Upstream::of([stream(script)]).after(secs(1));
        let service = layered(Params::default(), upstream.service(&Bodies::default()));
        let call = service.oneshot(request);
        let response = tokio::time::timeout(Duration::from_millis(500 + 1000 * stop), async {
            let response = call.await.unwrap();
            let classified = response.extensions().get::<Classified>().unwrap().clone();
            let mut body = Box::pin(response.into_body());
            let until = tokio::time::sleep(Duration::ZERO);
            until.await;
            let read = async { while body.frame().await.is_some() {} };
            let left = Duration::from_millis(500 + 1000 * stop).saturating_sub(secs(2));
            let _ =
                tokio::time::timeout(left.saturating_sub(Duration::from_millis(100)), read).await;
            drop(body);
            classified
        })
        .await;
        let all = ledger.all();
        let end = response.ok().and_then(|c| c.end().cloned());
        let facts: Vec<_> = all.iter().map(|s| (s.usage.output, s.estimated)).collect();
        let (cost, class) = match stop {
            // No head: nothing is known.
            0 => (vec![], None),
            // Held back.
            1 => (vec![(0, true)], None),
            2 => (vec![(2, true)], Some(Outcome::Cancelled)),
            // Finished, with usage.
            _ => (vec![(9, false)], Some(Outcome::Success)),
        };
        assert_eq!((facts, outcome(end.as_ref())), (cost, class), "{stop}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_estimate_knows_the_size_of_the_prompt() {
    let body = Bytes::from(
        "{\"model\":\"asked\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"0123456789012345678901234567890123456789\"}]}",
    );
    let mut request = request();
    let (method, uri) = (Method::POST, request.uri().clone());
    let api = llmesh::llm::dialect::Api::of(DialectMode::Auto, &method, &uri, request.headers());
    let call = llmesh::llm::request::Call::read(&api, &uri, &body).unwrap();
    let prompt = call.prompt_bytes / 4;
    assert!(prompt > 9);
    request.extensions_mut().insert(call);
    let upstream = Upstream::of([stream(chunks(&[TOKEN, TOKEN]))]);
    let got = ask(Params::default(), upstream, request).await.unwrap();
    let spent = &got.ledger[0];
    assert_eq!(
        (spent.usage, spent.estimated),
        (Usage::new(prompt, 2), true)
    );
    assert_eq!(spent.model.as_deref(), Some("asked"));
}

#[tokio::test(start_paused = true)]
async fn usage_that_the_caller_did_not_ask_for_is_taken_out() {
    let mut all = [PING, ROLE, TOKEN, FINISH, USAGE, DONE].concat();
    for size in [1, 7, all.len()] {
        let mut request = request();
        Context::edit(&mut request, |context| context.set_usage_injected(true));
        let pieces = all.as_bytes().chunks(size).map(Bytes::copy_from_slice);
        let upstream = Upstream::of([stream(Script::chunks(pieces))]);
        let got = ask(Params::default(), upstream, request).await.unwrap();
        assert_eq!(got.text, [PING, ROLE, TOKEN, FINISH, DONE].concat());
        assert_eq!(got.ledger[0].usage, Usage::new(7, 9));
        assert!(got.error.is_none());
    }
    // Without its last line break, and an error event likewise.
    all.truncate(all.len() - DONE.len() - 1);
    for (text, expected, told) in [
        (all, [PING, ROLE, TOKEN, FINISH].concat(), false),
        (
            [TOKEN, OVERLOADED.trim_end()].concat(),
            [TOKEN, OVERLOADED.trim_end()].concat(),
            true,
        ),
    ] {
        let mut request = request();
        Context::edit(&mut request, |context| context.set_usage_injected(true));
        let pieces = text.as_bytes().chunks(5).map(Bytes::copy_from_slice);
        let upstream = Upstream::of([stream(Script::chunks(pieces))]);
        let got = ask(Params::default(), upstream, request).await.unwrap();
        assert_eq!(got.text, expected);
        let failure = got.error.as_ref().and_then(|e| Failure::find(&**e));
        assert_eq!(failure.is_some_and(|f| f.told), told);
    }
}

// === what the endpoint's keepers learn ===

/// One endpoint of two that may be ejected after five failures; each request gets such a stream.
async fn ejected(read: bool, script: fn() -> Script) -> usize {
    let outlier = outlier::Params::default().with_max_ejection_percent(100);
    let set = EndpointSet::new("llm", balance::Params::default(), Some(outlier));
    set.update_from([("127.0.0.1:1".parse().unwrap(), 1)]);
    let reach = move |_: &Arc<Endpoint>| {
        let upstream = Upstream::of([stream(script())]);
        layered(
            Params::default(),
            upstream.service::<Body>(&Bodies::default()),
        )
    };
    for _ in 0..20 {
        let service = Balance::new(set.clone(), reach);
        let Ok(response) = service.oneshot(request()).await else {
            continue;
        };
        let mut body = response.into_body();
        let _ = body.frame().await;
        if read {
            while let Some(Ok(_)) = body.frame().await {}
        }
    }
    set.ejections_active(Instant::now())
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_cut_eject_though_each_began_with_200() {
    assert_eq!(ejected(true, || chunks(&[TOKEN, TOKEN])).await, 1);
    assert_eq!(ejected(true, || chunks(&[TOKEN, OVERLOADED])).await, 1);
    assert_eq!(ejected(true, || chunks(&[ROLE, OVERLOADED])).await, 1);
    assert_eq!(ejected(true, || chunks(&[ROLE])).await, 1);
    // Not the target's fault.
    assert_eq!(ejected(true, || chunks(&[TOKEN, LIMITED])).await, 0);
    assert_eq!(ejected(true, || chunks(&[TOKEN, FINISH])).await, 0);
    assert_eq!(ejected(false, || chunks(&[TOKEN, TOKEN])).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_goes_away_forgives_nothing() {
    // Failures stay in a row if between them readers go away.
    static TURN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let script = || match TURN.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 2 {
        0 => chunks(&[TOKEN]).hang(),
        _ => chunks(&[ROLE]),
    };
    assert_eq!(ejected(false, script).await, 1);
}

#[tokio::test(start_paused = true)]
async fn calls_on_other_paths_are_followed_where_the_operator_says_so() {
    let params = Params::default().with_dialect(DialectMode::Fixed(Dialect::OpenAi));
    for named in [true, false] {
        let mut request = Request::post("/llm").body(Body::empty()).unwrap();
        if named {
            request.extensions_mut().insert(LlmCall);
        }
        let service = StreamLayer::new(params.clone())
            .layer(Upstream::of([stream(chunks(&[PING]))]).service(&Bodies::default()));
        let answer = service.oneshot(request).await;
        let failed = answer.err().and_then(|error| kind(&error));
        assert_eq!(failed, named.then_some(Kind::StreamTruncated));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_over_says_so() {
    let upstream = Upstream::of([stream(chunks(&[TOKEN, FINISH]).sized())]);
    let service = layered(Params::default(), upstream.service(&Bodies::default()));
    let mut body = service.oneshot(request()).await.unwrap().into_body();
    // Not before: its length is no promise that it is whole.
    assert_eq!(body.size_hint().exact(), None);
    let _ = body.frame().await;
    assert!(!body.is_end_stream());
    let _ = body.frame().await;
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn the_client_stack_repeats_an_error_that_comes_first() {
    let bad = stream(chunks(&[ROLE, OVERLOADED]));
    let upstream = Upstream::of([bad, stream(chunks(&[TOKEN, FINISH]))]);
    let layer = llmesh::stack::client(llmesh::stack::ClientParams::default());
    let client = layer.layer(upstream.service::<Body>(&Bodies::default()));
    let response = client.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let drained = drain(response.into_body()).await;
    assert_eq!(drained.data, [TOKEN, FINISH].concat().as_bytes());
    assert!(drained.error.is_none() && upstream.left() == 0);
}

#[tokio::test(start_paused = true)]
async fn no_length_is_announced_of_what_may_break_off() {
    for (parts, known) in [
        // All bytes that were announced come, and the finish marker does not.
        (vec![ROLE, TOKEN, TOKEN], false),
        (vec![ROLE, TOKEN, FINISH, DONE], false),
        (vec![concat_all(), DONE], true),
    ] {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let whole = parts.contains(&DONE);
        let mut answer = stream(Script::chunks(parts.iter().copied()).sized());
        answer.headers_mut().insert("content-length", length.into());
        let upstream = Upstream::of([answer]);
        let service = StreamLayer::default().layer(upstream.service(&Bodies::default()));
        let request = Request::post(CHAT).body(Body::empty()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        let announced = response.headers().contains_key("content-length");
        let exact = response.body().size_hint().exact().is_some();
        assert_eq!((announced, exact), (known, known), "{parts:?}");
        let end = drain(response.into_body()).await;
        assert_eq!((end.data.len(), end.error.is_none()), (length, whole));
    }
}

/// A whole answer in one piece.
fn concat_all() -> &'static str {
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n"
}
