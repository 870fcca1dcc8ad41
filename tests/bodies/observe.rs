use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt;
use llmesh::{
    base::BoxError,
    body::{Body, End, Observe, Observed},
    testing::body::{Script, ScriptedBody, drain},
};

use crate::next;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Observe<BoxError> for Log {
    fn data(&mut self, chunk: &Bytes) {
        self.add(String::from_utf8_lossy(chunk));
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.add(format!("{} trailers", trailers.len()));
    }

    fn end(self, how: End<'_, BoxError>) {
        self.add(match how {
            End::Complete => "complete".to_owned(),
            End::Failed(error) => format!("failed: {error}"),
            End::Dropped => "dropped".to_owned(),
        });
    }
}

fn observed(script: Script) -> (Observed<ScriptedBody, Log>, Log) {
    let log = Log::default();
    (Observed::new(script.body(), log.clone()), log)
}

#[tokio::test]
async fn frames_pass_unchanged_and_are_told() {
    let (body, log) = observed(Script::chunks(["a", "b"]).trailer("x-end", "1"));
    let drained = drain(body).await;
    assert_eq!(drained.data, b"ab");
    assert_eq!(drained.trailers.unwrap().len(), 1);
    assert_eq!(log.lines(), ["a", "b", "1 trailers", "complete"]);
}

#[tokio::test]
async fn each_way_to_end_is_told_once() {
    let (body, log) = observed(Script::chunks(["a"]));
    drain(body).await;
    assert_eq!(log.lines(), ["a", "complete"]);

    let (body, log) = observed(Script::new().data("a").fail("broken").data("more"));
    drain(body).await;
    assert_eq!(log.lines(), ["a", "failed: broken"]);

    let (mut body, log) = observed(Script::chunks(["a", "b"]));
    next(&mut body).await;
    drop(body);
    assert_eq!(log.lines(), ["a", "dropped"]);

    let (body, log) = observed(Script::new().sized());
    drop(body);
    assert_eq!(log.lines(), ["complete"]);
}

/// Servers stop polling after trailers, and after a last frame that is known to be the last.
#[tokio::test]
async fn a_reader_that_stops_at_the_last_frame_is_no_drop() {
    let (mut body, log) = observed(Script::new().data("a").trailer("x-end", "1"));
    next(&mut body).await;
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    drop(body);
    assert_eq!(log.lines(), ["a", "1 trailers", "complete"]);

    let (mut body, log) = observed(Script::chunks(["a"]).sized());
    next(&mut body).await;
    drop(body);
    assert_eq!(log.lines(), ["a", "complete"]);
}

#[tokio::test]
async fn an_erased_body_keeps_size_end_trailers_and_errors() {
    let body = Body::new(Script::chunks(["ab", "c"]).sized().body());
    let mut body = Body::new(body);
    assert_eq!(body.size_hint().exact(), Some(3));
    next(&mut body).await;
    next(&mut body).await;
    assert!(body.is_end_stream());

    let drained = drain(Body::new(
        Script::new().data("x").trailer("x-end", "1").body(),
    ))
    .await;
    assert!(drained.trailers.is_some());
    let drained = drain(Body::new(Script::new().data("x").fail("broken").body())).await;
    assert_eq!(drained.error.unwrap().to_string(), "broken");
}

#[tokio::test]
async fn a_full_body_gives_its_bytes_once() {
    assert!(Body::empty().is_end_stream() && Body::from("").is_end_stream());
    let mut body = Body::new(Body::from("abc"));
    assert_eq!(body.size_hint().exact(), Some(3));
    assert_eq!(next(&mut body).await, "abc");
    assert!(body.is_end_stream() && body.frame().await.is_none());
}
