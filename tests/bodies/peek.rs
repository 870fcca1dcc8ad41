use std::{ops::ControlFlow, time::Duration};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use llmesh::{
    body::{
        Held, Peek,
        peek::{MAX_FRAMES, Stopped},
    },
    testing::body::{Script, drain},
};

use crate::next;

fn until(text: &'static str) -> impl FnMut(&Frame<Bytes>) -> ControlFlow<&'static str> {
    move |frame| match frame.data_ref() {
        Some(chunk) if chunk == text => ControlFlow::Break(text),
        _ => ControlFlow::Continue(()),
    }
}

#[tokio::test]
async fn reads_to_the_verdict_and_gives_everything_back() {
    let (body, watch) = Script::chunks(["ping", "delta", "rest"])
        .trailer("x-end", "1")
        .watched();
    let mut peek = Peek::new(body);
    assert_eq!(peek.until(until("delta")).await, Stopped::Decided("delta"));
    assert_eq!(watch.frames(), 2, "nothing is read beyond the verdict");
    assert_eq!(peek.frames().count(), 2);
    let mut body = peek.into_body();
    assert_eq!(next(&mut body).await, "ping", "frames keep their bounds");
    let drained = drain(body).await;
    assert_eq!(drained.data, b"deltarest");
    assert_eq!(drained.trailers.unwrap()["x-end"], "1");
}

#[tokio::test]
async fn stops_at_the_limit_and_holds_the_frame_that_reached_it() {
    let mut peek = Peek::with_limit(Script::chunks(["abc", "defg", "h"]).body(), 5);
    assert_eq!(peek.until(until("h")).await, Stopped::Full);
    assert_eq!(peek.held_bytes(), 7);
    assert_eq!(drain(peek.into_body()).await.data, b"abcdefgh");
}

#[tokio::test]
async fn stops_at_the_limit_on_frames() {
    let script = Script::chunks(std::iter::repeat_n("", MAX_FRAMES + 1));
    let mut peek = Peek::new(script.body());
    assert_eq!(peek.until(until("h")).await, Stopped::Full);
    assert_eq!(peek.frames().count(), MAX_FRAMES);
}

#[tokio::test]
async fn a_limit_of_zero_reads_nothing() {
    let (body, watch) = Script::chunks(["a"]).watched();
    let mut peek = Peek::with_limit(body, 0);
    assert_eq!(peek.until(until("a")).await, Stopped::Full);
    assert_eq!(watch.frames(), 0);
}

#[tokio::test]
async fn an_end_seen_while_peeking_is_kept() {
    for sized in [false, true] {
        let script = Script::chunks(["a"]);
        let script = if sized { script.sized() } else { script };
        let mut peek = Peek::new(script.body());
        assert_eq!(peek.until(until("x")).await, Stopped::Ended);
        let mut body = peek.into_body();
        assert_eq!(body.size_hint().exact(), Some(1));
        assert_eq!(next(&mut body).await, "a");
        assert!(body.is_end_stream() && body.frame().await.is_none());
    }
}

#[tokio::test]
async fn trailers_seen_while_peeking_are_shown_and_kept() {
    let mut peek = Peek::new(Script::new().data("a").trailer("x-end", "1").body());
    let stopped = peek
        .until(|frame| match frame.trailers_ref() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        })
        .await;
    assert_eq!(stopped, Stopped::Decided(()));
    let drained = drain(peek.into_body()).await;
    assert!(drained.data == b"a" && drained.trailers.is_some());
}

#[tokio::test]
async fn an_error_seen_while_peeking_comes_after_the_frames() {
    let mut peek = Peek::new(Script::new().data("a").fail("broken").body());
    assert_eq!(peek.until(until("x")).await, Stopped::Failed);
    assert_eq!(peek.error().unwrap().to_string(), "broken");
    let mut body = peek.into_body();
    assert!(!body.is_end_stream());
    assert_eq!(next(&mut body).await, "a");
    assert!(!body.is_end_stream());
    assert_eq!(
        body.frame().await.unwrap().unwrap_err().to_string(),
        "broken"
    );
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn peeking_may_be_cancelled_and_taken_up_again() {
    let script = Script::new()
        .data("a")
        .wait(Duration::from_secs(2))
        .data("b");
    let mut peek = Peek::new(script.body());
    let cut = tokio::time::timeout(Duration::from_secs(1), peek.until(until("b"))).await;
    assert!(cut.is_err());
    let mut shown = Vec::new();
    let stopped = peek
        .until(|frame| {
            shown.extend(frame.data_ref().cloned());
            ControlFlow::<()>::Continue(())
        })
        .await;
    assert_eq!(stopped, Stopped::Ended);
    assert_eq!(shown, ["b"], "each frame is shown once");
    assert_eq!(drain(peek.into_body()).await.data, b"ab");
}

#[tokio::test]
async fn an_untouched_body_passes_through() {
    let mut body = Held::untouched(Script::chunks(["a"]).trailer("x-end", "1").sized().body());
    assert_eq!(body.size_hint().exact(), Some(1));
    assert!(!body.is_end_stream());
    assert_eq!(next(&mut body).await, "a");
    assert!(drain(body).await.trailers.is_some());
}

#[tokio::test]
async fn what_ends_with_an_error_has_no_known_size() {
    let body = Script::new().data("half").fail("cut").body();
    let mut peek = Peek::new(body);
    let stopped = peek.until(|_| ControlFlow::<()>::Continue(())).await;
    assert_eq!(stopped, Stopped::Failed);
    let body = peek.into_body();
    assert_eq!(body.size_hint().exact(), None);
    assert!(!body.is_end_stream());
}
