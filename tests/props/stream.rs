//! The stream reader: cuts do not matter, comparing is as good as parsing, and text is only text.

use llmesh::llm::{
    Dialect,
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
            "finish_reason": null}], "usage": null}),
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
            json!({"candidates": [{"content": {"parts": [{"text": text, "thought": odd}]}, "index": 0}], "responseId": n.to_string()})
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

fn follow(mut reader: Reader, stream: &[u8], cuts: &[usize]) -> (u64, bool, bool, End) {
    let mut rest = stream;
    for cut in cuts {
        let (chunk, tail) = rest.split_at((*cut).min(rest.len()));
        reader.feed(chunk);
        rest = tail;
    }
    reader.feed(rest);
    let finished = reader.finished();
    (reader.deltas(), reader.committed(), finished, reader.end())
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
        prop_assert_eq!(&found, &(content, content > 0, false, End::Truncated), "{}", stream);
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
}
