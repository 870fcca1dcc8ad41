//! A streamed answer, looked on while it passes: whether it has content yet, whether it came to its end, what went wrong in
//! it and what it cost.
//!
//! A 200 says nothing of a stream. Its first event is not its first content; `[DONE]` comes after errors too and is missing
//! after whole answers; an end of file is an end only after the dialect's finish marker. [`Reader`] follows a stream byte by
//! byte, for any cut of its chunks, and knows these things for each dialect. It never changes a byte, has no clock, and keeps
//! no more than a bounded part of one event.
//!
//! Framings are some files here; the grammars of events are others, one small file a family, that say what its events mean
//! (`Said`). Events that are like one that was read before are compared with it in place of being parsed (`template`).
//!
//! **Whose events they are** is seen from the events, not from the path: one path may carry the streams of many vendors'
//! models. The reader begins undecided; the first event that speaks for a family (`family`, data) decides, and that grammar
//! is followed from then on. An event that it does not have says nothing. If another family speaks before any content, it
//! is that one; after content, nobody can say any more when the stream is over.
//!
//! **Unknown is not broken.** A stream in which nothing was understood is opaque: what comes in it counts as content, so that
//! it passes at once, and its end is no failure. A stream that holds nothing at all (comments and pings are nothing) is an
//! answer that did not come, where only a model's could: truncated.
//!
//! **When a stream is whole**, family by family; a second finish marker, and content after one, change nothing:
//!
//! | family | finish marker |
//! |---|---|
//! | OpenAI chat and completions | a `finish_reason` that is not null (on Bedrock also a `stop_reason`) for each choice that was begun |
//! | OpenAI Responses | `response.completed`, `response.incomplete`, `response.cancelled` |
//! | Anthropic Messages | `message_stop`; a `stop_reason` in `message_delta` is not enough |
//! | Gemini | a `finishReason` for each candidate that was begun, or a `blockReason`; as an array, its closing bracket too |
//! | Gemini Interactions | `interaction.completed` |
//! | Bedrock Converse, Nova | `messageStop` |
//! | Cohere | `message-end`; v1: `stream-end` |
//! | Ollama | `done: true` |
//! | text-generation-inference | a `generated_text` that is not null |
//! | Bedrock's plain models | their `stop_reason`, `completionReason` or `is_finished` |
//!
//! `[DONE]` proves nothing where choices have a place for a finish reason: some servers write it after failures too. So
//! `finish_reason: null` and then `[DONE]` is a stream that was cut. A server whose choices have no such place has no
//! other end than `[DONE]`, and there it is one. A list that is closed is none either: Gemini's array without a finish reason was cut.
//!
//! **What cannot be read** inside a stream passes as it is, and the stream goes on. If the finish marker comes, the answer is
//! whole; if it does not, it is malformed, not cut.
//!
//! **Errors** have many forms (`error`): each is one before content, after it, and after the finish marker.
//!
//! What is decided here, where the APIs are silent:
//! - An event named `error` is an error whatever it carries, if it carries anything. Empty data, and JSON that is no known
//!   event, say nothing. A field `error:` is one only if an object stands there that says so.
//! - Messages of JSON-RPC are another protocol's, and so are their errors.
//! - An event of more than 64 KiB is read with its long texts shortened; what is above 1 MiB even so is taken for content,
//!   and nothing but its name is known of it.
//! - At the end of the stream an event that lacks its last line break counts if it can be read.
//! - Token counts that are negative, fractional or absurd are no counts.
//!
//! ```
//! use llmesh::llm::{Dialect, stream::{End, Framing, Reader}};
//! use llmesh::classify::Outcome;
//!
//! let mut reader = Reader::new(Dialect::OpenAi, None, Framing::Sse);
//! reader.feed(br#"data: {"choices":[{"index":0,"delta":{"content":"Hel"#);
//! assert!(!reader.committed());
//! let progress = reader.feed(b"lo\"},\"finish_reason\":null}]}\n\n");
//! assert_eq!((progress.content, progress.finished), (1, false));
//! reader.feed(b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
//! assert!(matches!(reader.end(), End::Complete(Outcome::Success)));
//! ```

mod anthropic;
mod aws;
mod buffer;
mod class;
mod cohere;
mod converse;
mod error;
mod event;
mod family;
mod gemini;
mod json;
mod ollama;
mod openai;
mod plain;
mod reader;
mod responses;
mod sieve;
mod sse;
mod state;
mod stray;
mod template;

use ::http::{HeaderValue, Response, header::CONTENT_TYPE};
use serde_json::Value;

use crate::{classify::Outcome, llm::Dialect};

pub(crate) use self::aws::is_prelude;
pub use self::{
    class::{class_of_end, class_of_fault},
    reader::Reader,
};

/// How a stream is cut into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON value a line.
    NdJson,
    /// One JSON array, an element an event: Gemini without `alt=sse`.
    JsonArray,
    /// Binary frames: `application/vnd.amazon.eventstream`.
    EventStream,
}

/// As what the body of an answer is read, whatever its label says; `None`: as no stream. In the extensions of responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAs(pub Option<Framing>);

/// The API whose events a stream has, whatever its path, if they said so before its head went on: for whoever has to tell
/// something in it. In the extensions of responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken(pub Dialect);

/// What some bytes of a stream brought.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Events with content among them.
    pub content: u32,
    /// The error that came. The stream is not looked at any further.
    pub fault: Option<Fault>,
    /// Whether the finish marker was seen, in these bytes or before.
    pub finished: bool,
}

/// What went wrong inside a stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// An error event: its JSON, as an error body.
    Error(Value),
    /// Something that cannot be read, and no finish marker: known at the end only.
    Malformed,
}

/// What a stream is at its end.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum End {
    /// It has its finish marker: [`Outcome::Success`], [`Outcome::ContentFilter`], [`Outcome::OutputInvalid`], ….
    Complete(Outcome),
    /// The finish marker is missing.
    Truncated,
    /// Nothing in it was understood, so nobody can say.
    Opaque,
    /// It went wrong, before or with its last event.
    Fault(Fault),
}

/// What a framing gives.
#[derive(Clone, Copy, Debug)]
enum Piece<'a> {
    /// An event: its name, which may be empty, and its data.
    Event(&'a [u8], &'a [u8]),
    /// The same without its end, at the end of the stream.
    Cut(&'a [u8], &'a [u8]),
    /// An event that is too long to be read: its name.
    Long(&'a [u8]),
    /// What stands outside of the framing's grammar and may be an error: the name that stood before it, or of its field
    /// `error`, and JSON.
    Stray(&'a [u8], &'a [u8]),
    /// Anything else outside of it.
    Foreign,
    /// An event that cannot be read, or the end of all that can be.
    Broken,
}

/// Takes a piece. An error stops the reader.
trait Sink: FnMut(Piece<'_>) -> Result<(), Fault> {}

impl<F: FnMut(Piece<'_>) -> Result<(), Fault>> Sink for F {}

// === impl Framing ===

impl Framing {
    /// The framing of a response: what was [found](ReadAs), else what it says of itself.
    #[must_use]
    pub fn of_response<B>(response: &Response<B>, dialect: Dialect) -> Option<Self> {
        match response.extensions().get::<ReadAs>() {
            Some(ReadAs(found)) => *found,
            None => Self::of(response.headers().get(CONTENT_TYPE), dialect),
        }
    }

    /// The framing of a response, from its `content-type`. `None`: it is no stream.
    ///
    /// JSON is a stream for Gemini only, and only if the path says that it streams: whoever asks must know.
    #[must_use]
    pub fn of(content_type: Option<&HeaderValue>, dialect: Dialect) -> Option<Self> {
        let Some(value) = content_type else {
            return match dialect {
                Dialect::Bedrock => Some(Self::EventStream),
                Dialect::Ollama => Some(Self::NdJson),
                Dialect::Gemini => None,
                _ => Some(Self::Sse),
            };
        };
        let value = value.to_str().ok()?;
        let kind = value.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        if is("text/event-stream") {
            Some(Self::Sse)
        } else if is("application/x-ndjson")
            || is("application/ndjson")
            || is("application/jsonl")
            || is("application/stream+json")
        {
            Some(Self::NdJson)
        } else if is("application/vnd.amazon.eventstream") {
            Some(Self::EventStream)
        } else if is("application/json") && dialect == Dialect::Gemini {
            Some(Self::JsonArray)
        } else {
            None
        }
    }
}
