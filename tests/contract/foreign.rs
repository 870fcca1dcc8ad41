//! Layers of others between ours: what is held over the whole answer is given back exactly once, whatever they do to bodies and calls.

use std::{
    convert::Infallible,
    future::{self, Future},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use llmesh::{
    base::{BoxError, Ceiling, error},
    body::Body,
    breaker::{self, BreakerLayer},
    classify::{
        ClassifyLayer, HttpClassifier, Outcome,
        answer::{Ended, Guard, Guarded, How, OnEnd, ResponseBody},
    },
    limit::concurrency::ConcurrencyLayer,
    testing::{
        body::Script,
        probe::{ProbeLog, Reply, ServiceProbe},
    },
};
use tokio_test::task;
use tower::{
    Layer, Service, ServiceExt, timeout::TimeoutLayer, util::BoxCloneSyncService, util::MapRequest,
};

type Plain = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;
/// A layer of ours: applied once above and once below a foreign one.
type Ours = Box<dyn Fn(Plain) -> Plain>;

/// A type-erased service, as a foreign layer would see it.
fn plain<S, R>(service: S) -> Plain
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let service = service
        .map_err(Into::into)
        .map_response(|r| r.map(Body::new));
    BoxCloneSyncService::new(service)
}

/// What others put between two of our layers.
fn foreign(inner: &Plain) -> Vec<(&'static str, Plain)> {
    let timed = TimeoutLayer::new(Duration::from_secs(60)).layer(inner.clone());
    let wrapped = inner
        .clone()
        .map_response(|r: Response<Body>| r.map(|b| b.map_frame(|frame| frame)));
    let rebuilt = MapRequest::new(inner.clone(), |r: Request<Body>| {
        let (mut head, body) = r.into_parts();
        head.extensions.clear();
        Request::from_parts(head, body)
    });
    let spawned = {
        let inner = inner.clone();
        tower::service_fn(move |request| {
            // A caller that goes away ends the work.
            let mut call = tokio::task::JoinSet::new();
            call.spawn(inner.clone().oneshot(request));
            async move { call.join_next().await.unwrap()? }
        })
    };
    let hedged = {
        let inner = inner.clone();
        tower::service_fn(move |request: Request<Body>| {
            let uri = request.uri().clone();
            let (first, second) = (inner.clone(), inner.clone());
            async move {
                let again = Request::builder().uri(uri).body(Body::empty())?;
                tokio::select! {
                    answer = first.oneshot(request) => answer,
                    answer = second.oneshot(again) => answer,
                }
            }
        })
    };
    vec![
        ("nothing", inner.clone()),
        ("timeout", plain(timed)),
        ("map_response_body", plain(wrapped)),
        ("request rebuilt", plain(rebuilt)),
        ("spawned", plain(spawned)),
        ("hedge", plain(hedged)),
    ]
}

/// Stacks with a foreign layer between two of `ours`, over a scripted answer.
fn stacks(ours: &Ours, reply: fn() -> Reply) -> Vec<(&'static str, Plain, ProbeLog)> {
    let names = foreign(&ours(plain(ServiceProbe::new(move |_| reply()).0)));
    (0..names.len())
        .map(|i| {
            let (probe, log) = ServiceProbe::new(move |_| reply());
            let (name, middle) = foreign(&ours(plain(probe))).swap_remove(i);
            (name, ours(middle), log)
        })
        .collect()
}

async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

/// All ways in which a call can end, under every foreign layer: `held` is zero after each, and not before.
async fn given_back(ours: Ours, held: impl Fn() -> u64) {
    for (name, stack, _log) in stacks(&ours, || Reply::ok(Script::chunks(["a", "b"]).hang())) {
        let mut body = stack.oneshot(request()).await.unwrap().into_body();
        let _ = body.frame().await;
        settle().await;
        assert!(held() >= 2, "{name}: given back before the end");
        drop(body);
        settle().await;
        assert_eq!(held(), 0, "{name}: body dropped");
    }
    for (name, stack, _log) in stacks(&ours, || Reply::ok(Script::chunks(["a", "b"]))) {
        let body = stack.oneshot(request()).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ab", "{name}");
        settle().await;
        assert_eq!(held(), 0, "{name}: body read");
    }
    for (name, stack, _log) in stacks(&ours, || Reply::ok(Script::chunks(["a"]).fail("cut"))) {
        let body = stack.oneshot(request()).await.unwrap().into_body();
        assert!(body.collect().await.is_err(), "{name}");
        settle().await;
        assert_eq!(held(), 0, "{name}: body failed");
    }
    for (name, stack, _log) in stacks(&ours, || Reply::fail("no")) {
        assert!(stack.oneshot(request()).await.is_err(), "{name}");
        settle().await;
        assert_eq!(held(), 0, "{name}: no answer");
    }
    for (name, stack, log) in stacks(&ours, Reply::hang) {
        let mut call = task::spawn(stack.oneshot(request()));
        let _ = call.poll();
        settle().await;
        assert!(log.calls() > 0 && held() >= 2, "{name}: not under way");
        drop(call);
        settle().await;
        assert_eq!(held(), 0, "{name}: future dropped");
    }
}

fn request() -> Request<Body> {
    Request::new(Body::empty())
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_is_given_back_whatever_stands_between() {
    let ceiling = Ceiling::new(64);
    let layer = ConcurrencyLayer::new(ceiling.clone());
    given_back(
        Box::new(move |inner| plain(layer.layer(inner))),
        move || ceiling.used(),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_a_circuit_comes_back_whatever_stands_below() {
    let replies: [fn() -> Reply; 2] = [Reply::hang, || Reply::ok(Script::chunks(["a"]).hang())];
    for reply in replies {
        let names = foreign(&plain(ServiceProbe::new(move |_| reply()).0));
        for (name, below) in names {
            // Open for no time and with one probe: if that one is lost, all that come later are refused.
            let params = breaker::Params::default()
                .with_consecutive(Some(1))
                .with_open_for(Duration::ZERO, Duration::ZERO);
            let layer = BreakerLayer::new(params);
            let permit = layer.handle().try_acquire().unwrap();
            permit.finish(breaker::Outcome::Failure);
            let mut call = task::spawn(layer.layer(below).oneshot(request()));
            let answer = call.poll();
            assert!(layer.handle().try_acquire().is_err(), "{name}: not held");
            drop((call, answer));
            settle().await;
            assert!(layer.handle().try_acquire().is_ok(), "{name}: lost");
        }
    }
}

// === a gate of somebody else ===

/// What a gate heard, in order.
#[derive(Default)]
struct Ends {
    open: AtomicU64,
    heard: Mutex<Vec<(u64, How, Option<Outcome>)>>,
    panics: bool,
}

impl OnEnd for Ends {
    fn end(&self, token: u64, ended: &Ended<'_>) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        let outcome = ended.class.map(|class| class.outcome);
        self.heard.lock().unwrap().push((token, ended.how, outcome));
        assert!(!self.panics, "a hook that panics");
    }
}

#[derive(Clone)]
struct Gate<S>(S, Arc<Ends>, u64);

impl<S, B, R> Service<Request<B>> for Gate<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: 'static,
    R: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = Guarded<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.1.open.fetch_add(1, Ordering::Relaxed);
        let guard = Guard::new(self.1.clone(), self.2).with_reason_of(&request);
        Guarded::admitted(self.0.call(request), guard)
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_of_ones_own_is_given_back_whatever_stands_between() {
    let ends = Arc::new(Ends::default());
    let of = ends.clone();
    given_back(
        Box::new(move |inner| plain(Gate(inner, of.clone(), 1))),
        move || ends.open.load(Ordering::Relaxed),
    )
    .await;
}

/// Six gates in a row over one answer.
fn six(ends: &Arc<Ends>, inner: Plain) -> Plain {
    (1..=6).fold(inner, |inner, i| plain(Gate(inner, ends.clone(), i)))
}

#[tokio::test(start_paused = true)]
async fn gates_hear_of_the_end_once_and_the_inner_ones_first() {
    type Case = (fn() -> Reply, How, Option<Outcome>);
    let cases: [Case; 4] = [
        (
            || Reply::ok(Script::chunks(["a"])),
            How::Complete,
            Some(Outcome::Success),
        ),
        (
            || Reply::ok(Script::new()),
            How::Complete,
            Some(Outcome::Success),
        ),
        (
            || Reply::ok(Script::chunks(["a"]).fail("cut")),
            How::Broken,
            None,
        ),
        (|| Reply::fail("no"), How::Failed, None),
    ];
    for (reply, how, outcome) in cases {
        let ends = Arc::new(Ends::default());
        let stack = six(&ends, plain(ServiceProbe::new(move |_| reply()).0));
        if let Ok(response) = stack.oneshot(request()).await {
            let _ = response.into_body().collect().await;
        }
        let heard = ends.heard.lock().unwrap();
        let tokens: Vec<u64> = heard.iter().map(|h| h.0).collect();
        assert_eq!(tokens, [1, 2, 3, 4, 5, 6], "{how:?}");
        for (_, as_how, class) in heard.iter() {
            assert_eq!(*as_how, how);
            assert!(class.is_some() && (outcome.is_none() || *class == outcome));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_says_nothing_of_the_target() {
    let ends = Arc::new(Ends::default());
    let stack = six(
        &ends,
        plain(ServiceProbe::new(|_| Reply::ok(Script::chunks(["a"]).hang())).0),
    );
    drop(stack.oneshot(request()).await.unwrap());
    let stack = six(&ends, plain(ServiceProbe::new(|_| Reply::hang()).0));
    let mut call = task::spawn(stack.oneshot(request()));
    let _ = call.poll();
    drop(call);
    let heard = ends.heard.lock().unwrap();
    assert_eq!(heard.len(), 12);
    assert!(
        heard[..6]
            .iter()
            .all(|h| h.1 == How::Dropped && h.2.is_none())
    );
    assert!(
        heard[6..]
            .iter()
            .all(|h| h.1 == How::Abandoned && h.2.is_none())
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_leaves_the_others_told() {
    let (bad, good) = (
        Arc::new(Ends {
            panics: true,
            ..Ends::default()
        }),
        Arc::new(Ends::default()),
    );
    let probe = ServiceProbe::new(|_| Reply::ok(Script::chunks(["a"]).hang())).0;
    let inner = Gate(Gate(probe, bad.clone(), 1), good.clone(), 2);
    let ceiling = Ceiling::new(1);
    let stack = ConcurrencyLayer::new(ceiling.clone()).layer(inner);
    let body = stack.oneshot(request()).await.unwrap().into_body();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(body))).is_err());
    assert_eq!(bad.heard.lock().unwrap().len(), 1);
    assert_eq!(good.heard.lock().unwrap().len(), 1);
    assert_eq!((good.open.load(Ordering::Relaxed), ceiling.used()), (0, 0));
}

#[tokio::test]
async fn a_future_polled_after_its_end_fails_by_name() {
    let mut cx = Context::from_waker(Waker::noop());
    let answer = || future::ready(Ok::<_, Infallible>(Response::new(Body::empty())));
    let ends = Arc::new(Ends::default());
    ends.open.fetch_add(1, Ordering::Relaxed);
    let admitted = Guarded::admitted(answer(), Guard::new(ends.clone(), 1));
    let refused = Guarded::<future::Ready<Result<Response<Body>, Infallible>>>::refused("full");
    for future in [admitted, refused] {
        let mut future = pin!(future);
        assert!(future.as_mut().poll(&mut cx).is_ready());
        for _ in 0..2 {
            let Poll::Ready(Err(error)) = future.as_mut().poll(&mut cx) else {
                panic!("an answer, or none, after the end");
            };
            let kind = error::find(&*error).map(llmesh::base::Error::kind);
            assert_eq!(kind, Some(llmesh::base::Kind::Internal));
        }
    }
    assert_eq!(ends.heard.lock().unwrap().len(), 1);
}

// === the class ===

/// An answer that went through a classifier and then through one gate.
async fn judged(status: u16, ends: &Arc<Ends>) -> Response<ResponseBody> {
    let reply = move |_| {
        let head = Response::builder().status(status);
        Reply::response(head.body(Script::chunks(["a"])).unwrap())
    };
    let classify = ClassifyLayer::new(HttpClassifier::default());
    let inner = classify.layer(ServiceProbe::new(reply).0);
    let gate = Gate(inner, ends.clone(), 1);
    gate.oneshot(request()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_class_of_an_attempt_is_in_its_body_and_told_at_the_end() {
    for status in [200, 400, 429, 503] {
        let ends = Arc::new(Ends::default());
        let body = judged(status, &ends).await.into_body();
        let outcome = body.class().map(|class| class.outcome);
        assert_eq!(outcome.map(|o| o == Outcome::Success), Some(status == 200));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "a");
        let heard = ends.heard.lock().unwrap();
        assert_eq!(*heard, [(1, How::Complete, outcome)], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_was_certain_counts_though_the_reader_goes_away() {
    for (status, counts) in [(503, true), (200, false)] {
        let ends = Arc::new(Ends::default());
        let response = judged(status, &ends).await;
        let outcome = response.body().class().map(|class| class.outcome);
        drop(response);
        let told = outcome.filter(|_| counts);
        let heard = ends.heard.lock().unwrap();
        assert_eq!(*heard, [(1, How::Dropped, told)], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_body_hides_the_class_but_not_from_the_guards_above() {
    let (below, above) = (Arc::new(Ends::default()), Arc::new(Ends::default()));
    let of = below.clone();
    let inner = tower::service_fn(move |_: Request<Body>| {
        let ends = of.clone();
        async move { Ok::<_, Infallible>(judged(503, &ends).await) }
    });
    let wrapped = inner.map_response(|r| r.map(|b| b.map_frame(|frame| frame)));
    let response = Gate(wrapped, above.clone(), 2).oneshot(request()).await;
    let body = response.unwrap().into_body();
    assert_eq!(body.class(), None);
    drop(body);
    let (below, above) = (below.heard.lock().unwrap(), above.heard.lock().unwrap());
    assert!(below[0].2.is_some());
    assert_eq!(above[0], (2, below[0].1, below[0].2));
}
