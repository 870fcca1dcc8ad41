//! OpenAI chat chunks, joined.
//!
//! Ids and models may differ from chunk to chunk; a role may come only once, since clients add texts up.

use serde_json::Value;

use super::facts::{Facts, Said};
use crate::llm::fault::Fault;

/// What is more than text.
const MORE: &[&str] = &["tool_calls", "function_call", "audio", "refusal", "images"];

pub(super) fn read(chunk: &mut Value, facts: &mut Facts) -> Said {
    let mut said = Said {
        fault: is_error(chunk),
        ..Said::default()
    };
    if said.fault {
        return said;
    }
    if let (Some(before), Some(usage)) = (facts.before, chunk.get_mut("usage")) {
        for count in ["completion_tokens", "total_tokens"] {
            said.changed |= add(usage, count, before);
        }
    }
    let has_usage = chunk.get("usage").is_some_and(Value::is_object);
    let Some(choices) = chunk.get_mut("choices").and_then(Value::as_array_mut) else {
        return said;
    };
    facts.more |= choices.len() > 1;
    let Some(choice) = choices.first_mut() else {
        return said;
    };
    facts.more |= choice.get("index").and_then(Value::as_u64).unwrap_or(0) > 0;
    let finishes = choice.get("finish_reason").is_some_and(|r| !r.is_null());
    facts.finished |= finishes;
    let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) else {
        // Not a chat: `text` completions cannot be gone on with.
        facts.more |= choice.get("text").is_some();
        return said;
    };
    let some = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    let is_more = MORE.iter().any(|key| delta.get(*key).is_some_and(some));
    facts.more |= is_more;
    match delta.get("content") {
        Some(Value::String(text)) if !text.is_empty() => said.text = Some(text.clone()),
        Some(Value::Array(parts)) if !parts.is_empty() => facts.more = true,
        _ => {}
    }
    let says = is_more
        || delta
            .iter()
            .any(|(key, value)| key != "role" && some(value));
    facts.shown |= says;
    if facts.before.is_some() {
        said.changed |= delta.remove("role").is_some();
        said.stale = !says && !finishes && !has_usage;
    }
    said
}

pub(super) fn set_text(chunk: &mut Value, text: &str) {
    if let Some(content) = chunk.pointer_mut("/choices/0/delta/content") {
        *content = text.into();
    }
}

fn is_error(chunk: &Value) -> bool {
    Fault::is_error(chunk)
        || chunk
            .pointer("/choices/0")
            .is_some_and(|choice| Fault::is_error(choice) || choice["finish_reason"] == "error")
        || chunk.pointer("/x_groq/error").is_some_and(Value::is_string)
}

/// Adds to a count, if it is there.
pub(super) fn add(usage: &mut Value, count: &str, more: u64) -> bool {
    let Some(value) = usage.get_mut(count) else {
        return false;
    };
    let Some(known) = value.as_u64() else {
        return false;
    };
    *value = known.saturating_add(more).into();
    more > 0
}
