//! The stream reader: cuts do not matter, comparing is as good as parsing, and text is only text.

use llmesh::llm::{
    Dialect, Usage,
    stream::{End, Framing, Reader},
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a user may have the model say.
fn text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(
        &[
            "",
            "a",
            " the",
            "\"",
            "\\",
            "\\\"",
            "\n\n",
            "\r",
            "\u{7f}",
            "é",
            "😀",
            "data: ",
            "[DONE]",
            "\"finish_reason\":\"stop\"",
            "\",\"finish_reason\":\"stop\"}]}",
            "{\"error\":{\"code\":500}}",
            "\"usage\":{\"prompt_tokens\":1}",
            "\u{2028}",
            "\0",
        ][..],
    );
    prop::collection::vec(words, 0..4).prop_map(|words| words.concat())
}

/// JSON as some servers write it: in ASCII, or with blanks.
fn written(event: &Value, style: u8) -> String {
    let plain = event.to_string();
    match style % 3 {
        0 => plain,
        1 => {
            let mut out = String::new();
            for c in plain.chars() {
                if c.is_ascii() {
                    out.push(c);
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
            out
        }
        _ => serde_json::to_string_pretty(event)
            .unwrap()
            .replace('\n', "\r\n"),
    }
}

/// A token of each dialect in all of its fields.
fn event(dialect: Dialect, text: &str, n: u64, odd: bool) -> Value {
    match dialect {
        Dialect::OpenAi if odd => json!({"id": n, "choices": [{"index": n % 2, "delta": {
            "tool_calls": if text.is_empty() { json!([]) } else { json!([{"index": 0, "function": {"arguments": text}}]) }},
            "finish_reason": null}], "usage": {"prompt_tokens": n, "completion_tokens": n % 3}}),
        Dialect::OpenAi => {
            json!({"id": "x", "created": n, "choices": [{"index": n % 2, "delta": {"content": text}, "logprobs": null,
            "finish_reason": null}], "obfuscation": "a".repeat((n % 7) as usize)})
        }
        Dialect::OpenAiResponses => {
            json!({"type": if odd { "response.reasoning_text.delta" } else { "response.output_text.delta" },
            "sequence_number": n, "item_id": "i", "delta": text, "logprobs": []})
        }
        Dialect::Anthropic if odd => {
            json!({"type": "content_block_delta", "index": n, "delta": {"type": "thinking_delta", "thinking": text}})
        }
        Dialect::Anthropic => {
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
        }
        Dialect::Gemini => {
            json!({"candidates": [{"content": {"parts": [{"text": text, "thought": odd}]}, "index": 0}], "responseId": n.to_string(),
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": n, "details": [{"tokenCount": n}]}})
        }
        Dialect::Cohere => {
            json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}})
        }
        Dialect::Ollama => {
            json!({"model": "m", "created_at": format!("2026-11-22T10:00:{n}Z"), "message": {"content": text}, "done": false})
        }
        _ => {
            json!({"index": 0, "token": {"id": n, "text": text, "logprob": -0.5 / (n + 1) as f64, "special": odd && text.is_empty()},
            "generated_text": null})
        }
    }
}

fn dialects() -> impl Strategy<Value = (Dialect, Framing)> {
    prop::sample::select(
        &[
            (Dialect::OpenAi, Framing::Sse),
            (Dialect::OpenAiResponses, Framing::Sse),
            (Dialect::Anthropic, Framing::Sse),
            (Dialect::Gemini, Framing::Sse),
            (Dialect::Gemini, Framing::JsonArray),
            (Dialect::Cohere, Framing::Sse),
            (Dialect::Ollama, Framing::NdJson),
            (Dialect::Tgi, Framing::Sse),
        ][..],
    )
}

fn framed(framing: Framing, events: &[String]) -> String {
    match framing {
        Framing::Sse => events
            .iter()
            .map(|event| {
                let lines: Vec<_> = event.split("\r\n").collect();
                format!("data: {}\n\n", lines.join("\ndata: "))
            })
            .collect(),
        Framing::NdJson => events
            .iter()
            .map(|event| event.replace("\r\n", " ") + "\n")
            .collect(),
        _ => format!("[{}", events.join(",\n")),
    }
}

/// Deltas, whether committed, whether finished, the end, and the counts.
type Story = (u64, bool, bool, End, Option<Usage>);

fn follow(mut reader: Reader, stream: &[u8], cuts: &[usize]) -> Story {
    let mut rest = stream;
    for cut in cuts {
        let (chunk, tail) = rest.split_at((*cut).min(rest.len()));
        reader.feed(chunk);
        rest = tail;
    }
    reader.feed(rest);
    let finished = reader.finished();
    let end = reader.end();
    (
        reader.deltas(),
        reader.committed(),
        finished,
        end,
        reader.usage(),
    )
}

proptest! {
    #[test]
    fn tokens_are_counted_and_text_is_only_text(
        (dialect, framing) in dialects(),
        tokens in prop::collection::vec((text(), any::<bool>(), 0_u64..1000), 0..12),
        style in 0_u8..3,
        cuts in prop::collection::vec(0_usize..300, 0..12),
    ) {
        let events: Vec<_> = tokens
            .iter()
            .map(|(text, odd, n)| written(&event(dialect, text, *n, *odd), style))
            .collect();
        let stream = framed(framing, &events);
        let content = tokens.iter().filter(|(text, ..)| !text.is_empty()).count() as u64;
        let new = || Reader::new(dialect, None, framing);
        let found = follow(new(), stream.as_bytes(), &cuts);
        prop_assert_eq!(found.0, content, "{}", stream);
        // Of nothing at all only the path can say what it is: some are ordinary services' too.
        let shared = matches!(dialect, Dialect::Cohere | Dialect::Ollama | Dialect::Tgi);
        let end = if tokens.is_empty() && shared { End::Opaque } else { End::Truncated };
        prop_assert_eq!((found.1, found.2, &found.3), (content > 0, false, &end));
        prop_assert_eq!(&follow(new(), stream.as_bytes(), &[]), &found);
        prop_assert_eq!(&follow(new().without_templates(), stream.as_bytes(), &cuts), &found);
    }

    /// Bytes changed at random: comparing with templates and parsing still agree.
    #[test]
    fn comparing_is_as_good_as_parsing(
        (dialect, framing) in dialects(),
        tokens in prop::collection::vec((text(), any::<bool>()), 2..8),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"\"\\{}[]:,0-e.nu\n\r \x00\xff"[..])), 0..4),
        cuts in prop::collection::vec(0_usize..300, 0..6),
    ) {
        let events: Vec<_> = tokens
            .iter()
            .map(|(text, odd)| written(&event(dialect, text, 7, *odd), 0))
            .collect();
        let mut stream = framed(framing, &events).into_bytes();
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let new = || Reader::new(dialect, None, framing);
        let parsed = follow(new().without_templates(), &stream, &[]);
        prop_assert_eq!(&follow(new(), &stream, &[]), &parsed);
        prop_assert_eq!(&follow(new(), &stream, &cuts), &parsed);
    }

    /// Lines and frames of any kind, in any order: cuts do not matter, whatever the path promised.
    #[test]
    fn pieces_of_anything_come_to_one_story(
        pieces in prop::collection::vec(piece(), 0..12),
        framing in prop::sample::select(&[Framing::Sse, Framing::NdJson, Framing::JsonArray, Framing::EventStream][..]),
        dialect in prop::sample::select(&[Dialect::OpenAi, Dialect::Bedrock, Dialect::Gemini][..]),
        cuts in prop::collection::vec(0_usize..60, 0..12),
    ) {
        let stream = pieces.concat().into_bytes();
        let new = || Reader::new(dialect, None, framing);
        let found = follow(new(), &stream, &[]);
        prop_assert_eq!(&follow(new(), &stream, &cuts), &found);
        prop_assert_eq!(&follow(new(), &stream, &vec![1; stream.len()]), &found);
        prop_assert_eq!(&follow(new().without_templates(), &stream, &cuts), &found);
        let other = Reader::new(Dialect::Anthropic, None, framing);
        prop_assert_eq!(&follow(other, &stream, &cuts), &found);
    }

    /// What users and models write never makes a stream fail: only the structure of events does.
    #[test]
    fn words_are_no_errors(
        words in prop::collection::vec(text(), 1..6),
        keys in prop::collection::vec(prop::sample::select(&["message", "text", "detail", "status", "content", "note", "type"][..]), 1..4),
        name in prop::sample::select(&["", "message", "step", "tool", "errors"][..]),
        cuts in prop::collection::vec(0_usize..60, 0..6),
    ) {
        let mut stream = String::new();
        for (word, key) in words.iter().zip(keys.iter().cycle()) {
            let mut event = serde_json::Map::new();
            event.insert((*key).to_owned(), format!("the error {word}, failed:").into());
            stream.push_str(&format!("event: {name}\ndata: {}\n\n", Value::from(event)));
        }
        let found = follow(Reader::new(Dialect::OpenAi, None, Framing::Sse), stream.as_bytes(), &cuts);
        prop_assert_eq!(found.3, End::Opaque, "{}", stream);
    }
}

/// A piece of a stream, or of none.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(
        &[
            "\n",
            "\r\n",
            "\r",
            " ",
            "data",
            "data:",
            "data: ",
            "event: error\n",
            "event: ping\n",
            "error: ",
            "error",
            "id: 1\n",
            ": hi\n",
            "[",
            "]",
            ",",
            "{",
            "}",
            "[DONE]\n\n",
            "hello",
            "{\"error\":{\"message\":\"m\",\"code\":429}}",
            "{\n \"error\": \"m\"\n}\n",
            "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
            "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}",
            "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}",
            "{\"type\":\"message_stop\"}",
            "{\"response\":\"a\",\"done\":true}",
            "\0\0\0\u{10}\0\0\0\0",
            "\u{feff}",
        ][..],
    );
    let event = (dialects(), text(), any::<bool>(), 0_u8..3).prop_map(
        |((dialect, _), text, odd, style)| {
            let event = written(&event(dialect, &text, 7, odd), style);
            let lines: Vec<_> = event.split("\r\n").collect();
            format!("data: {}\n\n", lines.join("\ndata: "))
        },
    );
    prop_oneof![3 => fixed.prop_map(str::to_owned), 1 => event]
}
