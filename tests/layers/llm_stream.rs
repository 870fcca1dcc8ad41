//! The stream reader: every stream of the case file however it is cut, the framings, and each dialect's events.
#![cfg(feature = "llm")]

use std::fmt::Write;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use llmesh::{
    base::{SharedRng, time::parse_rfc3339},
    classify::{Class, FallbackScope, Outcome, Scope, Signal},
    llm::{
        Dialect, DialectMode, Usage,
        dialect::Api,
        status::{KeyOwner, client_status},
        stream::{End, Fault, Framing, Reader, class_of_end, class_of_fault},
    },
};
use serde_json::{Value, json};

#[path = "llm_stream/families.rs"]
mod families;

const OK: Signal = Signal::Response {
    status: StatusCode::OK,
    grpc_status: None,
    ratelimited: false,
};

/// What a stream came to.
#[derive(Debug, PartialEq)]
struct Story {
    content: u64,
    deltas: u64,
    committed: bool,
    usage: Option<Usage>,
    model: Option<String>,
    fault: Option<Fault>,
    end: End,
}

fn follow<'a>(mut reader: Reader, chunks: impl IntoIterator<Item = &'a [u8]>) -> Story {
    let mut content = 0;
    let mut fault = None;
    for chunk in chunks {
        let progress = reader.feed(chunk);
        content += u64::from(progress.content);
        assert!(fault.is_none() || progress.fault.is_none(), "told once");
        assert!(fault.is_none() || progress.content == 0, "looked at after");
        fault = fault.or(progress.fault);
    }
    let end = reader.end();
    assert_eq!(reader.end(), end, "asked twice");
    Story {
        content,
        deltas: reader.deltas(),
        committed: reader.committed(),
        usage: reader.usage(),
        model: reader.model().map(str::to_owned),
        fault,
        end,
    }
}

/// Follows a stream whole, byte by byte, at 100 random cuts, and with each event read in full: it comes to one story, but for
/// content that the end of the stream brought.
fn follow_all_ways(new: impl Fn() -> Reader, stream: &[u8]) -> Story {
    follow_ways(new, stream, 100)
}

/// The same, at so many random cuts.
fn follow_ways(new: impl Fn() -> Reader, stream: &[u8], ways: u32) -> Story {
    let whole = follow(new(), [stream]);
    assert_eq!(follow(new(), stream.chunks(1)), whole, "byte by byte");
    assert_eq!(
        follow(new().without_templates(), [stream]),
        whole,
        "in full"
    );
    let rng = SharedRng::seeded(3);
    for _ in 0..ways {
        let mut cuts: Vec<usize> = (0..=rng.below(12))
            .map(|_| rng.index(stream.len() + 1).unwrap())
            .collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut rest = stream;
        for cut in cuts {
            let (chunk, tail) = rest.split_at(cut - (stream.len() - rest.len()));
            chunks.push(chunk);
            rest = tail;
        }
        chunks.push(rest);
        let cut = follow(new(), chunks.clone());
        assert_eq!(cut, whole, "{chunks:?}");
    }
    whole
}

fn sse(dialect: Dialect, stream: &str) -> Story {
    follow_all_ways(
        || Reader::new(dialect, None, Framing::Sse),
        stream.as_bytes(),
    )
}

/// Each event as SSE, named by its type as most servers do.
fn events(dialect: Dialect, events: &[Value]) -> Story {
    let mut stream = String::new();
    for event in events {
        if let Some(name) = event["type"].as_str() {
            writeln!(stream, "event: {name}").unwrap();
        }
        write!(stream, "data: {event}\n\n").unwrap();
    }
    sse(dialect, &stream)
}

// === the case file ===

struct Case(Value);

impl Case {
    fn all() -> Vec<Self> {
        let cases: Vec<_> = include_str!("../data/llm-error-cases.jsonl")
            .lines()
            .map(|line| Self(serde_json::from_str(line).unwrap()))
            .filter(|case| case.text("phase") == "stream")
            .collect();
        assert!(cases.len() >= 20);
        cases
    }

    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    fn dialect(&self) -> Dialect {
        match self.text("api") {
            "chat" => Dialect::OpenAi,
            "responses" => Dialect::OpenAiResponses,
            "messages" => Dialect::Anthropic,
            "streamGenerateContent" => Dialect::Gemini,
            "converse-stream" => Dialect::Bedrock,
            "v2/chat" => Dialect::Cohere,
            "native" => Dialect::Ollama,
            other => panic!("no dialect for {other}"),
        }
    }

    fn framing(&self) -> Framing {
        match self.dialect() {
            Dialect::Bedrock => Framing::EventStream,
            Dialect::Ollama => Framing::NdJson,
            _ => Framing::Sse,
        }
    }

    fn stream(&self) -> Vec<u8> {
        if let Some(frames) = self.0["frames"].as_array() {
            return frames
                .iter()
                .flat_map(|f| f.as_str().unwrap().bytes())
                .collect();
        }
        let events = self.0["events"].as_array().unwrap();
        events
            .iter()
            .flat_map(|event| {
                let headers = event["headers"].as_object().unwrap();
                let headers: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                    .collect();
                frame(&headers, event["payload"].to_string().as_bytes())
            })
            .collect()
    }
}

/// An AWS event-stream frame.
fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    for (name, value) in headers {
        fields.push(u8::try_from(name.len()).unwrap());
        fields.extend_from_slice(name.as_bytes());
        fields.push(7);
        fields.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        fields.extend_from_slice(value.as_bytes());
    }
    let number = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    let mut frame = Vec::new();
    frame.extend_from_slice(&number(fields.len() + payload.len() + 16));
    frame.extend_from_slice(&number(fields.len()));
    frame.extend_from_slice(&crc32(&frame).to_be_bytes());
    frame.extend_from_slice(&fields);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32(&frame).to_be_bytes());
    frame
}

/// CRC-32 by its definition, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

fn shown(class: &Class) -> (&'static str, &'static str) {
    let elsewhere = match class.elsewhere {
        FallbackScope::Any => "any",
        FallbackScope::OtherAccount => "other_account",
        FallbackScope::Larger => "larger",
        FallbackScope::OptIn => "opt_in",
        FallbackScope::None => "none",
    };
    let scope = match class.scope {
        Scope::None => "none",
        Scope::Target => "target",
        Scope::Credential => "credential",
        Scope::Account => "account",
    };
    (elsewhere, scope)
}

#[test]
fn every_stream_is_read_as_the_case_file_says() {
    for case in Case::all() {
        let id = case.text("id").to_owned();
        let expect = &case.0["expect"];
        let story = follow_all_ways(
            || Reader::new(case.dialect(), None, case.framing()),
            &case.stream(),
        );
        if let Some(usage) = expect.get("usage") {
            let found = story.usage.unwrap_or_default();
            assert_eq!(usage["input"].as_u64(), Some(found.input), "{id}");
            assert_eq!(usage["output"].as_u64(), Some(found.output), "{id}");
            for (key, found) in [
                ("cache_read", found.cache_read),
                ("cache_write", found.cache_write),
                ("reasoning", found.reasoning),
            ] {
                if let Some(count) = usage.get(key) {
                    assert_eq!(count.as_u64(), found, "{id} {key}");
                }
            }
        }
        if case.text("end") == "open" {
            // A clock decides, which is not here.
            assert_eq!(story.fault, None, "{id}");
            assert_eq!(story.end, End::Truncated, "{id}");
            let content = expect["class"] == "StreamStalled";
            assert_eq!(story.committed, content, "{id}");
            continue;
        }
        let committed = case.0["ctx"]["committed"] == true;
        if expect["class"] != "Success" {
            assert_eq!(story.committed, committed, "{id}");
        }
        let api = Api::of(
            DialectMode::Fixed(case.dialect()),
            &Method::POST,
            &Uri::from_static("/"),
            &HeaderMap::new(),
        );
        let now = parse_rfc3339(case.text("now")).unwrap();
        let class = class_of_end(&story.end, &api, &HeaderMap::new(), OK, committed, now);
        assert_eq!(expect["class"], format!("{:?}", class.outcome), "{id}");
        let inner = class.inner.map(|inner| format!("{inner:?}"));
        assert_eq!(expect["inner_class"].as_str(), inner.as_deref(), "{id}");
        assert_eq!(expect["retry_same"], class.retry_same, "{id}");
        assert_eq!(class.hint, None, "{id}");
        let (elsewhere, scope) = shown(&class);
        assert_eq!(expect["fallback"], elsewhere, "{id}");
        assert_eq!(expect["breaker"], scope, "{id}");
        if !committed {
            let dialect = Some(case.dialect());
            let status = client_status(&class, dialect, KeyOwner::Gateway);
            assert_eq!(expect["client_status"], status.as_u16(), "{id}");
        }
    }
}

// === framings ===

const HELLO: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

fn complete(story: &Story, content: u64) {
    assert_eq!(story.end, End::Complete(Outcome::Success));
    assert_eq!((story.content, story.deltas), (content, content));
}

#[test]
fn any_line_end_will_do() {
    for (a, b) in [
        ("\n", "\n"),
        ("\r", "\r"),
        ("\r\n", "\r\n"),
        ("\r\n", "\n"),
        ("\r", "\n\n"),
        ("\n", "\r"),
    ] {
        let stream = format!(
            "\u{feff}: hi{a}data: {HELLO}{a}{b}event: x{b}data:{HELLO}{b}id: 1{a}retry: 5{a}{a}data: {STOP}{b}{b}"
        );
        complete(&sse(Dialect::OpenAi, &stream), 2);
    }
}

#[test]
fn fields_are_read_as_the_standard_says() {
    let (before, after) = HELLO.split_at(11);
    let stream = format!(
        "data: {before}\ndata: {after}\n\n\n\ndata\n\ndata:\n\n database: x\ndatax: y\nDATA: z\n\nevent\n\
         data: {STOP}\n\ndata: [DONE]\n\n"
    );
    complete(&sse(Dialect::OpenAi, &stream), 1);
    // Only at the beginning is it a byte order mark.
    let stream = format!("data: {HELLO}\n\n\u{feff}data: {STOP}\n\n");
    assert_eq!(sse(Dialect::OpenAi, &stream).end, End::Truncated);
    let stream = b"\xef\xbbdata: x\n\n";
    let story = follow_all_ways(|| Reader::new(Dialect::OpenAi, None, Framing::Sse), stream);
    assert_eq!(story.fault, None);
}

#[test]
fn a_last_event_without_its_end_counts_if_it_can_be_read() {
    let whole = format!("data: {HELLO}\n\ndata: {STOP}");
    for stream in [whole.clone(), format!("{whole}\n"), format!("{whole}\r")] {
        assert_eq!(
            sse(Dialect::OpenAi, &stream).end,
            End::Complete(Outcome::Success)
        );
    }
    for missing in 1..STOP.len() {
        let story = sse(Dialect::OpenAi, &whole[..whole.len() - missing]);
        assert_eq!((story.fault, story.end), (None, End::Truncated));
    }
    let error = format!("data: {HELLO}\n\ndata: {{\"error\": {{\"code\": 500}}}}");
    assert!(matches!(
        sse(Dialect::OpenAi, &error).end,
        End::Fault(Fault::Error(_))
    ));
}

#[test]
fn done_proves_nothing() {
    for stream in [
        "",
        "data: [DONE]\n\n",
        &format!("data: {HELLO}\n\ndata: [DONE]\n\n"),
    ] {
        assert_eq!(sse(Dialect::OpenAi, stream).end, End::Truncated);
    }
    complete(
        &sse(
            Dialect::OpenAi,
            &format!("data: {HELLO}\n\ndata: {STOP}\n\n"),
        ),
        1,
    );
}

#[test]
fn done_ends_what_has_no_place_for_a_finish_reason() {
    let bare = r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    let role = r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#;
    let story = |events: &[&str]| {
        let stream: String = events.iter().map(|e| format!("data: {e}\n\n")).collect();
        sse(Dialect::OpenAi, &stream).end
    };
    let whole = End::Complete(Outcome::Success);
    assert_eq!(story(&[role, bare, bare, "[DONE]"]), whole);
    assert_eq!(story(&[role, bare, bare]), End::Truncated);
    assert_eq!(story(&[role, "[DONE]"]), End::Truncated);
    assert_eq!(story(&[bare, HELLO, "[DONE]"]), End::Truncated);
}

/// Snowflake's Cortex counts tokens beside each part, and ends by ending.
#[test]
fn what_has_neither_a_finish_reason_nor_done_ends_with_its_connection() {
    let part = |usage: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}],\"usage\":{usage}}}\n\n")
    };
    let counted = part("{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4}");
    for times in [1, 2, 40] {
        let story = sse(Dialect::OpenAi, &counted.repeat(times));
        assert_eq!((story.fault, story.end), (None, End::Opaque));
        assert_eq!(story.content, times as u64);
    }
    // What has a place for it, or counts only at its end, was cut.
    let told = format!("{counted}data: {HELLO}\n\n");
    assert_eq!(sse(Dialect::OpenAi, &told).end, End::Truncated);
    assert_eq!(sse(Dialect::OpenAi, &part("null")).end, End::Truncated);
}

#[test]
fn what_cannot_be_read_inside_a_good_stream_is_passed_over() {
    let bad = [
        "{\"choices\":[",
        "hello",
        "{}{}",
        "{\"choices\": \"\u{1}\"}",
        "{\"choices\":[{\"delta\":{\"content\":\"\\x\"}}]}",
    ];
    for bad in bad {
        let stream = |events: &[&str]| -> String {
            events.iter().map(|e| format!("data: {e}\n\n")).collect()
        };
        for (events, content, end) in [
            // The stream goes on, and its finish marker comes.
            (
                &[HELLO, bad, HELLO, STOP][..],
                2,
                End::Complete(Outcome::Success),
            ),
            (&[HELLO, STOP, bad], 1, End::Complete(Outcome::Success)),
            (
                &[HELLO, bad, STOP, "[DONE]"],
                1,
                End::Complete(Outcome::Success),
            ),
            // It does not come.
            (&[HELLO, bad, HELLO], 2, End::Fault(Fault::Malformed)),
            (&[HELLO, bad], 1, End::Fault(Fault::Malformed)),
            (&[HELLO, bad, "[DONE]"], 1, End::Fault(Fault::Malformed)),
        ] {
            let story = sse(Dialect::OpenAi, &stream(events));
            assert_eq!((story.fault, story.content), (None, content), "{events:?}");
            assert_eq!(story.end, end, "{events:?}");
        }
        // An error after it is still one.
        let error = "{\"error\":{\"message\":\"m\"}}";
        let story = sse(Dialect::OpenAi, &stream(&[HELLO, bad, error]));
        assert!(matches!(story.fault, Some(Fault::Error(_))), "{bad}");
    }
    let text = b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n";
    let stream = [format!("data: {HELLO}\n\n").as_bytes(), text].concat();
    let story = follow_all_ways(|| Reader::new(Dialect::OpenAi, None, Framing::Sse), &stream);
    assert_eq!(story.end, End::Fault(Fault::Malformed));
}

#[test]
fn what_is_not_understood_is_opaque() {
    let text = "hello";
    for (stream, content) in [
        // Text, as some servers stream it, and events of nobody's.
        (
            format!("event: output\ndata: {text}\n\nevent: done\ndata: {{}}\n\n"),
            1,
        ),
        (format!("data: {text}\n\ndata: [DONE]\n\n"), 1),
        ("data: {\"choices\":[\n\n".to_owned(), 1),
        (
            "data: {\"response\":\"Hi\"}\n\ndata: {\"response\":\"!\"}\n\ndata: [DONE]\n\n"
                .to_owned(),
            2,
        ),
        (
            "event: step\ndata: {\"type\":\"tool_result\",\"error\":\"not found, next\"}\n\n"
                .to_owned(),
            1,
        ),
        (
            "event: tool\ndata: {\"error\":\"not found, next\"}\n\n".to_owned(),
            1,
        ),
        (
            "data: {\"level\":\"info\",\"message\":\"error\"}\n\n".to_owned(),
            1,
        ),
        (
            "data: {\"code\":0,\"message\":\"Success\",\"payload\":1}\n\n".to_owned(),
            1,
        ),
        (
            "data: {\"status\":\"error-free\",\"message\":\"m\"}\n\n".to_owned(),
            1,
        ),
        (
            "data: {\"detail\":\"the second of three steps failed\",\"step\":2}\n\n".to_owned(),
            1,
        ),
        (
            "data: {\"type\":\"urn:step\",\"status\":200,\"detail\":\"m\"}\n\n".to_owned(),
            1,
        ),
        // Lines that are no events.
        ("hello there\nhow are you?\n".to_owned(), 2),
        ("{\"a\": 1}\n{\"b\": 2}\n".to_owned(), 2),
        ("{\"a\": 1".to_owned(), 0),
        ("<html>".to_owned(), 0),
        // Events that announce are none, nor is what is empty.
        (
            "event: ping\ndata: {\"t\":1}\n\ndata: {}\n\ndata: 5\n\n".to_owned(),
            1,
        ),
    ] {
        for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Ollama] {
            let story = sse(dialect, &stream);
            assert_eq!(story.fault, None, "{stream}");
            assert_eq!(
                (story.content, story.committed),
                (content, story.deltas > 0),
                "{stream}"
            );
            assert_eq!(story.end, End::Opaque, "{stream}");
        }
    }
    let other = |framing, stream: &[u8]| {
        follow_all_ways(|| Reader::new(Dialect::OpenAi, None, framing), stream)
    };
    for (framing, stream) in [
        (Framing::NdJson, &b"hello\n"[..]),
        (Framing::NdJson, b"{\"a\":1}\n"),
        (Framing::JsonArray, b"hello"),
        (Framing::JsonArray, b"[1,2]"),
        (Framing::JsonArray, b"[{\"a\":1}]"),
        (Framing::EventStream, b"hello"),
        (Framing::EventStream, b"\0\0\0\x10\0\0\0\0\0\0\0\0hello"),
    ] {
        let story = other(framing, stream);
        let facts = (story.fault, story.end, story.committed);
        assert_eq!(
            facts,
            (None, End::Opaque, true),
            "{framing:?} {}",
            stream.escape_ascii()
        );
    }
    // Nothing at all is an answer that did not come, where only a model's could.
    for framing in [
        Framing::Sse,
        Framing::NdJson,
        Framing::JsonArray,
        Framing::EventStream,
    ] {
        for nothing in [&b""[..], b"\n\n"] {
            if framing == Framing::EventStream && !nothing.is_empty() {
                continue;
            }
            assert_eq!(other(framing, nothing).end, End::Truncated, "{framing:?}");
        }
    }
    assert_eq!(sse(Dialect::Ollama, ": hi\n\n").end, End::Opaque);
    assert_eq!(
        sse(Dialect::OpenAi, ": hi\n\nevent: ping\ndata: {}\n\n").end,
        End::Truncated
    );
    // JSON that means nothing here.
    for odd in ["1", "\"x\"", "{\"choices\": 3}"] {
        let story = sse(
            Dialect::OpenAi,
            &format!("data: {HELLO}\n\ndata: {odd}\n\n"),
        );
        assert_eq!(
            (story.fault, story.content, story.end),
            (None, 1, End::Truncated),
            "{odd}"
        );
    }
    for odd in ["{\"choices\": [1, {}]}", "[]", "null", "{}"] {
        let story = sse(Dialect::OpenAi, &format!("data: {odd}\n\n"));
        assert_eq!((story.fault, story.content), (None, 0), "{odd}");
    }
}

#[test]
fn long_lines_are_bounded() {
    let long = |len: usize| {
        let text = "lorem \\\"ipsum\\\" ".repeat(len / 16);
        let event = HELLO.replace("Hello", &text);
        format!("data: {event}\n\ndata: {STOP}\n\n: {text}\n\nevent: {text}\n\n")
    };
    for len in [60_000, 64 * 1024, 70_000, 3_000_000] {
        let stream = long(len);
        let new = || Reader::new(Dialect::OpenAi, None, Framing::Sse);
        let whole = follow(new(), [stream.as_bytes()]);
        complete(&whole, 1);
        for cut in [4096, 65_000, 100_001] {
            assert_eq!(follow(new(), stream.as_bytes().chunks(cut)), whole);
        }
    }
    // Neither long texts nor anything else: nothing is known of it but that it came.
    let event = format!("{{\"choices\": [{}0]}}", "0,".repeat(1_000_000));
    let stream = format!("data: {event}\n\ndata: {STOP}\n\n");
    let story = follow(
        Reader::new(Dialect::OpenAi, None, Framing::Sse),
        [stream.as_bytes()],
    );
    complete(&story, 1);
    assert!(story.committed);
    let stream = format!("event: response.completed\ndata: {event}\n\n");
    let new = || Reader::new(Dialect::OpenAiResponses, None, Framing::Sse);
    let story = follow(new(), stream.as_bytes().chunks(1000));
    assert_eq!(story.end, End::Complete(Outcome::Success));
}

#[test]
fn deep_json_ends_where_the_reader_says() {
    let deep = format!(
        "{{\"choices\": {}{}}}",
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let story = sse(
        Dialect::OpenAi,
        &format!("data: {HELLO}\n\ndata: {deep}\n\n"),
    );
    assert_eq!(story.end, End::Fault(Fault::Malformed));
    let deep = deep.replace("choices", "logprobs");
    let story = sse(Dialect::OpenAi, &format!("data: {deep}\n\n"));
    assert_eq!(story.fault, None);
}

#[test]
fn arrays_of_json() {
    let one = |text: &str| json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}]});
    let last = json!({"candidates": [{"content": {"parts": [{"text": "]}\"\\ {["}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7}, "modelVersion": "gemini"});
    let new = || Reader::new(Dialect::Gemini, None, Framing::JsonArray);
    for (open, comma, close) in [
        ("[", ",", "]"),
        ("\u{20}[\r\n", "\r\n,\r\n", "\n]\n"),
        ("[ ", " , ", " ] "),
    ] {
        let stream = format!(
            "{open}{}{comma}{}{comma}{last}{close}",
            one("a"),
            one("\\\" }")
        );
        let story = follow_all_ways(new, stream.as_bytes());
        complete(&story, 3);
        assert_eq!(story.usage, Some(Usage::new(5, 7)));
        assert_eq!(story.model.as_deref(), Some("gemini"));
        // Without its bracket nobody can read it.
        let cut = stream.trim_end().trim_end_matches(']');
        assert_eq!(follow_all_ways(new, cut.as_bytes()).end, End::Truncated);
    }
    let error = json!({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}});
    for stream in [
        format!("[{error}]"),
        format!("[{},{error}", one("a")),
        error.to_string(),
    ] {
        let story = follow_all_ways(new, stream.as_bytes());
        assert_eq!(story.fault, Some(Fault::Error(error.clone())), "{stream}");
    }
    for bad in [",1]", ",}", "x"] {
        let story = follow_all_ways(new, format!("[{}{bad}", one("a")).as_bytes());
        let broken = End::Fault(Fault::Malformed);
        assert_eq!((story.content, story.end), (1, broken), "{bad}");
    }
    let done = json!({"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]});
    for after in ["]", "x", "[1", "}"] {
        let story = follow_all_ways(new, format!("[{},{done}]{after}", one("a")).as_bytes());
        assert_eq!(story.end, End::Complete(Outcome::Success), "{after}");
    }
    // Closed, and not finished.
    let cut = format!("[{}]", one("a"));
    assert_eq!(follow_all_ways(new, cut.as_bytes()).end, End::Truncated);
    assert_eq!(follow_all_ways(new, b"[]").end, End::Truncated);
}

#[test]
fn lines_of_json() {
    let new = || Reader::new(Dialect::Ollama, None, Framing::NdJson);
    let line = json!({"model": "m", "created_at": "2026-11-22T10:00:00.1Z", "message": {"role": "assistant", "content": "a"}, "done": false});
    let done = json!({"model": "m", "message": {"content": ""}, "done": true, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2});
    for (end, last) in [("\n", "\n"), ("\r\n", "\r\n"), ("\n\n", ""), ("\n", " ")] {
        let stream = format!("{line}{end}{line}{end}{done}{last}");
        let story = follow_all_ways(new, stream.as_bytes());
        assert_eq!(story.end, End::Complete(Outcome::Success));
        assert_eq!(story.deltas, 2);
        assert_eq!(story.usage, Some(Usage::new(3, 2)));
    }
    let story = follow_all_ways(new, format!("{line}\n{{\"mess\n{done}\n").as_bytes());
    assert_eq!(story.end, End::Complete(Outcome::Success));
    let story = follow_all_ways(new, format!("{line}\n{{\"mess\n{line}\n").as_bytes());
    assert_eq!(story.end, End::Fault(Fault::Malformed));
    let thinking = json!({"message": {"content": "", "thinking": "hm"}, "done": false});
    let held = || new().with_reasoning_commits(false);
    let story = follow_all_ways(held, format!("{thinking}\n").as_bytes());
    assert_eq!((story.committed, story.deltas), (false, 1));
}

#[test]
fn frames_of_aws() {
    let new = || Reader::new(Dialect::Bedrock, None, Framing::EventStream);
    let event = |name: &str, payload: &Value| {
        let headers = [
            (":event-type", name),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ];
        frame(&headers, payload.to_string().as_bytes())
    };
    let delta = event(
        "contentBlockDelta",
        &json!({"contentBlockIndex": 0, "delta": {"text": "Hi"}, "p": "abc"}),
    );
    let stop = event(
        "messageStop",
        &json!({"stopReason": "guardrail_intervened"}),
    );
    let whole = [delta.clone(), delta.clone(), stop.clone()].concat();
    let story = follow_all_ways(new, &whole);
    assert_eq!(story.end, End::Complete(Outcome::ContentFilter));
    assert_eq!(story.content, 2);
    // Each byte is covered by one of the checksums, or is one.
    for at in 0..delta.len() {
        let mut bad = whole.clone();
        bad[delta.len() + at] ^= 1;
        let story = follow(new(), bad.chunks(7));
        assert_eq!(follow(new(), [&bad[..]]), story, "byte {at}");
        // Where its length is known what comes after it is read.
        let end = match at {
            0..12 => End::Fault(Fault::Malformed),
            _ => End::Complete(Outcome::ContentFilter),
        };
        assert_eq!((story.content, story.end), (1, end), "byte {at}");
    }
    let error = frame(
        &[
            (":message-type", "error"),
            (":error-code", "InternalFailure"),
            (":error-message", "m"),
        ],
        b"",
    );
    let story = follow_all_ways(new, &[delta, error].concat());
    assert_eq!(
        story.end,
        End::Fault(Fault::Error(
            json!({"__type": "InternalFailure", "message": "m"})
        ))
    );
    // A frame that is too long to be read, and one that was cut.
    let long = event(
        "contentBlockDelta",
        &json!({"delta": {"text": "a".repeat(2_000_000)}}),
    );
    let story = follow(new(), [long, stop].concat().chunks(1013));
    assert_eq!(
        (story.content, story.end),
        (1, End::Complete(Outcome::ContentFilter))
    );
    let story = follow_all_ways(new, &whole[..whole.len() - 1]);
    assert_eq!(story.end, End::Truncated);
    for (name, payload, outcome) in [
        (
            "throttlingException",
            json!({"message": "m"}),
            Outcome::RateLimited,
        ),
        (
            "validationException",
            json!({"message": "m"}),
            Outcome::InvalidRequest,
        ),
        (
            "validationException",
            json!({"message": "Input is too long for requested model."}),
            Outcome::ContextLength,
        ),
        (
            "serviceUnavailableException",
            json!({"message": "m"}),
            Outcome::Overloaded,
        ),
        (
            "internalServerException",
            json!({"message": "m"}),
            Outcome::ServerError,
        ),
        (
            "modelStreamErrorException",
            json!({"message": "m", "originalStatusCode": 429}),
            Outcome::RateLimited,
        ),
        (
            "modelTimeoutException",
            json!({"message": "m"}),
            Outcome::Timeout,
        ),
    ] {
        let exception = frame(
            &[(":message-type", "exception"), (":exception-type", name)],
            payload.to_string().as_bytes(),
        );
        let story = follow_all_ways(new, &exception);
        assert_eq!(inner(&story.end, false).inner, Some(outcome), "{name}");
    }
}

#[test]
fn bedrocks_invoke_wraps_the_models_own_events() {
    let new = || Reader::new(Dialect::Bedrock, None, Framing::EventStream);
    let chunk = |inner: &Value| {
        let payload = json!({"bytes": base64(inner.to_string().as_bytes())});
        frame(
            &[(":message-type", "event"), (":event-type", "chunk")],
            payload.to_string().as_bytes(),
        )
    };
    let anthropic = [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1}}}),
        json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 2}}),
    ];
    let stream: Vec<u8> = anthropic.iter().flat_map(&chunk).collect();
    let story = follow_all_ways(new, &stream);
    complete(&story, 1);
    let usage = story.usage.unwrap();
    assert_eq!(
        (usage.input, usage.output, usage.cache_read),
        (12, 2, Some(7))
    );
    let llama = [
        json!({"generation": "Hi", "prompt_token_count": 5, "stop_reason": null}),
        json!({"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 1}}),
    ];
    let stream: Vec<u8> = llama.iter().flat_map(&chunk).collect();
    let story = follow_all_ways(new, &stream);
    complete(&story, 1);
    assert_eq!(story.usage, Some(Usage::new(5, 1)));
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for n in 0..4 {
            let sign = SIGNS[(bits >> (18 - 6 * n) & 63) as usize];
            out.push(if n > three.len() { '=' } else { sign.into() });
        }
    }
    out
}

#[test]
fn content_types_tell_the_framing() {
    for (kind, dialect, framing) in [
        (
            Some("text/event-stream; charset=utf-8"),
            Dialect::OpenAi,
            Some(Framing::Sse),
        ),
        (
            Some("Text/Event-Stream"),
            Dialect::Gemini,
            Some(Framing::Sse),
        ),
        (
            Some("application/x-ndjson"),
            Dialect::Ollama,
            Some(Framing::NdJson),
        ),
        (
            Some("application/stream+json"),
            Dialect::Cohere,
            Some(Framing::NdJson),
        ),
        (
            Some("application/vnd.amazon.eventstream"),
            Dialect::Bedrock,
            Some(Framing::EventStream),
        ),
        (
            Some("application/json; charset=UTF-8"),
            Dialect::Gemini,
            Some(Framing::JsonArray),
        ),
        (Some("application/json"), Dialect::OpenAi, None),
        (Some("text/html"), Dialect::OpenAi, None),
        (None, Dialect::OpenAi, Some(Framing::Sse)),
        (None, Dialect::Ollama, Some(Framing::NdJson)),
    ] {
        let value = kind.map(HeaderValue::from_static);
        assert_eq!(Framing::of(value.as_ref(), dialect), framing, "{kind:?}");
    }
}

// === dialects ===

fn inner(end: &End, committed: bool) -> Class {
    let End::Fault(fault) = end else {
        panic!("no fault: {end:?}");
    };
    let api = Api::default();
    class_of_fault(
        fault,
        &api,
        &HeaderMap::new(),
        OK,
        committed,
        std::time::UNIX_EPOCH,
    )
}

#[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
fn chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

#[test]
fn chat_content() {
    for (delta, content) in [
        (json!({"role": "assistant", "content": ""}), 0),
        (json!({"role": "assistant", "content": null}), 0),
        (json!({"content": "a"}), 1),
        (json!({"content": [{"type": "text", "text": "a"}]}), 1),
        (
            json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}),
            1,
        ),
        (json!({"tool_calls": []}), 0),
        (json!({"refusal": "no"}), 1),
        (json!({"audio": {"transcript": "a"}}), 1),
        (json!({"reasoning": "a"}), 1),
        (json!({"reasoning_content": "a", "content": null}), 1),
        (
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]}),
            1,
        ),
    ] {
        let story = events(Dialect::OpenAi, &[chunk(delta.clone(), None)]);
        assert_eq!(
            (story.content, story.committed),
            (content, content > 0),
            "{delta}"
        );
        assert_eq!(story.model.as_deref(), Some("m"));
    }
    for delta in [
        json!({"reasoning": "a"}),
        json!({"content": [{"type": "thinking", "thinking": []}]}),
    ] {
        let stream = format!("data: {}\n\n", chunk(delta, None));
        let new = || Reader::new(Dialect::OpenAi, None, Framing::Sse).with_reasoning_commits(false);
        let story = follow_all_ways(new, stream.as_bytes());
        assert_eq!((story.deltas, story.committed), (1, false));
    }
    let completions = json!({"choices": [{"index": 0, "text": "a", "finish_reason": null}]});
    assert_eq!(events(Dialect::OpenAi, &[completions]).content, 1);
}

#[test]
fn chat_errors() {
    for (event, outcome) in [
        (
            json!({"error": {"message": "m", "type": "server_error", "code": null}}),
            Outcome::ServerError,
        ),
        (
            json!({"error": {"message": "m", "code": "rate_limit_exceeded"}}),
            Outcome::RateLimited,
        ),
        (
            json!({"error": {"message": "m", "code": 503}}),
            Outcome::Overloaded,
        ),
        (
            json!({"object": "error", "message": "m", "code": 40001, "type": "BadRequestError"}),
            Outcome::InvalidRequest,
        ),
        (
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 429, "message": "m"}}]}),
            Outcome::RateLimited,
        ),
        (chunk(json!({}), Some("error")), Outcome::ServerError),
        (
            chunk(json!({}), Some("insufficient_system_resource")),
            Outcome::Overloaded,
        ),
        (
            json!({"choices": [], "x_groq": {"id": "r", "error": "over capacity"}}),
            Outcome::Overloaded,
        ),
        (
            json!({"choices": [], "x_groq": {"id": "r", "error": {"message": "m", "code": "rate_limit_exceeded"}}}),
            Outcome::RateLimited,
        ),
        // LangServe's, which its own event name may precede; Vercel's AI SDK's; NVIDIA's cloud functions' by RFC 9457; FastAPI's.
        (
            json!({"status_code": 429, "message": "Internal Server Error"}),
            Outcome::RateLimited,
        ),
        (
            json!({"type": "error", "errorText": "Rate limit reached, try again later"}),
            Outcome::RateLimited,
        ),
        (
            json!({"type": "urn:nvcf-worker-service:problem-details:too-many-requests", "title": "Too Many Requests", "status": 429, "detail": "m"}),
            Outcome::RateLimited,
        ),
        (
            json!({"detail": "Rate limit reached"}),
            Outcome::RateLimited,
        ),
        (
            json!({"detail": [{"loc": ["body"], "msg": "Field required", "type": "missing"}]}),
            Outcome::InvalidRequest,
        ),
    ] {
        for before in [false, true] {
            let mut all = vec![chunk(json!({"role": "assistant", "content": ""}), None)];
            all.extend(before.then(|| chunk(json!({"content": "a"}), None)));
            all.push(event.clone());
            // Also after an error there may be more.
            all.push(chunk(json!({}), Some("stop")));
            let story = events(Dialect::OpenAi, &all);
            assert_eq!(story.committed, before, "{event}");
            assert!(matches!(story.end, End::Fault(_)), "{event}");
            let class = inner(&story.end, before);
            assert_eq!(
                (class.outcome, class.inner),
                (Outcome::StreamError, Some(outcome)),
                "{event}"
            );
            assert_eq!(class.retry_same, !before && outcome.retry_same(), "{event}");
            let elsewhere = if before {
                FallbackScope::None
            } else {
                outcome.elsewhere()
            };
            assert_eq!(
                (class.elsewhere, class.scope),
                (elsewhere, outcome.scope()),
                "{event}"
            );
        }
    }
}

#[test]
fn each_choice_that_was_begun_must_finish() {
    let choice = |index: u64, finish: Option<&str>| json!({"choices": [{"index": index, "delta": {"content": "a"}, "finish_reason": finish}]});
    let story = |all: &[Value]| events(Dialect::OpenAi, all).end;
    let begun = [choice(0, None), choice(1, None)];
    assert_eq!(
        story(&[&begun[..], &[choice(0, Some("stop"))]].concat()),
        End::Truncated
    );
    let both = [choice(0, Some("stop")), choice(1, Some("content_filter"))];
    assert_eq!(
        story(&[&begun[..], &both].concat()),
        End::Complete(Outcome::Success)
    );
    let filtered = [
        choice(0, Some("content_filter")),
        choice(1, Some("content_filter")),
    ];
    assert_eq!(
        story(&[&begun[..], &filtered].concat()),
        End::Complete(Outcome::ContentFilter)
    );
    // Twice finished, content after it, a choice after another's end.
    let twice = [
        choice(0, Some("stop")),
        choice(0, None),
        choice(0, Some("length")),
    ];
    assert_eq!(story(&twice), End::Complete(Outcome::Success));
    assert_eq!(
        story(&[choice(0, Some("stop")), choice(1, None)]),
        End::Truncated
    );
    // Azure: filter results before, and after the end.
    let azure = [
        json!({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
        choice(0, Some("stop")),
        json!({"choices": [{"index": 0, "finish_reason": null, "content_filter_results": {}, "content_filter_offsets": {"check_offset": 1}}]}),
    ];
    assert_eq!(story(&azure), End::Complete(Outcome::Success));
}

#[test]
fn counts_that_cannot_be_are_none() {
    let usage =
        |usage: Value| events(Dialect::OpenAi, &[json!({"choices": [], "usage": usage})]).usage;
    assert_eq!(
        usage(json!({"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.5})),
        Some(Usage::new(3, 4))
    );
    for bad in [
        json!(null),
        json!({"prompt_tokens": -3, "completion_tokens": 4}),
        json!({"prompt_tokens": 3, "completion_tokens": 1.5}),
        json!({"prompt_tokens": u64::MAX, "completion_tokens": 1}),
        json!({"prompt_tokens": 1e300, "completion_tokens": 1}),
        json!({"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": -1}}),
    ] {
        assert_eq!(usage(bad.clone()), None, "{bad}");
    }
    let counts = |input: u64, output: u64| json!({"choices": [], "usage": {"prompt_tokens": input, "completion_tokens": output}});
    let story = events(
        Dialect::OpenAi,
        &[
            counts(3, 1),
            counts(3, 2),
            json!({"choices": [], "usage": {"prompt_tokens": -1}}),
        ],
    );
    assert_eq!(
        story.usage,
        Some(Usage::new(3, 2)),
        "the last one that can be"
    );
    let anthropic = events(
        Dialect::Anthropic,
        &[
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": null}}}),
            json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 4, "input_tokens": null, "cache_read_input_tokens": 10}}),
            json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9}}),
            json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": -9}}),
        ],
    );
    let usage = anthropic.usage.unwrap();
    assert_eq!(
        (usage.input, usage.output, usage.cache_read),
        (15, 9, Some(10))
    );
}

#[test]
fn responses() {
    let d = Dialect::OpenAiResponses;
    for (event, content) in [
        (
            json!({"type": "response.created", "response": {"id": "r", "model": "m"}}),
            0,
        ),
        (json!({"type": "response.in_progress", "response": {}}), 0),
        (
            json!({"type": "response.output_item.added", "item": {"type": "message", "content": []}}),
            0,
        ),
        (
            json!({"type": "response.output_text.delta", "delta": "a"}),
            1,
        ),
        (
            json!({"type": "response.output_text.delta", "delta": ""}),
            0,
        ),
        (
            json!({"type": "response.function_call_arguments.delta", "delta": "{"}),
            1,
        ),
        (json!({"type": "response.refusal.delta", "delta": "no"}), 1),
        (
            json!({"type": "response.reasoning_summary_text.delta", "delta": "hm"}),
            1,
        ),
        (
            json!({"type": "response.output_item.done", "item": {"type": "message"}}),
            1,
        ),
        (json!({"type": "something.new", "delta": 1}), 0),
    ] {
        let begun = json!({"type": "response.created", "response": {"id": "r"}});
        let story = events(d, &[begun, event.clone()]);
        assert_eq!(
            (story.content, story.end),
            (content, End::Truncated),
            "{event}"
        );
    }
    let text = json!({"type": "response.output_text.delta", "delta": "a"});
    let failed = json!({"type": "response.failed", "response": {"status": "failed",
        "error": {"code": "server_is_overloaded", "message": "m"}, "usage": {"input_tokens": 3, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 1}}}});
    let story = events(d, &[text.clone(), failed]);
    assert_eq!(inner(&story.end, true).inner, Some(Outcome::Overloaded));
    assert_eq!(story.usage.map(|u| (u.input, u.output)), Some((3, 1)));
    let nothing_known = json!({"type": "response.failed", "response": {"error": null}});
    assert_eq!(
        inner(&events(d, &[nothing_known]).end, false).inner,
        Some(Outcome::ServerError)
    );
    let completed =
        json!({"type": "response.completed", "response": {"status": "completed", "model": "m"}});
    let story = events(d, &[text.clone(), completed]);
    complete(&story, 1);
    assert_eq!(story.model.as_deref(), Some("m"));
    let filtered = json!({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "content_filter"}}});
    assert_eq!(
        events(d, &[text, filtered]).end,
        End::Complete(Outcome::ContentFilter)
    );
}

#[test]
fn anthropic() {
    let d = Dialect::Anthropic;
    for (event, content) in [
        (
            json!({"type": "message_start", "message": {"content": []}}),
            0,
        ),
        (json!({"type": "ping"}), 0),
        (
            json!({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}),
            0,
        ),
        (
            json!({"type": "content_block_start", "content_block": {"type": "tool_use", "name": "f", "input": {}}}),
            0,
        ),
        (
            json!({"type": "content_block_start", "content_block": {"type": "web_search_tool_result", "content": [{}]}}),
            1,
        ),
        (
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}),
            1,
        ),
        (
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": ""}}),
            0,
        ),
        (
            json!({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}}),
            1,
        ),
        (
            json!({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}}),
            1,
        ),
        (
            json!({"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "x"}}),
            1,
        ),
        (json!({"type": "content_block_stop"}), 0),
        (
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
            0,
        ),
    ] {
        let story = events(d, std::slice::from_ref(&event));
        assert_eq!(
            (story.content, story.end),
            (content, End::Truncated),
            "{event}"
        );
    }
    assert_eq!(
        events(d, &[json!({"type": "message_stop"})]).end,
        End::Complete(Outcome::Success)
    );
}

#[test]
fn gemini() {
    let d = Dialect::Gemini;
    let parts = |parts: Value, reason: Option<&str>| json!({"candidates": [{"content": {"parts": parts}, "finishReason": reason}]});
    for (list, content) in [
        (json!([]), 0),
        (json!([{"text": ""}]), 0),
        (json!([{"text": "a"}]), 1),
        (json!([{"functionCall": {"name": "f", "args": {}}}]), 1),
        (json!([{"inlineData": {"data": "x"}}]), 1),
        (json!([{"text": "hm", "thought": true}]), 1),
        (json!([{"thoughtSignature": "x"}]), 0),
    ] {
        let story = events(d, &[parts(list.clone(), None)]);
        assert_eq!(
            (story.content, story.end),
            (content, End::Truncated),
            "{list}"
        );
    }
    for (reason, outcome) in [
        ("STOP", Outcome::Success),
        ("MAX_TOKENS", Outcome::Success),
        ("SAFETY", Outcome::ContentFilter),
        ("MALFORMED_FUNCTION_CALL", Outcome::OutputInvalid),
    ] {
        assert_eq!(
            events(d, &[parts(json!([]), Some(reason))]).end,
            End::Complete(outcome)
        );
    }
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}});
    let story = events(d, &[blocked]);
    assert_eq!(
        (story.end, story.usage),
        (
            End::Complete(Outcome::ContentFilter),
            Some(Usage::new(4, 0))
        )
    );
}

#[test]
fn geminis_interactions() {
    let d = Dialect::Gemini;
    let delta = |kind: &str| json!({"event_type": "step.delta", "index": 0, "delta": {"type": kind, "text": "a"}});
    let end = |status: &str| {
        json!({"event_type": "interaction.completed", "interaction": {"id": "i", "status": status, "model": "m",
        "usage": {"total_input_tokens": 7, "total_output_tokens": 20, "total_thought_tokens": 22, "total_tokens": 49}}})
    };
    let created = json!({"event_type": "interaction.created", "interaction": {"id": "i", "status": "in_progress"}});
    let story = events(
        d,
        &[
            created.clone(),
            delta("thought_summary"),
            delta("text"),
            end("completed"),
        ],
    );
    complete(&story, 2);
    assert_eq!(
        story.usage.map(|u| (u.input, u.output, u.reasoning)),
        Some((7, 42, Some(22)))
    );
    assert_eq!(
        events(d, &[created.clone(), delta("text")]).end,
        End::Truncated
    );
    assert!(!events(d, std::slice::from_ref(&created)).committed);
    let failed = events(d, &[created.clone(), end("failed")]);
    assert_eq!(inner(&failed.end, false).inner, Some(Outcome::ServerError));
    let error = json!({"event_type": "error", "error": {"code": "quota_exceeded", "message": "m"}});
    assert!(matches!(
        events(d, &[created, error]).fault,
        Some(Fault::Error(_))
    ));
}

#[test]
fn cohere_and_tgi() {
    let d = Dialect::Cohere;
    let end = |reason: &str| json!({"type": "message-end", "delta": {"finish_reason": reason}});
    for (event, content) in [
        (
            json!({"type": "message-start", "delta": {"message": {"content": []}}}),
            0,
        ),
        (
            json!({"type": "content-start", "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
            0,
        ),
        (
            json!({"type": "content-delta", "delta": {"message": {"content": {"text": "a"}}}}),
            1,
        ),
        (
            json!({"type": "content-delta", "delta": {"message": {"content": {"thinking": "a"}}}}),
            1,
        ),
        (
            json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "a"}}}),
            1,
        ),
        (
            json!({"type": "tool-call-start", "delta": {"message": {"tool_calls": {"id": "1"}}}}),
            1,
        ),
    ] {
        assert_eq!(
            events(d, std::slice::from_ref(&event)).content,
            content,
            "{event}"
        );
    }
    assert_eq!(
        events(d, &[end("MAX_TOKENS")]).end,
        End::Complete(Outcome::Success)
    );
    assert_eq!(
        events(d, &[end("ERROR_TOXIC")]).end,
        End::Complete(Outcome::ContentFilter)
    );
    assert_eq!(
        inner(&events(d, &[end("ERROR")]).end, false).inner,
        Some(Outcome::ServerError)
    );
    assert_eq!(
        inner(&events(d, &[end("TIMEOUT")]).end, false).inner,
        Some(Outcome::Timeout)
    );

    let d = Dialect::Tgi;
    let token = |text: &str, special: bool, whole: Option<&str>| {
        json!({"index": 1, "token": {"id": 5, "text": text, "logprob": -0.25, "special": special}, "generated_text": whole,
            "details": whole.map(|_| json!({"finish_reason": "length", "generated_tokens": 2}))})
    };
    let story = events(
        d,
        &[
            token("a", false, None),
            token(" b", false, None),
            token("</s>", true, Some("a b")),
        ],
    );
    complete(&story, 2);
    assert_eq!(story.usage, Some(Usage::new(0, 2)));
    let error = json!({"error": "Request failed during generation", "error_type": "generation"});
    let story = events(d, &[token("a", false, None), error]);
    assert_eq!(inner(&story.end, true).inner, Some(Outcome::ServerError));
}

#[test]
fn a_provider_that_forbids_it_is_not_asked_again() {
    let fault = Fault::Error(json!({"error": {"code": "server_error"}}));
    let mut headers = HeaderMap::new();
    let class = |headers: &HeaderMap| {
        class_of_fault(
            &fault,
            &Api::default(),
            headers,
            OK,
            false,
            std::time::UNIX_EPOCH,
        )
    };
    assert!(class(&headers).retry_same);
    headers.insert("x-should-retry", HeaderValue::from_static("false"));
    assert!(!class(&headers).retry_same);
    // Of what was not understood nothing but the status was looked at.
    let opaque = class_of_end(
        &End::Opaque,
        &Api::default(),
        &HeaderMap::new(),
        OK,
        true,
        std::time::UNIX_EPOCH,
    );
    assert_eq!(
        (opaque.outcome, opaque.status_only),
        (Outcome::Success, true)
    );
    let malformed = class_of_fault(
        &Fault::Malformed,
        &Api::default(),
        &HeaderMap::new(),
        OK,
        false,
        std::time::UNIX_EPOCH,
    );
    assert_eq!(
        (malformed.outcome, malformed.retry_same, malformed.elsewhere),
        (Outcome::MalformedStream, true, FallbackScope::Any)
    );
}
