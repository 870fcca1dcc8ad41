//! Answers as text: the names and values that request headers, JSON scripts and command lines use.

use std::{str::FromStr, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode};

use super::{
    answer::{Answer, Content, Encoding, ErrorKind, Fault, Finish},
    bad_directive::BadDirective,
    cases,
};

// === impl Answer ===

impl Answer {
    /// Sets one field by name, as request headers (`x-mock-` + name), model names, JSON scripts and texts do.
    ///
    /// | name | value |
    /// |---|---|
    /// | `status` | 200 to 999 |
    /// | `error` | `rate_limit`, `ramp_limit`, `request_exceeds_limit`, `insufficient_quota`, `quota_window`, `overloaded`, `context_length`, `content_filter`, `invalid_request`, `too_large`, `auth`, `permission`, `not_found`, `conflict`, `timeout`, `server_error` |
    /// | `fault` | `hang`, `close`, `reset`, `refuse:MS`, `cut:N`, `reset:N`, `end:N`, `stall:N`, `error:N`, `malformed:N`, `no-done`, `double-finish`, `content-after-finish`, `page`. N counts events of a stream, or its tokens if a `t` follows (`cut:3t`), or bytes of a whole body |
    /// | `case` | a line of the case file, such as `openai-004` (`GET /mock/cases` lists them) |
    /// | `delay-ms` | wait before the head |
    /// | `retry-after-ms` | the hint that an error carries, in the provider's manner |
    /// | `retry-after` | the same in seconds, as `retry-after` alone |
    /// | `tokens` | content tokens, at most 1,000,000 |
    /// | `token-delay-ms` | wait before every content event |
    /// | `tokens-per-second` | the same as a rate |
    /// | `first-token-delay-ms` | wait before the first one instead |
    /// | `stall-ms` | how long `stall:N` lasts; for ever unless told |
    /// | `ping-ms` | a ping or comment so often while a stream waits |
    /// | `finish` | `stop`, `length`, `content_filter` |
    /// | `tool` | call this tool of the request; empty or `1`: its first |
    /// | `no-prefill` | `1`: refuse a request that ends with an assistant's turn |
    /// | `body-bytes` | size of a whole body, good or bad, at most 64 MiB |
    /// | `encoding` | `gzip`, or `bad-gzip`: named so, but plain |
    /// | `header-NAME` | one more response header |
    /// | `times` | for so many requests, then what follows, or good answers |
    /// | `flap-ms` | for so long since the first request, then good answers for as long, and again |
    ///
    /// # Errors
    ///
    /// [`BadDirective`] for an unknown name or a value out of range.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), BadDirective> {
        let value = value.trim();
        match name {
            "status" => self.status = Some(status(value)?),
            "error" => self.content = Content::Error(value.parse()?),
            "fault" => self.set_fault(value)?,
            "case" => cases::apply(self, value)?,
            "finish" => {
                self.finish = Some(match value {
                    "stop" => Finish::Stop,
                    "length" => Finish::Length,
                    "content_filter" => Finish::ContentFilter,
                    _ => return Err(BadDirective::new(name, "stop, length or content_filter")),
                });
            }
            "tool" if matches!(value, "" | "1" | "true") => self.tool = Some(String::new()),
            "tool" => self.tool = Some(value.to_owned()),
            "no-prefill" => self.no_prefill = flag(name, value)?,
            "encoding" => {
                self.encoding = Some(match value {
                    "gzip" => Encoding::Gzip,
                    "bad-gzip" => Encoding::BadGzip,
                    _ => return Err(BadDirective::new(name, "gzip or bad-gzip")),
                });
            }
            "tokens" => self.tokens = Some(number(name, value, 1_000_000, "0 to 1000000")?),
            "body-bytes" => self.body_bytes = number(name, value, 64 << 20, "0 to 67108864")?,
            "times" => self.times = Some(number(name, value, 1_000_000, "0 to 1000000")?),
            _ => {
                if let Some(header) = name.strip_prefix("header-") {
                    self.headers.push(header_of(name, header, value)?);
                } else {
                    self.set_time(name, value)?;
                }
            }
        }
        Ok(())
    }

    fn set_time(&mut self, name: &str, value: &str) -> Result<(), BadDirective> {
        match name {
            "delay-ms" => self.delay = millis(name, value)?,
            "retry-after-ms" | "retry-after" => {
                self.retry_after_seconds = name == "retry-after";
                self.retry_after = Some(if self.retry_after_seconds {
                    seconds(name, value)?
                } else {
                    millis(name, value)?
                });
            }
            "token-delay-ms" => self.chunk_delay = millis(name, value)?,
            "tokens-per-second" => {
                let rate = value.parse::<f64>().ok();
                let rate = rate.filter(|rate| (0.001..=1e6).contains(rate));
                let rate = rate.ok_or_else(|| BadDirective::new(name, "0.001 to 1000000"))?;
                self.chunk_delay = Duration::from_secs_f64(1.0 / rate);
            }
            "first-token-delay-ms" => self.first_chunk_delay = Some(millis(name, value)?),
            "stall-ms" => self.stall = Some(millis(name, value)?),
            "ping-ms" => self.ping = Some(positive(name, value)?),
            "flap-ms" => self.flap = Some(positive(name, value)?),
            _ => return Err(BadDirective::new(name, "a known directive")),
        }
        Ok(())
    }

    fn set_fault(&mut self, text: &str) -> Result<(), BadDirective> {
        let in_tokens = text
            .strip_suffix('t')
            .filter(|rest| rest.ends_with(|c: char| c.is_ascii_digit()));
        self.fault = Some(in_tokens.unwrap_or(text).parse()?);
        self.in_tokens = in_tokens.is_some();
        Ok(())
    }

    /// Applies a text such as `503`, `overloaded`, `cut:3` or `429;retry-after-ms=300;delay-ms=5` to this answer: the
    /// first part may be a bare status, error or fault, or `tool`, `no-prefill`, `gzip` or `bad-gzip`; others are `name=value` as in
    /// [`Answer::set`].
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
            } else if matches!(part, "tool" | "no-prefill") {
                self.set(part, "1")?;
            } else if matches!(part, "gzip" | "bad-gzip") {
                self.set("encoding", part)?;
            } else if let Ok(kind) = part.parse() {
                self.content = Content::Error(kind);
            } else if self.set_fault(part).is_err() {
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
            Some((name, n)) => (
                name,
                Some(n.parse::<usize>().map_err(|_| {
                    BadDirective::new("fault", "a number after the colon, such as cut:3")
                })?),
            ),
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
            ("reset", Some(n)) => Self::ResetAfter(n),
            ("malformed", Some(n)) => Self::Malformed(n),
            ("refuse", Some(ms)) if ms <= 60_000 => Self::RefuseFor(ms as u32),
            ("no-done", None) => Self::NoDone,
            ("double-finish", None) => Self::DoubleFinish,
            ("content-after-finish", None) => Self::ContentAfterFinish,
            ("page", None) => Self::Page,
            _ => {
                return Err(BadDirective {
                    name: "fault".to_owned(),
                    expected: "hang, close, reset, refuse:MS (at most 60000), cut:N, reset:N, end:N, stall:N, error:N, \
                               malformed:N, no-done, double-finish, content-after-finish or page",
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
            "content_filter" => Self::ContentFilter,
            "permission" => Self::Permission,
            "timeout" => Self::Timeout,
            "too_large" => Self::TooLarge,
            "conflict" => Self::Conflict,
            "ramp_limit" => Self::RampLimit,
            "quota_window" => Self::QuotaWindow,
            "request_exceeds_limit" => Self::RequestExceedsLimit,
            _ => {
                return Err(BadDirective {
                    name: "error".to_owned(),
                    expected: "rate_limit, ramp_limit, request_exceeds_limit, insufficient_quota, quota_window, \
                               overloaded, context_length, content_filter, invalid_request, too_large, auth, \
                               permission, not_found, conflict, timeout or server_error",
                });
            }
        })
    }
}

// Values.

fn status(value: &str) -> Result<StatusCode, BadDirective> {
    let status = value.parse::<StatusCode>().ok();
    status
        // hyper takes 1xx for an interim response, which is never the last word.
        .filter(|status| !status.is_informational())
        .ok_or_else(|| BadDirective::new("status", "a status, 200 to 999"))
}

fn flag(name: &str, value: &str) -> Result<bool, BadDirective> {
    match value {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(BadDirective::new(name, "1 or 0")),
    }
}

fn number(
    name: &str,
    value: &str,
    max: usize,
    expected: &'static str,
) -> Result<usize, BadDirective> {
    let number = value.parse().ok().filter(|n| *n <= max);
    number.ok_or_else(|| BadDirective::new(name, expected))
}

fn millis(name: &str, value: &str) -> Result<Duration, BadDirective> {
    let ms = value.parse::<u32>().ok();
    ms.map(|n| Duration::from_millis(n.into()))
        .ok_or_else(|| BadDirective::new(name, "milliseconds"))
}

fn positive(name: &str, value: &str) -> Result<Duration, BadDirective> {
    let wait = millis(name, value)?;
    if wait.is_zero() {
        return Err(BadDirective::new(name, "milliseconds, at least 1"));
    }
    Ok(wait)
}

fn seconds(name: &str, value: &str) -> Result<Duration, BadDirective> {
    let seconds = value.parse::<u32>().ok();
    seconds
        .map(|n| Duration::from_secs(n.into()))
        .ok_or_else(|| BadDirective::new(name, "seconds"))
}

fn header_of(
    directive: &str,
    name: &str,
    value: &str,
) -> Result<(HeaderName, HeaderValue), BadDirective> {
    let name = HeaderName::try_from(name);
    let name = name.map_err(|_| BadDirective::new(directive, "a header's name after `header-`"))?;
    // They say how long the body is, which is not theirs to say here.
    if matches!(
        name.as_str(),
        "content-length" | "transfer-encoding" | "connection"
    ) {
        return Err(BadDirective::new(directive, "no header of the framing"));
    }
    let value =
        HeaderValue::try_from(value).map_err(|_| BadDirective::new(directive, "visible ASCII"))?;
    Ok((name, value))
}
