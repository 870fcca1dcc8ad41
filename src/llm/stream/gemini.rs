//! Gemini and Vertex `streamGenerateContent`.

use serde_json::Value;

use super::event::{Said, any, error_in, list, text, usage_in};
use crate::{classify::Outcome, llm::answer};

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
        fault: error_in(event),
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
