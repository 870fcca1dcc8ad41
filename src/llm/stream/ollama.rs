//! Ollama's native API, and text-generation-inference: an object an event, the last one with everything in it.

use serde_json::Value;

use super::event::{Said, any, error_in, some, text, usage_in};
use crate::classify::Outcome;

pub(super) fn read(event: &Value) -> Said<'_> {
    let message = event.get("message");
    let mut said = Said {
        content: some(event.get("response")) || any(message, &["content", "tool_calls", "images"]),
        reasoning: some(event.get("thinking")) || any(message, &["thinking"]),
        usage: usage_in(event),
        model: text(event, "model"),
        fault: error_in(event),
        ..Said::default()
    };
    if event.get("done") == Some(&Value::Bool(true)) {
        said.finish(Outcome::Success);
    }
    said
}

pub(super) fn read_tgi(event: &Value) -> Said<'_> {
    let token = event.get("token");
    let special = token.and_then(|token| token.get("special")) == Some(&Value::Bool(true));
    let mut said = Said {
        content: !special && any(token, &["text"]),
        usage: usage_in(event),
        fault: error_in(event),
        ..Said::default()
    };
    if event
        .get("generated_text")
        .is_some_and(|text| !text.is_null())
    {
        said.finish(Outcome::Success);
    }
    said
}
