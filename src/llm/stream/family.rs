//! Whose events these are.
//!
//! One path may carry the streams of several vendors: Vertex `streamRawPredict` and Bedrock `InvokeModel` serve whatever
//! model stands behind them, and many servers copy an API and add events of their own. So the family is found from the
//! events: the first one that speaks for a family decides, and is data here ([`TYPES`], [`KEYS`], [`PLAIN`]).

use serde_json::Value;

use super::{
    anthropic, cohere, converse,
    event::{Said, text},
    gemini, ollama, openai,
    plain::{self, Plain},
    responses,
};
use crate::llm::Dialect;

/// A grammar of events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Family {
    /// OpenAI chat completions and completions, and their many copies.
    OpenAi,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Gemini's Interactions.
    Interactions,
    /// Bedrock Converse; Nova has the same events as objects of one key.
    Converse,
    /// Cohere v1 and v2 chat.
    Cohere,
    /// Ollama's own API.
    Ollama,
    /// Text-generation-inference.
    Tgi,
    /// Objects of which one key has the text and another the end.
    Plain(&'static Plain),
}

/// Types of events, by which a family is known: the event's own `type`, its `event_type`, or its name. What ends with a point or
/// an underscore is the beginning of several.
const TYPES: &[(&str, Family)] = &[
    ("content-delta", Family::Cohere),
    ("content-end", Family::Cohere),
    ("content-start", Family::Cohere),
    ("content_block_delta", Family::Anthropic),
    ("content_block_start", Family::Anthropic),
    ("content_block_stop", Family::Anthropic),
    ("interaction.", Family::Interactions),
    ("message-end", Family::Cohere),
    ("message-start", Family::Cohere),
    ("message_delta", Family::Anthropic),
    ("message_start", Family::Anthropic),
    ("message_stop", Family::Anthropic),
    ("response.completed", Family::Responses),
    ("response.content_part.", Family::Responses),
    ("response.created", Family::Responses),
    ("response.failed", Family::Responses),
    ("response.in_progress", Family::Responses),
    ("response.incomplete", Family::Responses),
    ("response.output_", Family::Responses),
    ("response.queued", Family::Responses),
    ("response.reasoning_", Family::Responses),
    ("stream-end", Family::Cohere),
    ("stream-start", Family::Cohere),
    ("text-generation", Family::Cohere),
    ("tool-call-delta", Family::Cohere),
    ("tool-call-start", Family::Cohere),
    ("tool-plan-delta", Family::Cohere),
];

/// Whether a value is what a family has under a key.
type IsIt = fn(&Value) -> bool;

/// Keys that stand in the events of one family only, and what must be under them.
const KEYS: &[(&str, IsIt, Family)] = &[
    ("choices", Value::is_array, Family::OpenAi),
    ("candidates", Value::is_array, Family::Gemini),
    ("promptFeedback", Value::is_object, Family::Gemini),
    ("usageMetadata", Value::is_object, Family::Gemini),
    ("token", Value::is_object, Family::Tgi),
];

// === impl Family ===

impl Family {
    /// The family that an event speaks for, if it does for one.
    pub(super) fn of(name: &str, event: &Value) -> Option<Self> {
        let kind = text(event, "type").or_else(|| text(event, "event_type"));
        kind.and_then(by_type)
            .or_else(|| gemini::steps(event).then_some(Self::Interactions))
            .or_else(|| by_key(event))
            .or_else(|| ollama::speaks(event).then_some(Self::Ollama))
            .or_else(|| converse::wrapped(event).map(|_| Self::Converse))
            .or_else(|| Plain::of(event).map(Self::Plain))
            // A name is the server's to choose, so what the event has comes first.
            .or_else(|| by_type(name).filter(|_| kind.is_none()))
    }

    /// The family of a binary frame with this `:event-type`.
    pub(super) fn of_frame(name: &str) -> Option<Self> {
        converse::NAMES.contains(&name).then_some(Self::Converse)
    }

    /// What an event says in this grammar.
    pub(super) fn read<'a>(self, name: &'a str, event: &'a Value) -> Said<'a> {
        match self {
            Self::OpenAi => openai::read(event),
            Self::Responses => responses::read(name, event),
            Self::Anthropic => anthropic::read(name, event),
            Self::Gemini => gemini::read(event),
            Self::Interactions => gemini::interaction(name, event),
            Self::Converse => converse::read(name, event),
            Self::Cohere => cohere::read(name, event),
            Self::Ollama => ollama::read(event),
            Self::Tgi => ollama::read_tgi(event),
            Self::Plain(plain) => plain::read(plain, event),
        }
    }

    /// The API that has these events; `None`: a model's own, which stand in those of another API.
    pub(super) fn dialect(self) -> Option<Dialect> {
        Some(match self {
            Self::OpenAi => Dialect::OpenAi,
            Self::Responses => Dialect::OpenAiResponses,
            Self::Anthropic => Dialect::Anthropic,
            Self::Gemini | Self::Interactions => Dialect::Gemini,
            Self::Cohere => Dialect::Cohere,
            Self::Ollama => Dialect::Ollama,
            Self::Tgi => Dialect::Tgi,
            Self::Converse | Self::Plain(_) => return None,
        })
    }
}

fn by_type(kind: &str) -> Option<Family> {
    let known = |(word, _): &&(&str, Family)| {
        kind == *word || word.ends_with(['.', '_']) && kind.starts_with(word)
    };
    TYPES.iter().find(known).map(|(_, family)| *family)
}

fn by_key(event: &Value) -> Option<Family> {
    if text(event, "object").is_some_and(|object| object.ends_with("completion.chunk")) {
        return Some(Family::OpenAi);
    }
    let known =
        |(key, is, _): &&(&str, fn(&Value) -> bool, Family)| event.get(*key).is_some_and(is);
    KEYS.iter().find(known).map(|(.., family)| *family)
}
