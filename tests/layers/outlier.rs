//! The outlier layer.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{future::pending, time::Duration};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use llmesh::{
    base::{BoxError, Error, Kind, error, error::ConnectFailure, ext::CancelCause},
    classify::{Classified, Outcome},
    outlier::{Group, OutlierLayer, Params},
};
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

use crate::breaker::{Script, classified, reset, status};

const SECOND: Duration = Duration::from_secs(1);

fn half() -> Params {
    Params::default()
        .with_consecutive_gateway(5)
        .with_max_ejection_percent(50)
}

fn members(group: &Group, count: usize) -> Vec<OutlierLayer> {
    (0..count).map(|i| group.layer(format!("e{i}"))).collect()
}

/// Calls a member whose upstream answers so, and reads the body.
async fn answer(
    member: &OutlierLayer,
    answer: Result<Response<Script>, Kind>,
) -> Result<StatusCode, BoxError> {
    let mut answer = Some(answer);
    let inner = service_fn(move |_: Request<()>| {
        let answer = answer.take().unwrap();
        async move { answer.map_err(Error::new) }
    });
    let response = member.layer(inner).oneshot(Request::new(())).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}

fn kind(result: &Result<StatusCode, BoxError>) -> Option<Kind> {
    let error = result.as_ref().err()?;
    error::find(&**error).map(Error::kind)
}

#[tokio::test(start_paused = true)]
async fn ejected_after_exactly_five_and_back_at_the_sweep_after_30_s() {
    let group = Group::new(half());
    let members = members(&group, 3);
    advance(3 * SECOND).await;
    for _ in 0..5 {
        assert_eq!(group.ejections_active(), 0);
        assert_eq!(answer(&members[0], Ok(status(503))).await.unwrap(), 503);
    }
    assert_eq!(group.ejections_active(), 1);
    // Out at 3 s, for 30 s, until the sweep at 40 s.
    for left in [30, 20, 10, 0] {
        let error = answer(&members[0], Ok(status(200))).await.unwrap_err();
        let error = error::find(&*error).unwrap();
        assert_eq!(error.kind(), Kind::NoEndpoints);
        assert_eq!(error.retry_after(), Some(left * SECOND));
        advance(if left > 0 { 10 } else { 6 } * SECOND).await;
    }
    advance(SECOND).await;
    assert_eq!(answer(&members[0], Ok(status(200))).await.unwrap(), 200);
    assert_eq!(group.ejections_active(), 0);
}

#[tokio::test(start_paused = true)]
async fn connect_failures_resets_and_our_timeouts_count_as_gateway_errors() {
    let only_gateway = half()
        .with_consecutive_5xx(0)
        .with_max_ejection_percent(100);
    let group = Group::new(only_gateway);
    let member = group.layer("e");
    for kind in [
        Kind::Connect(ConnectFailure::Refused),
        reset(),
        Kind::AttemptTimeout,
        Kind::UpstreamProtocol,
    ] {
        assert!(answer(&member, Err(kind)).await.is_err());
    }
    let given_up = CancelCause::default();
    let mut request = Request::new(());
    llmesh::body::Context::edit(&mut request, |context| {
        context.set_cancel_cause(given_up.clone())
    });
    let silent = service_fn(|_: Request<()>| pending::<Result<Response<Script>, BoxError>>());
    let call = member.layer(silent).oneshot(request);
    assert!(
        tokio::time::timeout(SECOND, async {
            let mut call = Box::pin(call);
            tokio::select! {
                _ = &mut call => {}
                () = tokio::time::sleep(SECOND / 2) => given_up.set(Some(Kind::AttemptTimeout)),
            }
        })
        .await
        .is_ok()
    );
    assert_eq!(group.ejections_active(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_upstreams_fault_never_counts() {
    let group = Group::new(half().with_max_ejection_percent(100));
    let member = group.layer("e");
    let kinds = [
        Kind::BadRequest,
        Kind::BodyTooLarge,
        Kind::Canceled,
        Kind::Overflow,
        Kind::RateLimited,
        Kind::FaultAbort(503),
        Kind::CircuitOpen,
    ];
    for n in 0..1_000 {
        let _ = answer(&member, Err(kinds[n % kinds.len()])).await;
        let mistake = classified(Outcome::InvalidRequest, 500);
        assert_eq!(answer(&member, Ok(mistake)).await.unwrap(), 500);
        // Dropped by its caller.
        let silent = service_fn(|_: Request<()>| pending::<Result<Response<Script>, BoxError>>());
        let call = member.layer(silent).oneshot(Request::new(()));
        let _ = tokio::time::timeout(SECOND / 1000, call).await;
    }
    assert_eq!(group.ejections_active(), 0);
}

#[tokio::test(start_paused = true)]
async fn all_failing_respects_half() {
    let group = Group::new(half());
    let members = members(&group, 3);
    let mut refused = 0;
    for _ in 0..100 {
        for member in &members {
            let result = answer(member, Ok(status(500))).await;
            refused += usize::from(kind(&result) == Some(Kind::NoEndpoints));
            assert!(group.ejections_active() <= 1);
        }
    }
    assert_eq!(refused, 95);
    assert!(group.stats().ejections_overflow.get() > 0);
}

#[tokio::test(start_paused = true)]
async fn thirty_percent_of_three_never_ejects() {
    let group = Group::new(
        Params::default()
            .with_consecutive_gateway(3)
            .with_max_ejection_percent(30),
    );
    let members = members(&group, 3);
    for _ in 0..100 {
        assert_eq!(answer(&members[0], Ok(status(503))).await.unwrap(), 503);
    }
    assert_eq!(group.ejections_active(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_counts_after_the_head_set_the_row_to_zero() {
    let group = Group::new(half().with_max_ejection_percent(100));
    let member = group.layer("e");
    let dying = || Response::new(Script::chunks(["a"]).then_fail(reset()));
    for _ in 0..20 {
        assert!(answer(&member, Ok(dying())).await.is_err());
    }
    // Each head was a 200: as in Envoy, no row of failures.
    assert_eq!(group.ejections_active(), 0);
    for _ in 0..4 {
        assert_eq!(answer(&member, Ok(status(500))).await.unwrap(), 500);
    }
    assert_eq!(group.ejections_active(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_left_does_not_count_in_the_share() {
    let group = Group::new(half());
    let mut members = members(&group, 2);
    drop(members.pop());
    for _ in 0..5 {
        assert_eq!(answer(&members[0], Ok(status(500))).await.unwrap(), 500);
    }
    // One of one is more than half.
    assert_eq!(group.ejections_active(), 0);
}

/// An answer whose class is decided by its body.
fn open(code: u16, end: Outcome) -> Response<Script> {
    let mut response = classified(end, code);
    let end = response.extensions().get::<Classified>().unwrap().end();
    let undecided = Classified::default();
    undecided.set_end(end.unwrap().clone());
    response.extensions_mut().insert(undecided);
    response
}

#[tokio::test(start_paused = true)]
async fn an_error_is_counted_when_its_body_has_shown_whose_it_is() {
    let group = Group::new(half().with_max_ejection_percent(100));
    let member = group.layer("e");
    for _ in 0..20 {
        let mistake = open(500, Outcome::InvalidRequest);
        assert_eq!(answer(&member, Ok(mistake)).await.unwrap(), 500);
    }
    assert_eq!(group.ejections_active(), 0);
    for _ in 0..4 {
        let fault = open(500, Outcome::ServerError);
        assert_eq!(answer(&member, Ok(fault)).await.unwrap(), 500);
    }
    // A stream that has begun well ends the row at its head, however long it runs.
    let mut stream = Some(open(200, Outcome::Success));
    let inner = service_fn(move |_: Request<()>| {
        let stream = stream.take().unwrap();
        async move { Ok::<_, BoxError>(stream) }
    });
    let running = member.layer(inner).oneshot(Request::new(())).await;
    for n in 1..=5 {
        assert_eq!(group.ejections_active(), 0, "{n}");
        let fault = open(500, Outcome::ServerError);
        assert_eq!(answer(&member, Ok(fault)).await.unwrap(), 500);
    }
    assert_eq!(group.ejections_active(), 1);
    drop(running);
}
