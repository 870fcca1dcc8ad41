//! Reads of an event's JSON what decides, and skips the rest without keeping it: log probabilities, annotations, images,
//! the answer so far.
//!
//! Lists are kept to 256 elements and texts to 64 KiB, so that what is kept is small whatever the event is.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

const LIST: usize = 256;
const TEXT: usize = 64 * 1024;

/// Keys that are kept wherever they stand, in the order of their bytes.
const KEYS: &[&str] = &[
    "__type",
    "arguments",
    "audio",
    "base_resp",
    "blockReason",
    "bytes",
    "candidates",
    "choices",
    "citation",
    "code",
    "codeExecutionResult",
    "completion",
    "completionReason",
    "content",
    "contentBlockDelta",
    "contentBlockStart",
    "contentBlockStop",
    "content_block",
    "data",
    "delta",
    "detail",
    "done",
    "done_reason",
    "error_type",
    "event_type",
    "executableCode",
    "fileData",
    "finishReason",
    "finish_reason",
    "functionCall",
    "functionResponse",
    "function_call",
    "generated_text",
    "generation",
    "images",
    "incomplete_details",
    "index",
    "inlineData",
    "input",
    "interaction",
    "is_finished",
    "item",
    "jsonrpc",
    "message",
    "messageStart",
    "messageStop",
    "metadata",
    "model",
    "modelVersion",
    "object",
    "originalMessage",
    "originalStatusCode",
    "outputText",
    "outputs",
    "partial_image_b64",
    "partial_json",
    "parts",
    "promptFeedback",
    "reason",
    "reasoning",
    "reasoningContent",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "response",
    "signature",
    "special",
    "start",
    "status",
    "status_code",
    "stopReason",
    "stop_reason",
    "text",
    "thinking",
    "thought",
    "token",
    "toolUse",
    "tool_calls",
    "tool_plan",
    "type",
];

/// Keys of which all is kept: errors, and token counts.
const WHOLE: &[&str] = &[
    "amazon-bedrock-invocationMetrics",
    "details",
    "error",
    "errors",
    "eval_count",
    "meta",
    "prompt_eval_count",
    "usage",
    "usageMetadata",
    "x_groq",
];

/// The event, as far as it matters; `None` if it is not JSON.
pub(super) fn read(data: &[u8]) -> Option<Value> {
    sieved(data, false)
}

/// The event with all its keys; `None` if it is not JSON.
pub(super) fn read_whole(data: &[u8]) -> Option<Value> {
    sieved(data, true)
}

fn sieved(data: &[u8], whole: bool) -> Option<Value> {
    let mut json = serde_json::Deserializer::from_slice(data);
    let value = Sieve { whole }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(value)
}

#[derive(Clone, Copy)]
struct Sieve {
    whole: bool,
}

/// Reads a key and says whether it is kept.
struct Key {
    whole: bool,
}

enum Kept {
    Whole(String),
    Sieved(&'static str),
    Not,
}

// === impl Sieve ===

impl<'de> DeserializeSeed<'de> for Sieve {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sieve {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(bounded(text).into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < LIST {
            match list.next_element_seed(self)? {
                Some(element) => kept.push(element),
                None => return Ok(kept.into()),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        let mut skipped = false;
        while let Some(key) = object.next_key_seed(Key { whole: self.whole })? {
            match key {
                Kept::Whole(key) => {
                    kept.insert(key, object.next_value_seed(Self { whole: true })?);
                }
                Kept::Sieved(key) => {
                    kept.insert(key.to_owned(), object.next_value_seed(self)?);
                }
                Kept::Not => {
                    object.next_value::<IgnoredAny>()?;
                    skipped = true;
                }
            }
        }
        if skipped && kept.is_empty() {
            // It was not empty, which is a fact too.
            kept.insert(String::new(), Value::Null);
        }
        Ok(kept.into())
    }
}

// === impl Key ===

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Kept;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Kept, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Kept;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Kept, E> {
        if self.whole || WHOLE.contains(&key) {
            return Ok(Kept::Whole(key.to_owned()));
        }
        let found = KEYS.binary_search(&key).ok();
        Ok(found
            .and_then(|at| KEYS.get(at))
            .map_or(Kept::Not, |key| Kept::Sieved(key)))
    }
}

/// The beginning of a text that is kept of it.
pub(super) fn bounded(text: &str) -> &str {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether a key is kept.
#[cfg(test)]
pub(super) fn keeps(key: &str) -> bool {
    WHOLE.contains(&key) || KEYS.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_in_order() {
        assert!(KEYS.is_sorted());
    }

    #[test]
    fn the_rest_is_skipped() {
        let event = json!({"id": "x", "choices": [{"index": 0, "logprobs": {"content": [1]}, "delta": {"content": "a"}}],
            "error": {"anything": ["x"]}});
        assert_eq!(
            read(event.to_string().as_bytes()),
            Some(
                json!({"choices": [{"index": 0, "delta": {"content": "a"}}], "error": {"anything": ["x"]}})
            )
        );
        assert_eq!(read(b"{} x"), None);
        assert_eq!(read(b"{\"content\": \"\xff\"}"), None);
    }

    #[test]
    fn bombs_are_small() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(deep.as_bytes()), None);
        let skipped = format!("{{\"x\": {deep}}}");
        assert_eq!(read(skipped.as_bytes()), Some(json!({"": null})));
        assert_eq!(read(b"{}"), Some(json!({})));
        let wide = format!("{{\"choices\": [{}0]}}", "0,".repeat(100_000));
        assert_eq!(
            read(wide.as_bytes()).unwrap()["choices"]
                .as_array()
                .unwrap()
                .len(),
            LIST
        );
        let long = format!("{{\"text\": \"{}\"}}", "é".repeat(100_000));
        let text = read(long.as_bytes()).unwrap();
        assert_eq!(text["text"].as_str().unwrap().len(), TEXT);
    }
}
