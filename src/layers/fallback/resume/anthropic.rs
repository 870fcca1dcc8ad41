//! Anthropic messages, joined: one `message_start`, and the block that was open when the stream was cut goes on.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    events::Event,
    facts::{Facts, Said},
    openai::add,
};

/// Where the message stands.
#[derive(Debug, Default)]
pub(super) struct Anthropic {
    /// The block that is open.
    open: Option<u64>,
    /// The number of the next block.
    next: u64,
    /// What is added to the numbers of this part's blocks.
    shift: u64,
    /// Whether the next block to begin may be the one that is open.
    joins: bool,
}

// === impl Anthropic ===

impl Anthropic {
    /// Another target goes on.
    pub(super) fn join(&mut self) {
        self.joins = self.open.is_some();
        self.shift = self.open.unwrap_or(self.next);
    }

    pub(super) fn read(&mut self, event: &mut Value, name: &str, facts: &mut Facts) -> Said {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or(name);
        let joined = facts.before.is_some();
        let mut said = Said::default();
        match kind {
            "error" => said.fault = true,
            "message_start" => said.stale = joined,
            "content_block_start" => self.start(event, &mut said, facts),
            "content_block_delta" => {
                said.changed = self.renumber(event);
                facts.shown |= event
                    .get("delta")
                    .and_then(Value::as_object)
                    .is_none_or(|delta| {
                        delta
                            .iter()
                            .any(|(key, value)| key != "type" && value != "")
                    });
                match event.pointer("/delta/type").and_then(Value::as_str) {
                    Some("text_delta") => {
                        let text = event.pointer("/delta/text").and_then(Value::as_str);
                        said.text = text.filter(|t| !t.is_empty()).map(str::to_owned);
                    }
                    Some("thinking_delta" | "signature_delta") => {}
                    _ => facts.more = true,
                }
            }
            "content_block_stop" => {
                said.changed = self.renumber(event);
                self.open = None;
            }
            "message_delta" => {
                let reason = event.pointer("/delta/stop_reason");
                facts.finished |= reason.is_some_and(|r| !r.is_null());
                if let (Some(before), Some(usage)) = (facts.before, event.get_mut("usage")) {
                    said.changed = add(usage, "output_tokens", before);
                }
            }
            "message_stop" => facts.finished = true,
            _ => {}
        }
        said
    }

    fn start(&mut self, event: &mut Value, said: &mut Said, facts: &mut Facts) {
        let kind = event.pointer("/content_block/type").and_then(Value::as_str);
        let is_text = kind == Some("text");
        // Thoughts come before the text; after it, a text could not go on in their block.
        let thinks = kind == Some("thinking") && facts.text.is_empty();
        facts.more |= !is_text && !thinks;
        if std::mem::take(&mut self.joins) {
            if is_text {
                said.stale = true;
                return;
            }
            // Something else follows the text that was open.
            said.first = self.open.map(stop);
            self.shift = self.next;
        }
        said.changed = self.renumber(event);
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        self.open = Some(index);
        self.next = self.next.max(index.saturating_add(1));
    }

    fn renumber(&self, event: &mut Value) -> bool {
        add(event, "index", self.shift)
    }

    pub(super) fn set_text(event: &mut Value, text: &str) {
        if let Some(slot) = event.pointer_mut("/delta/text") {
            *slot = text.into();
        }
    }
}

fn stop(index: u64) -> Bytes {
    let event = json!({"type": "content_block_stop", "index": index});
    Event::write("content_block_stop", &event.to_string())
}
