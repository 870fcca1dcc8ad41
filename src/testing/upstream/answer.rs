//! One scripted answer: what to send, when, and what goes wrong on the way.
//!
//! An answer can be written in code, as request headers (`x-mock-status: 503`) or as text
//! (`429;retry-after-ms=300`): all three set the same fields through the same names, listed at
//! [`Answer::set`].

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

/// What the upstream answers to one request. The default is a good answer in the dialect of the path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub(super) status: Option<StatusCode>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) content: Content,
    pub(super) delay: Duration,
    pub(super) first_chunk_delay: Option<Duration>,
    pub(super) chunk_delay: Duration,
    pub(super) tokens: Option<usize>,
    pub(super) body_bytes: usize,
    pub(super) retry_after: Option<Duration>,
    /// The hint is `retry-after` in seconds alone.
    pub(super) retry_after_seconds: bool,
    pub(super) fault: Option<Fault>,
    /// The number in the fault counts content tokens, not events.
    pub(super) in_tokens: bool,
    /// A stall ends after this long, and the stream goes on.
    pub(super) stall: Option<Duration>,
    pub(super) ping: Option<Duration>,
    pub(super) finish: Option<Finish>,
    /// Call this tool; empty: the first that the request offers.
    pub(super) tool: Option<String>,
    pub(super) no_prefill: bool,
    pub(super) encoding: Option<Encoding>,
    /// For so many requests, then good answers (or what follows).
    pub(super) times: Option<usize>,
    /// For so long, then good answers for as long, and again.
    pub(super) flap: Option<Duration>,
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    ContentFilter,
    ToolCalls,
}

/// What `content-encoding: gzip` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Gzip.
    Gzip,
    /// Plain bytes: a lie.
    BadGzip,
}

/// What the body is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Content {
    /// What a provider would say: an answer for a good status, an error for the rest.
    #[default]
    Dialect,
    /// A provider's error.
    Error(ErrorKind),
    /// These bytes, whole.
    Bytes(HeaderValue, Bytes),
    /// These chunks, one after the other.
    Chunks(HeaderValue, Vec<Bytes>),
}

/// What goes wrong. On HTTP/2, where requests share a connection, `Close`, `Reset` and `Cut` end the stream with
/// `RST_STREAM`; [`Upstream::drop_connections`](super::Upstream::drop_connections) ends connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Never answer; the connection stays open.
    Hang,
    /// Close the connection (FIN) instead of answering.
    Close,
    /// Reset the connection (RST) instead of answering.
    Reset,
    /// Send this many events of a stream, or bytes of a whole body whose `content-length` promises all of it, then
    /// break the connection.
    Cut(usize),
    /// Send this many events or bytes, then nothing more, with the connection left open.
    Stall(usize),
    /// End a stream cleanly after this many events, so without its finish marker. A whole body is cut.
    End(usize),
    /// An error event after this many events of a stream, then a clean end. A whole body becomes a 200 that carries
    /// an error.
    Error(usize),
    /// Stop listening, and close this connection without an answer. See
    /// [`Upstream::revive`](super::Upstream::revive).
    Refuse,
    /// Stop listening for so many milliseconds, and close this connection without an answer.
    RefuseFor(u32),
    /// As `Cut`, with RST instead of FIN.
    ResetAfter(usize),
    /// One frame that cannot be parsed after this many events of a stream, which then goes on. A whole body is cut
    /// after this many bytes, with a length that says it is complete.
    Malformed(usize),
    /// A complete stream without what the API sends after its finish marker (`[DONE]`).
    NoDone,
    /// A stream with two finish markers.
    DoubleFinish,
    /// A stream with content after its finish marker.
    ContentAfterFinish,
    /// An HTML page instead of the answer, under its status.
    Page,
}

/// A provider's error, told in the dialect of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// 429, pacing: a repeat helps.
    RateLimit,
    /// The account is empty: a repeat does not help. (429 at OpenAI, 400 at Anthropic.)
    InsufficientQuota,
    /// The provider lacks capacity: 503, 529 at Anthropic.
    Overloaded,
    /// 400: the prompt is longer than the model's window.
    ContextLength,
    /// 400: the caller's mistake.
    InvalidRequest,
    /// 401, 400 at Gemini: the key is bad.
    Auth,
    /// 404: no such model.
    NotFound,
    /// 500.
    ServerError,
    /// 400: a verdict on the prompt.
    ContentFilter,
    /// 403: no right to this model or region.
    Permission,
    /// 408, 504 at Anthropic and Gemini: the provider gave up.
    Timeout,
    /// 413: too many bytes.
    TooLarge,
    /// 409.
    Conflict,
    /// 429: the traffic grows too fast.
    RampLimit,
    /// 429: a budget or daily allowance with a known reset is spent.
    QuotaWindow,
    /// 429: this request alone is larger than the limit.
    RequestExceedsLimit,
}

// === impl Answer ===

impl Answer {
    /// A good answer in the dialect of the path.
    #[must_use]
    pub fn ok() -> Self {
        Self::default()
    }

    /// This status, with a body to match: an answer below 400, an error in the dialect of the path from there.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// A provider's error, with the status that provider gives it.
    #[must_use]
    pub fn error(kind: ErrorKind) -> Self {
        Self {
            content: Content::Error(kind),
            ..Self::default()
        }
    }

    /// A fault.
    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        Self::default().with_fault(fault)
    }

    /// These bytes. The request's body is not parsed for it: the cheapest answer.
    #[must_use]
    pub fn bytes(content_type: HeaderValue, bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Bytes(content_type, bytes.into()),
            ..Self::default()
        }
    }

    /// This JSON text.
    #[must_use]
    pub fn json(text: impl Into<Bytes>) -> Self {
        Self::bytes(HeaderValue::from_static("application/json"), text)
    }

    /// These server-sent events, each a whole text with its blank line, one chunk each.
    #[must_use]
    pub fn events<T: Into<Bytes>>(events: impl IntoIterator<Item = T>) -> Self {
        Self {
            content: Content::Chunks(
                HeaderValue::from_static("text/event-stream"),
                events.into_iter().map(Into::into).collect(),
            ),
            ..Self::default()
        }
    }

    /// With this status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// With one more response header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Waits before the response head.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits before every content event of a stream.
    #[must_use]
    pub fn with_chunk_delay(mut self, delay: Duration) -> Self {
        self.chunk_delay = delay;
        self
    }

    /// Waits this long, and not the chunk delay, before the first content event.
    #[must_use]
    pub fn with_first_chunk_delay(mut self, delay: Duration) -> Self {
        self.first_chunk_delay = Some(delay);
        self
    }

    /// How many content tokens (16 unless told).
    #[must_use]
    pub fn with_tokens(mut self, tokens: usize) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Pads the text of the answer until a whole body has this many bytes.
    #[must_use]
    pub fn with_body_bytes(mut self, bytes: usize) -> Self {
        self.body_bytes = bytes;
        self
    }

    /// The wait that an error asks for, in the provider's manner.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// For this many requests; good answers follow. In a sequence: the next item.
    #[must_use]
    pub fn with_times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// What goes wrong.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }
}

// === impl ErrorKind ===

impl ErrorKind {
    /// The kind whose usual status this is.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            429 => Self::RateLimit,
            402 => Self::InsufficientQuota,
            401 => Self::Auth,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::ServerError,
        }
    }
}
