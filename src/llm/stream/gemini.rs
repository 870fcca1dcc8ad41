//! Gemini and Vertex `streamGenerateContent`, and Interactions, whose events have an `event_type`.

use serde_json::{Value, json};

use super::{
    Fault,
    event::{Counts, Said, any, list, plausible, text, usage_in},
};
use crate::{
    classify::Outcome,
    llm::{Usage, answer},
};

/// What stands in a part.
const PART: &[&str] = &[
    "text",
    "functionCall",
    "functionResponse",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
];

pub(super) fn read(event: &Value) -> Said<'_> {
    let mut said = Said {
        usage: usage_in(event),
        model: text(event, "modelVersion"),
        ..Said::default()
    };
    if answer::is_blocked(event) {
        said.finish(Outcome::ContentFilter);
    }
    for candidate in list(event, "candidates") {
        for part in candidate
            .get("content")
            .into_iter()
            .flat_map(|c| list(c, "parts"))
        {
            let thought = part.get("thought") == Some(&Value::Bool(true));
            let filled = any(Some(part), PART);
            said.reasoning |= filled && thought;
            said.content |= filled && !thought;
        }
        let reason = text(candidate, "finishReason").filter(|r| *r != "FINISH_REASON_UNSPECIFIED");
        let index = candidate.get("index").and_then(Value::as_u64).unwrap_or(0);
        said.choices
            .push((index, reason.map(answer::gemini_finish)));
    }
    said
}

/// Whether this is one of the events in which an interaction's content comes.
pub(super) fn steps(event: &Value) -> bool {
    text(event, "event_type").is_some_and(|kind| {
        ["content.", "step."]
            .iter()
            .any(|begin| kind.starts_with(begin))
    })
}

/// Content comes in steps, formerly in content blocks; the last event has the state and the counts, and no output.
pub(super) fn interaction<'a>(name: &'a str, event: &'a Value) -> Said<'a> {
    let mut said = Said::default();
    match text(event, "event_type").unwrap_or(name) {
        "step.delta" | "content.delta" => {
            let delta = event.get("delta");
            let thought = delta
                .and_then(|delta| text(delta, "type"))
                .is_some_and(|kind| kind.starts_with("thought"));
            let filled = any(
                delta,
                &["text", "content", "arguments", "data", "signature"],
            );
            said.reasoning = filled && thought;
            said.content = filled && !thought;
        }
        "interaction.completed" | "interaction.complete" => {
            let interaction = event.get("interaction");
            said.model = interaction.and_then(|interaction| text(interaction, "model"));
            said.usage = interaction.and_then(|interaction| counts(interaction.get("usage")?));
            match interaction.and_then(|interaction| text(interaction, "status")) {
                Some("failed" | "cancelled") => {
                    let error = interaction.and_then(|interaction| interaction.get("error"));
                    said.fault = Some(Fault::Error(json!({ "error": error })));
                }
                _ => said.finish(Outcome::Success),
            }
        }
        _ => {}
    }
    said
}

/// Interactions count thoughts outside the output.
fn counts(usage: &Value) -> Option<Counts> {
    let count = |key: &str| usage.get(key).and_then(Value::as_u64);
    let thoughts = count("total_thought_tokens").or_else(|| count("total_reasoning_tokens"));
    let output = count("total_output_tokens").unwrap_or(0);
    let mut counts = Usage::new(
        count("total_input_tokens")?,
        output.saturating_add(thoughts.unwrap_or(0)),
    );
    (counts.cache_read, counts.reasoning) = (count("total_cached_tokens"), thoughts);
    plausible(usage).then_some(Counts::Whole(counts))
}
