//! A good answer in the dialect of its request.

use bytes::Bytes;
use serde_json::Value;

use super::{
    anthropic, bedrock, chat, cohere,
    dialect::{Ask, Dialect},
    event::Event,
    gemini, ollama,
    reply::Reply,
    responses,
};

/// The answer as one JSON text of at least `min_bytes` bytes, reached by padding the text.
pub(super) fn whole(ask: &Ask, reply: &Reply, min_bytes: usize) -> Bytes {
    let mut text = reply.text();
    let mut bytes = value(ask, reply, &text).to_string();
    if bytes.len() < min_bytes {
        text.push_str(&"x".repeat(min_bytes - bytes.len()));
        bytes = value(ask, reply, &text).to_string();
    }
    bytes.into()
}

fn value(ask: &Ask, reply: &Reply, text: &str) -> Value {
    match ask.dialect {
        Dialect::Chat => chat::whole(ask, reply, text),
        Dialect::Responses => responses::whole(ask, reply, text),
        Dialect::Anthropic => anthropic::whole(ask, reply, text),
        Dialect::Gemini => gemini::whole(ask, reply, text),
        Dialect::Ollama => ollama::whole(ask, reply, text),
        Dialect::Cohere => cohere::whole(ask, reply, text),
        Dialect::Bedrock => bedrock::whole(ask, reply, text),
    }
}

/// The answer as a stream, one content event a token.
pub(super) fn events(ask: &Ask, reply: &Reply) -> Vec<Event> {
    match ask.dialect {
        Dialect::Chat => chat::events(ask, reply),
        Dialect::Responses => responses::events(ask, reply),
        Dialect::Anthropic => anthropic::events(ask, reply),
        Dialect::Gemini => gemini::events(ask, reply),
        Dialect::Ollama => ollama::events(ask, reply),
        Dialect::Cohere => cohere::events(ask, reply),
        Dialect::Bedrock => bedrock::events(ask, reply),
    }
}
