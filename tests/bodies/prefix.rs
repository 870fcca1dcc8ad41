use llmesh::{
    body::read_prefix,
    testing::body::{Script, drain},
};

use crate::next;

#[tokio::test]
async fn a_short_body_is_whole_and_sent_on_with_its_trailers() {
    let script = Script::chunks(["{\"model\":", "\"m\"}"]).trailer("x-end", "1");
    let (prefix, body) = read_prefix(script.body(), 1024).await;
    assert_eq!(prefix.bytes, "{\"model\":\"m\"}");
    assert!(prefix.whole);
    let drained = drain(body).await;
    assert_eq!(drained.data, b"{\"model\":\"m\"}");
    assert!(drained.trailers.is_some());
}

#[tokio::test]
async fn a_long_body_is_cut_in_the_prefix_only() {
    let (body, watch) = Script::chunks(["abc", "defg", "hij"]).watched();
    let (prefix, body) = read_prefix(body, 5).await;
    assert_eq!(prefix.bytes, "abcde");
    assert!(!prefix.whole);
    assert_eq!(watch.frames(), 2, "the rest stays with the caller");
    assert_eq!(drain(body).await.data, b"abcdefghij");
}

#[tokio::test]
async fn a_body_that_ends_over_the_maximum_is_not_whole() {
    let (prefix, body) = read_prefix(Script::chunks(["abcdef"]).sized().body(), 5).await;
    assert_eq!(prefix.bytes, "abcde");
    assert!(!prefix.whole);
    assert_eq!(drain(body).await.data, b"abcdef");
}

#[tokio::test]
async fn tiny_frames_do_not_shorten_the_prefix() {
    let script = Script::chunks(std::iter::repeat_n("x", 5000));
    let (prefix, body) = read_prefix(script.body(), 4000).await;
    assert_eq!(prefix.bytes.len(), 4000);
    assert_eq!(drain(body).await.data.len(), 5000);
}

#[tokio::test]
async fn a_failure_is_left_in_the_body() {
    let (prefix, body) = read_prefix(Script::new().data("ab").fail("broken").body(), 100).await;
    assert_eq!(prefix.bytes, "ab");
    assert!(!prefix.whole);
    let drained = drain(body).await;
    assert_eq!(drained.data, b"ab");
    assert_eq!(drained.error.unwrap().to_string(), "broken");
}

#[tokio::test]
async fn an_empty_body_is_whole() {
    for script in [Script::new(), Script::new().sized()] {
        let (prefix, body) = read_prefix(script.body(), 100).await;
        assert!(prefix.whole && prefix.bytes.is_empty());
        assert!(drain(body).await.data.is_empty());
    }
}

#[tokio::test]
async fn one_frame_is_shared_not_copied() {
    let chunk = bytes::Bytes::from(vec![b'x'; 100]);
    let (prefix, mut body) = read_prefix(Script::chunks([chunk.clone()]).body(), 10).await;
    assert_eq!(prefix.bytes.as_ptr(), chunk.as_ptr());
    assert_eq!(next(&mut body).await.as_ptr(), chunk.as_ptr());
}
