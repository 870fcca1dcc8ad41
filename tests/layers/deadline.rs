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
        ext::{Deadline, Flag, GivenUp, Patience, Record},
        time::{Instant, sleep},
    },
    deadline::{DeadlineLayer, Params, PropagateLayer, Stats},
};
use tower::{Layer, Service, ServiceExt, service_fn};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn layer(timeout: u64) -> DeadlineLayer {
    DeadlineLayer::new(Params::default().with_timeout(ms(timeout)))
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
    timer: Pin<Box<tokio::time::Sleep>>,
    dropped: Arc<AtomicBool>,
}

impl Drip {
    fn new(left: u32, gap: Duration) -> Self {
        Self {
            left,
            gap,
            timer: Box::pin(sleep(gap)),
            dropped: Arc::default(),
        }
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
    let service =
        layer(300)
            .with_stats(Arc::clone(&stats))
            .layer(service_fn(move |_: Request<()>| {
                let guard = SetOnDrop(Arc::clone(&flag));
                async move {
                    let _guard = guard;
                    pending::<()>().await;
                    Ok::<_, BoxError>(empty())
                }
            }));
    let begin = Instant::now();
    let mut call = tokio_test::task::spawn(service.oneshot(Request::new(())));
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
    let service = layer(100).layer(service_fn(|_: Request<()>| async {
        sleep(ms(50)).await;
        Ok::<_, BoxError>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
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
    let service =
        layer(100)
            .with_stats(Arc::clone(&stats))
            .layer(service_fn(move |_: Request<()>| {
                let flag = Arc::clone(&flag);
                async move {
                    sleep(ms(40)).await;
                    let mut body = Drip::new(10, ms(25));
                    body.dropped = flag;
                    Ok::<_, BoxError>(Response::new(body))
                }
            }));
    let mut request = Request::new(());
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
        let given_up = GivenUp::default();
        let mut request = Request::new(());
        let patience = HeaderValue::from_static("0.1");
        request
            .headers_mut()
            .insert("x-stainless-read-timeout", patience);
        request.extensions_mut().insert(given_up.clone());
        let layer = DeadlineLayer::new(limit.map_or_else(Params::default, |limit| {
            Params::default().with_timeout(ms(limit))
        }));
        let service = layer.layer(service_fn(move |request: Request<()>| async move {
            let patience = request.extensions().get::<Patience>().unwrap();
            assert_eq!(patience.0 - Instant::now(), ms(100));
            sleep(ms(delay)).await;
            Ok::<_, BoxError>(Response::new(Drip::new(10, ms(50))))
        }));
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
    let service =
        layer(100)
            .with_stats(Arc::clone(&stats))
            .layer(service_fn(|_: Request<()>| async {
                Ok::<_, BoxError>(Response::new(Drip::new(3, ms(10))))
            }));
    let record = Record::default();
    for finish in [true, false] {
        let mut request = Request::new(());
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
    let service =
        layer(100)
            .with_stats(Arc::clone(&stats))
            .layer(service_fn(|_: Request<()>| async {
                let body = Full::new(Bytes::new()).map_err(|never| match never {});
                let broken = http_body_util::BodyExt::with_trailers(body, async {
                    Some(Err::<HeaderMap, BoxError>("broken".into()))
                });
                Ok::<_, BoxError>(Response::new(broken))
            }));
    let response = service.oneshot(Request::new(())).await.unwrap();
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
        .layer(service_fn(move |_: Request<()>| {
            seen.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, BoxError>(empty()) }
        }));
    let mut request = Request::new(());
    request.extensions_mut().insert(Deadline(Instant::now()));
    let error = service.oneshot(request).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::DeadlineExceeded));
    assert_eq!((calls.load(Ordering::SeqCst), stats.timeouts.get()), (0, 1));
}

/// What the innermost service gets to see.
async fn seen<L>(layer: L, request: Request<()>) -> (HeaderMap, Option<Duration>)
where
    L: Layer<tower::util::BoxCloneService<Request<()>, Response<Empty<Bytes>>, BoxError>>,
    L::Service: Service<Request<()>>,
    <L::Service as Service<Request<()>>>::Error: std::fmt::Debug,
{
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let inner = service_fn(move |request: Request<()>| {
        let deadline = request.extensions().get::<Deadline>().copied();
        let left = deadline.map(|d| d.left(Instant::now()));
        let _ = tx.send((request.headers().clone(), left));
        async { Ok::<_, BoxError>(empty()) }
    });
    let inner = tower::util::BoxCloneService::new(inner);
    assert!(layer.layer(inner).oneshot(request).await.is_ok());
    rx.recv().await.unwrap()
}

fn request(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        request
            .headers_mut()
            .insert(*name, HeaderValue::from_static(value));
    }
    request
}

#[tokio::test(start_paused = true)]
async fn the_callers_limit_may_shorten_ours_and_is_told_on() {
    const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";
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
    late.extensions_mut().insert(deadline);
    sleep(ms(400)).await;
    let (headers, _) = seen(PropagateLayer::new(), late).await;
    assert_eq!(headers["x-envoy-expected-rq-timeout-ms"], "600");

    let own = request(&[("x-envoy-expected-rq-timeout-ms", "9000")]);
    let (headers, _) = seen(PropagateLayer::new(), own).await;
    assert!(headers.is_empty());
}
