use super::*;
use crate::llm::content::content;

const SSE: Found = Found::Stream(Framing::Sse);
const LINES: Found = Found::Stream(Framing::NdJson);
const FRAMES: Found = Found::Stream(Framing::EventStream);
const ARRAY: Found = Found::Stream(Framing::JsonArray);

/// A frame of AWS: its lengths, their checksum, nothing, and no last checksum.
const FRAME: &[u8] = b"\0\0\0\x10\0\0\0\0\x05\xc2\x48\xeb";

fn sniff(label: &str, dialect: Dialect, streams: bool) -> Sniff {
    let by_path = dialect == Dialect::Gemini && streams;
    Sniff::new(content(label), Some(dialect), by_path, streams)
}

/// What a whole body is, in one piece and byte by byte.
fn found(mut sniff: impl FnMut() -> Sniff, body: &[u8]) -> Found {
    let mut whole = sniff();
    let once = whole.feed(body).unwrap_or_else(|| whole.end());
    let mut bytes = sniff();
    let one_by_one = body.iter().find_map(|b| bytes.feed(&[*b]));
    let one_by_one = one_by_one.unwrap_or_else(|| bytes.end());
    assert_eq!(once, one_by_one, "{:?}", String::from_utf8_lossy(body));
    once
}

const LABELS: &[&str] = &[
    "",
    "application/json",
    "text/plain",
    "application/octet-stream",
    "text/html",
    "text/event-stream",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
];

#[test]
fn content_decides_and_no_label() {
    for (body, expected) in [
        (&b"data: {\"a\": 1}\n\n"[..], SSE),
        (b"data:{\"a\": 1}\n\n", SSE),
        (b"\xef\xbb\xbfdata: x", SSE),
        (b"\r\n\r\n  data: x", SSE),
        (b"event: message_start\ndata: {}", SSE),
        (b"event:ping\r\ndata: {}", SSE),
        (b"id: 1\nevent: x\nretry: 3\ndata: {}", SSE),
        (b": PROCESSING\n\n: PROCESSING\n\ndata: {}", SSE),
        (b": PROCESSING\n\n{\"error\": {}}", SSE),
        (b"error: {\"code\": 500}\n\n", SSE),
        (FRAME, FRAMES),
        (b"<!DOCTYPE html>\n<html>", Found::Html),
        (b"\n <HTML lang=en>", Found::Html),
        (b"<?xml version=\"1.0\"?>\n<!DOCTYPE html>", Found::Html),
        (b"<!-- edge --><html>", Found::Html),
        (b"<title>502</title>", Found::Html),
        (b"<center><h1>502", Found::Html),
    ] {
        for label in LABELS {
            let sniff = || sniff(label, Dialect::OpenAi, true);
            assert_eq!(
                found(sniff, body),
                expected,
                "{label} {:?}",
                String::from_utf8_lossy(body)
            );
        }
    }
}

#[test]
fn what_is_none_of_these_is_unknown() {
    for body in [
        &b""[..],
        b" \n\t",
        b"x",
        b"Hello, world",
        b"dat",
        b"data",
        b"database: x",
        b"id: 7\nname: x",
        b"error: out of stock",
        b":) hello",
        b": only a comment\n\n",
        b"{hello}",
        b"{",
        b"[1, 2]",
        b"[hello]",
        b"null",
        b"\"text\"",
        b"42",
        b"<",
        b"<answer>42</answer>",
        b"<header>",
        b"<?xml version=\"1.0\"?><Error/>",
        b"\0\0\0\x10\0\0\0\0\0\0\0\0",
        b"\0\0",
        b" \0\0\0\x10\0\0\0\0\x05\xc2\x48\xeb",
        b"\xff\xfe\xfd",
        b"\xef\xbb",
        b"GIF89a",
    ] {
        for label in ["", "application/json", "text/plain", "x/y"] {
            let sniff = || sniff(label, Dialect::OpenAi, false);
            assert_eq!(
                found(sniff, body),
                Found::Unknown,
                "{label} {:?}",
                String::from_utf8_lossy(body)
            );
        }
    }
}

#[test]
fn a_label_decides_what_the_bytes_leave_open() {
    let labelled =
        |label: &'static str, body: &[u8]| found(|| sniff(label, Dialect::OpenAi, false), body);
    assert_eq!(labelled("text/event-stream", b""), SSE);
    assert_eq!(labelled("text/event-stream", b": a comment\n\n"), SSE);
    assert_eq!(labelled("text/event-stream", b"other: x\n"), SSE);
    assert_eq!(labelled("text/event-stream", b"id: 1\n"), SSE);
    assert_eq!(labelled("text/event-stream", b"%PDF"), Found::Unknown);
    assert_eq!(labelled("application/x-ndjson", b"{\"a\""), LINES);
    assert_eq!(labelled("text/html", b"<answer>"), Found::Html);
    assert_eq!(labelled("text/html", b"x"), Found::Unknown);
}

#[test]
fn one_value_and_many_are_told_apart() {
    let whole = b"{\"a\": {\"b\": \"}\\\"{\"}}";
    let pretty = b"{\n  \"a\": 1\n}\n";
    let lines = b"{\"a\": \"\\n\"}\n{\"a\": 2}\n";
    for (dialect, streams) in [
        (Dialect::OpenAi, false),
        (Dialect::OpenAi, true),
        (Dialect::Ollama, false),
        (Dialect::Ollama, true),
    ] {
        let sniff = || sniff("application/json", dialect, streams);
        assert_eq!(found(sniff, whole), Found::Json);
        assert_eq!(found(sniff, pretty), Found::Json);
        if streams || dialect == Dialect::Ollama {
            assert_eq!(found(sniff, lines), LINES);
        }
    }
    // The first line of a stream of lines need not wait for the second.
    let mut first = sniff("text/plain", Dialect::Ollama, true);
    assert_eq!(first.feed(b"{\"done\": false}\n"), Some(LINES));
    let gemini = || sniff("application/json", Dialect::Gemini, true);
    assert_eq!(found(gemini, b"[{\"a\": 1}"), ARRAY);
    assert_eq!(found(gemini, b"{\"error\": {}}"), ARRAY);
    let whole = || sniff("", Dialect::Gemini, false);
    assert_eq!(found(whole, b" [ {\"error\": {}}]"), Found::Json);
}

#[test]
fn blanks_are_nothing_however_many() {
    let mut sniff = sniff("application/json", Dialect::OpenAi, false);
    for _ in 0..100_000 {
        assert_eq!(sniff.feed(b" \n"), None);
    }
    assert_eq!(sniff.bytes.capacity(), 0);
    assert_eq!(sniff.feed(b"{\"a\""), Some(Found::Json));
}

#[test]
fn what_stays_open_is_bounded() {
    let mut comments = sniff("", Dialect::OpenAi, false);
    for _ in 0..10_000 {
        assert_eq!(comments.feed(b": keep-alive\n\n"), None);
        assert!(comments.bytes.capacity() < 64);
    }
    assert_eq!(comments.feed(b"{"), Some(SSE));
    let mut comment = sniff("", Dialect::OpenAi, false);
    let found = (0..10_000).find_map(|_| comment.feed(b": keep-alive"));
    assert_eq!(found, Some(Found::Unknown));
    let mut value = sniff("", Dialect::OpenAi, true);
    assert_eq!(value.feed(b"{\""), None);
    let found = (0..100_000).find_map(|_| value.feed(b"aaaaaaaaaaaaaaaa"));
    assert_eq!(found, Some(Found::Json));
    assert!(value.bytes.len() <= JSON_CAP + 16);
}
