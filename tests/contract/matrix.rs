//! The contract as a list of checks, each on a fresh service over a fresh probe.

use std::{error::Error as StdError, fmt, future::Future, pin::Pin, task::Poll, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use llmesh::{
    base::BoxError,
    body::Body,
    testing::{
        body::{Script, drain},
        probe::{ProbeLog, Readiness, Reply, ServiceProbe},
    },
};
use tokio_test::task;
use tower::{Service, ServiceExt};

/// What a service broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// Called an inner instance that had not become ready.
    Unready,
    /// Became ready, or called, while the inner service was not ready.
    IgnoresPending,
    /// Lost the wake-up of the inner service's readiness or answer.
    LosesWakeup,
    /// Called the inner service although its own call never came.
    CallsUnasked,
    /// Called the inner service although it failed to become ready, or hid that failure.
    HidesUnreadiness,
    /// Held the response head back until the body's end.
    HoldsBack,
    /// Inner work or a permit outlived the dropped future.
    OutlivesFuture,
    /// A permit was given back before the body's end, or not held at all.
    ReleasesEarly,
    /// The inner body or a permit outlived the dropped response body.
    OutlivesBody,
    /// A permit outlived the end of the body.
    KeepsAtEnd,
    /// Data or trailers are missing or changed.
    ChangesBody,
    /// The size hint or end of stream of the inner body is lost.
    LosesSize,
    /// The inner error is not among the sources.
    LosesSource,
    /// A broken body does not fail.
    HidesBodyError,
}

/// A service under test.
pub(crate) struct Subject<S> {
    make: Box<dyn Fn(ServiceProbe) -> S>,
    held: Option<Box<dyn Fn() -> u64>>,
    answers: bool,
}

/// The error that must stay visible.
#[derive(Debug)]
struct Marker;

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("marker")
    }
}

impl StdError for Marker {}

// === impl Subject ===

impl<S> Subject<S> {
    /// A service made over a probe.
    pub(crate) fn new(make: impl Fn(ServiceProbe) -> S + 'static) -> Self {
        Self {
            make: Box::new(make),
            held: None,
            answers: false,
        }
    }

    /// How many units (permits, in-flight counts) are out: one per request until its body is over.
    pub(crate) fn holds(mut self, held: impl Fn() -> u64 + 'static) -> Self {
        self.held = Some(Box::new(held));
        self
    }

    /// Errors come out as responses.
    pub(crate) fn answers(mut self) -> Self {
        self.answers = true;
        self
    }

    /// Whether this is an answer of the inner service rather than an error.
    fn served<B>(&self, answer: &Result<Response<B>, BoxError>) -> bool {
        let error = |response: &Response<B>| self.answers && response.status().is_server_error();
        answer.as_ref().is_ok_and(|response| !error(response))
    }

    fn held(&self, expected: u64) -> bool {
        self.held.as_ref().is_none_or(|held| held() == expected)
    }

    fn over(&self, reply: impl Fn(u64) -> Reply + Send + Sync + 'static) -> (S, ProbeLog) {
        let (probe, log) = ServiceProbe::new(reply);
        ((self.make)(probe), log)
    }
}

/// The breaches of a service; none if it keeps the contract.
///
/// That services, futures and bodies are `Send`, and services `Sync`, is checked by the bounds.
pub(crate) async fn breaches<S, R>(subject: Subject<S>) -> Vec<Breach>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let mut found = Vec::new();
    readiness(&subject, &mut found).await;
    attempts(&subject, &mut found).await;
    pending(&subject, &mut found).await;
    drops(&subject, &mut found).await;
    bodies(&subject, &mut found).await;
    errors(&subject, &mut found).await;
    found.dedup();
    found
}

/// Each call goes to the instance that became ready for it, however clones and originals are mixed.
async fn readiness<S: Under>(subject: &Subject<S>, found: &mut Vec<Breach>) {
    let (mut service, log) = subject.over(|_| Reply::ok(Script::chunks(["x"])));
    for _ in 0..2 {
        let _ = send(&mut service).await;
    }
    let ready = service.make_ready().await;
    let mut clone = service.clone();
    let _ = send(&mut clone).await;
    if ready.is_ok() {
        let _ = service.send().await;
    }
    let _ = send(&mut clone.clone()).await;
    expect(log.unready_calls() == 0, Breach::Unready, found);

    let (mut service, log) = subject.over(|_| Reply::hang());
    let _ = service.make_ready().await;
    drop(service.clone());
    drop(service);
    let clean = log.calls() == 0 && subject.held(0);
    expect(clean, Breach::CallsUnasked, found);
}

/// A layer that sends again becomes ready again.
async fn attempts<S: Under>(subject: &Subject<S>, found: &mut Vec<Breach>) {
    let (mut service, log) = subject.over(|call| match call {
        0 => Reply::response(Response::builder().status(503).body(Script::new()).unwrap()),
        1 => Reply::fail(Marker),
        _ => Reply::ok(Script::chunks(["x"])),
    });
    for _ in 0..3 {
        let _ = send(&mut service).await;
    }
    expect(log.unready_calls() == 0, Breach::Unready, found);
}

/// Waits for the inner service, in `poll_ready` or in the future, and is woken.
async fn pending<S: Under>(subject: &Subject<S>, found: &mut Vec<Breach>) {
    let (service, log) = subject.over(|_| Reply::ok(Script::chunks(["x"])));
    log.set_readiness(Readiness::Pending);
    let mut call = task::spawn(async move {
        let mut service = service;
        send(&mut service).await.is_some()
    });
    let early = call.poll().is_ready() || log.calls() > 0;
    expect(!early, Breach::IgnoresPending, found);
    log.set_readiness(Readiness::Ready);
    if !early {
        let served = call.is_woken() && call.poll() == Poll::Ready(true);
        expect(served, Breach::LosesWakeup, found);
    }

    let (mut service, _log) =
        subject.over(|_| Reply::ok(Script::chunks(["x"])).after(Duration::from_secs(1)));
    let answer = tokio::time::timeout(Duration::from_secs(2), send(&mut service)).await;
    expect(answer.is_ok(), Breach::LosesWakeup, found);
    drop(answer);

    let (mut service, log) = subject.over(|_| Reply::ok(Script::chunks(["x"])));
    log.set_readiness(Readiness::Failed);
    let served = match service.make_ready().await {
        Ok(()) => subject.served(&service.send().await),
        Err(_) => false,
    };
    let clean = !served && log.calls() == 0 && subject.held(0);
    expect(clean, Breach::HidesUnreadiness, found);
}

/// Dropping the future or the body ends the inner work and gives back what is held.
async fn drops<S: Under>(subject: &Subject<S>, found: &mut Vec<Breach>) {
    let (mut service, log) = subject.over(|_| Reply::hang());
    let _ = service.make_ready().await;
    let mut call = task::spawn(service.send());
    let _ = call.poll();
    expect(subject.held(1), Breach::ReleasesEarly, found);
    drop(call);
    settle().await;
    let clean = log.in_flight() == 0 && subject.held(0);
    expect(clean, Breach::OutlivesFuture, found);

    let (mut service, log) = subject.over(|_| Reply::ok(Script::chunks(["x"]).hang()));
    let answer = tokio::time::timeout(Duration::from_secs(60), send(&mut service)).await;
    let Ok(Some(mut body)) = answer else {
        return found.push(Breach::HoldsBack);
    };
    let _ = body.frame().await;
    expect(subject.held(1), Breach::ReleasesEarly, found);
    drop(body);
    settle().await;
    let clean = log.bodies().iter().all(|b| b.dropped()) && subject.held(0);
    expect(clean, Breach::OutlivesBody, found);
}

/// The body comes out as it went in.
async fn bodies<S: Under>(subject: &Subject<S>, found: &mut Vec<Breach>) {
    let wait = Duration::from_secs(1);
    let (mut service, _log) = subject.over(move |_| {
        let script = Script::chunks(["ab", "c"]).wait(wait).data("d");
        Reply::ok(script.trailer("x-end", "1"))
    });
    let Some(mut body) = send(&mut service).await else {
        return found.push(Breach::ChangesBody);
    };
    let drained = drain(&mut body).await;
    let whole = drained.data == b"abcd" && drained.trailers.is_some_and(|t| t["x-end"] == "1");
    expect(whole && drained.error.is_none(), Breach::ChangesBody, found);
    expect(subject.held(0), Breach::KeepsAtEnd, found);

    let (mut service, _log) = subject.over(|_| Reply::ok(Script::chunks(["ab", "c"]).sized()));
    let Some(mut body) = send(&mut service).await else {
        return found.push(Breach::ChangesBody);
    };
    let sized = body.size_hint().exact() == Some(3);
    let _ = (body.frame().await, body.frame().await);
    expect(sized && body.is_end_stream(), Breach::LosesSize, found);
    expect(subject.held(0), Breach::KeepsAtEnd, found);
}

/// Errors can be found by those above.
async fn errors<S: Under>(subject: &Subject<S>, found: &mut Vec<Breach>) {
    let (mut service, _log) = subject.over(|_| Reply::fail(Marker));
    let _ = service.make_ready().await;
    let kept = match service.send().await {
        Ok(response) => subject.answers && response.status().is_server_error(),
        Err(error) => !subject.answers && has_marker(&*error),
    };
    expect(kept, Breach::LosesSource, found);
    expect(subject.held(0), Breach::OutlivesFuture, found);

    let (mut service, _log) = subject.over(|_| Reply::ok(Script::chunks(["x"]).fail(Marker)));
    let error = match send(&mut service).await {
        Some(body) => drain(body).await.error,
        None => None,
    };
    expect(error.is_some(), Breach::HidesBodyError, found);
    let kept = error.is_none_or(|e| has_marker(&*e));
    expect(kept, Breach::LosesSource, found);
}

// === helpers ===

type AnyBody = Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>;
type AnyFuture = Pin<Box<dyn Future<Output = Result<Response<AnyBody>, BoxError>> + Send>>;

/// A service with its types erased on the outside, so that the checks need no bounds.
trait Under: Clone + Send + Sync + 'static {
    async fn make_ready(&mut self) -> Result<(), BoxError>;
    fn send(&mut self) -> AnyFuture;
}

impl<S, R> Under for S
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    async fn make_ready(&mut self) -> Result<(), BoxError> {
        self.ready().await.map(drop).map_err(Into::into)
    }

    fn send(&mut self) -> AnyFuture {
        let request = Request::builder()
            .method("POST")
            .uri("http://service/v1/chat/completions")
            .header("host", "service")
            .body(Body::from("{}"))
            .unwrap();
        let call = self.call(request);
        Box::pin(async move {
            let response = call.await.map_err(Into::into)?;
            Ok(response.map(|body| Box::pin(body.map_err(Into::into)) as AnyBody))
        })
    }
}

/// Ready, call, and the body of the answer.
async fn send<S: Under>(service: &mut S) -> Option<AnyBody> {
    service.make_ready().await.ok()?;
    service.send().await.ok().map(Response::into_body)
}

/// Lets spawned work run.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

fn expect(kept: bool, breach: Breach, found: &mut Vec<Breach>) {
    if !kept {
        found.push(breach);
    }
}

fn has_marker(error: &(dyn StdError + 'static)) -> bool {
    error.is::<Marker>() || error.source().is_some_and(has_marker)
}
