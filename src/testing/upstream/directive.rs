//! Answers as text: the names and values that request headers, JSON scripts and command lines use.

use std::{fmt, str::FromStr, time::Duration};

use http::StatusCode;

use super::answer::{Answer, Content, ErrorKind, Fault};

/// A directive that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadDirective {
    name: String,
    expected: &'static str,
}

// === impl Answer ===

impl Answer {
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
