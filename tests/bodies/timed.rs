use std::{pin::Pin, time::Duration};

use http_body::Body;
use http_body_util::BodyExt;
use llmesh::{
    base::{Kind, time::Instant},
    body::Timed,
    testing::body::{Script, ScriptedBody, drain},
};

use crate::{kind, next};

const SECOND: Duration = Duration::from_secs(1);

fn deadline(script: Script, after: Duration) -> Pin<Box<Timed<ScriptedBody>>> {
    let at = Instant::now() + after;
    Box::pin(Timed::deadline(script.body(), at, Kind::DeadlineExceeded))
}

fn idle(script: Script, gap: Duration) -> Pin<Box<Timed<ScriptedBody>>> {
    Box::pin(Timed::idle(script.body(), gap, Kind::IdleTimeout))
}

#[tokio::test(start_paused = true)]
async fn a_deadline_cuts_a_body_that_flows_at_the_instant() {
    let script = (0..100).fold(Script::new(), |s, _| s.wait(SECOND).data("x"));
    let (inner, watch) = script.watched();
    let begin = Instant::now();
    let at = begin + SECOND * 3 + SECOND / 2;
    let drained = drain(Timed::deadline(inner, at, Kind::AttemptTimeout)).await;
    assert_eq!(drained.data, b"xxx");
    assert_eq!(kind(&drained.error.unwrap()), Some(Kind::AttemptTimeout));
    assert_eq!(Instant::now(), at);
    assert!(watch.dropped());
}

#[tokio::test(start_paused = true)]
async fn the_inner_body_is_dropped_when_time_is_up_not_with_the_wrapper() {
    let (inner, watch) = Script::new().hang().watched();
    let mut body = Box::pin(Timed::idle(inner, SECOND, Kind::IdleTimeout));
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(kind(&error), Some(Kind::IdleTimeout));
    assert!(watch.dropped());
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_end_at_the_deadline_wins() {
    for script in [
        Script::new().wait(SECOND),
        Script::new().wait(SECOND).data("x").sized(),
        Script::new().wait(SECOND).trailer("x-end", "1"),
    ] {
        assert!(drain(deadline(script, SECOND)).await.error.is_none());
    }
    let script = Script::new().wait(SECOND).fail("broken");
    let error = drain(deadline(script, SECOND)).await.error.unwrap();
    assert_eq!(error.to_string(), "broken", "so does a failure of its own");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_meets_its_deadline_too() {
    let mut body = deadline(Script::chunks(["a", "b", "c"]), SECOND);
    next(&mut body).await;
    tokio::time::advance(SECOND).await;
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(kind(&error), Some(Kind::DeadlineExceeded));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_lets_a_finished_body_through() {
    let body = deadline(Script::chunks(["a"]).sized(), Duration::ZERO);
    assert_eq!(drain(body).await.data, b"a");
}

#[tokio::test(start_paused = true)]
async fn an_idle_gap_is_counted_anew_after_each_frame() {
    let script = (0..100).fold(Script::new(), |s, _| s.wait(SECOND).data("x"));
    let begin = Instant::now();
    let drained = drain(idle(script.wait(SECOND * 9).data("late"), SECOND * 2)).await;
    assert_eq!(drained.data.len(), 100);
    assert_eq!(kind(&drained.error.unwrap()), Some(Kind::IdleTimeout));
    assert_eq!(begin.elapsed(), SECOND * 102);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_an_idle_upstream() {
    let script = Script::chunks(["a"]).wait(SECOND).data("b");
    let mut body = idle(script, SECOND * 2);
    next(&mut body).await;
    tokio::time::advance(SECOND * 60).await;
    assert_eq!(next(&mut body).await, "b");
}

#[tokio::test(start_paused = true)]
async fn empty_frames_are_silence() {
    let script = (0..10).fold(Script::new(), |s, _| s.wait(SECOND).data(""));
    let begin = Instant::now();
    let error = drain(idle(script, SECOND * 3)).await.error.unwrap();
    assert_eq!(kind(&error), Some(Kind::IdleTimeout));
    assert_eq!(begin.elapsed(), SECOND * 3);
}

#[tokio::test(start_paused = true)]
async fn no_limit_and_an_endless_gap_never_cut() {
    let script = || Script::new().wait(SECOND * 100_000).data("x").sized();
    let body = Timed::unlimited(script().body());
    assert_eq!(body.size_hint().exact(), Some(1));
    assert_eq!(drain(body).await.data, b"x");
    assert_eq!(drain(idle(script(), Duration::MAX)).await.data, b"x");
}
