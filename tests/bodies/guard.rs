use http_body::Body;
use http_body_util::BodyExt;
use llmesh::{
    body::Guarded,
    testing::body::{Script, drain},
};

use crate::{Drops, next};

#[tokio::test]
async fn the_guard_goes_at_the_end_while_the_body_lives() {
    let drops = Drops::default();
    let mut body = Guarded::new(Script::chunks(["ab", "cd"]).sized().body(), drops.guard());
    next(&mut body).await;
    assert_eq!((drops.count(), body.size_hint().exact()), (0, Some(2)));
    next(&mut body).await;
    assert!(body.is_end_stream());
    assert_eq!(drops.count(), 1, "known to be over: nobody need poll again");
    assert!(body.frame().await.is_none());
    drop(body);
    assert_eq!(drops.count(), 1);
}

#[tokio::test]
async fn the_guard_goes_with_the_trailers() {
    let drops = Drops::default();
    let script = Script::new().data("ab").trailer("x-end", "1");
    let mut body = Guarded::new(script.body(), drops.guard());
    next(&mut body).await;
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    assert_eq!(drops.count(), 1);
}

#[tokio::test]
async fn the_guard_goes_at_an_error() {
    let drops = Drops::default();
    let mut body = Guarded::new(Script::new().fail("broken").body(), drops.guard());
    assert_eq!(
        body.frame().await.unwrap().unwrap_err().to_string(),
        "broken"
    );
    assert_eq!(drops.count(), 1);
}

#[tokio::test]
async fn the_guard_goes_with_a_dropped_body_after_it() {
    let (inner, watch) = Script::new().data("ab").hang().watched();
    struct After(llmesh::testing::body::Watch, Drops);
    impl Drop for After {
        fn drop(&mut self) {
            assert!(self.0.dropped(), "the inner body goes first");
            drop(self.1.guard());
        }
    }
    let drops = Drops::default();
    let mut body = Guarded::new(inner, After(watch, drops.clone()));
    next(&mut body).await;
    drop(body);
    assert_eq!(drops.count(), 1);
}

#[tokio::test]
async fn a_body_that_is_over_keeps_no_guard() {
    let drops = Drops::default();
    let body = Guarded::new(Script::new().sized().body(), drops.guard());
    assert_eq!(drops.count(), 1);
    assert!(drain(body).await.data.is_empty());
}
