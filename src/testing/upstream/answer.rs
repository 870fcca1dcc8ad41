//! One scripted answer: what to send, when, and what goes wrong on the way.
//!
//! An answer can be written in code, as request headers (`x-mock-status: 503`) or as text
//! (`429;retry-after-ms=300`): all three set the same fields through the same names, listed at [`Answer::set`].

use std::{fmt, str::FromStr, time::Duration};

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
    pub(super) fault: Option<Fault>,
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
}

/// A directive that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadDirective {
    name: String,
    expected: &'static str,
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

    /// What goes wrong.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Sets one field by name, as request headers (`x-mock-` + name), JSON scripts and texts do.
    ///
    /// | name | value |
    /// |---|---|
    /// | `status` | 100 to 999 |
    /// | `error` | `rate_limit`, `insufficient_quota`, `overloaded`, `context_length`, `invalid_request`, `auth`, `not_found`, `server_error` |
    /// | `fault` | `hang`, `close`, `reset`, `cut:N`, `stall:N`, `end:N`, `error:N` |
    /// | `delay-ms` | wait before the head |
    /// | `retry-after-ms` | the hint that an error carries |
    /// | `tokens` | content tokens, at most 1,000,000 |
    /// | `token-delay-ms` | wait before every content event |
    /// | `first-token-delay-ms` | wait before the first one instead |
    /// | `body-bytes` | size of a whole body, at most 64 MiB |
    ///
    /// # Errors
    ///
    /// [`BadDirective`] for an unknown name or a value out of range.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), BadDirective> {
        let value = value.trim();
        let bad = |expected| BadDirective {
            name: name.to_owned(),
            expected,
        };
        let number = |max: usize| value.parse().ok().filter(|n| *n <= max);
        let millis = || {
            let ms = value.parse::<u32>().ok();
            ms.map(|n| Duration::from_millis(n.into()))
                .ok_or_else(|| bad("milliseconds"))
        };
        match name {
            "status" => {
                let status = value.parse().map_err(|_| bad("a status, 200 to 999"))?;
                // hyper takes 1xx for an interim response, which is never the last word.
                if StatusCode::is_informational(&status) {
                    return Err(bad("a status, 200 to 999"));
                }
                self.status = Some(status);
            }
            "error" => self.content = Content::Error(value.parse()?),
            "fault" => self.fault = Some(value.parse()?),
            "delay-ms" => self.delay = millis()?,
            "retry-after-ms" => self.retry_after = Some(millis()?),
            "tokens" => {
                self.tokens = Some(number(1_000_000).ok_or_else(|| bad("0 to 1000000"))?);
            }
            "token-delay-ms" => self.chunk_delay = millis()?,
            "first-token-delay-ms" => self.first_chunk_delay = Some(millis()?),
            "body-bytes" => {
                self.body_bytes = number(64 << 20).ok_or_else(|| bad("0 to 67108864"))?;
            }
            _ => return Err(bad("a known directive")),
        }
        Ok(())
    }

    /// Applies a text such as `503`, `overloaded`, `cut:3` or `429;retry-after-ms=300;delay-ms=5` to this answer: the
    /// first part may be a bare status, error or fault, the others are `name=value` as in [`Answer::set`].
    ///
    /// # Errors
    ///
    /// [`BadDirective`] for the first part that cannot be read.
    pub fn apply(&mut self, text: &str) -> Result<(), BadDirective> {
        for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            if let Some((name, value)) = part.split_once('=') {
                self.set(name.trim(), value)?;
            } else if part.bytes().all(|b| b.is_ascii_digit()) {
                self.set("status", part)?;
            } else if let Ok(kind) = part.parse() {
                self.content = Content::Error(kind);
            } else if let Ok(fault) = part.parse() {
                self.fault = Some(fault);
            } else {
                return Err(BadDirective {
                    name: part.to_owned(),
                    expected: "a status, an error, a fault or name=value",
                });
            }
        }
        Ok(())
    }
}

impl FromStr for Answer {
    type Err = BadDirective;

    /// Reads a text as [`Answer::apply`] does, over the default answer.
    fn from_str(text: &str) -> Result<Self, BadDirective> {
        let mut answer = Self::default();
        answer.apply(text)?;
        Ok(answer)
    }
}

// === impl Fault ===

impl FromStr for Fault {
    type Err = BadDirective;

    fn from_str(text: &str) -> Result<Self, BadDirective> {
        let (name, n) = match text.split_once(':') {
            Some((name, n)) => (name, n.parse::<usize>().ok()),
            None => (text, None),
        };
        Ok(match (name, n) {
            ("hang", None) => Self::Hang,
            ("close", None) => Self::Close,
            ("reset", None) => Self::Reset,
            ("cut", Some(n)) => Self::Cut(n),
            ("stall", Some(n)) => Self::Stall(n),
            ("end", Some(n)) => Self::End(n),
            ("error", Some(n)) => Self::Error(n),
            _ => {
                return Err(BadDirective {
                    name: "fault".to_owned(),
                    expected: "hang, close, reset, cut:N, stall:N, end:N or error:N",
                });
            }
        })
    }
}

// === impl ErrorKind ===

impl ErrorKind {
    /// The kind whose usual status this is.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            429 => Self::RateLimit,
            402 => Self::InsufficientQuota,
            401 | 403 => Self::Auth,
            404 => Self::NotFound,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::ServerError,
        }
    }
}

impl FromStr for ErrorKind {
    type Err = BadDirective;

    fn from_str(text: &str) -> Result<Self, BadDirective> {
        Ok(match text {
            "rate_limit" => Self::RateLimit,
            "insufficient_quota" => Self::InsufficientQuota,
            "overloaded" => Self::Overloaded,
            "context_length" => Self::ContextLength,
            "invalid_request" => Self::InvalidRequest,
            "auth" => Self::Auth,
            "not_found" => Self::NotFound,
            "server_error" => Self::ServerError,
            _ => {
                return Err(BadDirective {
                    name: "error".to_owned(),
                    expected: "rate_limit, insufficient_quota, overloaded, context_length, invalid_request, auth, \
                               not_found or server_error",
                });
            }
        })
    }
}

// === impl BadDirective ===

impl BadDirective {
    pub(super) fn new(name: &str, expected: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            expected,
        }
    }
}

impl fmt::Display for BadDirective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: expected {}", self.name, self.expected)
    }
}

impl std::error::Error for BadDirective {}
