//! Timeouts of ours blame the endpoint; a caller's impatience does not.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use llmesh::{
    balance::{self, Balance, Endpoint, EndpointSet},
    base::time::Instant,
    deadline::{self, DeadlineLayer},
    outlier,
    retry::{self, RetryLayer, RetryOn},
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// Two endpoints that never answer; half of them may be ejected.
fn silent() -> EndpointSet {
    let outlier = outlier::Params::default().with_max_ejection_percent(50);
    let set = EndpointSet::new("silent", balance::Params::default(), Some(outlier));
    set.update_from([
        ("127.0.0.1:1".parse().unwrap(), 1),
        ("127.0.0.1:2".parse().unwrap(), 1),
    ]);
    set
}

fn reach<B: Send + 'static>(
    _: &Arc<Endpoint>,
) -> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ use<B> {
    service_fn(|_: Request<B>| pending())
}

async fn calls<S>(mut service: S, times: usize, header: Option<&'static str>)
where
    S: Service<Request<Full<Bytes>>>,
{
    for _ in 0..times {
        let mut request = Request::new(Full::default());
        if let Some(value) = header {
            request
                .headers_mut()
                .insert("x-envoy-expected-rq-timeout-ms", value.parse().unwrap());
        }
        let Ok(ready) = service.ready().await else {
            panic!("not ready")
        };
        assert!(ready.call(request).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn five_per_try_timeouts_eject() {
    let set = silent();
    let retry_on = RetryOn::envoy("gateway-error").unwrap();
    let params = retry::Params::default()
        .with_retries(1)
        .with_retry_on(retry_on);
    let params = params.with_per_try_timeout(Duration::from_secs(1));
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(params))
        .service(Balance::new(set.clone(), reach));
    calls(service, 9, None).await;
    assert_eq!(set.ejections_active(Instant::now()), 1);
}

#[tokio::test(start_paused = true)]
async fn route_timeouts_eject() {
    let set = silent();
    let params = deadline::Params::default().with_timeout(Duration::from_millis(500));
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(params))
        .service(Balance::new(set.clone(), reach));
    calls(service, 10, None).await;
    assert_eq!(set.ejections_active(Instant::now()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_callers_short_deadline_ejects_nobody() {
    let set = silent();
    let params = deadline::Params::default().with_timeout(Duration::from_millis(500));
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(params))
        .service(Balance::new(set.clone(), reach));
    calls(service, 40, Some("5")).await;
    assert_eq!(set.ejections_active(Instant::now()), 0);
}
