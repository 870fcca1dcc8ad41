//! What one event says, in words that hold for every dialect.

use serde_json::Value;

use super::Fault;
use crate::{
    classify::Outcome,
    llm::{Usage, usage},
};

/// What one event says.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    /// Output that the caller sees, other than reasoning.
    pub(super) content: bool,
    /// Reasoning.
    pub(super) reasoning: bool,
    /// The choices that this event speaks of, and those that it ends. Most dialects have one.
    pub(super) choices: Vec<(u64, Option<Outcome>)>,
    /// The token counts.
    pub(super) usage: Option<Usage>,
    /// The model that answers.
    pub(super) model: Option<&'a str>,
}

/// The first of several choices, or the only one.
pub(super) const ONLY: u64 = 0;

impl Said<'_> {
    /// This event ends the answer.
    pub(super) fn finish(&mut self, outcome: Outcome) {
        self.choices.push((ONLY, Some(outcome)));
    }
}

/// The error that stands under `error`, if one does.
pub(super) fn error_in(event: &Value) -> Option<Fault> {
    crate::llm::fault::Fault::is_error(event).then(|| Fault::Error(event.clone()))
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

/// A text under a key; empty text is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// The counts in an event, unless they cannot be true.
pub(super) fn usage_in(event: &Value) -> Option<Usage> {
    usage::Usage::of(event)
}
