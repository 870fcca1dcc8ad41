//! The layers of others: tower's own, and tower-resilience's.

use std::{convert::Infallible, future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tokio::runtime::Runtime;
use tower::{
    Layer, Service, ServiceBuilder,
    limit::ConcurrencyLimitLayer,
    load_shed::LoadShedLayer,
    retry::{
        Policy, RetryLayer,
        budget::{Budget, TpsBudget},
    },
    timeout::TimeoutLayer,
};
use tower_resilience::{
    bulkhead::BulkheadLayer, circuitbreaker::CircuitBreakerLayer, retry::RetryLayer as Retries,
    timelimiter::TimeLimiterLayer,
};

use super::{Call, Leaf, harness::Subject, subject, subject_of};

type Sent = Request<Full<Bytes>>;

/// Sends again what was answered with 5xx or 429, up to three times, out of a budget.
#[derive(Clone)]
struct Again {
    left: u32,
    budget: Arc<TpsBudget>,
}

impl<R, E> Policy<Sent, Response<R>, E> for Again {
    type Future = future::Ready<()>;

    fn retry(&mut self, _: &mut Sent, result: &mut Result<Response<R>, E>) -> Option<Self::Future> {
        let failed = match result {
            Ok(response) => {
                response.status().is_server_error()
                    || response.status() == StatusCode::TOO_MANY_REQUESTS
            }
            Err(_) => true,
        };
        if !failed {
            self.budget.deposit();
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        self.budget.withdraw().then(|| future::ready(()))
    }

    fn clone_request(&mut self, request: &Sent) -> Option<Sent> {
        Some(request.clone())
    }
}

pub(super) fn subjects(rt: &Runtime) -> Vec<Subject<'_>> {
    vec![
        subject(rt, "the bare leaf again", Leaf),
        subject(rt, "tower: timeout", timeout().layer(Leaf)),
        subject(rt, "tower: retry with budget", again().layer(Leaf)),
        subject(rt, "tower: concurrency limit", limit().layer(Leaf)),
        subject(rt, "tower: load shed", LoadShedLayer::new().layer(Leaf)),
        subject(rt, "tower: all four", tower(Leaf)),
        subject(rt, "tower-resilience: time limiter", limiter().layer(Leaf)),
        subject(rt, "tower-resilience: retry", retries().layer(Leaf)),
        subject(rt, "tower-resilience: breaker", breaker().layer(Leaf)),
        subject(rt, "tower-resilience: bulkhead", bulkhead().layer(Leaf)),
        subject(rt, "tower-resilience: all four", resilience(Leaf)),
    ]
}

/// Both stacks over another leaf.
pub(super) fn stacks<'a, L, R>(rt: &'a Runtime, name: &str, leaf: L, call: Call) -> [Subject<'a>; 2]
where
    L: Service<Sent, Response = Response<R>, Error = Infallible> + Clone + Send + Sync + 'static,
    L::Future: Send,
    R: Body<Data = Bytes> + Send + 'static,
{
    let (theirs, others) = (tower(leaf.clone()), resilience(leaf));
    [
        subject_of(rt, call, &format!("{name}: tower, all four"), theirs),
        subject_of(
            rt,
            call,
            &format!("{name}: tower-resilience, all four"),
            others,
        ),
    ]
}

pub(super) fn tower<L, R>(leaf: L) -> impl Service<Sent, Response = Response<R>>
where
    L: Service<Sent, Response = Response<R>, Error = Infallible> + Clone,
{
    ServiceBuilder::new()
        .layer(timeout())
        .layer(again())
        .layer(LoadShedLayer::new())
        .layer(limit())
        .service(leaf)
}

pub(super) fn resilience<L, R>(leaf: L) -> impl Service<Sent, Response = Response<R>>
where
    L: Service<Sent, Response = Response<R>, Error = Infallible> + Clone + Send + Sync + 'static,
    L::Future: Send,
    R: Send + 'static,
{
    ServiceBuilder::new()
        .layer(limiter())
        .layer(retries())
        .layer(breaker())
        .layer(bulkhead())
        .service(leaf)
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::new(Duration::from_secs(30))
}

fn limit() -> ConcurrencyLimitLayer {
    ConcurrencyLimitLayer::new(1000)
}

fn again() -> RetryLayer<Again> {
    // A budget that pays for every retry.
    let budget = TpsBudget::new(Duration::from_secs(10), 10, 1.0);
    RetryLayer::new(Again {
        left: 3,
        budget: Arc::new(budget),
    })
}

fn limiter() -> TimeLimiterLayer {
    TimeLimiterLayer::builder()
        .timeout_duration(Duration::from_secs(30))
        .build()
}

fn retries<R: 'static, E: Send + Sync + 'static>() -> Retries<Sent, Response<R>, E> {
    Retries::builder()
        .max_attempts(4)
        .fixed_backoff(Duration::ZERO)
        .retry_on_response(|response: &Response<R>| response.status().is_server_error())
        .build()
}

pub(super) fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::builder()
        .build()
        .expect("its own defaults")
}

fn bulkhead() -> BulkheadLayer {
    BulkheadLayer::builder()
        .max_concurrent_calls(1000)
        .reject_when_full()
        .build()
        .expect("a bulkhead")
}
