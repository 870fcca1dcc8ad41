//! The deadline layer.

#![allow(
    clippy::unwrap_used,
    clippy::await_holding_lock,
    reason = "tests: a failed expectation panics, and one task runs"
)]

use std::{
    convert::Infallible,
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use llmesh::{
    base::{
        BoxError, Error, Kind, error,
        ext::{CancelCause, Deadline, Flag, Record, Uploading},
        time::{Instant, sleep},
    },
    body::{self, Body, RequestBody},
    call::{self, CallLayer},
    deadline::{DeadlineLayer, Params, PropagateLayer, Stats},
    retry::{self, RetryLayer, RetryOn},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn layer(timeout: u64) -> DeadlineLayer {
    DeadlineLayer::new(Params::default().with_timeout(ms(timeout)).with_tell(true))
}

fn kind(error: &BoxError) -> Option<Kind> {
    error::find(&**error).map(Error::kind)
}

fn empty() -> Response<Empty<Bytes>> {
    Response::new(Empty::new())
}

/// Answers with a chunk every `gap`, `left` times.
#[derive(Debug)]
struct Drip {
    left: u32,
    gap: Duration,
    /// Whether the last one never comes.
    stalls: bool,
    timer: Pin<Box<tokio::time::Sleep>>,
    dropped: Arc<AtomicBool>,
}

impl Drip {
    fn new(left: u32, gap: Duration) -> Self {
        Self {
            left,
            gap,
            stalls: false,
            timer: Box::pin(sleep(gap)),
            dropped: Arc::default(),
        }
    }

    fn stalled(mut self) -> Self {
        self.stalls = true;
        self
    }
}

impl http_body::Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.stalls && self.left == 1 {
            return Poll::Pending;
        }
        std::task::ready!(self.timer.as_mut().poll(cx));
        self.left -= 1;
        let next = Instant::now() + self.gap;
        self.timer.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::from(self.left))
    }
}

impl Drop for Drip {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_head_the_inner_future_is_dropped_and_the_call_fails() {
    let dropped = Arc::new(AtomicBool::new(false));
    let (flag, stats) = (Arc::clone(&dropped), Arc::new(Stats::default()));
    let service = layer(300).with_stats(Arc::clone(&stats)).layer(service_fn(
        move |_: Request<RequestBody>| {
            let guard = SetOnDrop(Arc::clone(&flag));
            async move {
                let _guard = guard;
                pending::<()>().await;
                Ok::<_, BoxError>(empty())
            }
        },
    ));
    let begin = Instant::now();
    let mut call = tokio_test::task::spawn(service.oneshot(Request::new(RequestBody::empty())));
    assert!(call.poll().is_pending());
    tokio::time::advance(ms(299)).await;
    assert!(call.poll().is_pending() && !dropped.load(Ordering::SeqCst));
    tokio::time::advance(ms(1)).await;
    let Poll::Ready(Err(error)) = call.poll() else {
        panic!("still waiting at the deadline");
    };
    assert_eq!(kind(&error), Some(Kind::DeadlineExceeded));
    // The future is still about, but what it held is gone.
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!((begin.elapsed(), stats.timeouts.get()), (ms(300), 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_passes_whole() {
    let service = layer(100).layer(service_fn(|_: Request<RequestBody>| async {
        sleep(ms(50)).await;
        Ok::<_, BoxError>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    }));
    let response = service
        .oneshot(Request::new(RequestBody::empty()))
        .await
        .unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
}

#[tokio::test(start_paused = true)]
async fn the_clock_covers_the_whole_body() {
    let stats = Arc::new(Stats::default());
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    let service = layer(100).with_stats(Arc::clone(&stats)).layer(service_fn(
        move |_: Request<RequestBody>| {
            let flag = Arc::clone(&flag);
            async move {
                sleep(ms(40)).await;
                let mut body = Drip::new(10, ms(25));
                body.dropped = flag;
                Ok::<_, BoxError>(Response::new(body))
            }
        },
    ));
    let mut request = Request::new(RequestBody::empty());
    let record = Record::default();
    request.extensions_mut().insert(record.clone());
    let begin = Instant::now();
    let mut body = Box::pin(service.oneshot(request).await.unwrap().into_body());
    let mut frames = 0;
    let error = loop {
        match body.frame().await {
            Some(Ok(_)) => frames += 1,
            Some(Err(error)) => break error,
            None => panic!("the body ended well"),
        }
    };
    assert_eq!(kind(&error), Some(Kind::DeadlineExceeded));
    assert_eq!((frames, begin.elapsed()), (2, ms(100)));
    assert!(dropped.load(Ordering::SeqCst), "cut at once");
    assert!(body.frame().await.is_none() && body.is_end_stream());
    let notes = record.snapshot();
    assert_eq!(notes.flags, [Flag::UT]);
    assert_eq!(notes.details.as_deref(), Some("response_timeout"));
    assert_eq!(stats.timeouts.get(), 1);
}

/// An SDK's timeout for the head ends the call and not the stream; and it says nothing of the endpoint.
#[tokio::test(start_paused = true)]
async fn patience_ends_with_the_head() {
    let ask = |delay: u64, limit: Option<u64>| async move {
        let given_up = CancelCause::default();
        let mut request = Request::new(RequestBody::empty());
        let patience = HeaderValue::from_static("0.1");
        request
            .headers_mut()
            .insert("x-stainless-read-timeout", patience);
        body::Context::edit(&mut request, |context| {
            context.set_cancel_cause(given_up.clone())
        });
        let layer = DeadlineLayer::new(limit.map_or_else(Params::default, |limit| {
            Params::default().with_timeout(ms(limit))
        }));
        let service = layer.layer(service_fn(
            move |request: Request<RequestBody>| async move {
                let patience = body::Context::of(&request)
                    .unwrap()
                    .head_deadline()
                    .unwrap();
                assert_eq!(patience.0 - Instant::now(), ms(100));
                sleep(ms(delay)).await;
                Ok::<_, BoxError>(Response::new(Drip::new(10, ms(50))))
            },
        ));
        let begin = Instant::now();
        let end = match service.oneshot(request).await {
            Ok(response) => response.into_body().collect().await.err(),
            Err(error) => Some(error),
        };
        let kind = end.as_ref().and_then(kind);
        (kind, begin.elapsed(), given_up.why())
    };
    let late = Some(Kind::DeadlineExceeded);
    assert_eq!(ask(99, None).await, (None, ms(599), None));
    assert_eq!(ask(101, None).await, (late, ms(100), None));
    assert_eq!(ask(101, Some(200)).await, (late, ms(100), None));
    assert_eq!(ask(99, Some(200)).await, (late, ms(200), None));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_or_is_dropped_in_time_is_no_timeout() {
    let stats = Arc::new(Stats::default());
    let service = layer(100).with_stats(Arc::clone(&stats)).layer(service_fn(
        |_: Request<RequestBody>| async { Ok::<_, BoxError>(Response::new(Drip::new(3, ms(10)))) },
    ));
    let record = Record::default();
    for finish in [true, false] {
        let mut request = Request::new(RequestBody::empty());
        request.extensions_mut().insert(record.clone());
        let response = service.clone().oneshot(request).await.unwrap();
        if finish {
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(bytes, "xxx");
        }
        sleep(ms(200)).await;
    }
    assert_eq!(stats.timeouts.get(), 0);
    assert_eq!(record.snapshot().flags(), "-");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_body_error_is_no_timeout() {
    let stats = Arc::new(Stats::default());
    let service = layer(100).with_stats(Arc::clone(&stats)).layer(service_fn(
        |_: Request<RequestBody>| async {
            let body = Full::new(Bytes::new()).map_err(|never| match never {});
            let broken = http_body_util::BodyExt::with_trailers(body, async {
                Some(Err::<HeaderMap, BoxError>("broken".into()))
            });
            Ok::<_, BoxError>(Response::new(broken))
        },
    ));
    let response = service
        .oneshot(Request::new(RequestBody::empty()))
        .await
        .unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), stats.timeouts.get()),
        ("broken", 0)
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_finish_is_not_started() {
    let calls = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&calls);
    let stats = Arc::new(Stats::default());
    let service = DeadlineLayer::new(Params::default())
        .with_stats(Arc::clone(&stats))
        .layer(service_fn(move |_: Request<RequestBody>| {
            seen.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, BoxError>(empty()) }
        }));
    let mut request = Request::new(RequestBody::empty());
    body::Context::edit(&mut request, |context| {
        context.shorten(Deadline(Instant::now()))
    });
    let error = service.oneshot(request).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::DeadlineExceeded));
    assert_eq!((calls.load(Ordering::SeqCst), stats.timeouts.get()), (0, 1));
}

/// What the innermost service gets to see.
async fn seen<L>(layer: L, request: Request<RequestBody>) -> (HeaderMap, Option<Duration>)
where
    L: Layer<tower::util::BoxCloneService<Request<RequestBody>, Response<Empty<Bytes>>, BoxError>>,
    L::Service: Service<Request<RequestBody>>,
    <L::Service as Service<Request<RequestBody>>>::Error: std::fmt::Debug,
{
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let inner = service_fn(move |request: Request<RequestBody>| {
        let deadline = body::Context::of(&request).and_then(body::Context::deadline);
        let left = deadline.map(|d| d.left(Instant::now()));
        let _ = tx.send((request.headers().clone(), left));
        async { Ok::<_, BoxError>(empty()) }
    });
    let inner = tower::util::BoxCloneService::new(inner);
    assert!(layer.layer(inner).oneshot(request).await.is_ok());
    rx.recv().await.unwrap()
}

fn request(headers: &[(&'static str, &'static str)]) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::empty());
    for (name, value) in headers {
        request
            .headers_mut()
            .insert(*name, HeaderValue::from_static(value));
    }
    request
}

#[tokio::test(start_paused = true)]
async fn the_callers_limit_may_shorten_ours_and_is_told_on() {
    for (theirs, told) in [
        ("500", "500"),
        ("5000", "1000"),
        ("0", "1000"),
        ("?", "1000"),
    ] {
        let (headers, left) = seen(layer(1000), request(&[(EXPECTED, theirs)])).await;
        assert_eq!(headers[EXPECTED], told, "{theirs}");
        assert_eq!(left, Some(ms(told.parse().unwrap())));
    }
    let deaf = DeadlineLayer::new(Params::default().with_honour_caller(false));
    let (headers, left) = seen(deaf, request(&[(EXPECTED, "500")])).await;
    assert_eq!((headers.get(EXPECTED), left), (None, None));
}

#[tokio::test(start_paused = true)]
async fn grpc_callers_are_read_and_told_in_their_own_header() {
    let grpc = [("content-type", "application/grpc"), ("grpc-timeout", "2S")];
    let none = DeadlineLayer::new(Params::default());
    let (headers, left) = seen(none.clone(), request(&grpc)).await;
    assert_eq!(
        (&headers["grpc-timeout"], left),
        (&HeaderValue::from_static("2000m"), Some(ms(2000)))
    );
    let (headers, _) = seen(layer(700), request(&grpc)).await;
    assert_eq!(headers["grpc-timeout"], "700m");
    let (headers, _) = seen(layer(700), request(&grpc[..1])).await;
    assert_eq!(headers["grpc-timeout"], "700m");
    let json = [("content-type", "application/json"), ("grpc-timeout", "2S")];
    let (headers, left) = seen(none, request(&json)).await;
    assert_eq!(
        (&headers["grpc-timeout"], left),
        (&HeaderValue::from_static("2S"), None)
    );
}

#[tokio::test(start_paused = true)]
async fn each_hop_tells_what_is_left_after_its_own_work() {
    let mut late = request(&[("x-envoy-expected-rq-timeout-ms", "9000")]);
    let deadline = Deadline(Instant::now() + ms(1000));
    body::Context::edit(&mut late, |context| context.shorten(deadline));
    sleep(ms(400)).await;
    let (headers, _) = seen(PropagateLayer::new(), late).await;
    assert_eq!(headers["x-envoy-expected-rq-timeout-ms"], "600");

    let own = request(&[("x-envoy-expected-rq-timeout-ms", "9000")]);
    let (headers, _) = seen(PropagateLayer::new(), own).await;
    assert!(headers.is_empty());
}

const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";

/// What the upstream does with one attempt.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Reads the whole request, and answers after this time with this status.
    Reads(u64, u16),
    /// Reads the whole request and says nothing.
    Hangs,
    /// Does not read and says nothing.
    Deaf,
    /// Answers before it reads.
    Early,
    /// Answers at once, and reads on.
    Duplex,
    /// Answers after the first part of the request, of which it reads no more.
    AfterOne,
}

/// What came of a request.
#[derive(Debug)]
struct Outcome {
    status: Option<u16>,
    /// How the call or its answer failed.
    failed: Option<Kind>,
    after: Duration,
    blamed: Option<Kind>,
    /// What each attempt was told.
    told: Vec<String>,
}

fn once() -> retry::Params {
    retry::Params::off()
}

/// A route with this timeout gets a request in parts, `gap` apart; an answer has ten parts, 30 ms apart.
async fn upload(
    timeout: u64,
    retries: retry::Params,
    body: Drip,
    headers: &[(&'static str, &'static str)],
    script: &[Then],
) -> Outcome {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (told_to, script) = (Arc::clone(&told), script.to_vec());
    let upstream = service_fn(move |request: Request<RequestBody>| {
        let mut told = told_to.lock().unwrap();
        let then = script[told.len()];
        let text = request.headers().get(EXPECTED);
        told.push(text.map_or("", |text| text.to_str().unwrap()).to_owned());
        async move {
            let mut body = request.into_body();
            let status = match then {
                Then::Reads(after, status) => {
                    body.collect().await?;
                    sleep(ms(after)).await;
                    status
                }
                Then::Hangs => {
                    body.collect().await?;
                    pending().await
                }
                Then::Deaf => pending().await,
                Then::Early => 200,
                Then::Duplex => {
                    tokio::spawn(body.collect());
                    200
                }
                Then::AfterOne => {
                    body.frame().await.unwrap()?;
                    // It waits for the second part for a while.
                    let _ = tokio::time::timeout(ms(10), body.frame()).await;
                    200
                }
            };
            let mut response = Response::new(Drip::new(10, ms(30)));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            Ok::<_, BoxError>(response)
        }
    });
    let service = ServiceBuilder::new()
        .layer(layer(timeout))
        .layer(CallLayer::new(call::Params::default()))
        .layer(RetryLayer::new(retries))
        .layer(PropagateLayer::new())
        .service(upstream);
    let mut request = Request::post("/upload").body(Body::new(body)).unwrap();
    for (name, value) in headers {
        if *name == ":path" {
            *request.uri_mut() = value.parse().unwrap();
        } else {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(*name, value);
        }
    }
    let given_up = CancelCause::default();
    body::Context::edit(&mut request, |context| {
        context.set_cancel_cause(given_up.clone())
    });
    request.extensions_mut().insert(Uploading);
    let begin = Instant::now();
    let (status, error) = match service.oneshot(request).await {
        Ok(response) => {
            let status = response.status().as_u16();
            (Some(status), response.into_body().collect().await.err())
        }
        Err(error) => (None, Some(error)),
    };
    let told = told.lock().unwrap().clone();
    Outcome {
        status,
        failed: error.as_ref().and_then(kind),
        after: begin.elapsed(),
        blamed: given_up.why(),
        told,
    }
}

const LATE: Option<Kind> = Some(Kind::DeadlineExceeded);

#[tokio::test(start_paused = true)]
async fn a_slow_upload_does_not_use_up_the_timeout() {
    for headers in [&[][..], &[(":path", "/v1/chat/completions")]] {
        let slow = || Drip::new(10, ms(90));
        let got = upload(400, once(), slow(), headers, &[Then::Reads(50, 200)]).await;
        assert_eq!((got.status, got.failed), (Some(200), None), "{got:?}");
        assert_eq!(got.after, ms(900 + 50 + 300));
        assert_eq!(got.told, ["400"], "the figure that is configured");
        // The whole time, from the request's end on.
        let got = upload(400, once(), slow(), headers, &[Then::Hangs]).await;
        assert_eq!((got.status, got.failed), (None, LATE));
        assert_eq!(got.after, ms(900 + 400), "{got:?}");
        assert_eq!(got.blamed, LATE, "that is the upstream's own");
        // And the whole answer.
        let got = upload(400, once(), slow(), headers, &[Then::Reads(350, 200)]).await;
        assert_eq!((got.status, got.failed), (Some(200), LATE));
        assert_eq!(got.after, ms(900 + 400), "{got:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_limit_counts_from_its_arrival() {
    let own = [
        [(EXPECTED, "500"), ("x-any", "1")],
        [
            ("content-type", "application/grpc"),
            ("grpc-timeout", "500m"),
        ],
        [("x-stainless-timeout", "0.5"), ("x-any", "1")],
    ];
    for headers in own {
        let got = upload(400, once(), Drip::new(10, ms(90)), &headers, &[Then::Hangs]).await;
        assert_eq!((got.status, got.failed), (None, LATE));
        assert_eq!((got.after, got.blamed), (ms(500), None), "{got:?}");
        assert_eq!(got.told, ["400"]);
        let quick = upload(400, once(), Drip::new(2, ms(30)), &headers, &[Then::Hangs]).await;
        assert_eq!((quick.after, quick.blamed), (ms(460), LATE), "{quick:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_has_the_timeout_from_the_start() {
    let got = upload(400, once(), Drip::new(10, ms(90)), &[], &[Then::Deaf]).await;
    assert_eq!((got.status, got.after, got.blamed), (None, ms(400), LATE));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_answers_early_is_served_and_bounded() {
    for (timeout, end) in [(400, None), (200, LATE)] {
        let body = || Drip::new(10, ms(90));
        let got = upload(timeout, once(), body(), &[], &[Then::Early]).await;
        assert_eq!((got.status, got.failed), (Some(200), end));
        assert_eq!(got.after, ms(timeout.min(300)));
        // Its time begins when it does not wait for the caller any more.
        let got = upload(timeout, once(), body(), &[], &[Then::AfterOne]).await;
        assert_eq!((got.status, got.failed), (Some(200), end));
        assert_eq!(got.after, ms(100 + timeout.min(300)), "{got:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_stops_sending_blames_nobody() {
    const STALLED: Option<Kind> = Some(Kind::UploadTimeout);
    // Parts that come in time count, however many there are; the silence after the last one does not last for ever.
    for (parts, after) in [(1, 400), (6, 5 * 399 + 400)] {
        let body = Drip::new(parts, ms(399)).stalled();
        let params = once().with_per_try_timeout(ms(100));
        let got = upload(400, params, body, &[], &[Then::Hangs; 2]).await;
        assert_eq!((got.status, got.failed), (None, STALLED), "{got:?}");
        assert_eq!((got.after, got.blamed), (ms(after), None));
        assert_eq!(got.told.len(), 1);
    }
    // A gRPC stream may be opened only to listen.
    let grpc = [("content-type", "application/grpc")];
    let got = upload(
        400,
        once(),
        Drip::new(2, ms(1_000_000)),
        &grpc,
        &[Then::Hangs],
    )
    .await;
    assert_eq!((got.after, got.blamed), (ms(2_000_400), LATE));
    // Nor is a caller hurried that listens to an answer.
    let got = upload(
        200,
        once(),
        Drip::new(2, ms(1_000_000)),
        &[],
        &[Then::Duplex],
    )
    .await;
    assert_eq!(
        (got.status, got.failed, got.after),
        (Some(200), None, ms(300))
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_spans_all_attempts_and_waits() {
    let backoff = retry::params::Backoff::from_base(ms(100)).with_jitter(false);
    let params = retry::Params::default()
        .with_retries(3)
        .with_retry_on(RetryOn::envoy("5xx").unwrap())
        .with_backoff(backoff);
    let script = [Then::Reads(100, 503), Then::Reads(0, 503), Then::Hangs];
    let body = || Drip::new(10, ms(90));
    let got = upload(450, params.clone(), body(), &[], &script).await;
    assert_eq!((got.status, got.failed), (None, LATE));
    assert_eq!((got.after, got.blamed), (ms(900 + 450), LATE), "{got:?}");
    assert_eq!(got.told, ["450", "250", "50"]);

    let mut params = params.with_per_try_timeout(ms(150));
    params.waits_out = true;
    let got = upload(450, params, body(), &[], &[Then::Hangs; 4]).await;
    assert_eq!((got.status, got.failed), (None, LATE));
    assert_eq!((got.after, got.told.len()), (ms(900 + 450), 2), "{got:?}");
    assert_eq!(got.told, ["150", "150"]);
}

#[tokio::test(start_paused = true)]
async fn of_nested_limits_the_sooner_counts() {
    for (outer, inner) in [(300, 1000), (1000, 300)] {
        let service = ServiceBuilder::new()
            .layer(layer(outer))
            .layer(layer(inner))
            .layer(RetryLayer::new(once()))
            .service(service_fn(|request: Request<RequestBody>| async move {
                let until = body::Context::until(&request);
                let left = |now| until.at(now).unwrap().left(now);
                assert_eq!(left(Instant::now()), ms(300));
                request.into_body().collect().await?;
                sleep(ms(100)).await;
                assert_eq!(left(Instant::now()), ms(200));
                pending::<()>().await;
                Ok::<_, BoxError>(empty())
            }));
        let mut request = Request::new(Body::new(Drip::new(5, ms(200))));
        request.extensions_mut().insert(Uploading);
        let begin = Instant::now();
        let error = service.oneshot(request).await.unwrap_err();
        assert_eq!((kind(&error), begin.elapsed()), (LATE, ms(1300)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_asked_again_after_it_was_done_fails() {
    for (limit, answers, first) in [
        (1000, true, None),
        (5, false, Some(Kind::DeadlineExceeded)),
        (0, false, Some(Kind::DeadlineExceeded)),
    ] {
        let mut service =
            layer(limit).layer(service_fn(move |_: Request<RequestBody>| async move {
                if !answers {
                    pending::<()>().await;
                }
                Ok::<_, BoxError>(empty())
            }));
        let mut call = Box::pin(service.call(Request::new(RequestBody::empty())));
        let answer = (&mut call).await;
        assert_eq!(answer.err().as_ref().and_then(kind), first);
        let again = (&mut call).await.map(|_| ()).unwrap_err();
        assert_eq!(kind(&again), Some(Kind::Internal));
    }
}

/// The clock tells the guards below whose limit an attempt ran into.
#[tokio::test(start_paused = true)]
async fn the_context_tells_why_an_attempt_was_dropped() {
    for (ours, theirs, after, why) in [
        (Some(100), None, 100, Some(Kind::DeadlineExceeded)),
        (Some(100), None, 99, None),
        (Some(100), Some("50"), 50, None),
        (Some(100), Some("500"), 100, Some(Kind::DeadlineExceeded)),
        (None, Some("50"), 50, None),
    ] {
        let reason = Arc::new(std::sync::Mutex::new(None));
        let seen = Arc::clone(&reason);
        let inner = service_fn(move |request: Request<RequestBody>| {
            *seen.lock().unwrap() = body::Context::reason_of(&request);
            pending::<Result<Response<Empty<Bytes>>, BoxError>>()
        });
        let params = Params::default();
        let layer = DeadlineLayer::new(match ours {
            Some(limit) => params.with_timeout(ms(limit)),
            None => params,
        });
        let mut request = Request::new(RequestBody::empty());
        if let Some(text) = theirs {
            request
                .headers_mut()
                .insert(EXPECTED, HeaderValue::from_static(text));
        }
        let call = layer.layer(inner).oneshot(request);
        let _ = tokio::time::timeout(ms(after), call).await;
        let reason = reason.lock().unwrap().clone().unwrap();
        assert_eq!(reason.why(), why, "{ours:?} {theirs:?} {after}");
    }
}
