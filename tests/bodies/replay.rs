use std::{pin::Pin, time::Duration};

use http_body::Body;
use http_body_util::BodyExt;
use llmesh::{
    base::{Error, Kind},
    body::RequestBody,
    testing::body::{Script, drain},
};
use tokio_test::{assert_pending, assert_ready, task};

use crate::{kind, next};

const CAP: usize = 64;

#[tokio::test(start_paused = true)]
async fn a_clone_replays_what_the_first_reader_read_trailers_included() {
    let script = Script::new().data("ab").data("cde").trailer("x-sum", "5");
    let mut first = RequestBody::new(script.body(), CAP);
    let second = first.clone();
    assert_eq!(next(&mut first).await, "ab");
    assert_eq!(drain(first).await.data, b"cde");
    for reader in [second.clone(), second] {
        assert!(reader.can_replay());
        let drained = drain(reader).await;
        assert_eq!(drained.data, b"abcde");
        assert_eq!(drained.trailers.unwrap()["x-sum"], "5");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_goes_on_where_a_dropped_reader_stopped() {
    let (body, watch) = Script::chunks(["ab", "cd", "ef"]).watched();
    let mut first = RequestBody::new(body, CAP);
    let second = first.clone();
    next(&mut first).await;
    drop(first);
    assert_eq!(watch.frames(), 1, "nothing is read ahead");
    assert_eq!(drain(second).await.data, b"abcdef");
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_clone_begins_at_the_first_byte() {
    let mut first = RequestBody::new(Script::chunks(["ab", "cd"]).body(), CAP);
    next(&mut first).await;
    let mut second = first.clone();
    drop(first);
    next(&mut second).await;
    assert_eq!(drain(second.clone()).await.data, b"abcd");
}

#[tokio::test(start_paused = true)]
async fn over_the_cap_the_reader_streams_on_and_the_next_one_is_told() {
    let full = "x".repeat(CAP);
    for (extra, replayable) in [("", true), ("y", false)] {
        let mut first = RequestBody::new(Script::chunks([full.clone(), extra.into()]).body(), CAP);
        let second = first.clone();
        next(&mut first).await;
        assert!(second.can_replay());
        let expected = extra.len();
        assert_eq!(drain(first).await.data.len(), expected);
        assert_eq!(second.can_replay(), replayable);
        assert_eq!(second.is_capped(), !replayable);
        let drained = drain(second).await;
        if replayable {
            assert_eq!(drained.data, full.as_bytes());
        } else {
            assert_eq!(kind(&drained.error.unwrap()), Some(Kind::BodyTooLarge));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_clone_does_not_disturb_the_reader_of_a_capped_body() {
    let big = "x".repeat(CAP + 1);
    let mut first = RequestBody::new(Script::chunks([big, "end".to_owned()]).body(), CAP);
    next(&mut first).await;
    let error = drain(first.clone()).await.error.unwrap();
    assert_eq!(kind(&error), Some(Kind::BodyTooLarge));
    assert_eq!(drain(first).await.data, b"end");
}

#[tokio::test(start_paused = true)]
async fn a_body_known_to_be_too_large_is_read_once_by_whoever_reads_first() {
    let big = "x".repeat(CAP + 1);
    let original = RequestBody::new(Script::chunks([big.clone()]).sized().body(), CAP);
    assert!(!original.can_replay() && original.is_capped());
    let sent = original.clone();
    assert_eq!(sent.size_hint().exact(), Some(CAP as u64 + 1));
    assert_eq!(drain(sent).await.data, big.as_bytes());
    let error = drain(original).await.error.unwrap();
    assert_eq!(kind(&error), Some(Kind::BodyTooLarge));
}

#[tokio::test(start_paused = true)]
async fn size_hint_and_end_are_right_for_every_reader() {
    let mut first = RequestBody::new(Script::chunks(["abc", "de"]).sized().body(), CAP);
    assert_eq!(first.size_hint().exact(), Some(5));
    next(&mut first).await;
    assert_eq!(first.size_hint().exact(), Some(2));
    let mut second = first.clone();
    assert_eq!(second.size_hint().exact(), Some(5));
    next(&mut first).await;
    assert!(first.is_end_stream() && !second.is_end_stream());
    assert_eq!(second.size_hint().exact(), Some(5));
    while !second.is_end_stream() {
        next(&mut second).await;
    }
    assert_eq!(second.size_hint().exact(), Some(0));
    assert!(second.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn trailers_are_part_of_the_end() {
    let script = Script::new().data("ab").trailer("x-end", "1").sized();
    let mut first = RequestBody::new(script.body(), CAP);
    let mut second = first.clone();
    for body in [&mut first, &mut second] {
        next(body).await;
        assert!(!body.is_end_stream());
        assert!(body.frame().await.unwrap().unwrap().is_trailers());
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_length_stays_unknown_until_the_end_was_seen() {
    let mut first = RequestBody::new(Script::chunks(["abc"]).body(), CAP);
    let second = first.clone();
    next(&mut first).await;
    assert_eq!(
        (second.size_hint().lower(), second.size_hint().upper()),
        (3, None)
    );
    assert!(first.frame().await.is_none());
    assert_eq!(second.size_hint().exact(), Some(3));
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_is_over_for_every_reader() {
    let (body, watch) = Script::new().sized().watched();
    let body = RequestBody::new(body, 0);
    assert!(watch.dropped(), "nothing is kept");
    for reader in [body.clone(), body] {
        assert!(reader.is_end_stream() && reader.can_replay() && !reader.is_capped());
        assert_eq!(reader.size_hint().exact(), Some(0));
        assert!(drain(reader).await.data.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_inner_body_is_told_to_every_reader() {
    for (error, expected) in [
        (Error::new(Kind::BodyTooLarge).into(), Kind::BodyTooLarge),
        ("the caller is gone".into(), Kind::Canceled),
    ] {
        let error: llmesh::base::BoxError = error;
        let text = error.to_string();
        let first = RequestBody::new(Script::new().data("ab").fail(error).body(), CAP);
        let second = first.clone();
        assert_eq!(drain(first).await.error.unwrap().to_string(), text);
        assert!(!second.can_replay());
        let drained = drain(second).await;
        assert_eq!(drained.data, b"ab");
        assert_eq!(kind(&drained.error.unwrap()), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_reader_takes_over_and_wakes_the_one_before() {
    let script = Script::new()
        .data("ab")
        .wait(Duration::from_secs(1))
        .data("cd");
    let mut first = RequestBody::new(script.body(), CAP);
    let mut second = first.clone();
    next(&mut first).await;
    let mut stale = task::spawn(first.frame());
    assert_pending!(stale.poll());

    assert_eq!(next(&mut second).await, "ab");
    assert!(stale.is_woken());
    let error = assert_ready!(stale.poll()).unwrap().unwrap_err();
    assert_eq!(kind(&error), Some(Kind::Canceled));
    drop(stale);
    assert!(first.frame().await.is_none(), "an error is the end");
    assert_eq!(next(&mut second).await, "cd", "no wake-up was lost");
}

#[tokio::test(start_paused = true)]
async fn the_inner_body_is_dropped_at_its_end_not_with_the_last_clone() {
    let (body, watch) = Script::chunks(["ab"]).watched();
    let first = RequestBody::new(body, CAP);
    let _second = first.clone();
    drain(first).await;
    assert!(watch.dropped());
}

#[tokio::test(start_paused = true)]
async fn data_is_shared_with_the_buffer_not_copied() {
    let chunk = bytes::Bytes::from(vec![7; 10_000]);
    let mut first = RequestBody::new(Script::chunks([chunk.clone()]).body(), 10_000);
    let mut second = first.clone();
    for body in [&mut first, &mut second] {
        assert_eq!(next(body).await.as_ptr(), chunk.as_ptr());
    }
}

#[test]
fn is_send_and_sync_if_the_body_is_send() {
    struct SendOnly(#[expect(dead_code)] std::cell::Cell<u8>);
    impl Body for SendOnly {
        type Data = bytes::Bytes;
        type Error = Error;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Error>>> {
            std::task::Poll::Ready(None)
        }
    }
    fn check<T: Send + Sync + 'static>() {}
    check::<RequestBody>();
    assert!(RequestBody::new(SendOnly(std::cell::Cell::new(1)), CAP).can_replay());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_got_no_byte_of_an_uncopied_body_has_spent_nothing() {
    let big = "x".repeat(CAP + 1);
    let script = Script::new().yield_once().data(big.clone()).sized();
    let mut first = RequestBody::new(script.body(), CAP);
    let second = first.clone();
    assert_pending!(task::spawn(first.frame()).poll());
    drop(first);
    assert_eq!(drain(second).await.data, big.as_bytes());
}
