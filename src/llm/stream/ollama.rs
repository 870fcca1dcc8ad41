//! Ollama's native API, and text-generation-inference: an object an event, the last one with everything in it.

use serde_json::Value;

use super::event::{Said, any, some, text, usage_in};
use crate::classify::Outcome;

/// Whether this is one of Ollama's.
pub(super) fn speaks(event: &Value) -> bool {
    event.get("done").is_some_and(Value::is_boolean)
        && (event.get("message").is_some_and(Value::is_object)
            || event.get("response").is_some_and(Value::is_string))
}

pub(super) fn read(event: &Value) -> Said<'_> {
    let message = event.get("message");
    let mut said = Said {
        content: some(event.get("response")) || any(message, &["content", "tool_calls", "images"]),
        reasoning: some(event.get("thinking")) || any(message, &["thinking"]),
        usage: usage_in(event),
        model: text(event, "model"),
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
