//! What the mock counts, and how an answer is continued.

use std::{net::SocketAddr, time::Duration};

use http::Request;
use http_body_util::{BodyExt, Full};
use llmesh::testing::upstream::{Upstream, Usage};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::upstream::{CHAT, ask, ask_json, connect, events, send};

const MESSAGES: &str = "/v1/messages";

async fn get(addr: SocketAddr, method: &str, path: &str, key: Option<&str>) -> Value {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "m");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let request = request.body(Full::default()).unwrap();
    let response = connect(addr).await.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

fn row(upstream: &Upstream, model: &str) -> Usage {
    let mut rows = upstream.usage().into_iter();
    rows.find(|row| row.model == model).unwrap()
}

#[tokio::test]
async fn tokens_are_counted_by_key_and_model_as_the_answers_say() {
    let upstream = Upstream::start().await.unwrap();
    let addr = upstream.addr();
    let body = r#"{"model":"m@tokens=7","messages":[{"role":"user","content":"one two three"}]}"#;
    for (key, path, input, output) in [
        (
            "Bearer a",
            CHAT,
            "/usage/prompt_tokens",
            "/usage/completion_tokens",
        ),
        (
            "Bearer a",
            MESSAGES,
            "/usage/input_tokens",
            "/usage/output_tokens",
        ),
        (
            "Bearer b",
            "/v1/responses",
            "/usage/input_tokens",
            "/usage/output_tokens",
        ),
    ] {
        let answer = ask_json(addr, path, &[("authorization", key)], body).await;
        assert_eq!(answer.pointer(input).unwrap(), 3, "{path}");
        assert_eq!(answer.pointer(output).unwrap(), 7, "{path}");
    }
    let refused = r#"{"model":"m@429"}"#;
    ask(addr, CHAT, &[("x-api-key", "a")], refused).await;
    let all = get(addr, "GET", "/mock/usage", None).await;
    let own = get(addr, "GET", "/mock/usage", Some("a")).await;
    assert_eq!((&all["requests"], &all["answers"]), (&json!(4), &json!(3)));
    assert_eq!(
        (&all["prompt_tokens"], &all["completion_tokens"]),
        (&json!(9), &json!(21))
    );
    assert_eq!(
        (&own["requests"], &own["completion_tokens"]),
        (&json!(3), &json!(14))
    );
    assert_eq!(own["usage"].as_array().unwrap().len(), 1);
    assert!(!all.to_string().contains("Bearer"), "keys are hashed");
    get(addr, "DELETE", "/mock/state", None).await;
    assert_eq!(get(addr, "GET", "/mock/usage", None).await["requests"], 0);
}

#[tokio::test]
async fn attempts_and_prompts_are_told_apart() {
    let upstream = Upstream::start().await.unwrap();
    let body = |text: &str| format!(r#"{{"model":"m","messages":[{{"content":"{text}"}}]}}"#);
    for (headers, text) in [
        (&[][..], "a"),
        (&[("x-envoy-attempt-count", "2")], "a"),
        (&[("x-stainless-retry-count", "2")], "b"),
    ] {
        ask(upstream.addr(), CHAT, headers, &body(text)).await;
    }
    assert_eq!(
        row(&upstream, "m").attempts,
        [(1, 1), (2, 1), (3, 1)].into()
    );
    let prompts = get(upstream.addr(), "GET", "/mock/prompts", None).await;
    let hash = |n: usize| prompts["prompts"][n]["prompt"].as_str().unwrap();
    assert_eq!(hash(0), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[tokio::test]
async fn a_caller_that_hangs_up_pays_for_what_was_sent() {
    let upstream = Upstream::start().await.unwrap();
    let body = r#"{"model":"slow@token-delay-ms=30;tokens=100","stream":true}"#;
    let mut stream = send(upstream.addr(), CHAT, &[], body)
        .await
        .unwrap()
        .into_body();
    let mut got = 0;
    while got < 3 {
        let bytes = stream.frame().await.unwrap().unwrap().into_data().unwrap();
        let events = events(std::str::from_utf8(&bytes).unwrap());
        let content = |e: &Value| {
            e.pointer("/choices/0/delta/content")
                .is_some_and(|c| c != "")
        };
        got += events.iter().filter(|e| content(e)).count();
    }
    drop(stream);
    while row(&upstream, "slow").hung_up == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let sent = row(&upstream, "slow");
    assert!((3..10).contains(&sent.completion_tokens), "{sent:?}");
    let whole = r#"{"model":"fast@tokens=5","stream":true}"#;
    ask(upstream.addr(), CHAT, &[], whole).await;
    let sent = row(&upstream, "fast");
    assert_eq!((sent.completion_tokens, sent.hung_up), (5, 0));
}

/// A conversation whose last turn is the assistant's.
fn begun(model: &str, text: &str) -> String {
    json!({
        "model": model,
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": text}],
        "contents": [{"role": "user", "parts": [{"text": "x"}]}, {"role": "model", "parts": [{"text": text}]}],
        "input": [{"role": "user", "content": "x"}, {"role": "assistant", "content": text}],
    })
    .to_string()
}

#[tokio::test]
async fn an_answer_goes_on_where_the_assistants_turn_ends() {
    let upstream = Upstream::start().await.unwrap();
    for (path, text, tokens) in [
        (
            CHAT,
            "/choices/0/message/content",
            "/usage/completion_tokens",
        ),
        (
            "/v1/responses",
            "/output/0/content/0/text",
            "/usage/output_tokens",
        ),
        (MESSAGES, "/content/0/text", "/usage/output_tokens"),
        (
            "/v1beta/models/m:generateContent",
            "/candidates/0/content/parts/0/text",
            "/usageMetadata/candidatesTokenCount",
        ),
    ] {
        let whole = ask_json(upstream.addr(), path, &[], "{}").await;
        let whole = whole.pointer(text).unwrap().as_str().unwrap().to_owned();
        let head = "The quick brown";
        let rest = ask_json(upstream.addr(), path, &[], &begun("m", head)).await;
        let tail = rest.pointer(text).unwrap().as_str().unwrap();
        assert_eq!(format!("{head}{tail}"), whole, "{path}");
        assert_eq!(rest.pointer(tokens).unwrap(), 13, "{path}");
    }
}

#[tokio::test]
async fn a_prefill_may_be_refused() {
    let upstream = Upstream::start().await.unwrap();
    let addr = upstream.addr();
    for (path, model, text, status) in [
        (MESSAGES, "claude-no-prefill", "The", 400),
        (CHAT, "m@no-prefill", "The", 400),
        (MESSAGES, "claude", "The ", 400),
        (CHAT, "m", "The ", 200),
    ] {
        let (got, _, body) = ask(addr, path, &[], &begun(model, text)).await;
        assert_eq!(got.as_u16(), status, "{path} {model}: {body}");
        if status == 400 {
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(
                body.pointer("/error/type").unwrap(),
                "invalid_request_error"
            );
        }
    }
    let user = r#"{"model":"m-no-prefill","messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(ask(addr, CHAT, &[], user).await.0, 200);
    let header = [("x-mock-no-prefill", "1")];
    assert_eq!(ask(addr, CHAT, &header, &begun("m", "The")).await.0, 400);
}
