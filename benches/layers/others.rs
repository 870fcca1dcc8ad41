//! The layers of others: tower's own, and tower-resilience's.

use std::{future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::runtime::Runtime;
use tower::{
    Layer, ServiceBuilder,
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

use super::{Leaf, harness::Subject, subject};

type Sent = Request<Full<Bytes>>;
type Got = Response<Full<Bytes>>;

/// Sends again what was answered with 5xx or 429, up to three times, out of a budget.
#[derive(Clone)]
struct Again {
    left: u32,
    budget: Arc<TpsBudget>,
}

impl<E> Policy<Sent, Got, E> for Again {
    type Future = future::Ready<()>;

    fn retry(&mut self, _: &mut Sent, result: &mut Result<Got, E>) -> Option<Self::Future> {
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
    let timeout = || TimeoutLayer::new(Duration::from_secs(30));
    let limit = || ConcurrencyLimitLayer::new(1000);
    let again = || {
        RetryLayer::new(Again {
            left: 3,
            budget: Arc::new(TpsBudget::default()),
        })
    };
    vec![
        subject(rt, "the bare leaf again", Leaf),
        subject(rt, "tower: timeout", timeout().layer(Leaf)),
        subject(rt, "tower: retry with budget", again().layer(Leaf)),
        subject(rt, "tower: concurrency limit", limit().layer(Leaf)),
        subject(rt, "tower: load shed", LoadShedLayer::new().layer(Leaf)),
        subject(
            rt,
            "tower: all four",
            ServiceBuilder::new()
                .layer(timeout())
                .layer(again())
                .layer(LoadShedLayer::new())
                .layer(limit())
                .service(Leaf),
        ),
        subject(rt, "tower-resilience: time limiter", limiter().layer(Leaf)),
        subject(rt, "tower-resilience: retry", retries().layer(Leaf)),
        subject(rt, "tower-resilience: breaker", breaker().layer(Leaf)),
        subject(rt, "tower-resilience: bulkhead", bulkhead().layer(Leaf)),
        subject(
            rt,
            "tower-resilience: all four",
            ServiceBuilder::new()
                .layer(limiter())
                .layer(retries())
                .layer(breaker())
                .layer(bulkhead())
                .service(Leaf),
        ),
    ]
}

fn limiter() -> TimeLimiterLayer {
    TimeLimiterLayer::builder()
        .timeout_duration(Duration::from_secs(30))
        .build()
}

fn retries<E: Send + Sync + 'static>() -> Retries<Sent, Got, E> {
    Retries::builder().max_attempts(4).build()
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
