//! Bedrock ConverseStream, and InvokeModelWithResponseStream, whose frames wrap the model's own events.

use serde_json::Value;

use super::event::{Said, any, some, text, usage_in};
use crate::llm::answer;

/// The frames of ConverseStream. Nova's events are objects with one of these as their only key.
pub(super) const NAMES: &[&str] = &[
    "contentBlockDelta",
    "contentBlockStart",
    "contentBlockStop",
    "messageStart",
    "messageStop",
];

const CONTENT: &[&str] = &["text", "toolUse", "citation", "image"];

/// `name` is the frame's `:event-type`, or the key of Nova's object.
pub(super) fn read<'a>(name: &'a str, event: &'a Value) -> Said<'a> {
    let nova = match name {
        "" => wrapped(event).or_else(|| Some(("metadata", event.get("metadata")?))),
        _ => None,
    };
    let (name, event) = nova.unwrap_or((name, event));
    let mut said = Said::default();
    match name {
        "contentBlockDelta" => {
            let delta = event.get("delta");
            let tool = delta.and_then(|delta| delta.get("toolUse")).is_some();
            let input = delta.and_then(|delta| delta.get("toolUse")?.get("input"));
            said.reasoning = any(delta, &["reasoningContent"]);
            said.content = some(input) || !tool && any(delta, CONTENT);
        }
        "messageStop" => {
            let reason = text(event, "stopReason").unwrap_or_default();
            said.finish(answer::bedrock_stop(reason));
        }
        "metadata" => said.usage = usage_in(event),
        _ => {}
    }
    said
}

/// Nova's name and event.
pub(super) fn wrapped(event: &Value) -> Option<(&'static str, &Value)> {
    let named = |name: &&'static str| Some((*name, event.get(*name).filter(|e| e.is_object())?));
    NAMES.iter().find_map(named)
}

/// The bytes of a model's own event in an InvokeModel frame, which has them in base64.
pub(super) fn unwrap(event: &Value) -> Option<Vec<u8>> {
    text(event, "bytes").and_then(base64)
}

/// Standard base64, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("YQ==", b"a"),
            ("YWI", b"ab"),
            ("YWJj", b"abc"),
            ("/+8=", b"\xff\xef"),
        ] {
            assert_eq!(base64(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(base64("a-b"), None);
    }
}
