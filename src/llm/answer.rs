//! What a whole JSON answer under a 2xx came to: served, stopped by a filter, a bad sample, or an error after all.

use serde_json::Value;

use crate::{
    classify::Outcome,
    llm::{
        dialect::Provider,
        fault::{Fault, says},
    },
};

/// Longest model name that is kept.
pub(crate) const MODEL_CAP: usize = 256;

/// What stands in an answer.
#[derive(Debug)]
pub(crate) enum Reading<'a> {
    /// This outcome.
    Is(Outcome),
    /// An error object in place of an answer.
    Error(Fault<'a>),
    /// An error inside an answer.
    Inner(Fault<'a>),
}

/// Gemini finish reasons that are a verdict on the content.
const VERDICTS: &[&str] = &[
    "BLOCKLIST",
    "LANGUAGE",
    "MODEL_ARMOR",
    "PROHIBITED_CONTENT",
    "RECITATION",
    "SAFETY",
    "SPII",
];

/// Gemini finish reasons that are a bad sample.
const BAD_SAMPLES: &[&str] = &[
    "MALFORMED_FUNCTION_CALL",
    "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
    "NO_IMAGE",
    "TOO_MANY_TOOL_CALLS",
    "UNEXPECTED_TOOL_CALL",
];

/// Keys that stand in the answers of models only.
const KEYS: &[&str] = &[
    "candidates",
    "choices",
    "finish_reason",
    "generated_text",
    "stopReason",
    "stop_reason",
    "usageMetadata",
];

/// The JSON of a whole answer.
pub(crate) fn parse(answer: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(meaning(answer))
}

/// Whether an answer of a model begins here, in JSON that ends too early.
pub(crate) fn is_begun(answer: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(answer) else {
        return false;
    };
    let top = text
        .split('"')
        .skip(1)
        .step_by(2)
        .zip(text.split('"').skip(2).step_by(2));
    let mut words = top.filter(|(_, after)| after.trim_start().starts_with(':'));
    words.any(|(word, _)| KEYS.contains(&word))
}

/// Whether JSON begins as an error does.
pub(crate) fn begins_badly(answer: &[u8]) -> bool {
    let key = meaning(answer)
        .strip_prefix(b"{")
        .map(<[u8]>::trim_ascii_start);
    key.is_some_and(|key| key.starts_with(b"\"error\""))
}

/// Without what says nothing at the beginning.
fn meaning(answer: &[u8]) -> &[u8] {
    let answer = answer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(answer);
    answer.trim_ascii_start()
}

/// Whether it is a message of JSON-RPC, or a batch of them: errors there are answers of another protocol.
pub(crate) fn is_rpc(answer: &Value) -> bool {
    answer.get(0).unwrap_or(answer).get("jsonrpc").is_some()
}

/// Reads a whole answer of any dialect.
pub(crate) fn read<'a>(answer: &'a Value, provider: Option<Provider>) -> Reading<'a> {
    if is_rpc(answer) {
        return Reading::Is(Outcome::Success);
    }
    if Fault::is_error(answer) {
        return Reading::Error(Fault::read(answer));
    }
    if let Some(choices) = answer.get("choices").and_then(Value::as_array) {
        return openai(choices, answer, provider);
    }
    Reading::Is(
        gemini(answer)
            .or_else(|| bedrock(answer))
            .or_else(|| responses(answer))
            .or_else(|| cohere(answer))
            .unwrap_or(Outcome::Success),
    )
}

/// The model that answered, where the answer says so in a name of at most 256 bytes.
pub(crate) fn model(answer: &Value) -> Option<&str> {
    ["model", "modelVersion"]
        .iter()
        .find_map(|key| answer.get(key)?.as_str())
        .filter(|model| model.len() <= MODEL_CAP)
}

fn openai<'a>(choices: &'a [Value], answer: &Value, provider: Option<Provider>) -> Reading<'a> {
    let finished = |reason: &str| {
        !choices.is_empty()
            && choices
                .iter()
                .all(|c| text(c, "finish_reason") == Some(reason))
    };
    let error = choices.first().and_then(|choice| choice.get("error"));
    if let Some(error) = error.filter(|error| says(error)).and_then(Value::as_object) {
        return Reading::Inner(Fault::of_object(error));
    }
    if finished("error") {
        return Reading::Inner(Fault::default());
    }
    if finished("content_filter") {
        return Reading::Is(Outcome::ContentFilter);
    }
    if provider == Some(Provider::OpenRouter)
        && choices.iter().all(is_empty)
        && output_is_zero(answer)
    {
        // OpenRouter: no content was made while the model was starting.
        return Reading::Is(Outcome::ModelNotReady);
    }
    Reading::Is(Outcome::Success)
}

fn is_empty(choice: &Value) -> bool {
    let blank = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    };
    let message = choice.get("message");
    blank(choice.get("finish_reason"))
        && blank(choice.get("text"))
        && ["content", "tool_calls", "refusal", "reasoning", "images"]
            .iter()
            .all(|key| blank(message.and_then(|m| m.get(*key))))
}

fn output_is_zero(answer: &Value) -> bool {
    answer
        .get("usage")
        .and_then(|usage| usage.get("completion_tokens")?.as_u64())
        .unwrap_or(0)
        == 0
}

fn gemini(answer: &Value) -> Option<Outcome> {
    if is_blocked(answer) {
        return Some(Outcome::ContentFilter);
    }
    let candidate = answer.get("candidates")?.as_array()?.first()?;
    text(candidate, "finishReason").map(gemini_finish)
}

/// Whether Gemini refused the prompt.
pub(crate) fn is_blocked(answer: &Value) -> bool {
    let blocked = answer
        .get("promptFeedback")
        .and_then(|feedback| text(feedback, "blockReason"));
    blocked.is_some_and(|reason| reason != "BLOCK_REASON_UNSPECIFIED")
}

/// What a Gemini finish reason means.
pub(crate) fn gemini_finish(reason: &str) -> Outcome {
    if VERDICTS.contains(&reason) || reason.starts_with("IMAGE_") && reason != "IMAGE_OTHER" {
        Outcome::ContentFilter
    } else if BAD_SAMPLES.contains(&reason) {
        Outcome::OutputInvalid
    } else {
        Outcome::Success
    }
}

fn bedrock(answer: &Value) -> Option<Outcome> {
    text(answer, "stopReason").map(bedrock_stop)
}

/// What a Bedrock stop reason means.
pub(crate) fn bedrock_stop(reason: &str) -> Outcome {
    match reason {
        "guardrail_intervened" | "content_filtered" => Outcome::ContentFilter,
        "malformed_tool_use" | "malformed_model_output" => Outcome::OutputInvalid,
        _ => Outcome::Success,
    }
}

fn responses(answer: &Value) -> Option<Outcome> {
    if text(answer, "object")? != "response" {
        return None;
    }
    let reason = answer
        .get("incomplete_details")
        .and_then(|details| text(details, "reason"));
    match (text(answer, "status")?, reason) {
        ("failed", _) => Some(Outcome::ServerError),
        ("incomplete", Some("content_filter")) => Some(Outcome::ContentFilter),
        _ => Some(Outcome::Success),
    }
}

fn cohere(answer: &Value) -> Option<Outcome> {
    match text(answer, "finish_reason")? {
        "ERROR" => Some(Outcome::ServerError),
        "ERROR_TOXIC" => Some(Outcome::ContentFilter),
        "TIMEOUT" => Some(Outcome::Timeout),
        _ => None,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ends_are_told_apart() {
        let choice = |reason: &str| json!({"choices": [{"finish_reason": reason, "message": {"content": "x"}}]});
        let candidate = |reason: &str| json!({"candidates": [{"finishReason": reason}]});
        for (answer, outcome) in [
            (choice("stop"), Outcome::Success),
            (choice("length"), Outcome::Success),
            (choice("content_filter"), Outcome::ContentFilter),
            (candidate("STOP"), Outcome::Success),
            (candidate("OTHER"), Outcome::Success),
            (candidate("SAFETY"), Outcome::ContentFilter),
            (candidate("IMAGE_SAFETY"), Outcome::ContentFilter),
            (candidate("MALFORMED_RESPONSE"), Outcome::OutputInvalid),
            (
                json!({"promptFeedback": {"blockReason": "JAILBREAK"}}),
                Outcome::ContentFilter,
            ),
            (json!({"stopReason": "end_turn"}), Outcome::Success),
            (
                json!({"stopReason": "guardrail_intervened"}),
                Outcome::ContentFilter,
            ),
            (
                json!({"stopReason": "malformed_tool_use"}),
                Outcome::OutputInvalid,
            ),
            (
                json!({"stop_reason": "refusal", "type": "message"}),
                Outcome::Success,
            ),
            (
                json!({"object": "response", "status": "failed", "error": null}),
                Outcome::ServerError,
            ),
            (
                json!({"object": "response", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
                Outcome::Success,
            ),
            (
                json!({"object": "response", "status": "incomplete", "incomplete_details": {"reason": "content_filter"}}),
                Outcome::ContentFilter,
            ),
            (json!({"finish_reason": "ERROR"}), Outcome::ServerError),
            (json!({"finish_reason": "TIMEOUT"}), Outcome::Timeout),
            (json!({"finish_reason": "COMPLETE"}), Outcome::Success),
            (json!({"data": []}), Outcome::Success),
            (json!([]), Outcome::Success),
        ] {
            match read(&answer, None) {
                Reading::Is(found) => assert_eq!(found, outcome, "{answer}"),
                other => panic!("{answer}: {other:?}"),
            }
        }
    }

    #[test]
    fn one_filtered_choice_among_served_ones_is_no_failure() {
        let answer =
            json!({"choices": [{"finish_reason": "content_filter"}, {"finish_reason": "stop"}]});
        assert!(matches!(read(&answer, None), Reading::Is(Outcome::Success)));
    }

    #[test]
    fn errors_in_place_of_and_inside_of_answers() {
        let answer = json!({"error": {"code": 502}, "choices": []});
        assert!(matches!(read(&answer, None), Reading::Error(f) if f.number == Some(502)));
        let answer = json!({"choices": [{"finish_reason": "error", "error": {"code": 503}}]});
        assert!(matches!(read(&answer, None), Reading::Inner(f) if f.number == Some(503)));
        let answer = json!({"error": null, "choices": [{"finish_reason": "stop"}]});
        assert!(matches!(read(&answer, None), Reading::Is(Outcome::Success)));
    }

    #[test]
    fn openrouters_empty_answer_is_a_cold_start() {
        let empty = json!({"choices": [{"message": {"role": "assistant", "content": ""}, "finish_reason": null}]});
        let openrouter = Some(Provider::OpenRouter);
        assert!(matches!(
            read(&empty, openrouter),
            Reading::Is(Outcome::ModelNotReady)
        ));
        assert!(matches!(read(&empty, None), Reading::Is(Outcome::Success)));
        let stopped = json!({"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]});
        assert!(matches!(
            read(&stopped, openrouter),
            Reading::Is(Outcome::Success)
        ));
    }
}
