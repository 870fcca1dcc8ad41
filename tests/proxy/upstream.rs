//! The scripted upstream: every fault does what it says, on real sockets.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use llmesh::{
    base::time::Instant,
    testing::upstream::{Answer, ErrorKind, Fault, Script, Sequences, Upstream},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub const CHAT: &str = "/v1/chat/completions";
pub const STREAM: &str = r#"{"model":"m","stream":true}"#;

/// Long enough that a loopback answer is never late, short enough for a test.
pub const PATIENCE: Duration = Duration::from_secs(5);

fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    let mut builder = Request::post(path).header("host", "mock");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder
        .body(Full::from(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

pub async fn connect(addr: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (sender, conn) = http1::handshake(io).await.unwrap();
    tokio::spawn(conn);
    sender
}

async fn connect_h2(addr: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (sender, conn) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(conn);
    sender
}

pub async fn send(
    addr: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> hyper::Result<Response<Incoming>> {
    let mut sender = connect(addr).await;
    let sent = sender.send_request(request(path, headers, body));
    timeout(PATIENCE, sent).await.expect("an answer or an end")
}

/// Status, headers and the whole body.
pub async fn ask(
    addr: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    let (head, body) = send(addr, path, headers, body).await.unwrap().into_parts();
    let bytes = timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
    let text = String::from_utf8(bytes.to_bytes().to_vec()).unwrap();
    (head.status, head.headers, text)
}

pub async fn ask_json(addr: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    serde_json::from_str(&ask(addr, path, headers, body).await.2).unwrap()
}

/// What the body delivers: the text before its end, and whether it ended well.
pub async fn drain(mut body: Incoming) -> (String, bool) {
    let mut text = Vec::new();
    loop {
        match timeout(PATIENCE, body.frame()).await.expect("a frame") {
            None => return (String::from_utf8(text).unwrap(), true),
            Some(Err(_)) => return (String::from_utf8(text).unwrap(), false),
            Some(Ok(frame)) => text.extend_from_slice(&frame.into_data().unwrap_or_default()),
        }
    }
}

/// The JSON of each `data:` line.
pub fn events(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

pub fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<io::ErrorKind> {
    let mut kinds = Vec::new();
    let mut next = Some(error);
    while let Some(e) = next {
        kinds.extend(e.downcast_ref::<io::Error>().map(io::Error::kind));
        next = e.source();
    }
    kinds
}

#[tokio::test]
async fn each_dialect_answers_in_its_own_shape() {
    let upstream = Upstream::builder().label("v2").start().await.unwrap();
    let text = "[v2] The quick";
    for (path, pointer, model) in [
        (CHAT, "/choices/0/message/content", "/model"),
        ("/api/llm/chat", "/choices/0/message/content", "/model"),
        ("/v1/responses", "/output/0/content/0/text", "/model"),
        ("/v1/messages", "/content/0/text", "/model"),
        (
            "/v1beta/models/m:generateContent",
            "/candidates/0/content/parts/0/text",
            "/modelVersion",
        ),
    ] {
        let answer = ask_json(
            upstream.addr(),
            path,
            &[("x-mock-tokens", "2")],
            r#"{"model":"m"}"#,
        )
        .await;
        assert_eq!(answer.pointer(pointer).unwrap(), text, "{path}");
        assert_eq!(answer.pointer(model).unwrap(), "m", "{path}");
    }
    let (_, headers, body) = ask(
        upstream.addr(),
        "/api/chat",
        &[("x-mock-tokens", "2")],
        r#"{"stream":false}"#,
    )
    .await;
    let ollama: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(ollama.pointer("/message/content").unwrap(), text);
    assert_eq!(ollama["done"], true);
    assert_eq!(headers["x-mock-version"], "v2");
    assert_eq!(headers["x-mock-listener"], upstream.addr().to_string());
}

#[tokio::test]
async fn openai_streams_end_with_a_finish_reason_then_usage_then_done() {
    let upstream = Upstream::start().await.unwrap();
    let body = r#"{"stream":true,"stream_options":{"include_usage":true}}"#;
    let (_, headers, text) = ask(upstream.addr(), CHAT, &[("x-mock-tokens", "3")], body).await;
    assert_eq!(headers["content-type"], "text/event-stream");
    assert!(text.ends_with("data: [DONE]\n\n"));
    let events = events(&text);
    assert_eq!(events.len(), 6, "role, 3 tokens, finish, usage");
    assert_eq!(
        events[0].pointer("/choices/0/delta/role").unwrap(),
        "assistant"
    );
    assert_eq!(
        events[1].pointer("/choices/0/delta/content").unwrap(),
        "The"
    );
    assert_eq!(
        events[3].pointer("/choices/0/finish_reason").unwrap(),
        &Value::Null
    );
    assert_eq!(
        events[4].pointer("/choices/0/finish_reason").unwrap(),
        "stop"
    );
    assert_eq!(events[5].pointer("/usage/completion_tokens").unwrap(), 3);
    let (_, _, text) = ask(upstream.addr(), CHAT, &[("x-mock-tokens", "3")], STREAM).await;
    assert!(!text.contains("usage"), "only if asked for: {text}");
}

#[tokio::test]
async fn other_streams_name_their_events_as_documented() {
    let upstream = Upstream::start().await.unwrap();
    let one = [("x-mock-tokens", "1")];
    let (_, _, text) = ask(upstream.addr(), "/v1/messages", &one, STREAM).await;
    let kinds: Vec<_> = text
        .lines()
        .filter_map(|l| l.strip_prefix("event: "))
        .collect();
    assert_eq!(
        kinds,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let (_, _, text) = ask(upstream.addr(), "/v1/responses", &one, STREAM).await;
    let events = events(&text);
    let kinds: Vec<_> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[0], "response.created");
    assert_eq!(kinds[4], "response.output_text.delta");
    assert_eq!(kinds.last(), Some(&"response.completed"));
    let numbers: Vec<_> = events
        .iter()
        .map(|e| e["sequence_number"].as_u64())
        .collect();
    assert_eq!(numbers, (0..9).map(Some).collect::<Vec<_>>());
    assert_eq!(
        events[8].pointer("/response/usage/output_tokens").unwrap(),
        1
    );
}

#[tokio::test]
async fn gemini_and_ollama_stream_in_their_own_framing() {
    let upstream = Upstream::start().await.unwrap();
    let two = [("x-mock-tokens", "2")];
    let path = "/v1beta/models/g:streamGenerateContent";
    let array = ask_json(upstream.addr(), path, &two, "{}").await;
    assert_eq!(array.as_array().unwrap().len(), 2);
    assert_eq!(
        array.pointer("/1/candidates/0/finishReason").unwrap(),
        "STOP"
    );
    assert!(array.pointer("/0/candidates/0/finishReason").is_none());
    let (_, _, text) = ask(upstream.addr(), &format!("{path}?alt=sse"), &two, "{}").await;
    assert_eq!(events(&text), *array.as_array().unwrap());
    let (_, headers, text) = ask(upstream.addr(), "/api/chat", &two, "{}").await;
    assert_eq!(headers["content-type"], "application/x-ndjson");
    let done: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["done"].clone())
        .collect();
    assert_eq!(done, [false, false, true]);
}

#[tokio::test]
async fn errors_are_told_as_each_provider_tells_them() {
    let upstream = Upstream::start().await.unwrap();
    let gemini = "/v1beta/models/g:generateContent";
    for (path, error, status, pointer, value) in [
        (
            CHAT,
            "rate_limit",
            429,
            "/error/code",
            "rate_limit_exceeded",
        ),
        (
            CHAT,
            "insufficient_quota",
            429,
            "/error/code",
            "insufficient_quota",
        ),
        (
            CHAT,
            "overloaded",
            503,
            "/error/code",
            "server_is_overloaded",
        ),
        (
            CHAT,
            "context_length",
            400,
            "/error/code",
            "context_length_exceeded",
        ),
        (CHAT, "auth", 401, "/error/code", "invalid_api_key"),
        (CHAT, "server_error", 500, "/error/type", "server_error"),
        (
            "/v1/messages",
            "rate_limit",
            429,
            "/error/type",
            "rate_limit_error",
        ),
        (
            "/v1/messages",
            "insufficient_quota",
            400,
            "/error/type",
            "invalid_request_error",
        ),
        (
            "/v1/messages",
            "overloaded",
            529,
            "/error/type",
            "overloaded_error",
        ),
        (
            "/v1/messages",
            "server_error",
            500,
            "/error/type",
            "api_error",
        ),
        ("/v1/messages", "auth", 401, "/type", "error"),
        (
            gemini,
            "rate_limit",
            429,
            "/error/status",
            "RESOURCE_EXHAUSTED",
        ),
        (
            gemini,
            "auth",
            400,
            "/error/details/0/reason",
            "API_KEY_INVALID",
        ),
        (gemini, "overloaded", 503, "/error/status", "UNAVAILABLE"),
    ] {
        let headers = [("x-mock-error", error)];
        let (got, _, body) = ask(upstream.addr(), path, &headers, "{}").await;
        assert_eq!(got.as_u16(), status, "{path} {error}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body.pointer(pointer).unwrap(), value, "{path} {error}");
    }
}

#[tokio::test]
async fn a_wait_is_asked_for_in_headers_or_in_geminis_body() {
    let upstream = Upstream::start().await.unwrap();
    let headers = [("x-mock-status", "429"), ("x-mock-retry-after-ms", "300")];
    let (status, got, _) = ask(upstream.addr(), CHAT, &headers, "{}").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        (&got["retry-after-ms"], &got["retry-after"]),
        (&"300".parse().unwrap(), &"1".parse().unwrap())
    );
    let path = "/v1beta/models/g:generateContent";
    let (_, got, body) = ask(upstream.addr(), path, &headers, "{}").await;
    assert!(!got.contains_key("retry-after"));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body.pointer("/error/details/1/retryDelay").unwrap(), "0.3s");
}

#[tokio::test]
async fn hang_never_answers_and_keeps_the_connection() {
    let upstream = Upstream::start().await.unwrap();
    let mut sender = connect(upstream.addr()).await;
    let sent = sender.send_request(request(CHAT, &[("x-mock-fault", "hang")], "{}"));
    assert!(
        timeout(Duration::from_millis(150), sent).await.is_err(),
        "no answer and no end"
    );
    assert_eq!(upstream.requests(), 1);
}

/// Writes a request by hand and gives what the socket says before its end.
async fn raw(addr: SocketAddr, fault: &str) -> (String, io::Result<()>) {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    let head = format!("GET /x HTTP/1.1\r\nhost: mock\r\nx-mock-fault: {fault}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let end = timeout(PATIENCE, socket.read_to_end(&mut got))
        .await
        .unwrap();
    (String::from_utf8(got).unwrap(), end.map(drop))
}

#[tokio::test]
async fn close_ends_the_connection_with_fin_and_reset_with_rst() {
    let upstream = Upstream::start().await.unwrap();
    let (got, end) = raw(upstream.addr(), "close").await;
    assert!(got.is_empty() && end.is_ok(), "{got:?} {end:?}");
    let (got, end) = raw(upstream.addr(), "reset").await;
    assert!(got.is_empty());
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let error = send(upstream.addr(), CHAT, &[("x-mock-fault", "reset")], "{}")
        .await
        .unwrap_err();
    assert_eq!(causes(&error), [io::ErrorKind::ConnectionReset]);
}

#[tokio::test]
async fn cut_breaks_a_stream_after_n_events_and_a_body_after_n_bytes() {
    let upstream = Upstream::start().await.unwrap();
    let response = send(upstream.addr(), CHAT, &[("x-mock-fault", "cut:3")], STREAM).await;
    let (text, ended_well) = drain(response.unwrap().into_body()).await;
    assert_eq!((events(&text).len(), ended_well), (3, false));
    let response = send(upstream.addr(), CHAT, &[("x-mock-fault", "cut:10")], "{}")
        .await
        .unwrap();
    let promised: usize = response.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let (text, ended_well) = drain(response.into_body()).await;
    assert_eq!((text.len(), ended_well), (10, false));
    assert!(promised > 10);
    let response = send(upstream.addr(), CHAT, &[("x-mock-fault", "cut:0")], STREAM).await;
    let (text, ended_well) = drain(response.expect("the head comes").into_body()).await;
    assert_eq!((text.as_str(), ended_well), ("", false));
}

#[tokio::test]
async fn end_and_error_close_a_stream_cleanly_without_its_finish_marker() {
    let upstream = Upstream::start().await.unwrap();
    let response = send(upstream.addr(), CHAT, &[("x-mock-fault", "end:2")], STREAM).await;
    let (text, ended_well) = drain(response.unwrap().into_body()).await;
    assert_eq!((events(&text).len(), ended_well), (2, true));
    let headers = [("x-mock-fault", "error:1"), ("x-mock-error", "overloaded")];
    for (path, pointer, value) in [
        (CHAT, "/error/code", "server_is_overloaded"),
        ("/v1/messages", "/error/type", "overloaded_error"),
        ("/v1/responses", "/code", "server_is_overloaded"),
    ] {
        let response = send(upstream.addr(), path, &headers, STREAM).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let (text, ended_well) = drain(response.into_body()).await;
        let events = events(&text);
        assert_eq!((events.len(), ended_well), (2, true), "{path}");
        assert_eq!(events[1].pointer(pointer).unwrap(), value, "{path}");
    }
    let (status, _, body) = ask(upstream.addr(), CHAT, &headers, "{}").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(body.pointer("/error/code").is_some(), "{body}");
}

#[tokio::test]
async fn stall_keeps_a_stream_open_and_silent() {
    let upstream = Upstream::start().await.unwrap();
    let response = send(
        upstream.addr(),
        CHAT,
        &[("x-mock-fault", "stall:1")],
        STREAM,
    )
    .await;
    let mut body = response.unwrap().into_body();
    let first = timeout(PATIENCE, body.frame()).await.unwrap();
    assert!(first.is_some_and(|frame| frame.is_ok()));
    assert!(
        timeout(Duration::from_millis(150), body.frame())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn events_of_a_paced_stream_arrive_one_by_one() {
    let upstream = Upstream::start().await.unwrap();
    let headers = [
        ("x-mock-tokens", "3"),
        ("x-mock-token-delay-ms", "40"),
        ("x-mock-first-token-delay-ms", "80"),
        ("x-mock-delay-ms", "60"),
    ];
    let begun = Instant::now();
    let response = send(upstream.addr(), CHAT, &headers, STREAM).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(60));
    let mut body = response.into_body();
    let mut tokens = Vec::new();
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.unwrap() {
        let bytes = frame.unwrap().into_data().unwrap();
        for event in events(std::str::from_utf8(&bytes).unwrap()) {
            let content = event.pointer("/choices/0/delta/content");
            if content.is_some_and(|c| c != "") {
                tokens.push(begun.elapsed());
            }
        }
    }
    assert_eq!(tokens.len(), 3);
    for (token, at_least) in tokens.iter().zip([140, 180, 220]) {
        assert!(*token >= Duration::from_millis(at_least), "{tokens:?}");
    }
}

#[tokio::test]
async fn a_keyed_sequence_goes_on_at_another_listener() {
    let sequences = Sequences::new();
    let start = || Upstream::builder().sequences(&sequences).start();
    let (a, b) = (start().await.unwrap(), start().await.unwrap());
    let headers = [
        ("x-mock-sequence", "503,429;retry-after-ms=300,200"),
        ("x-mock-key", "1"),
    ];
    let mut statuses = Vec::new();
    for addr in [a.addr(), b.addr(), a.addr(), b.addr()] {
        statuses.push(ask(addr, CHAT, &headers, "{}").await.0.as_u16());
    }
    assert_eq!(statuses, [503, 429, 200, 200]);
    let other = [headers[0], ("x-mock-key", "2")];
    assert_eq!(ask(b.addr(), CHAT, &other, "{}").await.0, 503);
}

#[tokio::test]
async fn scripts_are_set_in_code_and_over_the_wire() {
    let upstream = Upstream::builder()
        .script(Script::sequence([Answer::error(ErrorKind::Overloaded)]))
        .start()
        .await
        .unwrap();
    let addr = upstream.addr();
    let status = async || ask(addr, CHAT, &[], "{}").await.0.as_u16();
    assert_eq!([status().await, status().await], [503, 200]);
    upstream.set_script(Script::by(|seen| match seen.body_len {
        2 => Answer::status(StatusCode::IM_A_TEAPOT),
        _ => Answer::json("{}"),
    }));
    assert_eq!(status().await, 418);
    assert_eq!(ask(addr, CHAT, &[], "{} ").await.2, "{}");
    let script = r#"{"sequence":[500,"504;delay-ms=1",{"error":"rate_limit","retry_after_ms":9}],"status":502}"#;
    assert_eq!(ask(addr, "/mock/script", &[], script).await.0, 200);
    let got = [
        status().await,
        status().await,
        status().await,
        status().await,
    ];
    assert_eq!(got, [500, 504, 429, 502]);
    let bad = ask(addr, "/mock/script", &[], r#"{"statsu":500}"#).await;
    assert_eq!(bad.0, 400);
    assert!(bad.2.contains("statsu"), "{}", bad.2);
    let steered = ask(addr, CHAT, &[("x-mock-status", "201")], "{}").await.0;
    assert_eq!(steered, 201, "headers come before the script");
    let mut sender = connect(addr).await;
    let delete = Request::delete("/mock/script").header("host", "mock");
    let deleted = sender.send_request(delete.body(Full::default()).unwrap());
    assert_eq!(deleted.await.unwrap().status(), 200);
    assert_eq!(
        status().await,
        200,
        "its one overloaded answer was given before"
    );
    let typo = ask(addr, CHAT, &[("x-mock-stauts", "500")], "{}").await;
    assert_eq!(typo.0, 400);
    assert!(typo.2.contains("stauts"), "{}", typo.2);
}

#[tokio::test]
async fn requests_are_counted_and_recorded() {
    let upstream = Upstream::start().await.unwrap();
    let long = "x".repeat(10_000);
    ask(upstream.addr(), "/a?q=1", &[("x-one", "1")], &long).await;
    ask(upstream.addr(), "/b", &[("x-mock-status", "500")], "").await;
    let health = ask(upstream.addr(), "/healthz", &[], "").await;
    assert_eq!((health.0.as_u16(), health.2.as_str()), (200, "ok\n"));
    let seen = upstream.seen();
    assert_eq!((seen.len(), upstream.requests()), (2, 2));
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("POST", "/a?q=1")
    );
    assert_eq!((seen[0].body_len, seen[0].body.len()), (10_000, 4096));
    assert_eq!(seen[0].headers["x-one"], "1");
    assert!(seen[0].at <= seen[1].at && seen[0].connection < seen[1].connection);
    let mut sender = connect(upstream.addr()).await;
    let stats = Request::get("/mock/stats").header("host", "mock");
    let stats = sender.send_request(stats.body(Full::default()).unwrap());
    let stats = stats.await.unwrap().into_body().collect().await.unwrap();
    let stats: Value = serde_json::from_slice(&stats.to_bytes()).unwrap();
    assert_eq!(stats["requests"], 2);
    assert_eq!(stats["by_status"], serde_json::json!({"200": 1, "500": 1}));
    assert_eq!(stats["by_path"], serde_json::json!({"/a": 1, "/b": 1}));
    assert_eq!(stats.pointer("/connections/accepted").unwrap(), 4);
    let quiet = Upstream::builder().record(false).start().await.unwrap();
    ask(quiet.addr(), "/a", &[], "").await;
    assert_eq!((quiet.requests(), quiet.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_body_is_padded_to_the_byte() {
    let upstream = Upstream::start().await.unwrap();
    for path in [CHAT, "/v1/messages"] {
        let body = ask(
            upstream.addr(),
            path,
            &[("x-mock-body-bytes", "1024")],
            "{}",
        )
        .await
        .2;
        assert_eq!(body.len(), 1024, "{path}");
        assert!(serde_json::from_str::<Value>(&body).is_ok());
    }
}

#[tokio::test]
async fn http2_is_served_on_the_same_port_and_faults_stay_in_their_stream() {
    let upstream = Upstream::start().await.unwrap();
    let mut sender = connect_h2(upstream.addr()).await;
    let url = format!("http://{}{CHAT}", upstream.addr());
    let mut send = |fault: &'static str| {
        let request = Request::post(&url)
            .header("x-mock-fault", fault)
            .body(Full::from(STREAM))
            .unwrap();
        sender.send_request(request)
    };
    let paced = send("end:1");
    assert!(send("close").await.is_err());
    assert!(send("reset").await.is_err());
    let (text, ended_well) = drain(send("cut:2").await.unwrap().into_body()).await;
    assert_eq!((events(&text).len(), ended_well), (2, false));
    let (_, ended_well) = drain(paced.await.unwrap().into_body()).await;
    assert!(ended_well);
    assert_eq!((upstream.accepted(), upstream.open()), (1, 1));
}

#[tokio::test]
async fn kill_closes_what_is_open_and_revive_listens_again() {
    let upstream = Upstream::start().await.unwrap();
    let addr = upstream.addr();
    let response = send(addr, CHAT, &[("x-mock-fault", "stall:1")], STREAM).await;
    let mut idle = TcpStream::connect(addr).await.unwrap();
    while upstream.open() < 2 {
        tokio::task::yield_now().await;
    }
    upstream.kill().await;
    assert_eq!(upstream.open(), 0);
    let (_, ended_well) = drain(response.unwrap().into_body()).await;
    assert!(!ended_well);
    assert_eq!(
        timeout(PATIENCE, idle.read(&mut [0]))
            .await
            .unwrap()
            .unwrap(),
        0
    );
    let refused = TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    upstream.revive().await.unwrap();
    assert_eq!(ask(addr, CHAT, &[], "{}").await.0, 200);
}

#[tokio::test]
async fn stop_lets_requests_finish() {
    let upstream = Upstream::start().await.unwrap();
    let addr = upstream.addr();
    let headers = [("x-mock-tokens", "3"), ("x-mock-token-delay-ms", "30")];
    let response = send(addr, CHAT, &headers, STREAM).await.unwrap();
    let (_, (text, ended_well)) = tokio::join!(upstream.stop(), drain(response.into_body()));
    assert!(ended_well && text.ends_with("data: [DONE]\n\n"));
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn refuse_as_an_answer_takes_the_listener_down() {
    let upstream = Upstream::builder()
        .script(Answer::fault(Fault::Refuse))
        .start()
        .await
        .unwrap();
    let addr = upstream.addr();
    let mut kept = connect(addr).await;
    let error = kept.send_request(request(CHAT, &[], "{}")).await;
    assert!(error.is_err());
    let refused = TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn drop_ends_listener_and_connections() {
    let upstream = Upstream::start().await.unwrap();
    let addr = upstream.addr();
    let mut socket = TcpStream::connect(addr).await.unwrap();
    while upstream.open() < 1 {
        tokio::task::yield_now().await;
    }
    drop(upstream);
    assert_eq!(
        timeout(PATIENCE, socket.read(&mut [0]))
            .await
            .unwrap()
            .unwrap(),
        0
    );
    timeout(PATIENCE, async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the port is closed");
}
