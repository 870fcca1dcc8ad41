//! What a request carries of its attempt, and what others do to it.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Full};
use llmesh::{
    base::{
        ext::{Attempt, Deadline, Tried},
        time::Instant,
    },
    body::{Body, Context, RequestBody},
    testing::body::{Script, drain},
};

/// A request of the third attempt.
fn third(body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    Context::edit(&mut request, |context| {
        context.set_attempt(Attempt {
            number: 3,
            may_retry: true,
        });
        context.set_explains(true);
    });
    request
}

fn number<B: 'static>(request: &Request<B>) -> Option<u32> {
    Context::of(request)?.attempt().map(|a| a.number)
}

#[test]
fn it_is_small() {
    assert!(size_of::<Context>() <= 40, "{}", size_of::<Context>());
    assert!(
        size_of::<RequestBody>() <= 88,
        "{}",
        size_of::<RequestBody>()
    );
}

#[tokio::test]
async fn an_erased_body_keeps_it_and_gives_it_back() {
    for body in [
        RequestBody::empty(),
        RequestBody::from("abc"),
        RequestBody::new(Script::chunks(["abc"]).body(), 64),
    ] {
        let bytes = body.clone().collect().await.unwrap().to_bytes();
        let request = third(body).map(Body::new);
        assert_eq!(number(&request), Some(3));
        let (_, body) = RequestBody::of_request(request);
        assert!(body.context().explains());
        assert_eq!(drain(body).await.data, bytes);
    }
}

#[test]
fn an_erased_body_without_one_gets_it_when_it_is_written() {
    let mut request = Request::new(Body::from("abc"));
    assert!(Context::of(&request).is_none());
    Context::edit(&mut request, |context| context.set_last_target(true));
    assert!(request.extensions().is_empty());
    assert!(Context::of(&request).unwrap().last_target());
    assert!(request.body().is_whole());
}

#[test]
fn another_body_loses_it_without_a_bridge_and_keeps_it_with_one() {
    let lost = third(RequestBody::from("abc")).map(|_| Full::new(Bytes::from("z")));
    assert_eq!(number(&lost), None);
    let kept = Context::into_extension(third(RequestBody::from("abc")));
    let kept = kept.map(|_| Full::new(Bytes::from("z")));
    assert_eq!(number(&kept), Some(3));
    let (head, body) = RequestBody::of_request(kept);
    assert!(head.extensions.is_empty(), "it is in one place only");
    assert_eq!(body.context().attempt().unwrap().number, 3);
}

#[test]
fn what_a_bridge_left_behind_is_nobody_elses() {
    let mut request = Context::into_extension(third(RequestBody::empty()));
    Context::edit(&mut request, |context| {
        context.set_attempt(Attempt {
            number: 4,
            may_retry: false,
        });
    });
    assert_eq!(number(&request), Some(4));
    assert!(request.extensions().is_empty());
}

#[test]
fn a_foreign_body_carries_it_in_an_extension_until_it_is_ours() {
    let mut request = Request::new(Empty::<Bytes>::new());
    let end = Deadline(Instant::now() + Duration::from_secs(1));
    Context::edit(&mut request, |context| context.shorten(end));
    assert_eq!(Context::of(&request).and_then(Context::deadline), Some(end));
    let (_, body) = RequestBody::of_request(request);
    assert_eq!(body.context().deadline(), Some(end));
}

#[test]
fn attempts_have_their_own_and_share_what_was_tried() {
    let mut first = RequestBody::from("abc");
    first.context_mut().set_tried(Some(Tried::default()));
    let mut second = first.clone();
    second.context_mut().set_last_target(true);
    second
        .context_mut()
        .set_head_deadline(Some(Deadline(Instant::now())));
    assert!(!first.context().last_target() && first.context().head_deadline().is_none());
    let address = ([127, 0, 0, 1], 1).into();
    second.context().tried().unwrap().push(address);
    assert!(first.context().tried().unwrap().contains(address));
}

#[tokio::test]
async fn a_body_that_is_ours_is_not_wrapped_again() {
    let script = Script::chunks(["ab", "cd"]);
    let outer = RequestBody::new(script.body(), 64);
    let mut inner = RequestBody::new(outer.clone(), 2);
    // What is kept further out serves here too.
    assert_eq!(
        inner.frame().await.unwrap().unwrap().into_data().unwrap(),
        "ab"
    );
    assert!(inner.can_replay());
    assert_eq!(drain(inner.clone()).await.data, b"abcd");
    assert_eq!(drain(outer).await.data, b"abcd");
    // Known bytes are judged by each cap.
    assert!(RequestBody::from("abc").keep(3).can_replay());
    assert!(!RequestBody::from("abc").keep(3).keep(2).can_replay());
}

#[tokio::test]
async fn what_was_read_before_is_no_part_of_a_body() {
    let mut begun = RequestBody::of(Script::chunks(["ab", "cd"]).body());
    begun.frame().await.unwrap().unwrap();
    let rest = begun.keep(64);
    assert!(rest.can_replay());
    for reader in [rest.clone(), rest] {
        assert_eq!(drain(reader).await.data, b"cd");
    }
    let mut known = RequestBody::from("abc").keep(64);
    known.frame().await.unwrap().unwrap();
    assert!(drain(known.keep(64).clone()).await.data.is_empty());
}
