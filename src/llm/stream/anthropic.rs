//! Anthropic Messages.

use serde_json::Value;

use super::event::{Counts, Said, any, kind, plausible, text};
use crate::classify::Outcome;

/// What stands in a delta or a block that is content, and what is reasoning.
const CONTENT: &[&str] = &["text", "partial_json", "citation"];
const REASONING: &[&str] = &["thinking", "signature"];

pub(super) fn read<'a>(name: &'a str, event: &'a Value) -> Said<'a> {
    let mut said = Said::default();
    match kind(name, event) {
        "message_start" => {
            let message = event.get("message");
            said.usage = message.and_then(counts);
            said.model = message.and_then(|message| text(message, "model"));
        }
        "content_block_start" => {
            // A block that comes whole, such as the result of a server's tool.
            let block = event.get("content_block");
            said.content = any(block, &["text", "content"]);
            said.reasoning = any(block, &["thinking", "data"]);
        }
        "content_block_delta" => {
            let delta = event.get("delta");
            said.content = any(delta, CONTENT);
            said.reasoning = any(delta, REASONING);
        }
        "message_delta" => said.usage = counts(event),
        "message_stop" => said.finish(Outcome::Success),
        _ => {}
    }
    said
}

/// The counts that are told: each replaces what was told of it before, none is added.
fn counts(value: &Value) -> Option<Counts> {
    let usage = value.get("usage").filter(|usage| usage.is_object())?;
    let count = |key: &str| usage.get(key).and_then(Value::as_u64);
    plausible(usage).then(|| {
        Counts::Parts([
            count("input_tokens"),
            count("output_tokens"),
            count("cache_read_input_tokens"),
            count("cache_creation_input_tokens"),
        ])
    })
}
