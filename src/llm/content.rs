//! What the headers of a response say of its body and of a repetition.

use std::borrow::Cow;

use ::http::{HeaderMap, HeaderName, header};

use crate::llm::{coding::Coding, stream::Framing};

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// What a content type says, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Absent,
    Json,
    Stream(Framing),
    Html,
    Other,
}

/// Whether the body is in a coding that cannot be undone, so that nothing of it can be read.
pub(crate) fn is_opaque(headers: &HeaderMap) -> bool {
    Coding::of(headers).is_unreadable()
}

pub(crate) fn content_type(headers: &HeaderMap) -> Cow<'_, str> {
    let value = headers.get(header::CONTENT_TYPE);
    let Some(value) = value.and_then(|value| value.to_str().ok()) else {
        return Cow::Borrowed("");
    };
    let value = value
        .split_once(';')
        .map_or(value, |(value, _)| value)
        .trim();
    if value.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(value.to_ascii_lowercase())
    } else {
        Cow::Borrowed(value)
    }
}

pub(crate) fn content(content_type: &str) -> Content {
    match content_type {
        "" => Content::Absent,
        "text/event-stream" => Content::Stream(Framing::Sse),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/stream+json" => Content::Stream(Framing::NdJson),
        "application/vnd.amazon.eventstream" => Content::Stream(Framing::EventStream),
        "text/html" | "application/xhtml+xml" => Content::Html,
        "application/json" => Content::Json,
        other if other.ends_with("+json") || other.starts_with("application/x-amz-json") => {
            Content::Json
        }
        _ => Content::Other,
    }
}

/// `x-should-retry: false` forbids the same target, whatever the class.
pub(super) fn forbidden(headers: &HeaderMap) -> bool {
    headers
        .get(SHOULD_RETRY)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"false"))
}
