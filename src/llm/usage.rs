//! Token counts in whole answers, in one normal form.
//!
//! OpenAI and Gemini count cached tokens inside the input, Anthropic beside it; OpenAI counts reasoning inside the
//! output, Gemini beside it. Here both are inside.

use serde_json::Value;

pub use crate::base::cost::Usage;

/// Counts above this are no counts of one answer.
const ABSURD: u64 = 1_000_000_000;

// === impl Usage ===

impl Usage {
    /// The counts in a whole answer of any dialect; `None` if it carries none, or some that cannot be true: negative,
    /// fractional, or above a thousand million.
    #[must_use]
    pub fn of(answer: &Value) -> Option<Self> {
        let inside = ["usage", "usageMetadata", "details"];
        let mut inside = inside.iter().filter_map(|key| answer.get(*key));
        if !plausible_here(answer) || !inside.all(plausible) {
            return None;
        }
        if let Some(usage) = answer.get("usageMetadata").filter(|u| u.is_object()) {
            return Some(gemini(usage));
        }
        if let Some(usage) = answer.get("usage").filter(|u| u.is_object()) {
            return of_usage(usage);
        }
        if answer.get("eval_count").is_some() || answer.get("prompt_eval_count").is_some() {
            return Some(Self {
                input: count(answer, "prompt_eval_count").unwrap_or(0),
                output: count(answer, "eval_count").unwrap_or(0),
                ..Self::default()
            });
        }
        let details = answer
            .get("details")
            .or_else(|| answer.get(0)?.get("details"))?;
        let prefill = details.get("prefill").and_then(Value::as_array);
        Some(Self {
            input: prefill.map_or(0, |tokens| tokens.len() as u64),
            output: count(details, "generated_tokens")?,
            ..Self::default()
        })
    }
}

/// Whether all numbers of tokens are such, here and in objects inside.
pub(super) fn plausible(usage: &Value) -> bool {
    let inner = |value: &Value| match value {
        Value::Object(_) => plausible(value),
        _ => true,
    };
    plausible_here(usage) && usage.as_object().is_none_or(|all| all.values().all(inner))
}

fn plausible_here(usage: &Value) -> bool {
    let counts =
        |key: &str| key.contains("token") || key.contains("Token") || key.contains("eval_count");
    usage.as_object().is_none_or(|all| {
        all.iter().all(|(key, value)| {
            let number = value.as_u64().is_some_and(|n| n <= ABSURD);
            !value.is_number() || !counts(key) || number
        })
    })
}

fn of_usage(usage: &Value) -> Option<Usage> {
    if usage.get("prompt_tokens").is_some() {
        // OpenAI chat and its copies.
        let (input, output) = ("prompt_tokens_details", "completion_tokens_details");
        return Some(openai(
            usage,
            "prompt_tokens",
            "completion_tokens",
            input,
            output,
        ));
    }
    if usage.get("input_tokens_details").is_some() || usage.get("output_tokens_details").is_some() {
        let (input, output) = ("input_tokens_details", "output_tokens_details");
        return Some(openai(
            usage,
            "input_tokens",
            "output_tokens",
            input,
            output,
        ));
    }
    if usage.get("inputTokens").is_some() {
        // Bedrock Converse: cached tokens are outside.
        let (read, write) = (
            count(usage, "cacheReadInputTokens"),
            count(usage, "cacheWriteInputTokens"),
        );
        return Some(beside(usage, "inputTokens", "outputTokens", read, write));
    }
    if usage.get("input_tokens").is_some() {
        // Anthropic; also OpenAI Responses without details.
        let (read, write) = (
            count(usage, "cache_read_input_tokens"),
            count(usage, "cache_creation_input_tokens"),
        );
        return Some(beside(usage, "input_tokens", "output_tokens", read, write));
    }
    // Cohere.
    let tokens = usage.get("tokens").or_else(|| usage.get("billed_units"))?;
    Some(Usage {
        input: count(tokens, "input_tokens").unwrap_or(0),
        output: count(tokens, "output_tokens").unwrap_or(0),
        cache_read: count(usage, "cached_tokens"),
        ..Usage::default()
    })
}

fn openai(usage: &Value, input: &str, output: &str, inputs: &str, outputs: &str) -> Usage {
    let detail = |group: &str, key: &str| count(usage.get(group)?, key);
    Usage {
        input: count(usage, input).unwrap_or(0),
        output: count(usage, output).unwrap_or(0),
        cache_read: detail(inputs, "cached_tokens"),
        cache_write: detail(inputs, "cache_write_tokens"),
        reasoning: detail(outputs, "reasoning_tokens"),
    }
}

fn beside(
    usage: &Value,
    input: &str,
    output: &str,
    read: Option<u64>,
    write: Option<u64>,
) -> Usage {
    Usage {
        input: count(usage, input)
            .unwrap_or(0)
            .saturating_add(read.unwrap_or(0))
            .saturating_add(write.unwrap_or(0)),
        output: count(usage, output).unwrap_or(0),
        cache_read: read,
        cache_write: write,
        reasoning: None,
    }
}

fn gemini(usage: &Value) -> Usage {
    let thoughts = count(usage, "thoughtsTokenCount");
    Usage {
        input: count(usage, "promptTokenCount").unwrap_or(0),
        output: count(usage, "candidatesTokenCount")
            .unwrap_or(0)
            .saturating_add(thoughts.unwrap_or(0)),
        cache_read: count(usage, "cachedContentTokenCount"),
        cache_write: None,
        reasoning: thoughts,
    }
}

fn count(object: &Value, key: &str) -> Option<u64> {
    object.get(key)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cached_and_reasoning_tokens_are_inside() {
        for (answer, input, output, read, reasoning) in [
            (
                json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5,
                    "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}}),
                10,
                5,
                Some(4),
                Some(2),
            ),
            (
                json!({"usage": {"input_tokens": 10, "output_tokens": 5,
                    "input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 2}}}),
                10,
                5,
                Some(4),
                Some(2),
            ),
            (
                json!({"usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 100,
                    "cache_creation_input_tokens": 1}}),
                111,
                5,
                Some(100),
                None,
            ),
            (
                json!({"usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 3,
                    "cachedContentTokenCount": 4}}),
                10,
                8,
                Some(4),
                Some(3),
            ),
            (
                json!({"usage": {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 100}}),
                110,
                5,
                Some(100),
                None,
            ),
            (
                json!({"usage": {"billed_units": {"input_tokens": 1}, "tokens": {"input_tokens": 10, "output_tokens": 5}}}),
                10,
                5,
                None,
                None,
            ),
            (
                json!({"prompt_eval_count": 10, "eval_count": 5}),
                10,
                5,
                None,
                None,
            ),
            (
                json!({"details": {"generated_tokens": 5, "prefill": [1, 2]}}),
                2,
                5,
                None,
                None,
            ),
        ] {
            let usage = Usage::of(&answer).unwrap();
            assert_eq!((usage.input, usage.output), (input, output), "{answer}");
            assert_eq!(
                (usage.cache_read, usage.reasoning),
                (read, reasoning),
                "{answer}"
            );
        }
        for none in [
            json!({}),
            json!({"usage": null}),
            json!([]),
            json!({"usage": {"x": 1}}),
            json!({"usage": {"prompt_tokens": 3, "completion_tokens": u64::MAX}}),
            json!({"usage": {"prompt_tokens": -3, "completion_tokens": 2}}),
            json!({"usage": {"prompt_tokens": 3, "completion_tokens": 0.5}}),
            json!({"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1_000_000_001}}),
            json!({"eval_count": 1e30}),
        ] {
            assert_eq!(Usage::of(&none), None);
        }
    }
}
