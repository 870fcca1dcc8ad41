//! The retry layer.

#![allow(
    clippy::unwrap_used,
    clippy::await_holding_lock,
    reason = "tests: a failed expectation panics, and one task runs"
)]

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, pending, ready},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::{
        BoxError, Ceiling, Error, Kind, Ratio, Share, SharedRng,
        error::{self, ConnectFailure, ResetReason},
        ext::{Attempt, Deadline, Ended, Flag, Record, Tried},
        hops,
        time::{Instant, sleep},
    },
    body::{self, RequestBody},
    classify::{Class, Classified, Hint, Outcome, Signal},
    deadline::{self, DeadlineLayer, PropagateLayer},
    retry::{Params, Policy, Retry, RetryBudget, RetryLayer, RetryOn, Stats, params, policy},
    stack,
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, service_fn,
    util::{BoxCloneService, MapRequestLayer},
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What the upstream does with one attempt.
enum Answer {
    Status(u16),
    Class(u16, Outcome, Option<Duration>),
    Fail(Kind),
    Hang,
    /// Reads the whole body, then answers.
    Read(u16),
    After(Duration, u16),
}
use Answer::{After, Fail, Hang, Read, Status};

/// What the upstream saw of one attempt.
#[derive(Debug)]
struct Seen {
    at: Instant,
    headers: HeaderMap,
    attempt: Option<Attempt>,
    tried: Option<Tried>,
    deadline: Option<Duration>,
    body: Option<Bytes>,
}

type Inner = BoxCloneService<Request<RequestBody>, Response<Full<Bytes>>, BoxError>;
type Log = Arc<Mutex<Vec<Seen>>>;

/// An upstream that follows a script; past its end it answers 200.
fn upstream(script: impl IntoIterator<Item = Answer>) -> (Inner, Log) {
    let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
    let log = Log::default();
    let seen = Arc::clone(&log);
    let service = service_fn(move |request: Request<RequestBody>| {
        let answer = script.lock().unwrap().pop_front().unwrap_or(Status(200));
        let log = Arc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            let context = body.context();
            let deadline = context.deadline();
            let mut note = Seen {
                at: Instant::now(),
                attempt: context.attempt(),
                tried: context.tried().cloned(),
                deadline: deadline.map(|d| d.left(Instant::now())),
                headers: head.headers,
                body: None,
            };
            if let Read(_) = answer {
                note.body = Some(body.collect().await?.to_bytes());
            }
            log.lock().unwrap().push(note);
            perform(answer).await
        }
    });
    (BoxCloneService::new(service), log)
}

async fn perform(answer: Answer) -> Result<Response<Full<Bytes>>, BoxError> {
    let text = Full::new(Bytes::from_static(b"answer"));
    let with = |status| {
        Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .body(text)
            .unwrap()
    };
    match answer {
        Status(status) | Read(status) => Ok(with(status)),
        After(wait, status) => {
            sleep(wait).await;
            Ok(with(status))
        }
        Fail(kind) => Err(Error::new(kind).into()),
        Hang => pending().await,
        Answer::Class(status, outcome, hint) => {
            let mut response = with(status);
            let signal = Signal::Response {
                status: response.status(),
                grpc_status: None,
                ratelimited: false,
            };
            let mut class = Class::new(outcome, signal);
            class.hint = hint.map(|wait| Hint {
                wait,
                source: "retry-after",
            });
            let classified = Classified::default();
            classified.set_head(class);
            response.extensions_mut().insert(classified);
            Ok(response)
        }
    }
}

fn on(list: &str, retries: u32) -> Params {
    Params::default()
        .with_retries(retries)
        .with_retry_on(RetryOn::envoy(list).unwrap())
        .with_attempt_header(true)
}

fn layer(params: Params) -> (RetryLayer, Arc<Stats>) {
    let stats = Arc::new(Stats::default());
    let layer = RetryLayer::new(params)
        .with_rng(SharedRng::seeded(7))
        .with_stats(Arc::clone(&stats));
    (layer, stats)
}

fn request() -> Request<Full<Bytes>> {
    Request::new(Full::new(Bytes::from_static(b"{\"model\":\"m\"}")))
}

fn recorded() -> (Request<Full<Bytes>>, Record) {
    let (mut request, record) = (request(), Record::default());
    request.extensions_mut().insert(record.clone());
    (request, record)
}

fn kind(error: &BoxError) -> Option<Kind> {
    error::find(&**error).map(Error::kind)
}

/// Sends one request; gives the final status or kind and how many attempts the upstream saw.
async fn run(
    params: Params,
    script: impl IntoIterator<Item = Answer>,
) -> (Result<u16, Option<Kind>>, usize) {
    let (inner, log) = upstream(script);
    let outcome = layer(params).0.layer(inner).oneshot(request()).await;
    let attempts = log.lock().unwrap().len();
    (
        outcome.map(|r| r.status().as_u16()).map_err(|e| kind(&e)),
        attempts,
    )
}

const REFUSED: Kind = Kind::Connect(ConnectFailure::Refused);
const REFERENCE: &str = "5xx,reset,connect-failure,retriable-4xx,503,429";

#[tokio::test(start_paused = true)]
async fn repeats_until_it_succeeds() {
    let (inner, log) = upstream([Status(503), Status(503)]);
    let (layer, stats) = layer(on(REFERENCE, 3));
    let (request, record) = recorded();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "answer"
    );
    let log = log.lock().unwrap();
    let attempts: Vec<_> = log.iter().filter_map(|s| s.attempt).collect();
    let attempt = |number| Attempt {
        number,
        may_retry: true,
    };
    assert_eq!(attempts, [attempt(1), attempt(2), attempt(3)]);
    let counts: Vec<_> = log
        .iter()
        .map(|s| s.headers["x-envoy-attempt-count"].to_str().unwrap())
        .collect();
    assert_eq!(counts, ["1", "2", "3"]);
    // Envoy's bounds: below 25 ms, then below 50 ms.
    assert!(log[1].at - log[0].at < ms(25) && log[2].at - log[1].at < ms(50));
    assert_eq!(record.snapshot().attempts, 3);
    assert_eq!(record.snapshot().flags(), "-");
    assert_eq!(
        (
            stats.retries.get(),
            stats.retry_success.get(),
            stats.backoff.get()
        ),
        (2, 1, 2)
    );
}

/// With nothing but the layer: what somebody who calls LLMs expects of a retry.
#[tokio::test(start_paused = true)]
async fn the_defaults_alone_retry_what_is_worth_it_and_nothing_else() {
    let three = || Params::default().with_retries(3);
    for status in [408, 409, 429, 500, 502, 503, 504, 529] {
        let (result, sent) = run(three(), [Status(status), Status(status), Status(status)]).await;
        assert_eq!((result, sent), (Ok(200), 4), "{status}");
    }
    for status in [400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 431, 451] {
        let (result, sent) = run(three(), [Status(status)]).await;
        assert_eq!((result, sent), (Ok(status), 1), "{status}");
    }
    let reset = Kind::Reset {
        reason: ResetReason::Terminated,
        sent: true,
    };
    for kind in [REFUSED, reset, Kind::AttemptTimeout] {
        let (result, sent) = run(three(), [Fail(kind)]).await;
        assert_eq!((result, sent), (Ok(200), 2), "{kind:?}");
    }
    for kind in [Kind::CircuitOpen, Kind::Overflow, Kind::RateLimited] {
        let (result, sent) = run(three(), [Fail(kind)]).await;
        assert_eq!((result, sent), (Err(Some(kind)), 1), "{kind:?}");
    }
    let timed = three().with_per_try_timeout(ms(50));
    assert_eq!(run(timed, [Hang]).await, (Ok(200), 2));
    // A classifier's verdict goes before the status.
    let empty = Answer::Class(429, Outcome::QuotaExhausted, None);
    assert_eq!(run(three(), [empty]).await, (Ok(429), 1));
}

/// Setting one thing leaves the others as they were.
#[test]
fn one_setting_switches_no_other_off() {
    let params = Params::default().with_retries(5);
    assert_eq!(params.retry_on, RetryOn::standard());
    assert_eq!(params.budget, Some(params::Budget::standard()));
    let client = stack::ClientParams::default().with_retries(5);
    assert_eq!(client.retry, params);
    let nested = stack::ClientParams::default().with_retry(params.clone());
    assert_eq!(nested.retry, params);
}

#[tokio::test(start_paused = true)]
async fn sends_once_what_no_term_covers() {
    let (result, attempts) = run(on(REFERENCE, 3), [Status(400)]).await;
    assert_eq!((result, attempts), (Ok(400), 1));
}

#[tokio::test(start_paused = true)]
async fn failures_without_a_response_follow_their_terms() {
    let reset = Kind::Reset {
        reason: ResetReason::Terminated,
        sent: true,
    };
    for (term, kind, attempts) in [
        ("connect-failure", REFUSED, 2),
        ("connect-failure", reset, 1),
        ("reset", reset, 2),
        ("reset-before-request", reset, 1),
        ("reset-before-request", REFUSED, 2),
        ("5xx", Kind::Overflow, 1),
        ("5xx", Kind::NoEndpoints, 1),
    ] {
        let (result, sent) = run(on(term, 3), [Fail(kind)]).await;
        let expected = if attempts == 1 {
            Err(Some(kind))
        } else {
            Ok(200)
        };
        assert_eq!((result, sent), (expected, attempts), "{term} {kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn waits_at_least_as_long_as_the_provider_asks() {
    let pacing = Answer::Class(429, Outcome::RateLimited, Some(secs(3)));
    let (inner, log) = upstream([pacing]);
    let (layer, stats) = layer(on("429", 3));
    let (request, record) = recorded();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let log = log.lock().unwrap();
    let waited = log[1].at - log[0].at;
    assert!(waited >= secs(3) && waited <= ms(3301), "{waited:?}");
    assert_eq!((stats.hinted.get(), stats.backoff.get()), (1, 0));
    assert_eq!(record.snapshot().hints_honoured, 1);
}

#[tokio::test(start_paused = true)]
async fn with_no_classifier_below_the_status_and_retry_after_decide() {
    let calls = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&calls);
    let inner = service_fn(move |_: Request<RequestBody>| {
        let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
        let mut response = Response::new(Full::<Bytes>::default());
        if first {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            let value = HeaderValue::from_static("2");
            response.headers_mut().insert("retry-after", value);
        }
        async { Ok::<_, BoxError>(response) }
    });
    let begin = Instant::now();
    let (layer, stats) = layer(on("429", 1));
    let response = layer.layer(inner).oneshot(request()).await.unwrap();
    assert_eq!((response.status().as_u16(), stats.hinted.get()), (200, 1));
    let waited = begin.elapsed();
    assert!(waited >= secs(2) && waited <= ms(2201), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_error_is_told_apart_by_its_source() {
    let refused = std::io::ErrorKind::ConnectionRefused;
    let calls = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&calls);
    let inner = service_fn(move |_: Request<RequestBody>| {
        let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                return Err::<_, BoxError>(std::io::Error::from(refused).into());
            }
            Ok(Response::new(Full::<Bytes>::default()))
        }
    });
    let (layer, _) = layer(on("connect-failure", 1));
    assert!(layer.layer(inner).oneshot(request()).await.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_empty_account_is_asked_once_whatever_is_listed() {
    for outcome in [Outcome::QuotaExhausted, Outcome::RequestExceedsLimit] {
        let script = [Answer::Class(429, outcome, Some(ms(1)))];
        let (result, attempts) = run(on("429,retriable-4xx", 3), script).await;
        assert_eq!((result, attempts), (Ok(429), 1), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_inside_a_200_is_repeated_where_the_classifier_is_asked() {
    let mut params = on("5xx", 1);
    let script = || [Answer::Class(200, Outcome::StreamError, None)];
    assert_eq!(run(params.clone(), script()).await.1, 1);
    params.retry_on.llm = true;
    assert_eq!(run(params, script()).await.1, 2);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_attempt_is_cut_at_the_per_try_timeout() {
    let (inner, log) = upstream([Hang]);
    let (layer, stats) = layer(on("5xx", 3).with_per_try_timeout(secs(10)));
    let begin = Instant::now();
    let response = layer.layer(inner).oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    let log = log.lock().unwrap();
    let second = log[1].at - begin;
    assert!(second >= secs(10) && second < ms(10_026), "{second:?}");
    assert_eq!(stats.per_try_timeout.get(), 1);
    assert_eq!(log[0].deadline, Some(secs(10)));
}

#[tokio::test(start_paused = true)]
async fn a_cut_attempt_is_final_where_no_term_covers_resets() {
    let params = on("503,connect-failure", 3).with_per_try_timeout(secs(1));
    let (result, attempts) = run(params, [Hang]).await;
    assert_eq!((result, attempts), (Err(Some(Kind::AttemptTimeout)), 1));
}

#[tokio::test(start_paused = true)]
async fn the_per_try_clock_stands_still_while_a_connection_is_awaited() {
    let inner = service_fn(|request: Request<RequestBody>| async move {
        let clock = request.body().context().try_clock().cloned().unwrap();
        let held = clock.hold();
        sleep(secs(60)).await;
        drop(held);
        sleep(ms(900)).await;
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
    });
    let (layer, stats) = layer(on("5xx", 1).with_per_try_timeout(secs(1)));
    assert!(layer.layer(inner).oneshot(request()).await.is_ok());
    assert_eq!(stats.per_try_timeout.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_spans_all_attempts() {
    let (inner, log) = upstream([Hang, Hang, Hang, Hang]);
    let deadlines = Arc::new(deadline::Stats::default());
    let (retry, stats) = layer(on(REFERENCE, 3).with_per_try_timeout(secs(10)));
    let route = deadline::Params::default().with_timeout(secs(30));
    let client = ServiceBuilder::new()
        .layer(DeadlineLayer::new(route).with_stats(Arc::clone(&deadlines)))
        .layer(retry)
        .layer(PropagateLayer::new())
        .service(inner);
    let begin = Instant::now();
    let error = client.oneshot(request()).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::DeadlineExceeded));
    assert_eq!(begin.elapsed(), secs(30));
    let log = log.lock().unwrap();
    // The third try has less than 10 s left, and the deadline cuts it: there is no fourth.
    assert_eq!((log.len(), stats.per_try_timeout.get()), (3, 2));
    assert_eq!(deadlines.timeouts.get(), 1);
    let told: Vec<u64> = log
        .iter()
        .map(|s| {
            let header = &s.headers["x-envoy-expected-rq-timeout-ms"];
            header.to_str().unwrap().parse().unwrap()
        })
        .collect();
    assert_eq!(told[..2], [10_000, 10_000]);
    assert!((9_900..10_000).contains(&told[2]), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_per_try_timeout_as_long_as_the_deadline_is_left_to_it() {
    let (inner, log) = upstream([Hang]);
    let (retry, stats) = layer(on("5xx", 3).with_per_try_timeout(secs(10)));
    let route = deadline::Params::default().with_timeout(secs(10));
    let client = ServiceBuilder::new()
        .layer(DeadlineLayer::new(route))
        .layer(retry)
        .service(inner);
    let error = client.oneshot(request()).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::DeadlineExceeded));
    assert_eq!(
        (log.lock().unwrap().len(), stats.per_try_timeout.get()),
        (1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_does_not_fit_before_the_deadline_is_not_begun() {
    let pacing = Answer::Class(429, Outcome::RateLimited, Some(secs(10)));
    let (inner, log) = upstream([pacing]);
    let (layer, stats) = layer(on("429", 3));
    let mut request = request();
    let deadline = Deadline(Instant::now() + secs(10));
    body::Context::edit(&mut request, |context| context.shorten(deadline));
    let begin = Instant::now();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), begin.elapsed()), (429, ms(0)));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "answer"
    );
    assert_eq!((log.lock().unwrap().len(), stats.retries.get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn exhausted_retries_hand_on_the_last_answer_and_say_so() {
    let (inner, log) = upstream((0..9).map(|_| Status(503)));
    let (layer, stats) = layer(on("5xx", 2));
    let (request, record) = recorded();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "answer"
    );
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 3);
    assert_eq!(
        log[2].attempt,
        Some(Attempt {
            number: 3,
            may_retry: false
        })
    );
    assert_eq!(record.snapshot().flags, [Flag::URX]);
    assert_eq!(
        (stats.limit_exceeded.get(), stats.retry_success.get()),
        (1, 0)
    );
    let (result, attempts) = run(on("5xx", 2), (0..9).map(|_| Fail(REFUSED))).await;
    assert_eq!((result, attempts), (Err(Some(REFUSED)), 3));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_gets_the_whole_body() {
    let (inner, log) = upstream([Read(503), Fail(REFUSED), Read(200)]);
    let (layer, _) = layer(on(REFERENCE, 3));
    layer.layer(inner).oneshot(request()).await.unwrap();
    let log = log.lock().unwrap();
    let bodies: Vec<_> = log.iter().map(|s| s.body.clone()).collect();
    let whole = Some(Bytes::from_static(b"{\"model\":\"m\"}"));
    assert_eq!(bodies, [whole.clone(), None, whole]);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_cap_passes_and_is_sent_once() {
    let (inner, log) = upstream([Read(503)]);
    let (layer, _) = layer(on("5xx", 3).with_replay_cap(12));
    let (request, record) = recorded();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 503);
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].body.as_ref().map(Bytes::len), Some(13));
    assert_eq!(log[0].attempt.map(|a| a.may_retry), Some(false));
    assert_eq!(record.snapshot().flags(), "-");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_turns_out_to_be_over_the_cap_is_sent_once() {
    let calls = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&calls);
    let inner = service_fn(move |request: Request<RequestBody>| {
        let calls = seen.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            let attempt = request.body().context().attempt();
            assert_eq!(attempt.map(|a| a.may_retry), Some(true));
            let length = request.into_body().collect().await?.to_bytes().len();
            assert_eq!((calls, length), (1, 20));
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok::<_, BoxError>(response)
        }
    });
    let (layer, stats) = layer(on("5xx", 3).with_replay_cap(12));
    let request = Request::new(Chunks(2));
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), stats.retries.get()), (503, 0));
}

/// So many chunks of ten bytes, with no word on the length.
struct Chunks(u32);

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        let chunk = Bytes::from_static(b"0123456789");
        Poll::Ready(Some(Ok(http_body::Frame::data(chunk))))
    }
}

#[tokio::test(start_paused = true)]
async fn without_retries_it_passes_through() {
    for params in [
        on("5xx", 0),
        Params::default().with_retry_on(RetryOn::default()),
    ] {
        let (inner, log) = upstream([Read(503)]);
        let (layer, stats) = layer(params.with_per_try_timeout(ms(1)));
        let mut request = request();
        let theirs = HeaderValue::from_static("99");
        request
            .headers_mut()
            .insert("x-envoy-attempt-count", theirs);
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 503);
        let log = log.lock().unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!(
            log[0].attempt,
            Some(Attempt {
                number: 1,
                may_retry: false
            })
        );
        assert_eq!(log[0].headers["x-envoy-attempt-count"], "1");
        assert_eq!(log[0].body.as_ref().map(Bytes::len), Some(13));
        assert!(log[0].tried.is_none() && stats.limit_exceeded.get() == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_share_the_list_of_tried_endpoints() {
    let (inner, log) = upstream([Status(503)]);
    let (with, _) = layer(on("5xx", 1));
    with.layer(inner).oneshot(request()).await.unwrap();
    {
        let log = log.lock().unwrap();
        let address = "10.0.0.1:80".parse().unwrap();
        log[0].tried.as_ref().unwrap().push(address);
        assert!(log[1].tried.as_ref().unwrap().contains(address));
    }
    let (inner, log) = upstream([]);
    let (without, _) = layer(on("5xx", 1).with_avoid_tried(false));
    without.layer(inner).oneshot(request()).await.unwrap();
    assert!(log.lock().unwrap()[0].tried.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_hands_on_the_answer() {
    let params = on("5xx", 3).with_budget(params::Budget::Percent {
        share: Share::new(0.5).unwrap(),
        min_per_second: 0,
        ttl: secs(10),
    });
    let (inner, log) = upstream((0..99).map(|_| Status(503)));
    let (layer, stats) = layer(params);
    let service = layer.layer(inner);
    for _ in 0..10 {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), 503);
    }
    assert_eq!(log.lock().unwrap().len(), 15);
    assert_eq!((stats.retries.get(), stats.budget_exhausted.get()), (5, 10));
}

#[tokio::test(start_paused = true)]
async fn services_share_one_budget_and_success_pays_back() {
    let budget = Arc::new(RetryBudget::new(params::Budget::TokenBucket {
        capacity: 14,
        fault_cost: 14,
        throttle_cost: 5,
        timeout_cost: 14,
    }));
    let now = Instant::now();
    let shared = |script: Vec<Answer>| {
        let (inner, log) = upstream(script);
        let layer = RetryLayer::new(on("5xx", 3)).with_budget(Arc::clone(&budget));
        (layer.layer(inner), log)
    };
    let (a, _) = shared(vec![Status(503), Status(503)]);
    assert_eq!(a.oneshot(request()).await.unwrap().status(), 503);
    assert_eq!(budget.left(now), 0);
    let (b, log) = shared(vec![Status(503)]);
    assert_eq!(b.oneshot(request()).await.unwrap().status(), 503);
    assert_eq!(log.lock().unwrap().len(), 1);
    let (c, _) = shared(vec![]);
    for _ in 0..14 {
        c.clone().oneshot(request()).await.unwrap();
    }
    let (d, _) = shared(vec![Status(503)]);
    assert_eq!(d.oneshot(request()).await.unwrap().status(), 200);
    assert_eq!(budget.left(now), 14);
}

#[tokio::test(start_paused = true)]
async fn a_total_outage_is_amplified_by_the_budget_only() {
    let (inner, log) = upstream((0..100_000).map(|_| Status(503)));
    let (layer, _) = layer(on("5xx", 3).with_budget(params::Budget::standard()));
    let service = layer.layer(inner);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4000 {
        calls.spawn(service.clone().oneshot(request()));
        sleep(ms(5)).await;
    }
    calls.join_all().await;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let amplification = log.lock().unwrap().len() as f64 / 4000.0;
    assert!((1.2..=1.23).contains(&amplification), "{amplification}");
}

/// What an SDK sends again is a retry itself: it pays for none, and none is made of it.
#[tokio::test(start_paused = true)]
async fn a_callers_own_retry_earns_none() {
    for (count, attempts, ended) in [
        (Some("0"), 15, 10),
        (Some("1"), 10, 0),
        (Some("2"), 10, 0),
        (Some("many"), 15, 10),
        (None, 15, 10),
    ] {
        let params = on("5xx", 3).with_budget(params::Budget::Percent {
            share: Share::new(0.5).unwrap(),
            min_per_second: 0,
            ttl: secs(10),
        });
        let (inner, log) = upstream((0..99).map(|_| Status(503)));
        let service = layer(params).0.layer(inner);
        let mut refused = 0;
        for _ in 0..10 {
            let mut request = request();
            if let Some(count) = count {
                let count = HeaderValue::from_static(count);
                request
                    .headers_mut()
                    .insert("x-stainless-retry-count", count);
            }
            let result = service.clone().oneshot(request).await;
            refused += usize::from(hops::ended(&result) == Some(Ended::Budget));
        }
        let seen = (log.lock().unwrap().len(), refused);
        assert_eq!(seen, (attempts, ended), "{count:?}");
    }
}

/// And so is what a hop above sends again. Connections that cannot be made and timeouts are no exception.
#[tokio::test(start_paused = true)]
async fn a_retry_of_a_hop_above_is_sent_once() {
    for (count, attempts) in [("1", 4), ("2", 1), ("3", 1), ("x", 4), ("0", 4)] {
        for answer in [
            || Status(503),
            || Fail(Kind::Connect(ConnectFailure::Refused)),
            || Hang,
        ] {
            let (inner, log) = upstream((0..4).map(|_| answer()));
            let params = on("5xx", 3)
                .with_budget(params::Budget::standard())
                .with_per_try_timeout(ms(100));
            let service = layer(params).0.layer(inner);
            let mut request = request();
            let value = HeaderValue::from_static(count);
            request.headers_mut().insert("x-envoy-attempt-count", value);
            let result = service.oneshot(request).await;
            let log = log.lock().unwrap();
            assert_eq!(log.len(), attempts, "{count}");
            assert_eq!(log[0].headers["x-envoy-attempt-count"], "1");
            let exhausted = (attempts == 4).then_some(Ended::Exhausted);
            assert_eq!(hops::ended(&result), exhausted, "{count}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_word_of_the_hop_below_is_obeyed_and_taken_out() {
    for (retries, status, word, attempts, ended) in [
        (3, 503, Some("exhausted"), 1, Some(Ended::Exhausted)),
        (3, 503, Some("budget"), 1, Some(Ended::Budget)),
        (3, 503, Some("whatever"), 1, Some(Ended::Exhausted)),
        (3, 503, None, 4, Some(Ended::Exhausted)),
        // With no retries here it is still the word of the hop below.
        (0, 503, Some("budget"), 1, Some(Ended::Budget)),
        (0, 503, None, 1, None),
        // Nothing that would be repeated.
        (3, 404, Some("exhausted"), 1, None),
    ] {
        let sent = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&sent);
        let inner = BoxCloneService::new(service_fn(move |_: Request<RequestBody>| {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut response = Response::builder().status(status);
            if let Some(word) = word {
                response = response.header("x-llmesh-final", word);
            }
            ready(Ok::<_, BoxError>(
                response.body(Full::new(Bytes::new())).unwrap(),
            ))
        }));
        let service = layer(on("5xx", retries)).0.layer(inner);
        let result = service.oneshot(request()).await;
        assert_eq!(hops::ended(&result), ended, "{retries} {status} {word:?}");
        let response = result.unwrap();
        let seen = sent.load(Ordering::Relaxed);
        let what = format!("{retries} {status} {word:?}");
        assert_eq!(
            (response.status().as_u16(), seen),
            (status, attempts),
            "{what}"
        );
        assert!(!response.headers().contains_key("x-llmesh-final"), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn why_there_is_no_further_attempt_is_noted() {
    let ended = async |request: &dyn Fn(&mut Request<Full<Bytes>>), answer: Answer| {
        let (inner, _) = upstream([answer, Status(503)]);
        let mut sent = self::request();
        request(&mut sent);
        hops::ended(&layer(on("5xx,429", 1)).0.layer(inner).oneshot(sent).await)
    };
    let nothing = |_: &mut Request<Full<Bytes>>| {};
    assert_eq!(ended(&nothing, Status(200)).await, None);
    assert_eq!(ended(&nothing, Status(404)).await, None);
    assert_eq!(ended(&nothing, Status(503)).await, Some(Ended::Exhausted));
    // The caller will have left before the wait that is asked for is over.
    let patient = |request: &mut Request<Full<Bytes>>| {
        let until = Deadline(Instant::now() + secs(5));
        body::Context::edit(request, |context| context.set_head_deadline(Some(until)));
    };
    let hint = || Answer::Class(429, Outcome::RateLimited, Some(secs(6)));
    assert_eq!(ended(&patient, hint()).await, Some(Ended::Exhausted));
    assert_eq!(
        ended(
            &nothing,
            Answer::Class(429, Outcome::RateLimited, Some(secs(500)))
        )
        .await,
        None
    );
}

#[tokio::test(start_paused = true)]
async fn a_reached_ceiling_hands_on_the_answer() {
    let ceiling = Ceiling::new(1);
    let (inner, log) = upstream([Status(503), After(secs(1), 200), Status(503)]);
    let (layer, stats) = layer(on("5xx", 3));
    let service = layer.with_ceiling(ceiling.clone()).layer(inner);
    let first = tokio::spawn(service.clone().oneshot(request()));
    sleep(ms(100)).await;
    assert_eq!(ceiling.used(), 1);
    let (request, record) = recorded();
    let refused = service.oneshot(request).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(record.snapshot().flags, [Flag::UO]);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!((log.lock().unwrap().len(), ceiling.used()), (3, 0));
    assert_eq!(stats.overflow.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_request_needs_one_place_under_the_ceiling() {
    let (inner, log) = upstream((0..3).map(|_| Status(503)));
    let (layer, _) = layer(on("5xx", 3));
    let service = layer.with_ceiling(Ceiling::new(1)).layer(inner);
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), log.lock().unwrap().len()),
        (200, 4)
    );
}

/// A body that says when it is dropped.
#[derive(Debug)]
struct Watched(Arc<AtomicBool>);

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_answer_is_dropped_before_the_wait() {
    let dropped = Arc::new(AtomicBool::new(false));
    let (flag, calls) = (Arc::clone(&dropped), AtomicU32::new(0));
    let calls = Arc::new(calls);
    let inner = service_fn(move |_: Request<RequestBody>| {
        let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        let flag = if first {
            Arc::clone(&flag)
        } else {
            Arc::default()
        };
        let mut response = Response::new(Watched(flag));
        if first {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        async { Ok::<_, BoxError>(response) }
    });
    let backoff = params::Backoff::from_base(secs(5)).with_jitter(false);
    let (layer, _) = layer(on("5xx", 1).with_backoff(backoff));
    let mut call = tokio_test::task::spawn(layer.layer(inner).oneshot(request()));
    assert!(call.poll().is_pending());
    assert!(dropped.load(Ordering::SeqCst));
    tokio::time::advance(secs(5)).await;
    let Poll::Ready(Ok(response)) = call.poll() else {
        panic!("no second attempt");
    };
    assert_eq!(response.status(), 200);
}

/// Ready once, and again only when told; counts calls made without readiness.
#[derive(Debug)]
struct Gate {
    ready: bool,
    open: Arc<AtomicU32>,
    unready_calls: Arc<AtomicU32>,
}

impl Clone for Gate {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            open: Arc::clone(&self.open),
            unready_calls: Arc::clone(&self.unready_calls),
        }
    }
}

impl<B> Service<Request<B>> for Gate {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Full<Bytes>>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if !self.ready {
            if self.open.load(Ordering::SeqCst) == 0 {
                return Poll::Pending;
            }
            self.open.fetch_sub(1, Ordering::SeqCst);
            self.ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        if !std::mem::take(&mut self.ready) {
            self.unready_calls.fetch_add(1, Ordering::SeqCst);
        }
        ready(Err(Error::new(REFUSED).into()))
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_asks_for_readiness_and_waits_no_longer_than_the_deadline() {
    let gate = Gate {
        ready: false,
        open: Arc::new(AtomicU32::new(3)),
        unready_calls: Arc::default(),
    };
    let (layer, stats) = layer(on("connect-failure", 5));
    let service: Retry<_> = layer.layer(gate.clone());
    let mut request = request();
    let deadline = Deadline(Instant::now() + secs(2));
    body::Context::edit(&mut request, |context| context.shorten(deadline));
    let begin = Instant::now();
    let error = service.oneshot(request).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::DeadlineExceeded));
    assert_eq!((begin.elapsed(), stats.retries.get()), (secs(2), 2));
    assert_eq!(gate.unready_calls.load(Ordering::SeqCst), 0);
}

/// Sends everything again, at once: what the layer must bound by itself.
#[derive(Debug)]
struct Always(Duration);

impl Policy for Always {
    fn decide(
        &self,
        _: &policy::Attempt,
        _: &Class,
        budget: Option<&RetryBudget>,
        _: &SharedRng,
    ) -> policy::Decision {
        assert!(budget.is_some(), "the layer's own");
        policy::Decision::Retry {
            after: self.0,
            hinted: false,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_ones_own_decides_within_what_the_layer_bounds() {
    let call = |params, wait, deadline: Option<Duration>| async move {
        let (inner, log) = upstream([]);
        let (layer, stats) = layer(params);
        let service = layer.with_policy(Always(wait)).layer(inner);
        let mut request = request();
        if let Some(left) = deadline {
            let at = Deadline(Instant::now() + left);
            body::Context::edit(&mut request, |context| context.shorten(at));
        }
        let begin = Instant::now();
        assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
        let sent = log.lock().unwrap().len();
        (sent, begin.elapsed(), stats.limit_exceeded.get())
    };
    // Terms do not matter: 200 is sent again, up to the number of retries.
    let none = Params::default()
        .with_retries(2)
        .with_retry_on(RetryOn::default());
    assert_eq!(call(none.clone(), ms(5), None).await, (3, ms(10), 1));
    assert_eq!(call(none.clone().with_retries(0), ms(5), None).await.0, 1);
    // Nor beyond the deadline, the body's cap or the budget.
    assert_eq!(call(none.clone(), ms(5), Some(ms(5))).await.0, 1);
    assert_eq!(
        call(none.clone().with_replay_cap(0), ms(5), None).await.0,
        1
    );
    let empty = params::Budget::percent(Ratio::ZERO, 0, secs(10));
    assert_eq!(call(none.with_budget(empty), ms(5), None).await.0, 1);
}

/// Whose budget it is decides how a hint is followed, not what the parameters would have made.
#[tokio::test(start_paused = true)]
async fn a_shared_budget_says_how_hints_are_followed() {
    let hinted = || Answer::Class(429, Outcome::RateLimited, Some(secs(60)));
    let standard = params::Budget::standard();
    for (own, shared, least, most) in [
        (Some(standard), params::Budget::aws(), secs(5), secs(6)),
        (None, params::Budget::aws(), secs(5), secs(6)),
        (Some(params::Budget::aws()), standard, secs(60), secs(66)),
    ] {
        let mut params = on("429", 1);
        params.budget = own;
        let (inner, log) = upstream([hinted()]);
        let (layer, _) = layer(params);
        let layer = layer.with_budget(Arc::new(RetryBudget::new(shared)));
        let begin = Instant::now();
        layer.layer(inner).oneshot(request()).await.unwrap();
        assert_eq!(log.lock().unwrap().len(), 2);
        let waited = begin.elapsed();
        assert!((least..=most).contains(&waited), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_asked_again_after_it_was_done_fails() {
    for (params, script) in [
        (Params::off(), vec![]),
        (on("5xx", 1), vec![]),
        (on("5xx", 1), vec![Status(503)]),
        (on("5xx", 1).with_per_try_timeout(secs(1)), vec![]),
    ] {
        let (inner, _) = upstream(script);
        let mut service = layer(params).0.layer(inner);
        let mut call = pin!(service.call(request()));
        assert_eq!(call.as_mut().await.unwrap().status(), 200);
        let again = call.await.map(|_| ()).unwrap_err();
        assert_eq!(kind(&again), Some(Kind::Internal));
    }
}

/// Builds the request anew and forgets what was left in it.
fn forget<B>(request: Request<B>) -> Request<B> {
    let (head, body) = request.into_parts();
    let mut anew = Request::new(body);
    (*anew.method_mut(), *anew.uri_mut()) = (head.method, head.uri);
    *anew.headers_mut() = head.headers;
    anew
}

/// What belongs to an attempt is in its body, so it is not among what is forgotten.
#[tokio::test(start_paused = true)]
async fn a_foreign_layer_may_forget_the_extensions() {
    let (inner, log) = upstream([Status(503), Read(503), Hang]);
    let client = ServiceBuilder::new()
        .layer(DeadlineLayer::new(
            deadline::Params::default().with_timeout(secs(1)),
        ))
        .layer(MapRequestLayer::new(forget))
        .layer(layer(on("5xx", 3)).0)
        .layer(MapRequestLayer::new(forget))
        .service(inner);
    let begin = Instant::now();
    let error = client.oneshot(request()).await.map(|_| ()).unwrap_err();
    assert_eq!(
        (kind(&error), begin.elapsed()),
        (Some(Kind::DeadlineExceeded), secs(1))
    );
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 3);
    let attempts: Vec<_> = log.iter().map(|seen| seen.attempt.unwrap()).collect();
    assert_eq!(
        attempts,
        [1, 2, 3].map(|number| Attempt {
            number,
            may_retry: true
        })
    );
    assert!(
        log.iter()
            .all(|seen| seen.deadline.is_some() && seen.tried.is_some())
    );
    assert_eq!(log[1].body.as_deref(), Some(&b"{\"model\":\"m\"}"[..]));
    let counts: Vec<_> = log
        .iter()
        .map(|s| &s.headers["x-envoy-attempt-count"])
        .collect();
    assert_eq!(counts, ["1", "2", "3"]);
}
