//! What one event says, in words that hold for every dialect.

use serde_json::{Value, json};

use super::{Fault, template::Delta};
use crate::{classify::Outcome, llm::Usage};

pub(super) use crate::llm::usage::plausible;

/// What one event says.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    /// Output that the caller sees, other than reasoning.
    pub(super) content: bool,
    /// Reasoning.
    pub(super) reasoning: bool,
    /// The choices that this event speaks of, and what they came to if it ends them. Most dialects have one choice.
    pub(super) choices: Vec<(u64, Option<Outcome>)>,
    /// The token counts.
    pub(super) usage: Option<Counts>,
    /// The model that answers.
    pub(super) model: Option<&'a str>,
    /// What went wrong, where only this family says it so.
    pub(super) fault: Option<Fault>,
    /// Whether a choice has a place for its finish reason, be it empty yet.
    pub(super) promises: bool,
}

/// Token counts in an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Counts {
    /// All of them.
    Whole(Usage),
    /// Anthropic's, of which each may be told once or again: plain input, output, cache read, cache written.
    Parts([Option<u64>; 4]),
}

// === impl Said ===

impl Said<'_> {
    /// What it says, if it says nothing but that content came.
    pub(super) fn only_delta(&self) -> Option<Delta> {
        let ends = self.choices.iter().any(|(_, outcome)| outcome.is_some());
        let counts = self.usage.is_some();
        let parts = matches!(self.usage, Some(Counts::Parts(_)));
        let other = ends || parts || self.fault.is_some();
        (!other && (self.content || self.reasoning)).then_some(Delta {
            content: self.content,
            reasoning: self.reasoning,
            counts,
        })
    }

    /// This event ends the answer.
    pub(super) fn finish(&mut self, outcome: Outcome) {
        self.choices.push((0, Some(outcome)));
    }
}

/// What an event says of which nothing but the name is known, since it is too long.
pub(super) fn read_name(name: &[u8]) -> Said<'static> {
    match name {
        b"error" | b"response.failed" => Said {
            fault: Some(Fault::Error(json!({"error": {}}))),
            ..Said::default()
        },
        b"response.completed" | b"response.incomplete" => {
            let mut said = Said::default();
            said.finish(Outcome::Success);
            said
        }
        _ => Said {
            content: true,
            ..Said::default()
        },
    }
}

/// What kind of event it is: its own `type`, else its name.
pub(super) fn kind<'a>(name: &'a str, event: &'a Value) -> &'a str {
    text(event, "type").unwrap_or(name)
}

/// Whether there is something: text that is not empty, a list or object that is not empty.
pub(super) fn some(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(object)) => !object.is_empty(),
        Some(_) => true,
    }
}

/// Whether there is something under any of these keys.
pub(super) fn any(value: Option<&Value>, keys: &[&str]) -> bool {
    value.is_some_and(|value| keys.iter().any(|key| some(value.get(*key))))
}

/// A text under a key; empty text is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// The elements under a key.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// The counts in an event or a part of one, unless they cannot be true.
pub(super) fn usage_in(value: &Value) -> Option<Counts> {
    Usage::of(value).map(Counts::Whole)
}
