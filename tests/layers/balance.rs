//! The balance layer.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, Request, Response};
use http_body_util::BodyExt;
use llmesh::{
    balance::{
        Balance, BalanceLayer, Dial, Endpoint, EndpointSet, EwmaParams, HashKey, HashTable, Params,
        Policy,
    },
    base::{
        BoxError, Error, Kind, SharedRng, error,
        error::ConnectFailure,
        ext::{CancelCause, EndpointRef, Record, Tried},
    },
    classify::{Class, Classified, Hint, Outcome, Signal},
    outlier,
};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, ServiceExt, service_fn, util::BoxService};

use crate::breaker::{Script, reset, status};

type Answer = Result<Response<Script>, Error>;

/// Reaches endpoints that answer as `answer` says of their port.
#[derive(Clone)]
struct Upstreams(Arc<dyn Fn(u16) -> Answer + Send + Sync>);

impl Dial for Upstreams {
    type Service = BoxService<Request<()>, Response<Script>, Error>;

    fn dial(&self, endpoint: &Arc<Endpoint>) -> Self::Service {
        let (port, answer) = (endpoint.address().port(), Arc::clone(&self.0));
        BoxService::new(service_fn(move |request: Request<()>| {
            let sent_to = request.extensions().get::<EndpointRef>().unwrap().0;
            assert_eq!(sent_to.port(), port);
            let answer = answer(port);
            async move { answer }
        }))
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn filled(params: Params, outlier: Option<outlier::Params>, ports: u16) -> EndpointSet {
    let set = EndpointSet::new("outbound|80||llm", params, outlier);
    set.update_from((1..=ports).map(|port| (address(port), 1)));
    set
}

fn balance(
    set: &EndpointSet,
    answer: impl Fn(u16) -> Answer + Send + Sync + 'static,
) -> Balance<Upstreams> {
    BalanceLayer::new(set.clone())
        .with_rng(SharedRng::seeded(7))
        .layer(Upstreams(Arc::new(answer)))
}

/// Calls, reads the body to its end, and returns the port that served.
async fn port(service: &Balance<Upstreams>) -> Result<u16, BoxError> {
    let response = service.clone().oneshot(Request::new(())).await?;
    let port = response.extensions().get::<EndpointRef>().unwrap().0.port();
    response.into_body().collect().await?;
    Ok(port)
}

fn half() -> outlier::Params {
    outlier::Params::default()
        .with_consecutive_gateway(5)
        .with_max_ejection_percent(50)
}

#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_is_left_alone_for_30_s_and_tried_again_after_the_sweep() {
    let set = filled(Params::default(), Some(half()), 3);
    let bad = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&bad);
    let service = balance(&set, move |port| {
        if port == 2 {
            counted.fetch_add(1, Ordering::Relaxed);
            return Ok(status(503));
        }
        Ok(status(200))
    });
    for _ in 0..300 {
        port(&service).await.unwrap();
    }
    assert_eq!(bad.load(Ordering::Relaxed), 5);
    advance(Duration::from_millis(29_999)).await;
    for _ in 0..300 {
        assert_ne!(port(&service).await.unwrap(), 2);
    }
    advance(Duration::from_millis(1)).await;
    for _ in 0..300 {
        port(&service).await.unwrap();
    }
    assert_eq!(bad.load(Ordering::Relaxed), 10);
}

#[tokio::test(start_paused = true)]
async fn where_all_fail_half_stay_in_service() {
    let set = filled(Params::default(), Some(half()), 4);
    let service = balance(&set, |_| Err(Kind::Connect(ConnectFailure::Refused).into()));
    for _ in 0..500 {
        let error = port(&service).await.unwrap_err();
        let kind = error::find(&*error).unwrap().kind();
        assert_eq!(kind, Kind::Connect(ConnectFailure::Refused));
    }
    assert_eq!(set.ejections_active(Instant::now()), 2);
    assert_eq!(set.outlier_stats().ejections_total.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_an_endpoint_it_says_so() {
    let set = filled(Params::default(), None, 0);
    let error = port(&balance(&set, |_| Ok(status(200)))).await.unwrap_err();
    let error = error::find(&*error).unwrap();
    assert_eq!(error.kind(), Kind::NoEndpoints);
    assert!(error.to_string().ends_with("cluster outbound|80||llm"));
}

#[tokio::test(start_paused = true)]
async fn in_flight_until_the_body_is_over_however_it_ends() {
    let set = filled(Params::default(), None, 1);
    let endpoint = set.endpoints().swap_remove(0);
    let service = balance(&set, |_| Ok(status(200)));
    let response = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(endpoint.in_flight(), 1);
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(endpoint.in_flight(), 1);
    assert!(body.frame().await.is_none());
    assert_eq!(endpoint.in_flight(), 0);
    // Dropped with the body unread, and before the head.
    drop(service.clone().oneshot(Request::new(())).await.unwrap());
    assert_eq!(endpoint.in_flight(), 0);
    let call = Balance::new(set, |_: &Arc<Endpoint>| {
        service_fn(|_: Request<()>| async {
            sleep(Duration::from_secs(9)).await;
            Ok::<_, Infallible>(status(200))
        })
    })
    .oneshot(Request::new(()));
    let early = tokio::time::timeout(Duration::from_secs(1), call).await;
    assert!(early.is_err());
    assert_eq!(endpoint.in_flight(), 0);
    assert_eq!(endpoint.stats().rq_total.get(), 3);
    assert_eq!(endpoint.stats().rq_success.get(), 2);
    assert_eq!(endpoint.stats().rq_error.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn attempts_of_one_request_go_to_different_endpoints_and_are_noted() {
    let set = filled(Params::new(Policy::RoundRobin), None, 4);
    let service = balance(&set, |_| Ok(status(503)));
    let (tried, record) = (Tried::default(), Record::default());
    for _ in 0..4 {
        let mut request = Request::new(());
        llmesh::body::Context::edit(&mut request, |context| {
            context.set_tried(Some(tried.clone()))
        });
        request.extensions_mut().insert(record.clone());
        let response = service.clone().oneshot(request).await.unwrap();
        let served = response.extensions().get::<EndpointRef>().unwrap().0;
        assert_eq!(tried.all().last(), Some(&served));
        assert_eq!(record.snapshot().endpoint, Some(served));
    }
    assert_eq!(tried.all().into_iter().collect::<BTreeSet<_>>().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn sessions_stick_and_only_the_ejected_endpoints_sessions_move() {
    let key = HashKey::Header(HeaderName::from_static("x-session-id"));
    let table = HashTable::default();
    let params = Params::new(Policy::ConsistentHash { key, table });
    let set = filled(params, Some(half()), 4);
    let owners = async |service: &Balance<Upstreams>| {
        let mut owners = Vec::new();
        for session in 0..200 {
            let request = Request::builder().header("x-session-id", session);
            let call = service.clone().oneshot(request.body(()).unwrap());
            let response = call.await.unwrap();
            owners.push(response.extensions().get::<EndpointRef>().unwrap().0.port());
        }
        owners
    };
    let service = balance(&set, |_| Ok(status(200)));
    let before = owners(&service).await;
    let endpoint = set.endpoints().swap_remove(1);
    for _ in 0..5 {
        set.record(&endpoint, outlier::Observation::Failure, Instant::now());
    }
    for (a, b) in before.iter().zip(owners(&service).await) {
        assert!(b != 2 && (*a == b || *a == 2));
    }
    advance(Duration::from_secs(30)).await;
    assert_eq!(before, owners(&service).await);
}

#[tokio::test(start_paused = true)]
async fn a_cookie_that_was_made_comes_with_the_response_and_leads_back() {
    let key = HashKey::Cookie {
        name: "affinity".to_owned(),
        path: None,
        ttl: Some(Duration::from_secs(60)),
    };
    let table = HashTable::Maglev { size: 251 };
    let set = filled(Params::new(Policy::ConsistentHash { key, table }), None, 8);
    let service = balance(&set, |_| Ok(status(200)));
    let response = service.clone().oneshot(Request::new(())).await.unwrap();
    let first = *response.extensions().get::<EndpointRef>().unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, " Max-Age=60; HttpOnly");
    for _ in 0..20 {
        let request = Request::builder().header("cookie", pair).body(()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.extensions().get::<EndpointRef>(), Some(&first));
        assert!(!response.headers().contains_key("set-cookie"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_dropped_for_our_timeout_counts_against_its_endpoint() {
    let set = filled(Params::default(), Some(half()), 2);
    let silent = Balance::new(set.clone(), |_: &Arc<Endpoint>| {
        service_fn(|_: Request<()>| std::future::pending::<Result<Response<Script>, Infallible>>())
    });
    // Callers that go away are nobody's fault; our own timeouts are the endpoint's.
    for (why, ejected) in [(None, 0), (Some(Kind::AttemptTimeout), 1)] {
        for _ in 0..20 {
            let given_up = CancelCause::default();
            let mut request = Request::new(());
            llmesh::body::Context::edit(&mut request, |context| {
                context.set_cancel_cause(given_up.clone())
            });
            let mut call = Box::pin(silent.clone().oneshot(request));
            tokio::select! {
                _ = &mut call => {}
                () = sleep(Duration::from_millis(1)) => given_up.set(why),
            }
        }
        assert_eq!(set.ejections_active(Instant::now()), ejected);
    }
    let timeouts = set
        .endpoints()
        .iter()
        .map(|e| e.stats().rq_timeout.get())
        .sum::<u64>();
    assert_eq!(timeouts, 20);
}

#[tokio::test(start_paused = true)]
async fn peak_ewma_takes_a_failure_for_a_long_latency() {
    let params = Params::new(Policy::PeakEwma(EwmaParams::default()));
    let set = filled(params, None, 2);
    let service = balance(&set, |port| match port {
        1 => Ok(status(429)),
        _ => Ok(status(200)),
    });
    let mut served = Vec::new();
    for _ in 0..100 {
        served.push(port(&service).await.unwrap());
        advance(Duration::from_millis(10)).await;
    }
    assert!(
        served.iter().filter(|p| **p == 1).count() <= 1,
        "{served:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn counters_tell_success_error_and_timeout_apart() {
    let set = filled(Params::default(), None, 1);
    let kinds = [
        Kind::AttemptTimeout,
        reset(),
        Kind::Overflow,
        Kind::Canceled,
    ];
    for kind in kinds {
        assert!(
            port(&balance(&set, move |_| Err(kind.into())))
                .await
                .is_err()
        );
    }
    for code in [200, 404, 500] {
        port(&balance(&set, move |_| Ok(status(code))))
            .await
            .unwrap();
    }
    let endpoint = set.endpoints().swap_remove(0);
    let stats = endpoint.stats();
    assert_eq!(stats.rq_total.get(), 7);
    assert_eq!(stats.rq_success.get(), 2);
    assert_eq!(stats.rq_error.get(), 3);
    assert_eq!(stats.rq_timeout.get(), 1);
    assert_eq!(stats.rq_active.get(), 0);
}

/// The estimate of the only endpoint after one answer, in seconds.
async fn estimate_after(answer: impl Fn() -> Response<Script> + Send + Sync + 'static) -> f64 {
    let ewma = EwmaParams::default();
    let set = filled(Params::new(Policy::PeakEwma(ewma)), None, 1);
    port(&balance(&set, move |_| Ok(answer()))).await.unwrap();
    set.endpoints()[0].load().estimate(&ewma, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_failure_weighs_as_its_penalty_or_the_wait_the_provider_asks_for() {
    let class = |outcome| {
        let response = status(200);
        let signal = Signal::Response {
            status: response.status(),
            grpc_status: None,
            ratelimited: false,
        };
        Class::new(outcome, signal)
    };
    let carrying = |classified: Classified| {
        let mut response = status(200);
        response.extensions_mut().insert(classified);
        response
    };
    // An error that shows inside the stream.
    let late = estimate_after(move || {
        let classified = Classified::default();
        classified.set_end(class(Outcome::StreamError));
        carrying(classified)
    });
    assert_eq!(late.await, 5.0);
    let hinted = estimate_after(move || {
        let mut class = class(Outcome::RateLimited);
        class.hint = Some(Hint {
            wait: Duration::from_secs(20),
            source: "retry-after",
        });
        let classified = Classified::default();
        classified.set_head(class);
        carrying(classified)
    });
    assert_eq!(hinted.await, 20.0);
    // The caller's mistake says nothing.
    let mistake = estimate_after(|| status(400)).await;
    assert_eq!(mistake, EwmaParams::default().default_rtt.as_secs_f64());
}
