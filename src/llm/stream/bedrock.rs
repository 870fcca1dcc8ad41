//! Bedrock ConverseStream, and InvokeModelWithResponseStream, which wraps the model's own events.

use serde_json::Value;

use super::{
    anthropic,
    event::{Counts, Said, any, plausible, some, text, usage_in},
    openai, sieve,
};
use crate::{
    classify::Outcome,
    llm::{Usage, answer},
};

const CONTENT: &[&str] = &["text", "toolUse", "citation", "image"];

/// `name` is the frame's `:event-type`.
pub(super) fn read<'a>(name: &str, event: &'a Value) -> Said<'a> {
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
        "chunk" => return invoked(event),
        _ => {}
    }
    said
}

/// InvokeModel: `bytes` is an event in the model's own dialect, in base64. The last one has Bedrock's own counts beside.
fn invoked(event: &Value) -> Said<'static> {
    let inner = text(event, "bytes")
        .and_then(base64)
        .and_then(|bytes| sieve::read(&bytes));
    let Some(inner) = inner else {
        return Said {
            content: true,
            ..Said::default()
        };
    };
    if inner.get("type").is_none() && inner.get("choices").is_none() {
        return plain(&inner);
    }
    let found = if inner.get("type").is_some() {
        anthropic::read("", &inner)
    } else {
        openai::read(&inner)
    };
    Said {
        content: found.content,
        reasoning: found.reasoning,
        choices: found.choices,
        usage: found.usage,
        fault: found.fault,
        model: None,
    }
}

/// Titan, Llama.
fn plain(inner: &Value) -> Said<'static> {
    let mut said = Said {
        content: any(Some(inner), &["outputText", "generation"]),
        ..Said::default()
    };
    if any(Some(inner), &["completionReason", "stop_reason"]) {
        said.finish(Outcome::Success);
    }
    let metrics = inner.get("amazon-bedrock-invocationMetrics");
    if let Some(metrics) = metrics.filter(|metrics| metrics.is_object() && plausible(metrics)) {
        let count = |key: &str| metrics.get(key).and_then(Value::as_u64).unwrap_or(0);
        let usage = Usage::new(count("inputTokenCount"), count("outputTokenCount"));
        said.usage = Some(Counts::Whole(usage));
    }
    said
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
