//! How the caller of an LLM API sees a failure, on the wire.

use bytes::Bytes;
use http::{Request, Response};
use llmesh::{
    config::Source,
    proxy::{Input, Options, Proxy},
};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Raw, bind, soon};

const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n";
const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const ASK: &str =
    "POST /v1/chat/completions HTTP/1.1\r\nhost: llm.example.com\r\ncontent-length: 2\r\n\r\n{}";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Answers each request with this, and closes.
fn answer_all(listener: TcpListener, text: String) {
    tokio::spawn(async move {
        loop {
            let mut raw = Raw::accept(&listener).await;
            raw.head().await;
            raw.write(&text).await;
        }
    });
}

/// A proxy before an upstream that answers with this.
async fn proxy(answer: String) -> Proxy {
    let (listener, at) = bind().await;
    answer_all(listener, answer);
    let port = at.port();
    let service = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: llm, namespace: default}}\n\
         spec:\n  hosts: [llm.example.com]\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
         endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}}}]\n"
    );
    let mut options = Options::new(Input::inline(vec![Source::new("service.yaml", service)]));
    options.outbound = ([127, 0, 0, 1], 0).into();
    options.admin = None;
    Proxy::start(options).await.unwrap()
}

/// All that a caller gets over HTTP/1.1.
async fn http1(proxy: &Proxy) -> String {
    let mut raw = Raw::connect(proxy.outbound()).await;
    raw.write(ASK).await;
    raw.rest().await
}

/// What a caller gets over HTTP/2: the head, the data, and how the stream ended.
async fn http2(proxy: &Proxy) -> (Response<()>, String, Option<h2::Error>) {
    let stream = TcpStream::connect(proxy.outbound()).await.unwrap();
    let (h2, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://llm.example.com/v1/chat/completions")
        .body(())
        .unwrap();
    let mut h2 = h2.ready().await.unwrap();
    let (response, mut body) = h2.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"{}"), true).unwrap();
    let (head, mut body) = soon(response).await.unwrap().into_parts();
    let (mut data, mut error) = (Vec::new(), None);
    while let Some(chunk) = soon(body.data()).await {
        match chunk {
            Ok(chunk) => {
                let _ = body.flow_control().release_capacity(chunk.len());
                data.extend_from_slice(&chunk);
            }
            Err(e) => {
                error = Some(e);
                break;
            }
        }
    }
    let data = String::from_utf8(data).unwrap();
    (Response::from_parts(head, ()), data, error)
}

/// The upstream hangs up, or ends well without a finish marker: neither looks whole.
#[tokio::test]
async fn a_cut_stream_is_told_of_and_ends_uncleanly() {
    for end in ["", "0\r\n\r\n"] {
        let proxy = proxy(format!("{HEAD}{}{end}", chunk(CONTENT))).await;

        let seen = http1(&proxy).await;
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(body.starts_with(&chunk(CONTENT)), "{body}");
        let event = body.find("data: {\"error\":{").unwrap();
        assert!(
            body[event..].ends_with("}\n\n\r\n"),
            "the event is whole: {body}"
        );
        assert!(
            !seen.ends_with("0\r\n\r\n"),
            "there is no last chunk: {seen}"
        );
        assert!(!seen.contains("[DONE]"), "{seen}");

        let (head, data, error) = http2(&proxy).await;
        assert_eq!(head.status(), 200);
        let told = data.strip_prefix(CONTENT).unwrap();
        assert!(
            told.starts_with("data: {\"error\":{") && told.ends_with("}\n\n"),
            "{told}"
        );
        let error = error.expect("the stream is reset");
        assert!(error.is_reset(), "{error}");
        assert_ne!(error.reason(), Some(h2::Reason::NO_ERROR));
    }
}

/// What the provider said itself is not said twice.
#[tokio::test]
async fn a_providers_own_error_event_is_the_only_one() {
    let error =
        "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"code\":null}}\n\n";
    let done = "data: [DONE]\n\n";
    let answer = format!(
        "{HEAD}{}{}{}0\r\n\r\n",
        chunk(CONTENT),
        chunk(error),
        chunk(done)
    );
    let proxy = proxy(answer).await;
    let seen = http1(&proxy).await;
    assert_eq!(seen.matches("\"error\":").count(), 1, "{seen}");
    assert!(seen.contains("boom"), "{seen}");
    assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
    let (_, data, error) = http2(&proxy).await;
    assert_eq!(data.matches("\"error\":").count(), 1, "{data}");
    assert!(error.is_some_and(|e| e.is_reset()));
}

#[tokio::test]
async fn a_whole_stream_ends_well() {
    let finish = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let proxy = proxy(format!(
        "{HEAD}{}{}0\r\n\r\n",
        chunk(CONTENT),
        chunk(finish)
    ))
    .await;
    let (_, data, error) = http2(&proxy).await;
    assert_eq!(data, format!("{CONTENT}{finish}"));
    assert!(error.is_none(), "{error:?}");
}

/// The caller's own key was refused: that is for the caller to know, in the provider's words.
#[tokio::test]
async fn a_refusal_of_the_callers_key_passes() {
    let body = r#"{"error":{"message":"Incorrect API key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#;
    let length = body.len();
    let proxy = proxy(format!(
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
    .await;
    let (head, data, _) = http2(&proxy).await;
    assert_eq!((head.status().as_u16(), &*data), (401, body));
    for (name, value) in [
        ("x-should-retry", "false"),
        ("x-llmesh-class", "auth"),
        ("x-llmesh-attempts", "1"),
        ("x-llmesh-target", "outbound|80||llm.example.com"),
    ] {
        assert_eq!(head.headers()[name], value);
    }
}
