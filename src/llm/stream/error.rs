//! Errors inside streams, in every form that servers give them.
//!
//! | form | whose |
//! |---|---|
//! | an event named `error`, unless it carries nothing, or of type `error` | Anthropic, OpenAI Responses, DashScope (flat), many gateways (text) |
//! | `{"error": {…}}` or `{"error": "…"}`, alone or beside choices | OpenAI chat, vLLM, OpenRouter, Gemini, Ollama, TGI |
//! | a type that ends with `error` or `exception`, with words | Mistral's conversations, flat errors of many servers |
//! | `{"object": "error", …}` | old vLLM |
//! | `{"errors": [{…}]}` | Cloudflare, watsonx |
//! | `{"code": 400…599, "message": "…"}`, `{"__type": …}` | Mistral, AWS inside of Bedrock's chunks |
//! | `{"status": 400…599, "detail": "…"}`, with a `type` that is an address | RFC 9457: NVIDIA's cloud functions |
//! | `{"detail": …}` and nothing else, in a stream whose grammar was recognised | FastAPI: Databricks, many servers |
//! | `{"base_resp": {"status_code": n, …}}`, n not 0 | MiniMax |
//! | a field `error:` with an object that says so | llama.cpp |
//! | a line of JSON outside of all fields | Gemini, proxies |
//!
//! What only one family says so (a finish reason `error`, `response.failed`, a failed interaction) stands in that family's own
//! file; exception frames are in `aws`. An event is an error by its structure alone: no word in a text makes it one.

use serde_json::{Value, json};

use super::{event::text, family::Family, sieve};
pub(super) use crate::llm::fault::says;
use crate::llm::fault::{has_status, is_detail, is_flat, is_named, is_problem, names_error};

/// Names under which servers send plain data.
const PLAIN_NAMES: &[&str] = &["", "chunk", "completion", "data", "message"];

/// Keys under which an event has an answer: an error beside one is an error too.
const ANSWERS: &[&str] = &["candidates", "choices"];

/// What an object in a field `error` has, if it is one.
const TELLING: &[&str] = &[
    "__type",
    "code",
    "detail",
    "error",
    "error_type",
    "errors",
    "message",
    "msg",
    "type",
];

/// Whether an event is an error in itself.
pub(super) fn is(name: &str, event: &Value) -> bool {
    let kind = text(event, "type").or_else(|| text(event, "event_type"));
    if name == "error" && holds(event) || event.as_object().is_some_and(is_named) {
        return true;
    }
    let bad_kind = kind.is_some_and(names_error);
    let open = kind.is_none() || bad_kind || ANSWERS.iter().any(|key| event.get(key).is_some());
    let inner = match event.get(0).unwrap_or(event).get("error") {
        Some(Value::String(words)) => {
            let coded = text(event, "code").is_some() || text(event, "error_type").is_some();
            !words.is_empty() && (PLAIN_NAMES.contains(&name) || coded)
        }
        Some(error) => says(error),
        None => false,
    };
    if open && inner {
        return true;
    }
    let untold = kind.is_none_or(is_problem) && Family::of(name, event).is_none();
    untold && event.as_object().is_some_and(is_flat) || refused_by_number(event)
}

/// Whether an event says nothing but FastAPI's `detail`. `event` is what was read of it.
pub(super) fn is_lone_detail(event: &Value, data: &[u8]) -> bool {
    let alone = event.as_object().is_some_and(|event| event.len() == 1);
    alone
        && event.get("detail").is_some()
        && sieve::read_whole(data).is_some_and(|event| event.as_object().is_some_and(is_detail))
}

/// Whether a value that stands outside of the framing's grammar, alone in a line, is an error.
pub(super) fn is_stray(name: &str, value: &Value) -> bool {
    if name == "error" {
        let told = |value: &Value| TELLING.iter().any(|key| value.get(*key).is_some_and(holds));
        return told(value.get(0).unwrap_or(value));
    }
    if is(name, value) {
        return true;
    }
    let words = ["message", "msg", "detail"]
        .iter()
        .any(|key| text(value, key).is_some());
    let code = text(value, "code").is_some() || value.as_object().is_some_and(has_status);
    words && code && Family::of(name, value).is_none()
}

/// The error as an error body, with all that the vendor said. `event` is what was read of it.
pub(super) fn body(event: Value, data: &[u8]) -> Value {
    match sieve::read_whole(data).unwrap_or(event) {
        Value::String(words) => json!({ "error": words }),
        body @ (Value::Object(_) | Value::Array(_)) => body,
        Value::Null => json!({"error": {}}),
        other => json!({"error": other.to_string()}),
    }
}

/// The error of an event named so that is no JSON.
pub(super) fn of_words(data: &[u8]) -> Value {
    json!({"error": sieve::bounded(&String::from_utf8_lossy(data))})
}

/// Whether anything is said, in whatever depth.
fn holds(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(told) => *told,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => list.iter().any(holds),
        Value::Object(object) => object.values().any(holds),
    }
}

fn refused_by_number(event: &Value) -> bool {
    let number = event
        .get("base_resp")
        .and_then(|told| told.get("status_code")?.as_i64());
    number.is_some_and(|number| number != 0)
}
