//! Events of a stream before they are bytes, so that faults can be put among them, and their framing.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{
    body::Piece,
    dialect::{Ask, Dialect},
    wire,
};

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// Its name, where the framing has one.
    pub(super) kind: &'static str,
    pub(super) data: Data,
    /// How much content it is: what the token delays and the usage counts are about.
    pub(super) tokens: usize,
    pub(super) mark: Mark,
    /// A stall before it.
    pub(super) wait: Duration,
}

/// What an event carries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Json(Value),
    /// As it is.
    Raw(&'static str),
    /// A frame that cannot be parsed.
    Broken,
}

/// What an event means for the end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    None,
    /// The answer is whole.
    Finish,
    /// What is sent after that: `[DONE]`, the bracket that closes an array.
    Done,
}

// === impl Event ===

impl Event {
    pub(super) fn new(kind: &'static str, value: Value) -> Self {
        Self {
            kind,
            data: Data::Json(value),
            tokens: 0,
            mark: Mark::None,
            wait: Duration::ZERO,
        }
    }

    /// One token of content.
    pub(super) fn token(kind: &'static str, value: Value) -> Self {
        Self {
            tokens: 1,
            ..Self::new(kind, value)
        }
    }

    /// The finish marker.
    pub(super) fn finish(kind: &'static str, value: Value) -> Self {
        Self {
            mark: Mark::Finish,
            ..Self::new(kind, value)
        }
    }

    /// What follows the last event.
    pub(super) fn done(text: &'static str) -> Self {
        Self {
            data: Data::Raw(text),
            mark: Mark::Done,
            ..Self::new("", Value::Null)
        }
    }

    pub(super) fn broken() -> Self {
        Self {
            data: Data::Broken,
            ..Self::new("", Value::Null)
        }
    }
}

/// What the stream's `content-type` is.
pub(super) fn content_type(ask: &Ask) -> &'static str {
    match ask.dialect {
        Dialect::Ollama => "application/x-ndjson",
        Dialect::Bedrock => "application/vnd.amazon.eventstream",
        Dialect::Gemini if ask.array => "application/json",
        _ => "text/event-stream",
    }
}

/// What is sent while a caller waits, if the dialect has something that means nothing.
pub(super) fn ping(ask: &Ask) -> Option<Bytes> {
    Some(Bytes::from_static(match ask.dialect {
        Dialect::Anthropic => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
        Dialect::Gemini if ask.array => b"\n",
        Dialect::Ollama | Dialect::Bedrock => return None,
        _ => b": ping\n\n",
    }))
}

/// The events as they go over the wire, one piece an event.
pub(super) fn frame(ask: &Ask, events: Vec<Event>) -> Vec<Piece> {
    let framed = events.into_iter().enumerate();
    framed
        .map(|(n, event)| Piece {
            bytes: match event.data {
                Data::Json(value) => json(ask, n, event.kind, value),
                Data::Raw(text) => Bytes::from_static(text.as_bytes()),
                Data::Broken => broken(ask, n),
            },
            tokens: event.tokens,
            wait: event.wait,
        })
        .collect()
}

fn json(ask: &Ask, n: usize, kind: &str, mut value: Value) -> Bytes {
    match ask.dialect {
        Dialect::Responses => {
            value["sequence_number"] = n.into();
            named(kind, &value)
        }
        Dialect::Anthropic | Dialect::Cohere => named(kind, &value),
        Dialect::Gemini if ask.array => {
            let open = if n == 0 { "[" } else { ",\r\n" };
            format!("{open}{value}").into()
        }
        Dialect::Chat | Dialect::Gemini => format!("data: {value}\n\n").into(),
        Dialect::Ollama => format!("{value}\n").into(),
        Dialect::Bedrock => {
            let (r#type, name) = if kind.ends_with("Exception") {
                ("exception", ":exception-type")
            } else {
                ("event", ":event-type")
            };
            let headers = [
                (name, kind),
                (":content-type", "application/json"),
                (":message-type", r#type),
            ];
            wire::aws_message(&headers, value.to_string().as_bytes())
        }
    }
}

fn named(kind: &str, value: &Value) -> Bytes {
    format!("event: {kind}\ndata: {value}\n\n").into()
}

/// A frame that is cut in its middle, or whose checksum is wrong, with others behind it.
fn broken(ask: &Ask, n: usize) -> Bytes {
    let text = match ask.dialect {
        Dialect::Chat => "data: {\"id\":\"chatcmpl-mock\",\"choices\":[{\"delta\":{\"con\n\n",
        Dialect::Responses => {
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_te\n\n"
        }
        Dialect::Anthropic => "event: content_block_delta\ndata: {\"type\":\"content_block_de\n\n",
        Dialect::Cohere => "event: content-delta\ndata: {\"type\":\"content-de\n\n",
        Dialect::Gemini if ask.array && n == 0 => "[{\"candidates\":[{\"con",
        Dialect::Gemini if ask.array => ",\r\n{\"candidates\":[{\"con",
        Dialect::Gemini => "data: {\"candidates\":[{\"con\n\n",
        Dialect::Ollama => "{\"model\":\"mock\",\"mess\n",
        Dialect::Bedrock => {
            let message =
                wire::aws_message(&[(":message-type", "event")], b"{\"role\":\"assistant\"}");
            let mut bytes = message.to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 0xff;
            }
            return bytes.into();
        }
    };
    Bytes::from_static(text.as_bytes())
}
