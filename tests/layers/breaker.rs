//! The breaker layer.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::VecDeque,
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use llmesh::{
    base::{BoxError, Error, Kind, error, error::ConnectFailure, ext::CancelCause},
    breaker::{Breaker, BreakerLayer, Params, State},
    classify::{Class, Classified, Outcome, Signal, http::HttpClassifier, service::Classify},
};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt, service_fn};

/// A body that gives these chunks, then fails, or ends if there is no failure to come.
#[derive(Debug, Default)]
pub(crate) struct Script {
    chunks: VecDeque<&'static str>,
    failure: Option<Error>,
}

impl Script {
    pub(crate) fn chunks(chunks: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            chunks: chunks.into_iter().collect(),
            failure: None,
        }
    }

    pub(crate) fn then_fail(mut self, kind: Kind) -> Self {
        self.failure = Some(kind.into());
        self
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let chunk = self.chunks.pop_front();
        Poll::Ready(match chunk {
            Some(chunk) => Some(Ok(Frame::data(chunk.into()))),
            None => self.failure.take().map(Err),
        })
    }
}

pub(crate) fn status(code: u16) -> Response<Script> {
    let mut response = Response::new(Script::chunks(["x"]));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

pub(crate) fn reset() -> Kind {
    Kind::Reset {
        reason: error::ResetReason::Terminated,
        sent: true,
    }
}

pub(crate) fn classified(outcome: Outcome, code: u16) -> Response<Script> {
    let mut response = status(code);
    let signal = Signal::Response {
        status: response.status(),
        grpc_status: None,
        ratelimited: false,
    };
    let class = Classified::default();
    class.set_head(Class::new(outcome, signal));
    class.set_end(Class::new(outcome, signal));
    response.extensions_mut().insert(class);
    response
}

const SECOND: Duration = Duration::from_secs(1);

fn params() -> Params {
    Params::default()
        .with_consecutive(Some(3))
        .with_open_for(SECOND, 60 * SECOND)
}

/// Calls and reads the body to its end.
async fn call<S, R>(service: S) -> Result<StatusCode, BoxError>
where
    S: Service<Request<()>, Response = Response<R>, Error = BoxError>,
    R: Body<Error = BoxError>,
{
    let response = service.oneshot(Request::new(())).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}

#[tokio::test(start_paused = true)]
async fn opens_on_the_third_failure_and_calls_nothing_while_open() {
    let calls = Arc::new(AtomicUsize::new(0));
    let layer = BreakerLayer::new(params());
    let service = layer.layer(service_fn(|_: Request<()>| {
        let calls = Arc::clone(&calls);
        async move {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok::<_, BoxError>(status(503))
        }
    }));
    for _ in 0..3 {
        assert_eq!(layer.handle().state(), State::Closed);
        assert_eq!(call(service.clone()).await.unwrap(), 503);
    }
    assert_eq!(layer.handle().state(), State::Open);
    advance(SECOND / 4).await;
    for _ in 0..100 {
        let error = call(service.clone()).await.unwrap_err();
        let error = error::find(&*error).unwrap();
        assert_eq!(error.kind(), Kind::CircuitOpen);
        assert_eq!(error.retry_after(), Some(SECOND * 3 / 4));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert_eq!(
        (layer.handle().opened(), layer.handle().rejected()),
        (1, 100)
    );
}

fn scripted(
    answers: impl IntoIterator<Item = Response<Script>> + 'static,
) -> impl Service<
    Request<()>,
    Response = Response<Script>,
    Error = BoxError,
    Future = impl Future<Output = Result<Response<Script>, BoxError>>,
> {
    let mut answers = answers.into_iter().collect::<VecDeque<_>>();
    service_fn(move |_: Request<()>| {
        let next = answers.pop_front();
        async move { Ok(next.unwrap_or_else(|| status(200))) }
    })
}

async fn drive<S, R>(service: &mut S) -> Result<StatusCode, BoxError>
where
    S: Service<Request<()>, Response = Response<R>, Error = BoxError>,
    R: Body<Error = BoxError>,
{
    let response = service.ready().await?.call(Request::new(())).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}

#[tokio::test(start_paused = true)]
async fn a_success_breaks_a_row_of_failures() {
    let layer = BreakerLayer::new(params());
    let codes = [500, 500, 200, 500, 500, 200, 200, 500, 500, 500];
    let mut service = layer.layer(scripted(codes.map(status)));
    for n in 1..=10 {
        assert_eq!(layer.handle().state(), State::Closed, "before {n}");
        drive(&mut service).await.unwrap();
    }
    assert_eq!(layer.handle().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_dies_is_a_failure_whatever_its_status() {
    let dying = || Response::new(Script::chunks(["a", "b"]).then_fail(reset()));
    let layer = BreakerLayer::new(params());
    let mut service = layer.layer(scripted((0..3).map(move |_| dying())));
    for _ in 0..2 {
        assert!(drive(&mut service).await.is_err());
    }
    let third = service.ready().await.unwrap();
    let mut body = third.call(Request::new(())).await.unwrap().into_body();
    for _ in 0..2 {
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(layer.handle().state(), State::Closed);
    }
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(layer.handle().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn the_class_decides_and_only_blame_counts() {
    let fail = || classified(Outcome::StreamError, 200);
    let neutral = [
        classified(Outcome::RateLimited, 429),
        classified(Outcome::InvalidRequest, 500),
        classified(Outcome::QuotaExhausted, 429),
        classified(Outcome::Auth, 401),
    ];
    let layer = BreakerLayer::new(params());
    let answers = [fail(), fail()].into_iter().chain(neutral).chain([fail()]);
    let mut service = layer.layer(scripted(answers.collect::<Vec<_>>()));
    for _ in 0..6 {
        drive(&mut service).await.unwrap();
        assert_eq!(layer.handle().state(), State::Closed);
    }
    drive(&mut service).await.unwrap();
    assert_eq!(layer.handle().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_mistakes_of_callers_leave_it_closed() {
    let layer = BreakerLayer::new(params());
    let kinds = [
        Kind::BadRequest,
        Kind::BodyTooLarge,
        Kind::Canceled,
        Kind::Overflow,
    ];
    for n in 0..1_000 {
        let kind = kinds[n % kinds.len()];
        let service = service_fn(move |_: Request<()>| async move {
            if n % 5 == 0 {
                Ok(status(400))
            } else {
                Err(Error::new(kind))
            }
        });
        let _ = call(layer.layer(service)).await;
    }
    assert_eq!(layer.handle().state(), State::Closed);
    assert_eq!(layer.handle().opened(), 0);
}

async fn half_open(layer: &BreakerLayer) {
    let refused = Kind::Connect(ConnectFailure::Refused);
    let failing =
        service_fn(
            move |_: Request<()>| async move { Err::<Response<Script>, _>(Error::new(refused)) },
        );
    for _ in 0..3 {
        assert!(call(layer.layer(failing)).await.is_err());
    }
    assert_eq!(layer.handle().state(), State::Open);
    advance(SECOND).await;
    assert_eq!(layer.handle().state(), State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn sixty_four_callers_make_exactly_k_trial_calls() {
    let layer = BreakerLayer::new(params().with_probes(3));
    half_open(&layer).await;
    let slow = service_fn(|_: Request<()>| async {
        tokio::time::sleep(SECOND).await;
        Ok::<_, BoxError>(status(200))
    });
    let callers: Vec<_> = (0..64)
        .map(|_| tokio::spawn(call(layer.layer(slow))))
        .collect();
    let mut admitted = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(status) => {
                assert_eq!(status, 200);
                admitted += 1;
            }
            Err(error) => {
                let error = error::find(&*error).unwrap();
                assert_eq!(error.kind(), Kind::CircuitOpen);
                assert_eq!(error.retry_after(), None);
            }
        }
    }
    assert_eq!(admitted, 3);
    assert_eq!(layer.handle().state(), State::Closed);
}

/// A call that never gets an answer.
fn hung(layer: &BreakerLayer) -> impl Future<Output = Result<(), BoxError>> {
    let silent = service_fn(|_: Request<()>| pending::<Result<Response<Script>, BoxError>>());
    let call = layer.layer(silent).oneshot(Request::new(()));
    async move { call.await.map(|_| ()) }
}

#[tokio::test(start_paused = true)]
async fn trial_permits_come_back_when_their_callers_leave() {
    let layer = BreakerLayer::new(params().with_probes(2));
    half_open(&layer).await;
    for round in 0..1_000 {
        let (mut first, mut second) = (Box::pin(hung(&layer)), Box::pin(hung(&layer)));
        assert!(futures_pending(&mut first).await && futures_pending(&mut second).await);
        assert!(hung(&layer).await.is_err(), "round {round}");
        drop((first, second));
        // A caller that leaves while the body runs.
        let streaming = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(status(200)) });
        let response = layer.layer(streaming).oneshot(Request::new(())).await;
        drop(response.unwrap());
        assert_eq!(layer.handle().state(), State::HalfOpen);
    }
    // It still works.
    let good = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(status(200)) });
    for _ in 0..2 {
        call(layer.layer(good)).await.unwrap();
    }
    assert_eq!(layer.handle().state(), State::Closed);
}

async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
}

#[tokio::test(start_paused = true)]
async fn an_attempt_dropped_for_our_timeout_is_a_failure() {
    let layer = BreakerLayer::new(params());
    for n in 0..3 {
        assert_eq!(layer.handle().state(), State::Closed, "{n}");
        let given_up = CancelCause::default();
        let mut request = Request::new(());
        llmesh::body::Context::edit(&mut request, |context| {
            context.set_cancel_cause(given_up.clone())
        });
        let silent = service_fn(|_: Request<()>| pending::<Result<Response<Script>, BoxError>>());
        let mut call = Box::pin(layer.layer(silent).oneshot(request));
        assert!(futures_pending(&mut call).await);
        given_up.set(Some(Kind::AttemptTimeout));
        drop(call);
    }
    assert_eq!(layer.handle().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_late_success_of_before_does_not_close_it() {
    let layer = BreakerLayer::new(params());
    let slow = service_fn(|_: Request<()>| async {
        tokio::time::sleep(SECOND / 2).await;
        Ok::<_, BoxError>(status(200))
    });
    let begin = Instant::now();
    let late = tokio::spawn(call(layer.layer(slow)));
    tokio::task::yield_now().await;
    half_open(&layer).await;
    assert_eq!(late.await.unwrap().unwrap(), 200);
    assert!(begin.elapsed() >= SECOND / 2);
    assert_eq!(layer.handle().state(), State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn clones_share_a_circuit_and_layers_do_not() {
    let (one, other) = (BreakerLayer::new(params()), BreakerLayer::new(params()));
    let clone = one.clone();
    half_open(&one).await;
    assert_eq!(clone.handle().state(), State::HalfOpen);
    assert_eq!(other.handle().state(), State::Closed);
    one.handle().close();
    assert_eq!(clone.handle().state(), State::Closed);
    let service: Breaker<()> = clone.layer(());
    assert_eq!(service.handle().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn new_parameters_apply_to_the_running_circuit() {
    let layer = BreakerLayer::new(params());
    let mut service = layer.layer(scripted((0..9).map(|_| status(500))));
    for _ in 0..2 {
        drive(&mut service).await.unwrap();
    }
    layer
        .handle()
        .set_params(params().with_consecutive(Some(6)));
    for _ in 0..3 {
        drive(&mut service).await.unwrap();
    }
    assert_eq!(layer.handle().state(), State::Closed);
    drive(&mut service).await.unwrap();
    assert_eq!(layer.handle().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn over_a_classifier_a_stream_given_up_for_our_timeout_is_a_failure_too() {
    let layer = BreakerLayer::new(params());
    for why in [None, Some(Kind::IdleTimeout)] {
        for n in 0..3 {
            assert_eq!(layer.handle().state(), State::Closed, "{n}");
            let given_up = CancelCause::default();
            let mut request = Request::new(());
            llmesh::body::Context::edit(&mut request, |context| {
                context.set_cancel_cause(given_up.clone())
            });
            let endless = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(status(200)) });
            let endpoint = Classify::new(endless, HttpClassifier::default());
            let response = layer.layer(endpoint).oneshot(request).await.unwrap();
            given_up.set(why);
            drop(response);
        }
    }
    assert_eq!(layer.handle().state(), State::Open);
}
