//! OpenAI chat completions and completions, and all that copy them.

use serde_json::{Value, json};

use super::{
    Fault,
    event::{Said, error_in, some, text, usage_in},
};
use crate::classify::Outcome;

/// What stands in a delta, other than reasoning.
const CONTENT: &[&str] = &[
    "content",
    "tool_calls",
    "function_call",
    "refusal",
    "audio",
    "images",
];
/// Reasoning: DeepSeek and vLLM, OpenRouter and vLLM, OpenRouter.
const REASONING: &[&str] = &["reasoning_content", "reasoning", "reasoning_details"];

pub(super) fn read(event: &Value) -> Result<Said<'_>, Fault> {
    if let Some(fault) = error_in(event) {
        return Err(fault);
    }
    let groq = event.get("x_groq");
    if let Some(message) = groq.and_then(|groq| text(groq, "error")) {
        return Err(Fault::Error(json!({ "error": message })));
    }
    let mut said = Said {
        usage: usage_in(event).or_else(|| usage_in(groq?)),
        model: text(event, "model"),
        ..Said::default()
    };
    let choices = event.get("choices").and_then(Value::as_array);
    for choice in choices.into_iter().flatten() {
        read_choice(choice, &mut said)?;
    }
    Ok(said)
}

fn read_choice(choice: &Value, said: &mut Said<'_>) -> Result<(), Fault> {
    let reason = text(choice, "finish_reason");
    if let Some(fault) = error_in(choice) {
        return Err(fault);
    }
    if reason == Some("error") {
        return Err(Fault::Error(json!({"error": {}})));
    }
    let delta = choice.get("delta");
    let has = |key: &&str| some(delta.and_then(|delta| delta.get(*key)));
    let thinks = delta.is_some_and(thinks_only);
    said.content |= !thinks && CONTENT.iter().any(has) || some(choice.get("text"));
    said.reasoning |= thinks || REASONING.iter().any(has);
    let outcome = reason.map(|reason| match reason {
        "content_filter" => Outcome::ContentFilter,
        _ => Outcome::Success,
    });
    let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
    said.choices.push((index, outcome));
    Ok(())
}

/// Mistral: `content` may be a list of parts, of which some are `thinking`.
fn thinks_only(delta: &Value) -> bool {
    let parts = delta.get("content").and_then(Value::as_array);
    parts.is_some_and(|parts| {
        !parts.is_empty() && parts.iter().all(|p| text(p, "type") == Some("thinking"))
    }) && !some(delta.get("tool_calls"))
}
