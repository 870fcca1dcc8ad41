//! W3C Trace Context level 2: `traceparent` and `tracestate`.
//!
//! A `traceparent` that is malformed or repeated is as good as none, and then its `tracestate` is not looked at either. A
//! malformed `tracestate` is dropped alone; of a repeated key the first is kept. Higher versions are read as far as version
//! 00 goes and sent on as 00.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    context::{Context, Extracted, SpanId, TraceId, only, put},
    ids::{Ids, RANDOM, SAMPLED},
};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const MAX_MEMBERS: usize = 32;
/// What must be passed on of a combined `tracestate` (section 3.3.1.5).
const KEPT_LEN: usize = 512;
/// Members above this are the first to go.
const LARGE_MEMBER: usize = 128;

pub(super) fn extract(headers: &HeaderMap) -> Option<Extracted> {
    let mut context = traceparent(only(headers, &TRACEPARENT)?)?;
    context.state = tracestate(headers);
    Some(Extracted {
        context: Some(context),
        ..Extracted::default()
    })
}

pub(super) fn inject(context: &Context, ids: &Ids, headers: &mut HeaderMap) {
    put(headers, TRACEPARENT, ids.traceparent());
    if let Some(state) = &context.state {
        headers.insert(TRACESTATE, state.clone());
    }
}

/// `{version}-{trace id}-{parent id}-{flags}`, lower-case hexadecimal.
fn traceparent(text: &str) -> Option<Context> {
    let (version, rest) = text.split_once('-')?;
    let (trace, rest) = rest.split_once('-')?;
    let (span, rest) = rest.split_once('-')?;
    let (flags, more) = match rest.split_once('-') {
        Some((flags, _)) => (flags, true),
        None => (rest, false),
    };
    let version = hex(version, 2)?;
    if version == 0xff || (version == 0 && more) {
        return None;
    }
    let trace = TraceId::new(hex(trace, 32)?)?;
    let span = SpanId::new(u64::try_from(hex(span, 16)?).ok()?)?;
    let flags = u8::try_from(hex(flags, 2)?).ok()?;
    let mut context = Context::new(trace, span);
    context.sampled = Some(flags & SAMPLED != 0);
    context.random = flags & RANDOM != 0;
    Some(context)
}

/// Exactly `len` lower-case hexadecimal digits.
pub(super) fn hex(text: &str, len: usize) -> Option<u128> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != len || !text.bytes().all(lower) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

/// All `tracestate` headers joined in order, each key once; `None` if there is none or any member is invalid.
fn tracestate(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    for value in headers.get_all(TRACESTATE) {
        let text = std::str::from_utf8(value.as_bytes()).ok()?;
        for member in text.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            if !is_key(key) || !is_value(value) {
                return None;
            }
            // Whoever wrote last stands first.
            if members.iter().any(|(k, _)| *k == key) {
                continue;
            }
            if members.len() == MAX_MEMBERS {
                return None;
            }
            members.push((key, value));
        }
    }
    shorten(&mut members);
    if members.is_empty() {
        return None;
    }
    let joined: Vec<_> = members.iter().map(|(k, v)| format!("{k}={v}")).collect();
    HeaderValue::try_from(joined.join(",")).ok()
}

/// Cuts a list down to the length that must be kept: large members go first, then those at the end.
fn shorten(members: &mut Vec<(&str, &str)>) {
    let size = |(key, value): &(&str, &str)| key.len() + 1 + value.len();
    let total = |members: &[(&str, &str)]| {
        members.iter().map(size).sum::<usize>() + members.len().saturating_sub(1)
    };
    while total(members) > KEPT_LEN {
        match members.iter().rposition(|m| size(m) > LARGE_MEMBER) {
            Some(large) => {
                members.remove(large);
            }
            None => {
                members.pop();
            }
        }
    }
}

/// Up to 256 of `a` to `z`, digits and `_-*/@`, of which the first is a letter or digit.
fn is_key(key: &str) -> bool {
    let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    key.len() <= 256
        && key.bytes().next().is_some_and(first)
        && key.bytes().all(|b| first(b) || b"_-*/@".contains(&b))
}

/// Up to 256 printable characters without `,` and `=`. (Trailing blanks are gone by now.)
fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value
            .bytes()
            .all(|b| (0x20..=0x7e).contains(&b) && b != b',' && b != b'=')
}

#[cfg(test)]
mod tests;
