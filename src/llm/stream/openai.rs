//! OpenAI chat completions and completions, and all that copy them: Azure, vLLM, Groq, Mistral, OpenRouter, DeepSeek, ….

use serde_json::{Value, json};

use super::{
    Fault, error,
    event::{Said, any, list, some, text, usage_in},
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

/// Reasoning, as vLLM and DeepSeek, OpenRouter, and OpenRouter again call it.
const REASONING: &[&str] = &["reasoning_content", "reasoning", "reasoning_details"];

/// Finish reasons that are errors, and the code that says which: OpenRouter's and Mistral's, vLLM's, DeepSeek's.
const ERRORS: &[(&str, &str)] = &[
    ("error", ""),
    ("abort", ""),
    ("insufficient_system_resource", "server_overloaded"),
];

pub(super) fn read(event: &Value) -> Said<'_> {
    let groq = event.get("x_groq");
    let mut said = Said {
        usage: usage_in(event).or_else(|| usage_in(groq?)),
        model: text(event, "model"),
        ..Said::default()
    };
    let told = groq.and_then(|groq| groq.get("error"));
    if let Some(error) = told.filter(|error| error::says(error)) {
        said.fault = Some(Fault::Error(json!({ "error": error })));
    }
    for choice in list(event, "choices") {
        read_choice(choice, &mut said);
    }
    said
}

fn read_choice(choice: &Value, said: &mut Said<'_>) {
    // A whole answer in one event, and Mistral's own chunks on Bedrock, have a message.
    let delta = choice.get("delta").or_else(|| choice.get("message"));
    let thinks = delta.is_some_and(thinks_only);
    said.content |= !thinks && any(delta, CONTENT) || some(choice.get("text"));
    said.reasoning |= thinks || any(delta, REASONING);
    // vLLM has both, of which the second says which stop sequence it was; on Bedrock there is only the second.
    let place = ["finish_reason", "stop_reason"]
        .iter()
        .find(|key| choice.get(**key).is_some());
    said.promises |= place.is_some();
    let reason = place.and_then(|key| text(choice, key));
    let bad = ERRORS.iter().find(|(name, _)| Some(*name) == reason);
    if said.fault.is_none() {
        let unnamed = bad.map(|(_, code)| Fault::Error(json!({"error": {"code": code}})));
        let inside = choice.get("error").filter(|error| error::says(error));
        said.fault = inside
            .map(|error| Fault::Error(json!({ "error": error })))
            .or(unnamed);
    }
    let outcome = reason.map(|reason| match reason {
        "content_filter" => Outcome::ContentFilter,
        _ => Outcome::Success,
    });
    let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
    said.choices.push((index, outcome));
}

/// Mistral: `content` may be a list of parts, of which some are `thinking`.
fn thinks_only(delta: &Value) -> bool {
    let mut parts = list(delta, "content").peekable();
    parts.peek().is_some()
        && parts.all(|part| text(part, "type") == Some("thinking"))
        && !some(delta.get("tool_calls"))
}
