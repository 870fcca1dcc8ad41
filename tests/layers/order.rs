//! Orders of layers that compile and break a promise are told in debug builds; right ones are not.

use std::time::Duration;

use http::{Request, Response};
use llmesh::{
    base::BoxError,
    body::{Body, RequestBody},
    breaker::{self, BreakerLayer},
    callers::CallersLayer,
    classify::ClassifyLayer,
    deadline::{self, DeadlineLayer, PropagateLayer},
    fallback::{OwnKey, OwnKeyed},
    limit::tokens::{self, TokenLimitLayer},
    llm::LlmClassifier,
    retry::{self, RetryLayer},
    stream::StreamLayer,
    trace::{self, InjectLayer, TraceLayer},
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// What a stack says of its order at its first request: nothing, or the words of its refusal.
async fn said<S, R>(stack: S) -> Option<String>
where
    S: Service<Request<Body>, Response = Response<R>> + Send + 'static,
    S::Error: std::fmt::Debug + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    let request = Request::post("http://llm/v1/chat/completions").body(Body::from("{}"));
    let sent = tokio::spawn(stack.oneshot(request.unwrap())).await;
    let refused = sent.err()?.into_panic();
    let text = refused.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| refused.downcast_ref::<&str>().unwrap().to_string()))
}

async fn answer<B>(_: Request<B>) -> Result<Response<Body>, BoxError> {
    Ok(Response::new(Body::from("{}")))
}

fn retries() -> RetryLayer {
    RetryLayer::new(retry::Params::default())
}

fn classified() -> ClassifyLayer<LlmClassifier> {
    ClassifyLayer::new(LlmClassifier::default())
}

fn timed() -> DeadlineLayer {
    DeadlineLayer::new(deadline::Params::default().with_timeout(Duration::from_secs(1)))
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_an_attempt_is_refused_above_its_repetition() {
    let inner = || service_fn(answer::<RequestBody>);
    let below = |why: Option<String>, words: &str| {
        let why = why.unwrap();
        assert!(
            why.starts_with("wrong order of layers: ") && why.contains(words),
            "{why}"
        );
    };
    let stack = ServiceBuilder::new().layer(classified()).layer(retries());
    below(
        said(stack.service(inner())).await,
        "put ClassifyLayer below",
    );
    let stack = ServiceBuilder::new()
        .layer(InjectLayer::new())
        .layer(retries());
    below(said(stack.service(inner())).await, "put InjectLayer below");
    let stack = ServiceBuilder::new()
        .layer(PropagateLayer::new())
        .layer(retries());
    below(
        said(stack.service(inner())).await,
        "promise time that is gone",
    );
    let stack = ServiceBuilder::new().layer(retries()).layer(timed());
    below(
        said(stack.service(inner())).await,
        "put DeadlineLayer above",
    );
}

#[tokio::test(start_paused = true)]
async fn who_depends_on_a_class_is_refused_below_who_makes_it() {
    let inner = || service_fn(answer::<Body>);
    let breaker = BreakerLayer::new(breaker::Params::default());
    let stack = ServiceBuilder::new().layer(classified()).layer(breaker);
    let why = said(stack.service(inner())).await.unwrap();
    assert!(why.contains("put ClassifyLayer below"), "{why}");
    let stack = ServiceBuilder::new()
        .layer(StreamLayer::default())
        .layer(classified());
    let why = said(stack.service(inner())).await.unwrap();
    assert!(why.contains("put StreamLayer below"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn callers_are_known_before_they_are_counted_and_their_keys_are_gone() {
    let inner = || service_fn(answer::<Body>);
    let callers = || CallersLayer::new([], |_| None);
    let limit = || TokenLimitLayer::new(tokens::Params::default());
    let keyed = OwnKeyed::new(OwnKey::default(), None, "outbound|443||llm");
    let own = move |request: Request<Body>| keyed.apply(request);
    let stack = ServiceBuilder::new()
        .map_response(|r: Response<_>| r.map(Body::new))
        .layer(limit())
        .layer(callers());
    let why = said(stack.service(inner())).await.unwrap();
    assert!(
        why.contains("TokenLimitLayer stands above CallersLayer"),
        "{why}"
    );
    let stack = ServiceBuilder::new()
        .map_request(own.clone())
        .layer(callers());
    let why = said(stack.service(inner())).await.unwrap();
    assert!(why.contains("OwnKeyed stands above CallersLayer"), "{why}");
    let stack = ServiceBuilder::new()
        .map_response(|r: Response<_>| r.map(Body::new))
        .map_request(own.clone())
        .layer(limit());
    let why = said(stack.service(inner())).await.unwrap();
    assert!(
        why.contains("OwnKeyed stands above TokenLimitLayer"),
        "{why}"
    );
    let right = ServiceBuilder::new()
        .map_response(|r: Response<_>| r.map(Body::new))
        .layer(callers())
        .layer(limit())
        .map_request(own);
    assert_eq!(said(right.service(inner())).await, None);
}

#[tokio::test(start_paused = true)]
async fn right_orders_and_calls_inside_calls_pass() {
    let right = ServiceBuilder::new()
        .layer(timed())
        .layer(retries())
        .layer(InjectLayer::new())
        .layer(PropagateLayer::new())
        .layer(BreakerLayer::new(breaker::Params::default()))
        .layer(classified())
        .layer(StreamLayer::default())
        .service(service_fn(answer::<RequestBody>));
    assert_eq!(said(right).await, None);
    // A call of its own begins at TRACE: what stands above belongs to another.
    let nested = ServiceBuilder::new()
        .layer(classified())
        .layer(InjectLayer::new())
        .layer(TraceLayer::new(trace::Params::default()))
        .layer(retries())
        .service(service_fn(answer::<RequestBody>));
    assert_eq!(said(nested).await, None);
    // With a deadline over all, one of a single target may be shorter.
    let shorter = ServiceBuilder::new()
        .layer(timed())
        .layer(retries())
        .layer(timed())
        .service(service_fn(answer::<RequestBody>));
    assert_eq!(said(shorter).await, None);
}
