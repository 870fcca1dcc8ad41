//! The mock's faults, by header and by model name: callers test their own services with them.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use llmesh::{
    base::time::Instant,
    classify::{Classifier, Outcome},
    llm::{DialectMode, LlmClassifier},
    testing::upstream::Upstream,
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::sleep};

use crate::upstream::{CHAT, ask, causes, drain, events, send};

const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

/// Path and body of a stream from this model, in each dialect whose body is text.
fn streams(model: &str) -> [(String, String); 7] {
    let body = format!(r#"{{"model":"{model}","stream":true}}"#);
    let gemini = format!("/v1beta/models/{model}:streamGenerateContent");
    [
        (CHAT.to_owned(), body.clone()),
        (RESPONSES.to_owned(), body.clone()),
        (MESSAGES.to_owned(), body.clone()),
        (format!("{gemini}?alt=sse"), "{}".to_owned()),
        (gemini, "{}".to_owned()),
        ("/api/chat".to_owned(), body.clone()),
        ("/v2/chat".to_owned(), body),
    ]
}

async fn stream(addr: SocketAddr, path: &str, body: &str) -> (String, bool) {
    drain(send(addr, path, &[], body).await.unwrap().into_body()).await
}

/// The stream of an OpenAI chat model.
async fn chat(addr: SocketAddr, model: &str) -> (String, bool) {
    let body = format!(r#"{{"model":"{model}","stream":true}}"#);
    stream(addr, CHAT, &body).await
}

async fn statuses(addr: SocketAddr, path: &str, body: &str, requests: usize) -> Vec<u16> {
    let mut out = Vec::new();
    for _ in 0..requests {
        out.push(ask(addr, path, &[], body).await.0.as_u16());
    }
    out
}

#[tokio::test]
async fn a_models_name_asks_in_every_dialect() {
    let upstream = Upstream::start().await.unwrap();
    let once = "m@503;retry-after=2;times=1";
    let body = |name: &str| format!(r#"{{"model":"{name}{once}"}}"#);
    for (path, body) in [
        (CHAT.to_owned(), body("chat")),
        (RESPONSES.to_owned(), body("responses")),
        ("/api/chat".to_owned(), body("ollama")),
        ("/v2/chat".to_owned(), body("cohere")),
        (
            format!("/v1beta/models/{once}:generateContent"),
            "{}".to_owned(),
        ),
        (
            format!("/openai/deployments/azure{once}/chat/completions"),
            "{}".to_owned(),
        ),
        (
            "/model/bedrock%40503%3Btimes%3D1/converse".to_owned(),
            "{}".to_owned(),
        ),
    ] {
        let got = statuses(upstream.addr(), &path, &body, 3).await;
        assert_eq!(got, [503, 200, 200], "{path}");
    }
    let overloaded = r#"{"model":"c@overloaded;retry-after=2"}"#;
    let (status, headers, _) = ask(upstream.addr(), MESSAGES, &[], overloaded).await;
    assert_eq!(
        (status.as_u16(), &headers["retry-after"]),
        (529, &"2".parse().unwrap())
    );
    assert!(!headers.contains_key("retry-after-ms"));
}

#[tokio::test]
async fn names_hold_state_for_as_long_as_they_are_asked() {
    let upstream = Upstream::start().await.unwrap();
    let addr = upstream.addr();
    for (plan, expected) in [
        ("503", [503, 503, 503, 503]),
        ("503;times=2", [503, 503, 200, 200]),
        ("429,500", [429, 500, 200, 200]),
        ("429,500,hold", [429, 500, 500, 500]),
        ("503,200;times=2,loop", [503, 200, 200, 503]),
    ] {
        let body = format!(r#"{{"model":"m@{plan}"}}"#);
        assert_eq!(statuses(addr, CHAT, &body, 4).await, expected, "{plan}");
    }
    let body = r#"{"model":"m@503;times=1"}"#;
    let status = async |key: &str| ask(addr, CHAT, &[("x-mock-key", key)], body).await.0;
    assert_eq!(
        [status("a").await, status("b").await, status("a").await].map(|s| s.as_u16()),
        [503, 503, 200],
        "keys are apart"
    );
    let times = [("x-mock-status", "500"), ("x-mock-times", "1")];
    let mut by_header = Vec::new();
    for _ in 0..2 {
        by_header.push(ask(addr, CHAT, &times, "{}").await.0.as_u16());
    }
    assert_eq!(by_header, [500, 200]);
    let flap = r#"{"model":"m@503;flap-ms=300"}"#;
    assert_eq!(statuses(addr, CHAT, flap, 2).await, [503, 503]);
    sleep(Duration::from_millis(350)).await;
    assert_eq!(statuses(addr, CHAT, flap, 1).await, [200]);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(statuses(addr, CHAT, flap, 1).await, [503]);
}

#[tokio::test]
async fn what_a_name_asks_must_be_readable_and_versions_ask_nothing() {
    let upstream = Upstream::start().await.unwrap();
    for (model, status) in [
        ("m@bogus", 400),
        ("m@503;times=x", 400),
        ("m@case=openai-999", 400),
        ("claude@20250514", 200),
        ("@cf/meta/llama", 200),
        ("m", 200),
    ] {
        let body = format!(r#"{{"model":"{model}"}}"#);
        let got = ask(upstream.addr(), CHAT, &[], &body).await.0;
        assert_eq!(got.as_u16(), status, "{model}");
    }
}

#[tokio::test]
async fn every_case_of_the_file_is_replayed() {
    let upstream = Upstream::start().await.unwrap();
    let mut replayed = 0;
    for line in include_str!("../data/llm-error-cases.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap();
        if case["phase"] == "transport" || case["end"] == "open" {
            continue;
        }
        let headers = [("x-mock-case", id)];
        let response = send(upstream.addr(), CHAT, &headers, "{}").await.unwrap();
        assert_eq!(
            u64::from(response.status().as_u16()),
            case["status"],
            "{id}"
        );
        for (name, value) in case["headers"].as_object().unwrap() {
            assert_eq!(
                &response.headers()[name.as_str()],
                value.as_str().unwrap(),
                "{id}"
            );
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        if let Some(expected) = case.get("body") {
            assert_eq!(
                serde_json::from_slice::<Value>(&body).unwrap(),
                *expected,
                "{id}"
            );
        } else if let Some(frames) = case["frames"].as_array() {
            let frames: String = frames.iter().map(|f| f.as_str().unwrap()).collect();
            assert_eq!(body, frames, "{id}");
        } else if let Some(text) = case["body_text"].as_str() {
            assert_eq!(body, text, "{id}");
        } else {
            assert!(!body.is_empty(), "{id}");
        }
        replayed += 1;
    }
    assert_eq!(replayed, 110);
}

#[tokio::test]
async fn a_refused_connection_is_refused_and_then_not() {
    let upstream = Upstream::start().await.unwrap();
    let addr = upstream.addr();
    let body = r#"{"model":"m@refuse:200;times=1"}"#;
    assert!(send(addr, CHAT, &[], body).await.is_err());
    let refused = TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let begun = Instant::now();
    while TcpStream::connect(addr).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5));
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(statuses(addr, CHAT, body, 1).await, [200]);
}

#[tokio::test]
async fn streams_break_after_n_tokens_in_every_dialect() {
    let upstream = Upstream::start().await.unwrap();
    for (fault, clean) in [("cut:3t", false), ("reset:3t", false), ("end:3t", true)] {
        for (path, body) in streams(&format!("m@{fault}")) {
            let (text, ended_well) = stream(upstream.addr(), &path, &body).await;
            assert_eq!(ended_well, clean, "{path} {fault}");
            let here = |word: &str| text.contains(word);
            assert!(
                here("quick") && here(" brown") && !here(" fox"),
                "{path}: {text}"
            );
            for marker in ["[DONE]", "message_stop", "completed", "STOP", "COMPLETE"] {
                assert!(!here(marker), "{path}: {text}");
            }
        }
    }
    let body = r#"{"model":"m@reset:1","stream":true}"#;
    let mut body = send(upstream.addr(), CHAT, &[], body)
        .await
        .unwrap()
        .into_body();
    let error = loop {
        if let Err(error) = body.frame().await.unwrap() {
            break error;
        }
    };
    assert_eq!(causes(&error), [io::ErrorKind::ConnectionReset]);
}

#[tokio::test]
async fn error_events_have_the_dialects_shape() {
    let upstream = Upstream::start().await.unwrap();
    for n in ["0", "2t"] {
        for (path, body) in streams(&format!("m@overloaded;error:{n}")) {
            let (text, ended_well) = stream(upstream.addr(), &path, &body).await;
            assert!(ended_well, "{path}");
            assert_eq!(text.contains("quick"), n == "2t", "{path}: {text}");
            assert!(text.contains("verloaded"), "{path}: {text}");
            if path.ends_with("streamGenerateContent") {
                let array: Value = serde_json::from_str(&text).unwrap();
                let last = array.as_array().unwrap().last().unwrap();
                assert_eq!(last.pointer("/error/status").unwrap(), "UNAVAILABLE");
            }
        }
    }
    let path = "/model/m%40500%3Berror%3A1/converse-stream";
    let answer = send(upstream.addr(), path, &[], "{}").await.unwrap();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("internalServerException"));
}

#[tokio::test]
async fn streams_may_say_too_little_or_too_much_at_their_end() {
    let upstream = Upstream::start().await.unwrap();
    let addr = upstream.addr();
    let (text, ended_well) = chat(addr, "m@no-done").await;
    assert!(ended_well && text.contains("\"stop\"") && !text.contains("[DONE]"));
    let (text, _) = chat(addr, "m@double-finish").await;
    assert_eq!(text.matches("\"finish_reason\":\"stop\"").count(), 2);
    let (text, _) = chat(addr, "m@content-after-finish").await;
    let after = text.split("\"stop\"").nth(1).unwrap();
    assert!(after.contains("\"content\":\"The\"") && after.ends_with("data: [DONE]\n\n"));
    for (path, body) in streams("m@malformed:2;tokens=3") {
        let (text, ended_well) = stream(addr, &path, &body).await;
        assert!(ended_well, "{path}");
        let lines = text.lines().filter_map(|l| match path.as_str() {
            "/api/chat" => Some(l),
            _ => l.strip_prefix("data: "),
        });
        let broken = lines
            .filter(|l| *l != "[DONE]" && serde_json::from_str::<Value>(l).is_err())
            .count();
        let array = path.ends_with("streamGenerateContent");
        assert_eq!(broken, usize::from(!array), "{path}: {text}");
        assert!(serde_json::from_str::<Value>(&text).is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_stall_ends_if_told_and_pings_fill_it() {
    let upstream = Upstream::start().await.unwrap();
    let begun = Instant::now();
    let model = "m@stall:2t;stall-ms=120;ping-ms=30;tokens=3";
    for (path, ping) in [(CHAT, ": ping\n\n"), (MESSAGES, "event: ping\n")] {
        let body = format!(r#"{{"model":"{model}","stream":true}}"#);
        let (text, ended_well) = stream(upstream.addr(), path, &body).await;
        assert!(ended_well && text.contains(" brown"), "{text}");
        let stalled = text.split("quick").nth(1).unwrap();
        let stalled = stalled.split(" brown").next().unwrap();
        assert!(stalled.matches(ping).count() >= 2, "{path}: {stalled}");
    }
    assert!(begun.elapsed() >= Duration::from_millis(240));
    let response = send(
        upstream.addr(),
        CHAT,
        &[],
        r#"{"model":"m@stall:20;stall-ms=50"}"#,
    );
    let (text, ended_well) = drain(response.await.unwrap().into_body()).await;
    assert!(ended_well && serde_json::from_str::<Value>(&text).is_ok());
}

#[tokio::test]
async fn tokens_drip_at_a_rate() {
    let upstream = Upstream::start().await.unwrap();
    let begun = Instant::now();
    let (text, _) = chat(upstream.addr(), "m@tokens-per-second=50;tokens=5").await;
    assert_eq!(events(&text).len(), 7);
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn bodies_may_be_pages_huge_or_zipped() {
    let upstream = Upstream::start().await.unwrap();
    let addr = upstream.addr();
    let model = |plan: &str| format!(r#"{{"model":"m@{plan}"}}"#);
    let (status, headers, page) = ask(addr, CHAT, &[], &model("page")).await;
    assert_eq!((status.as_u16(), page.starts_with("<html>")), (200, true));
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    let (status, _, page) = ask(addr, CHAT, &[], &model("502;page")).await;
    assert_eq!((status.as_u16(), page.contains("502")), (502, true));
    let (status, _, huge) = ask(addr, CHAT, &[], &model("500;body-bytes=10485760")).await;
    assert_eq!((status.as_u16(), huge.len()), (500, 10_485_760));
    assert!(serde_json::from_str::<Value>(&huge).is_ok());
    let plain = ask(addr, CHAT, &[], &model("bad-gzip")).await;
    assert_eq!(plain.1["content-encoding"], "gzip");
    assert!(serde_json::from_str::<Value>(&plain.2).is_ok());
    let zipped = send(addr, CHAT, &[], &model("gzip;tokens=1"))
        .await
        .unwrap();
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
    let zipped = zipped.into_body().collect().await.unwrap().to_bytes();
    // One stored block, so the JSON stands between its header and the trailer.
    let json: Value = serde_json::from_slice(&zipped[15..zipped.len() - 13]).unwrap();
    assert_eq!(json.pointer("/choices/0/message/content").unwrap(), "The");
}

#[tokio::test]
async fn filters_and_limits_end_answers_early() {
    let upstream = Upstream::start().await.unwrap();
    for (path, pointer, filtered, cut) in [
        (CHAT, "/choices/0/finish_reason", "content_filter", "length"),
        (MESSAGES, "/stop_reason", "refusal", "max_tokens"),
        (
            RESPONSES,
            "/incomplete_details/reason",
            "content_filter",
            "max_output_tokens",
        ),
        (
            "/model/m/converse",
            "/stopReason",
            "content_filtered",
            "max_tokens",
        ),
    ] {
        let header = [("x-mock-finish", "content_filter")];
        let limit = r#"{"max_tokens":3,"inferenceConfig":{"maxTokens":3}}"#;
        for (headers, body, reason) in [(&header[..], "{}", filtered), (&[], limit, cut)] {
            let (status, _, text) = ask(upstream.addr(), path, headers, body).await;
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(status, StatusCode::OK);
            assert_eq!(answer.pointer(pointer).unwrap(), reason, "{path}");
        }
    }
    let gemini = "/v1beta/models/m@content_filter:generateContent";
    let (status, _, text) = ask(upstream.addr(), gemini, &[], "{}").await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        answer.pointer("/promptFeedback/blockReason").unwrap(),
        "SAFETY"
    );
}

/// What llmesh's own classifier makes of the answer.
async fn class(addr: SocketAddr, path: &str, error: &str) -> Outcome {
    let headers = [("x-mock-error", error)];
    let (head, body) = send(addr, path, &headers, "{}").await.unwrap().into_parts();
    let uri = format!("http://llm-service{path}");
    let (request, ()) = Request::post(uri).body(()).unwrap().into_parts();
    let mut attempt = LlmClassifier::new(DialectMode::Auto).attempt(
        &request.method,
        &request.uri,
        &request.headers,
    );
    let mut answer = http::Response::new(());
    (*answer.status_mut(), *answer.headers_mut()) = (head.status, head.headers);
    let _ = attempt.head(&answer.into_parts().0, llmesh::base::time::wall_now());
    let body: Bytes = body.collect().await.unwrap().to_bytes();
    let _ = Classifier::frame(&mut attempt, &body);
    attempt.end(None).outcome
}

#[tokio::test]
async fn errors_are_what_their_name_says_in_every_dialect() {
    let upstream = Upstream::start().await.unwrap();
    let (gemini, bedrock) = ("/v1beta/models/m:generateContent", "/model/m/converse");
    let all = [
        CHAT,
        RESPONSES,
        MESSAGES,
        gemini,
        bedrock,
        "/v2/chat",
        "/api/chat",
    ];
    // Where an API has no word for it the class is that of its status.
    for (error, outcome, paths) in [
        ("rate_limit", Outcome::RateLimited, &all[..]),
        ("overloaded", Outcome::Overloaded, &all),
        ("server_error", Outcome::ServerError, &all),
        ("not_found", Outcome::NotFound, &all),
        ("invalid_request", Outcome::InvalidRequest, &all),
        ("timeout", Outcome::Timeout, &all),
        ("permission", Outcome::Permission, &all),
        ("auth", Outcome::Auth, &all),
        ("context_length", Outcome::ContextLength, &all[..5]),
        ("insufficient_quota", Outcome::QuotaExhausted, &all[..3]),
        ("quota_window", Outcome::QuotaWindow, &all[..5]),
        ("ramp_limit", Outcome::RampLimited, &all[..3]),
        (
            "request_exceeds_limit",
            Outcome::RequestExceedsLimit,
            &all[..3],
        ),
        (
            "content_filter",
            Outcome::ContentFilter,
            &[CHAT, RESPONSES, gemini],
        ),
        ("too_large", Outcome::TooLarge, &all[..3]),
        ("conflict", Outcome::Conflict, &all[..3]),
    ] {
        for path in paths {
            let got = class(upstream.addr(), path, error).await;
            assert_eq!(got, outcome, "{path} {error}");
        }
    }
}

#[tokio::test]
async fn tools_are_called_in_every_dialect() {
    let upstream = Upstream::start().await.unwrap();
    let tool = json!({"name": "weather", "parameters": {"required": ["city"], "properties": {"city": {"type": "string"}}}});
    let bodies = json!({
        "model": "m@tool", "stream": false,
        "tools": [{"name": "weather", "function": tool, "functionDeclarations": [tool]}],
        "toolConfig": {"tools": [{"toolSpec": {"name": "weather"}}]},
    });
    for (path, pointer, finish, reason) in [
        (
            CHAT,
            "/choices/0/message/tool_calls/0/function/name",
            "/choices/0/finish_reason",
            "tool_calls",
        ),
        (
            RESPONSES,
            "/output/0/name",
            "/output/0/type",
            "function_call",
        ),
        (MESSAGES, "/content/0/name", "/stop_reason", "tool_use"),
        (
            "/v1beta/models/m@tool:generateContent",
            "/candidates/0/content/parts/0/functionCall/name",
            "/candidates/0/finishReason",
            "STOP",
        ),
        (
            "/api/chat",
            "/message/tool_calls/0/function/name",
            "/done_reason",
            "stop",
        ),
        (
            "/v2/chat",
            "/message/tool_calls/0/function/name",
            "/finish_reason",
            "TOOL_CALL",
        ),
    ] {
        let (_, _, text) = ask(upstream.addr(), path, &[], &bodies.to_string()).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer.pointer(pointer).unwrap(), "weather", "{path}");
        assert_eq!(answer.pointer(finish).unwrap(), reason, "{path}");
    }
    let mut streamed = bodies;
    streamed["stream"] = true.into();
    let (text, _) = stream(upstream.addr(), CHAT, &streamed.to_string()).await;
    let pointer = "/choices/0/delta/tool_calls/0/function/arguments";
    let arguments: String = events(&text)
        .iter()
        .filter_map(|e| e.pointer(pointer)?.as_str().map(str::to_owned))
        .collect();
    assert_eq!(
        serde_json::from_str::<Value>(&arguments).unwrap(),
        json!({"city": "mock"})
    );
    let none = ask(upstream.addr(), CHAT, &[], r#"{"model":"m@tool"}"#)
        .await
        .2;
    assert!(none.contains("quick"), "no tools, so text: {none}");
}
