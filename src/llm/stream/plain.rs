//! Models whose events are plain objects, of which one key has the text and another says that it is over: what Bedrock's
//! InvokeModel streams for models that are older than chat, or have an API of their own.

use serde_json::Value;

use super::event::{Counts, Said, list, plausible, some, text};
use crate::{classify::Outcome, llm::Usage};

/// Where such a model's events have what.
#[derive(Debug, PartialEq)]
pub(super) struct Plain {
    /// The list of which each element is as said here, if they are not so themselves.
    within: Option<&'static str>,
    /// The text.
    text: &'static str,
    /// What says, once it is neither null nor false, that the text is over.
    end: &'static str,
}

/// All of them: Anthropic's completions, Amazon Titan, Meta Llama, Cohere Command, Mistral's completions.
const PLAIN: &[Plain] = &[
    Plain::new("completion", "stop_reason"),
    Plain::new("outputText", "completionReason"),
    Plain::new("generation", "stop_reason"),
    Plain::new("text", "is_finished"),
    Plain {
        within: Some("outputs"),
        ..Plain::new("text", "stop_reason")
    },
];

// === impl Plain ===

impl Plain {
    const fn new(text: &'static str, end: &'static str) -> Self {
        Self {
            within: None,
            text,
            end,
        }
    }

    /// That of an event which has both keys.
    pub(super) fn of(event: &Value) -> Option<&'static Self> {
        PLAIN.iter().find(|plain| {
            let place = match plain.within {
                Some(within) => event.get(within).and_then(|list| list.get(0)),
                None => Some(event),
            };
            place.is_some_and(|place| {
                place.get(plain.text).is_some_and(Value::is_string)
                    && place.get(plain.end).is_some()
            })
        })
    }

    fn read_one(&self, place: &Value, said: &mut Said<'_>) {
        said.content |= some(place.get(self.text));
        let over = match place.get(self.end) {
            Some(Value::Bool(over)) => *over,
            other => some(other),
        };
        if over {
            let reason = text(place, self.end).or_else(|| text(place, "finish_reason"));
            said.finish(match reason.unwrap_or_default() {
                "CONTENT_FILTERED" | "ERROR_TOXIC" | "content_filtered" | "content_filter" => {
                    Outcome::ContentFilter
                }
                _ => Outcome::Success,
            });
        }
    }
}

pub(super) fn read(plain: &Plain, event: &Value) -> Said<'static> {
    let mut said = Said::default();
    match plain.within {
        Some(within) => list(event, within).for_each(|place| plain.read_one(place, &mut said)),
        None => plain.read_one(event, &mut said),
    }
    said
}

/// Bedrock's own counts, which stand beside the last of a model's events.
pub(super) fn invocation(event: &Value) -> Option<Counts> {
    let metrics = event.get("amazon-bedrock-invocationMetrics")?;
    if !metrics.is_object() || !plausible(metrics) {
        return None;
    }
    let count = |key: &str| metrics.get(key).and_then(Value::as_u64).unwrap_or(0);
    let usage = Usage::new(count("inputTokenCount"), count("outputTokenCount"));
    Some(Counts::Whole(usage))
}
