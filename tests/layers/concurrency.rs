//! The request ceiling.

#![cfg(feature = "test-util")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use llmesh::{
    base::{BoxError, Ceiling, Error, Kind, error},
    limit::concurrency::{Concurrency, ConcurrencyLayer},
    testing::{
        body::{Script, drain},
        probe::{ProbeLog, Reply, ServiceProbe},
    },
};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt};

fn limited(
    limit: u64,
    script: impl Fn(u64) -> Reply + Send + Sync + 'static,
) -> (Concurrency<ServiceProbe>, Ceiling, ProbeLog) {
    let (probe, log) = ServiceProbe::new(script);
    let ceiling = Ceiling::new(limit);
    let layer = ConcurrencyLayer::new(ceiling.clone());
    (layer.layer(probe), ceiling, log)
}

async fn send<S>(service: &mut S) -> S::Future
where
    S: Service<Request<()>, Error = BoxError>,
{
    service.ready().await.unwrap().call(Request::new(()))
}

fn kind(error: &BoxError) -> Option<Kind> {
    error::find(&**error).map(Error::kind)
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_in_flight_until_its_last_byte() {
    let body = || Script::chunks(["token", "token"]).sized();
    let (service, ceiling, log) = limited(1, move |_| Reply::ok(body()));
    let streaming = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(ceiling.used(), 1, "headers are not the end");

    let refused = service.clone().oneshot(Request::new(())).await;
    assert_eq!(kind(&refused.unwrap_err()), Some(Kind::Overflow));
    assert_eq!((log.calls(), ceiling.refused()), (1, 1));

    let mut body = streaming.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(ceiling.used(), 1);
    body.frame().await.unwrap().unwrap();
    assert_eq!(ceiling.used(), 0);
    service.oneshot(Request::new(())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_body_and_a_dropped_future_give_the_permit_back() {
    let (mut service, ceiling, log) = limited(1, |call| match call {
        0 => Reply::ok(Script::new().data("token").hang()),
        _ => Reply::hang(),
    });
    drop(send(&mut service).await.await.unwrap());
    assert_eq!(ceiling.used(), 0);

    let mut future = task::spawn(send(&mut service).await);
    assert_pending!(future.poll());
    assert_eq!(ceiling.used(), 1);
    drop(future);
    assert_eq!((ceiling.used(), log.dropped_futures()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_gives_the_permit_back_and_keeps_its_error() {
    let (service, ceiling, _log) = limited(1, |_| Reply::fail(Error::new(Kind::Internal)));
    let error = service.oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::Internal));
    assert_eq!(ceiling.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn never_more_in_flight_than_the_ceiling_which_may_move() {
    let wait = Duration::from_secs(1);
    let (service, ceiling, log) = limited(3, move |_| {
        Reply::ok(Script::new().wait(wait).data("x").sized()).after(wait)
    });
    let burst = || async {
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let call = service.clone().oneshot(Request::new(()));
                tokio::spawn(
                    async move { Ok::<_, BoxError>(drain(call.await?.into_body()).await.data) },
                )
            })
            .collect();
        let mut served = 0;
        for call in calls {
            served += u32::from(call.await.unwrap().is_ok());
        }
        served
    };
    assert_eq!((burst().await, log.peak()), (3, 3));
    ceiling.set_limit(5);
    assert_eq!((burst().await, log.peak()), (5, 5));
    ceiling.set_limit(0);
    assert_eq!((burst().await, ceiling.used()), (0, 0));
}
