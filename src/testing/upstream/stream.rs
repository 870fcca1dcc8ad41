//! Good answers as streams: the events that each API documents, one piece an event.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    body::Piece,
    dialect::{Ask, Dialect},
    reply,
};

/// The answer as a stream, one content event a token.
pub(super) fn pieces(ask: &Ask, tokens: &[String]) -> Vec<Piece> {
    match ask.dialect {
        Dialect::Chat => chat(ask, tokens),
        Dialect::Responses => responses(ask, tokens),
        Dialect::Anthropic => anthropic(ask, tokens),
        Dialect::Gemini => gemini(ask, tokens),
        Dialect::Ollama => ollama(ask, tokens),
    }
}

/// What the stream's `content-type` is.
pub(super) fn content_type(ask: &Ask) -> &'static str {
    match ask.dialect {
        Dialect::Ollama => "application/x-ndjson",
        Dialect::Gemini if ask.array => "application/json",
        _ => "text/event-stream",
    }
}

/// An error inside a stream of which `sent` events are out. `error` is the dialect's whole error body.
pub(super) fn error_piece(ask: &Ask, error: &Value, sent: usize) -> Piece {
    other(match ask.dialect {
        Dialect::Chat => data(error),
        Dialect::Responses => named(&json!({
            "type": "error",
            "code": error.pointer("/error/code"),
            "message": error.pointer("/error/message"),
            "param": error.pointer("/error/param"),
            "sequence_number": sent,
        })),
        Dialect::Anthropic => named(error),
        Dialect::Gemini if ask.array => array_element(error, sent, true),
        Dialect::Gemini => data(error),
        Dialect::Ollama => line(error),
    })
}

fn chat(ask: &Ask, tokens: &[String]) -> Vec<Piece> {
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": reply::CREATED,
            "model": ask.model, "choices": choices,
        });
        if ask.usage {
            chunk["usage"] = usage.unwrap_or(Value::Null);
        }
        data(&chunk)
    };
    let choice = |delta: Value, finish: Option<&str>| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let mut out = vec![other(chunk(
        choice(json!({"role": "assistant", "content": ""}), None),
        None,
    ))];
    out.extend(
        tokens
            .iter()
            .map(|t| token(chunk(choice(json!({"content": t}), None), None))),
    );
    out.push(other(chunk(choice(json!({}), Some("stop")), None)));
    if ask.usage {
        out.push(other(chunk(
            json!([]),
            Some(reply::chat_usage(ask, tokens.len())),
        )));
    }
    out.push(other(Bytes::from_static(b"data: [DONE]\n\n")));
    out
}

fn responses(ask: &Ask, tokens: &[String]) -> Vec<Piece> {
    let text = tokens.concat();
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let at = json!({"item_id": "item_mock", "output_index": 0, "content_index": 0});
    let begun = reply::response(ask, "in_progress", "", None);
    let mut events = vec![
        ("response.created", json!({"response": begun})),
        ("response.in_progress", json!({"response": begun})),
        (
            "response.output_item.added",
            json!({"output_index": 0, "item": reply::response_item("in_progress", "")}),
        ),
        (
            "response.content_part.added",
            merged(&at, json!({"part": part("")})),
        ),
    ];
    for token in tokens {
        events.push((
            "response.output_text.delta",
            merged(&at, json!({"delta": token})),
        ));
    }
    events.extend([
        (
            "response.output_text.done",
            merged(&at, json!({"text": text})),
        ),
        (
            "response.content_part.done",
            merged(&at, json!({"part": part(&text)})),
        ),
        (
            "response.output_item.done",
            json!({"output_index": 0, "item": reply::response_item("completed", &text)}),
        ),
        (
            "response.completed",
            json!({"response": reply::response(ask, "completed", &text, Some(tokens.len()))}),
        ),
    ]);
    let numbered = events.into_iter().enumerate().map(|(n, (kind, event))| {
        let event = merged(&event, json!({"type": kind, "sequence_number": n}));
        Piece {
            bytes: named(&event),
            token: kind == "response.output_text.delta",
        }
    });
    numbered.collect()
}

fn anthropic(ask: &Ask, tokens: &[String]) -> Vec<Piece> {
    let mut out: Vec<Piece> = [
        json!({"type": "message_start", "message": {
            "id": "msg_mock", "type": "message", "role": "assistant", "model": ask.model, "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": ask.prompt_tokens, "output_tokens": 1},
        }}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ]
    .iter()
    .map(|event| other(named(event)))
    .collect();
    out.extend(tokens.iter().map(|text| {
        token(named(&json!({
            "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text},
        })))
    }));
    let last = [
        json!({"type": "content_block_stop", "index": 0}),
        json!({
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": tokens.len()},
        }),
        json!({"type": "message_stop"}),
    ];
    out.extend(last.iter().map(|event| other(named(event))));
    out
}

fn gemini(ask: &Ask, tokens: &[String]) -> Vec<Piece> {
    // The finish reason comes with the last chunk, so an answer of no tokens is one empty chunk.
    let empty = [String::new()];
    let texts = if tokens.is_empty() { &empty } else { tokens };
    let chunks = texts.iter().enumerate().map(|(n, text)| {
        let last = n + 1 == texts.len();
        let value = reply::gemini(ask, text, last, (n + 1).min(tokens.len()));
        token(if ask.array {
            array_element(&value, n, last)
        } else {
            data(&value)
        })
    });
    chunks.collect()
}

fn ollama(ask: &Ask, tokens: &[String]) -> Vec<Piece> {
    let mut out: Vec<Piece> = tokens
        .iter()
        .map(|text| token(line(&reply::ollama(ask, text, None))))
        .collect();
    out.push(other(line(&reply::ollama(ask, "", Some(tokens.len())))));
    out
}

fn token(bytes: Bytes) -> Piece {
    Piece { bytes, token: true }
}

fn other(bytes: Bytes) -> Piece {
    Piece {
        bytes,
        token: false,
    }
}

fn data(value: &Value) -> Bytes {
    format!("data: {value}\n\n").into()
}

/// An event whose name is its JSON's `type`, as OpenAI responses and Anthropic send them.
fn named(value: &Value) -> Bytes {
    let name = value.get("type").and_then(Value::as_str).unwrap_or("error");
    format!("event: {name}\ndata: {value}\n\n").into()
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}

fn array_element(value: &Value, n: usize, last: bool) -> Bytes {
    let open = if n == 0 { "[" } else { ",\r\n" };
    let close = if last { "]" } else { "" };
    format!("{open}{value}{close}").into()
}

fn merged(a: &Value, b: Value) -> Value {
    let mut out = a.clone();
    if let (Value::Object(out), Value::Object(b)) = (&mut out, b) {
        out.extend(b);
    }
    out
}
