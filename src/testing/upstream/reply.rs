//! Good answers, whole: the JSON that each API documents, with a fixed text.

use bytes::Bytes;
use serde_json::{Value, json};

use super::dialect::{Ask, Dialect};

/// The moment every answer claims to have been made: 2026-11-22 10:00 UTC. Answers repeat exactly.
pub(super) const CREATED: u64 = 1_795_341_600;

const WORDS: [&str; 12] = [
    "The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", " and", " runs",
    " home.",
];

/// The tokens of the answer: `count` words from a fixed text, after the label if there is one.
pub(super) fn tokens(count: usize, label: Option<&str>) -> Vec<String> {
    let word = |i: usize| WORDS.get(i % WORDS.len()).copied().unwrap_or_default();
    let mut tokens: Vec<String> = (0..count).map(|i| word(i).to_owned()).collect();
    if let (Some(label), Some(first)) = (label, tokens.first_mut()) {
        *first = format!("[{label}] {first}");
    }
    tokens
}

/// The answer as one JSON text of at least `min_bytes` bytes, reached by padding the text.
pub(super) fn whole(ask: &Ask, tokens: &[String], min_bytes: usize) -> Bytes {
    let mut text = tokens.concat();
    let mut bytes = value(ask, &text, tokens.len()).to_string();
    if bytes.len() < min_bytes {
        text.push_str(&"x".repeat(min_bytes - bytes.len()));
        bytes = value(ask, &text, tokens.len()).to_string();
    }
    bytes.into()
}

fn value(ask: &Ask, text: &str, tokens: usize) -> Value {
    let model = &ask.model;
    match ask.dialect {
        Dialect::Chat => json!({
            "id": "chatcmpl-mock", "object": "chat.completion", "created": CREATED, "model": model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": chat_usage(ask, tokens),
        }),
        Dialect::Responses => response(ask, "completed", text, Some(tokens)),
        Dialect::Anthropic => json!({
            "id": "msg_mock", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": ask.prompt_tokens, "output_tokens": tokens},
        }),
        Dialect::Gemini => gemini(ask, text, true, tokens),
        Dialect::Ollama => ollama(ask, text, Some(tokens)),
    }
}

/// OpenAI chat's usage object.
pub(super) fn chat_usage(ask: &Ask, tokens: usize) -> Value {
    json!({
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": ask.prompt_tokens + tokens,
    })
}

/// OpenAI's response object; `tokens` are known once it is complete.
pub(super) fn response(ask: &Ask, status: &str, text: &str, tokens: Option<usize>) -> Value {
    let output = tokens.map_or_else(|| json!([]), |_| json!([response_item("completed", text)]));
    let usage = tokens.map(|tokens| {
        json!({
            "input_tokens": ask.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": ask.prompt_tokens + tokens,
        })
    });
    json!({
        "id": "resp_mock", "object": "response", "created_at": CREATED, "status": status,
        "model": ask.model, "error": null, "incomplete_details": null, "output": output, "usage": usage,
    })
}

/// The one message of a response object.
pub(super) fn response_item(status: &str, text: &str) -> Value {
    let content = if status == "completed" {
        json!([{"type": "output_text", "text": text, "annotations": []}])
    } else {
        json!([])
    };
    json!({"id": "item_mock", "type": "message", "status": status, "role": "assistant", "content": content})
}

/// A Gemini response, or one chunk of its stream.
pub(super) fn gemini(ask: &Ask, text: &str, last: bool, tokens: usize) -> Value {
    let mut candidate = json!({
        "content": {"role": "model", "parts": [{"text": text}]}, "index": 0,
    });
    if last {
        candidate["finishReason"] = "STOP".into();
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": ask.prompt_tokens,
            "candidatesTokenCount": tokens,
            "totalTokenCount": ask.prompt_tokens + tokens,
        },
        "modelVersion": ask.model,
        "responseId": "mock",
    })
}

/// An Ollama line; the last carries the counts.
pub(super) fn ollama(ask: &Ask, text: &str, tokens: Option<usize>) -> Value {
    let mut line = json!({
        "model": ask.model, "created_at": "2026-11-22T10:00:00Z",
        "message": {"role": "assistant", "content": text}, "done": tokens.is_some(),
    });
    if let Some(tokens) = tokens {
        line["done_reason"] = "stop".into();
        line["prompt_eval_count"] = ask.prompt_tokens.into();
        line["eval_count"] = tokens.into();
    }
    line
}
