//! The two HTTP clients as services, on real sockets.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use llmesh::{
    base::{BoxError, Kind, error::ConnectFailure, ext::Deadline, time::Instant},
    body::{Body, Context},
    classify::transport::{class_of_error, kind_of},
    client::{
        hyper::HyperClient,
        reqwest::{ReqwestClient, from_reqwest, to_reqwest, to_response},
    },
    stack::{self, Boxed},
    testing::upstream::{Answer, ErrorKind, Script, Upstream},
};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::support::{Raw, bind, channel_body, soon};

fn plain() -> reqwest::Client {
    reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .no_proxy()
        .build()
        .unwrap()
}

/// Both clients behind one type.
fn both() -> [(&'static str, Boxed); 2] {
    let hyper = ServiceBuilder::new()
        .map_response(|r: http::Response<_>| r.map(Body::new))
        .service(HyperClient::http());
    let reqwest = ServiceBuilder::new()
        .map_response(|r: http::Response<_>| r.map(Body::new))
        .service(ReqwestClient::new(plain()));
    [
        ("hyper", Boxed::new(hyper)),
        ("reqwest", Boxed::new(reqwest)),
    ]
}

fn post(uri: String, body: Body) -> Request<Body> {
    Request::post(uri).body(body).unwrap()
}

fn kind(error: &BoxError) -> Kind {
    kind_of(&**error)
}

#[tokio::test]
async fn connections_that_are_not_made_say_so() {
    for (name, client) in both() {
        let (listener, address) = bind().await;
        drop(listener);
        let refused = post(format!("http://{address}/"), Body::empty());
        let error = soon(client.clone().oneshot(refused)).await.unwrap_err();
        let refused = Kind::Connect(ConnectFailure::Refused);
        assert_eq!(kind(&error), refused, "{name}: {error:?}");
        assert!(!class_of_error(&error).sent);
        assert!(error.source().is_some(), "{name}");

        let nowhere = post("http://name.invalid/".to_owned(), Body::empty());
        let error = soon(client.oneshot(nowhere)).await.unwrap_err();
        assert!(
            matches!(kind(&error), Kind::Connect(_)),
            "{name}: {error:?}"
        );
    }
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    for (name, client) in both() {
        let (listener, address) = bind().await;
        let (sender, body) = channel_body();
        let asked = tokio::spawn(client.oneshot(post(format!("http://{address}/x"), body)));
        let mut peer = Raw::accept(&listener).await;
        let head = peer.head().await;
        assert!(
            head.contains("transfer-encoding: chunked"),
            "{name}: {head}"
        );
        for part in ["one", "two"] {
            sender.send(Ok(Bytes::from(part))).await.unwrap();
            let sent = peer.piece().await;
            assert!(sent.contains(part), "{name}: {sent} before the rest exists");
        }
        drop(sender);
        peer.piece().await;
        peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        let mut body = soon(asked).await.unwrap().unwrap().into_body();
        for part in ["uno", "dos"] {
            peer.write(&format!("3\r\n{part}\r\n")).await;
            let frame = soon(body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), part, "{name}");
        }
        peer.write("0\r\n\r\n").await;
        assert!(soon(body.frame()).await.is_none_or(|f| f.is_ok()));
    }
}

#[tokio::test]
async fn a_broken_upload_is_the_callers_fault() {
    for (name, client) in both() {
        let (listener, address) = bind().await;
        let (sender, body) = channel_body();
        let asked = tokio::spawn(client.oneshot(post(format!("http://{address}/x"), body)));
        let mut peer = Raw::accept(&listener).await;
        peer.head().await;
        sender.send(Err("disk full".into())).await.unwrap();
        let error = soon(asked).await.unwrap().unwrap_err();
        assert_eq!(kind(&error), Kind::Canceled, "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_get_has_no_body() {
    let upstream = Upstream::start().await.unwrap();
    for (_, client) in both() {
        let uri = format!("http://{}/x", upstream.addr());
        let request = Request::get(uri).body(Body::empty()).unwrap();
        assert_eq!(soon(client.oneshot(request)).await.unwrap().status(), 200);
    }
    for seen in upstream.seen() {
        assert!(!seen.headers.contains_key("transfer-encoding"));
        assert!(!seen.headers.contains_key("content-length"));
    }
}

#[tokio::test]
async fn the_whole_client_stack_goes_over_both() {
    for (name, client) in both() {
        let first = Answer::error(ErrorKind::Overloaded);
        let upstream = Upstream::builder()
            .script(Script::sequence([first, Answer::ok()]))
            .start()
            .await
            .unwrap();
        let layer = stack::client(stack::ClientParams::default());
        let uri = format!("http://{}/v1/chat/completions", upstream.addr());
        let request = post(uri, Body::from(r#"{"model":"m","messages":[]}"#));
        let response = soon(layer.layer(client).oneshot(request)).await.unwrap();
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(upstream.requests(), 2, "{name}");
        assert_eq!(layer.retry_stats().retry_success.get(), 1);
    }
}

#[tokio::test]
async fn reqwests_types_there_and_back() {
    let request = plain()
        .post("http://a.b:81/x?y=1")
        .header("x-a", "1")
        .timeout(Duration::from_secs(3))
        .body("abc")
        .build()
        .unwrap();
    let now = Instant::now();
    let there = from_reqwest(request, now).unwrap();
    assert_eq!(there.uri(), "http://a.b:81/x?y=1");
    assert_eq!(there.method(), http::Method::POST);
    assert_eq!(there.headers()["x-a"], "1");
    let deadline = Context::of(&there).and_then(Context::deadline);
    assert_eq!(deadline, Some(Deadline(now + Duration::from_secs(3))));
    let back = to_reqwest(there).unwrap();
    assert_eq!(back.url().as_str(), "http://a.b:81/x?y=1");
    assert_eq!(back.timeout(), Some(&Duration::from_secs(3)));

    let relative = to_reqwest(Request::get("/x").body(Body::empty()).unwrap());
    assert_eq!(relative.unwrap_err().kind(), Kind::BadRequest);

    let response = http::Response::builder()
        .status(201)
        .header("x-b", "2")
        .body(Body::from("done"))
        .unwrap();
    let url = reqwest::Url::parse("http://a.b/x").unwrap();
    let response = to_response(response, url.clone());
    assert_eq!((response.status().as_u16(), response.url()), (201, &url));
    assert_eq!(response.headers()["x-b"], "2");
    assert_eq!(response.text().await.unwrap(), "done");
}

#[tokio::test]
async fn trailers_pass_through_reqwests_body() {
    use llmesh::testing::body::Script as Scripted;
    let body = Scripted::new().data("x").trailer("grpc-status", "0").body();
    let all = llmesh::client::reqwest::body(body).collect().await.unwrap();
    assert_eq!(all.trailers().unwrap()["grpc-status"], "0");
}
