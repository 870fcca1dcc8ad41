//! Usage that is asked for on the caller's behalf: what is sent, and that no call fails of it.
#![cfg(feature = "llm")]

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::BodyExt;
use llmesh::{
    base::{BoxError, Kind},
    body::{Body, Context},
    call::{self, CallLayer},
    classify::{Class, Classified, Outcome, Signal},
    llm::refused::{FOR, Refusals},
    retry::{self, RetryLayer, RetryOn},
    testing::body::Script,
    usage::UsageLayer,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

const CHAT: &str = "/v1/chat/completions";
const OWN: &str = r#"{"model":"m","stream":true,"messages":[]}"#;
const ASKING: &str =
    r#"{"stream_options":{"include_usage":true},"model":"m","stream":true,"messages":[]}"#;
const REFUSAL: &str = r#"{"error":{"message":"Unknown parameter: 'stream_options'.","param":"stream_options","code":"unknown_parameter"}}"#;

type Sent = Arc<Mutex<Vec<(Parts, Bytes, bool)>>>;
type Client = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// An upstream that answers as `play` says of a body, behind the layer.
fn client(
    refusals: &Refusals,
    play: impl Fn(&[u8]) -> Response<Body> + Clone + Send + Sync + 'static,
) -> (Client, Sent) {
    let sent = Sent::default();
    let seen = Arc::clone(&sent);
    let upstream = service_fn(move |request: Request<Body>| {
        let (seen, play) = (Arc::clone(&seen), play.clone());
        async move {
            let injected = Context::of(&request).is_some_and(Context::usage_injected);
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let answer = play(&body);
            seen.lock().unwrap().push((head, body, injected));
            Ok::<_, BoxError>(answer)
        }
    });
    let asks = UsageLayer::new("outbound|80||llm", refusals.clone()).layer(upstream);
    let client = CallLayer::new(call::Params::default()).layer(asks);
    (BoxCloneSyncService::new(client), sent)
}

fn post(body: &str) -> Request<Body> {
    Request::post(CHAT)
        .header("content-length", body.len())
        .header("accept-encoding", "gzip, br")
        .body(Body::from(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

fn answer(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::from(body.into()))
        .unwrap()
}

/// Refuses what asks for usage.
fn strict(body: &[u8]) -> Response<Body> {
    if body.windows(14).any(|w| w == b"stream_options") {
        answer(400, REFUSAL)
    } else {
        answer(200, "good")
    }
}

async fn ask(client: &Client, request: Request<Body>) -> (u16, Bytes) {
    let response = client.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

fn bodies(sent: &Sent) -> Vec<Bytes> {
    let mut sent = sent.lock().unwrap();
    sent.drain(..).map(|(_, body, _)| body).collect()
}

#[tokio::test]
async fn usage_is_asked_for_where_the_caller_did_not() {
    let (client, sent) = client(&Refusals::default(), |_| answer(200, "good"));
    assert_eq!(ask(&client, post(OWN)).await.0, 200);
    let (head, body, injected) = sent.lock().unwrap().remove(0);
    assert_eq!(body, ASKING);
    assert!(injected);
    assert_eq!(head.headers["content-length"], body.len().to_string());
    assert_eq!(head.headers["accept-encoding"], "identity");
    for own in [
        r#"{"model":"m","messages":[]}"#,
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"model":"m","stream":false,"messages":[]}"#,
        "no JSON",
    ] {
        ask(&client, post(own)).await;
        let (head, body, injected) = sent.lock().unwrap().remove(0);
        assert_eq!(body, own);
        assert!(!injected);
        assert_eq!(head.headers["accept-encoding"], "gzip, br");
    }
}

#[tokio::test]
async fn what_is_signed_is_not_changed() {
    let (client, sent) = client(&Refusals::default(), |_| answer(200, "good"));
    for (name, value) in [
        ("authorization", "AWS4-HMAC-SHA256 Credential=x"),
        ("content-digest", "sha-256=:x:"),
        ("content-md5", "x"),
        ("x-amz-content-sha256", "x"),
    ] {
        let mut request = post(OWN);
        request.headers_mut().insert(name, value.parse().unwrap());
        ask(&client, request).await;
        assert_eq!(bodies(&sent), [OWN], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_taken_back_once_and_remembered() {
    let refusals = Refusals::default();
    let (client, sent) = client(&refusals, strict);
    assert_eq!(ask(&client, post(OWN)).await, (200, "good".into()));
    assert_eq!(bodies(&sent), [ASKING, OWN]);
    assert_eq!(ask(&client, post(OWN)).await, (200, "good".into()));
    assert_eq!(bodies(&sent), [OWN], "remembered");
    // Another model may know it.
    let other = OWN.replace("\"m\"", "\"n\"");
    assert_eq!(ask(&client, post(&other)).await.0, 200);
    assert_eq!(bodies(&sent).len(), 2);
    tokio::time::advance(FOR).await;
    assert_eq!(ask(&client, post(OWN)).await.0, 200);
    assert_eq!(bodies(&sent), [ASKING, OWN], "asked again after a while");
}

#[tokio::test]
async fn the_callers_own_options_are_the_callers_again() {
    let own = r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false},"messages":[]}"#;
    // The caller's field is refused as well: that is the caller's to know.
    let (client, sent) = client(&Refusals::default(), strict);
    assert_eq!(ask(&client, post(own)).await, (400, REFUSAL.into()));
    let sent = bodies(&sent);
    assert_eq!((sent.len(), &sent[1][..]), (2, own.as_bytes()));
}

#[tokio::test]
async fn a_refusal_is_found_however_it_comes() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(REFUSAL.as_bytes()).unwrap();
    let gzip = Bytes::from(gzip.finish().unwrap());
    let coded = move || {
        let mut answer = answer(422, gzip.clone());
        let headers = answer.headers_mut();
        headers.insert("content-encoding", "gzip".parse().unwrap());
        answer
    };
    let pieces = || {
        let pieces = REFUSAL.as_bytes().chunks(7).map(Bytes::from_static);
        answer(400, "").map(|_| Body::new(Script::chunks(pieces).body()))
    };
    let detail = || {
        answer(
            422,
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#,
        )
    };
    type Refuse = Box<dyn Fn() -> Response<Body> + Send + Sync>;
    let all: [Refuse; 3] = [Box::new(coded), Box::new(pieces), Box::new(detail)];
    for refuse in all {
        let refuse = Arc::new(refuse);
        let (client, sent) = client(&Refusals::default(), move |body| {
            if body == ASKING.as_bytes() {
                refuse()
            } else {
                answer(200, "good")
            }
        });
        assert_eq!(ask(&client, post(OWN)).await, (200, "good".into()));
        assert_eq!(bodies(&sent).len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn any_other_error_is_the_answer_as_it_came() {
    for (status, body) in [
        (
            400,
            r#"{"error":{"message":"Invalid temperature","param":"temperature"}}"#,
        ),
        (
            400,
            r#"{"detail":[{"loc":["body","messages"],"msg":"x","input":{"stream_options":1}}]}"#,
        ),
        (500, REFUSAL),
        (429, REFUSAL),
        (200, REFUSAL),
    ] {
        let refusals = Refusals::default();
        let (client, sent) = client(&refusals, move |_| answer(status, body));
        assert_eq!(ask(&client, post(OWN)).await, (status, body.into()));
        assert_eq!(bodies(&sent), [ASKING]);
    }
    // An error whose body does not come is not waited for.
    let (client, sent) = client(&Refusals::default(), |_| {
        answer(400, "").map(|_| Body::new(Script::new().data("{").hang().body()))
    });
    let before = tokio::time::Instant::now();
    let response = client.oneshot(post(OWN)).await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(before.elapsed() <= Duration::from_secs(2));
    let first = response.into_body().frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "{");
    assert_eq!(bodies(&sent).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn taking_back_is_no_retry() {
    let (inner, sent) = client(&Refusals::default(), strict);
    let params = retry::Params::default()
        .with_retries(2)
        .with_retry_on(RetryOn::envoy("5xx,retriable-4xx").unwrap())
        .with_attempt_header(true);
    let layer = RetryLayer::new(params);
    let client = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(layer)
        .map_request(|request: Request<_>| request.map(Body::new))
        .service(inner);
    let before = tokio::time::Instant::now();
    let response = client.oneshot(post(OWN)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(before.elapsed(), Duration::ZERO, "nothing is waited for");
    let attempts: Vec<_> = sent
        .lock()
        .unwrap()
        .iter()
        .map(|(head, ..)| head.headers["x-envoy-attempt-count"].clone())
        .collect();
    assert_eq!(attempts, ["1", "1"]);
}

#[tokio::test]
async fn an_error_under_another_status_is_what_it_was_read_as() {
    let refusal = || {
        let mut answer = answer(200, REFUSAL);
        let class = Class::new(Outcome::InvalidRequest, Signal::Error(Kind::StreamError));
        let classified = Classified::default();
        classified.set_head(class);
        answer.extensions_mut().insert(classified);
        answer
    };
    let (client, sent) = client(&Refusals::default(), move |body| {
        if body == ASKING.as_bytes() {
            refusal()
        } else {
            answer(200, "good")
        }
    });
    assert_eq!(ask(&client, post(OWN)).await, (200, "good".into()));
    assert_eq!(bodies(&sent), [ASKING, OWN]);
}
