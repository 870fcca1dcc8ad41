//! Fuzz targets: what reads input that others wrote, and what must hold for any such input.
//!
//! Each target is a pure function that panics where a property fails. `tests/fuzz` runs them under libFuzzer, and
//! `tests/props/corpus.rs` replays their committed corpus, with mutations, in every test run. Inputs are text of a simple
//! shape, so that a corpus can be read and written by hand.

mod coding;
mod config;
mod deadline;
mod duration;
mod hint;
mod llm;
mod retry_on;
mod route;
mod sanitize;
mod sniff;
mod stream;
mod trace;

use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::{
    coding::coding, config::config, deadline::deadline, duration::duration, hint::hint, llm::llm,
    retry_on::retry_on, route::route, sanitize::sanitize, sniff::sniff, stream::stream,
    trace::trace,
};

/// A target.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 12] = [
    ("coding", coding),
    ("config", config),
    ("deadline", deadline),
    ("duration", duration),
    ("hint", hint),
    ("llm", llm),
    ("retry_on", retry_on),
    ("route", route),
    ("sanitize", sanitize),
    ("sniff", sniff),
    ("stream", stream),
    ("trace", trace),
];

/// Lines of `name: value`; lines that are no header are left out. Stops at an empty line and gives what follows.
fn headers(data: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (line, tail) = line(rest);
        rest = tail;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let pair = (
            HeaderName::from_bytes(name.trim_ascii()),
            HeaderValue::from_bytes(value.trim_ascii()),
        );
        if let (Ok(name), Ok(value)) = pair {
            // Only a map of more than 2^15 names refuses.
            let _ = headers.try_append(name, value);
        }
    }
    (headers, rest)
}

/// The first line without its end, and the rest.
fn line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|b| *b == b'\n').unwrap_or(data.len());
    let (line, rest) = data.split_at(end);
    let rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_at_an_empty_line() {
        let (headers, rest) = headers(b"a: 1\nno header\nA:2\r\n\r\nrest\n\nmore");
        let values: Vec<_> = headers.get_all("a").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!((headers.len(), rest), (2, &b"rest\n\nmore"[..]));
    }
}
