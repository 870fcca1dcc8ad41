//! Changes to a request: another model, usage asked for, an answer begun. Each replaces or adds the bytes it is about.

use std::ops::Range;

use ::http::{Uri, uri::PathAndQuery};
use bytes::Bytes;

use super::scan;
use crate::llm::dialect::Dialect;

/// Why a request cannot be sent with another model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// The body is not one JSON object.
    #[error("the request's body is not a JSON object")]
    Body,
    /// The dialect has the model in the path, and this path has none.
    #[error("the request's path names no model")]
    Path,
    /// Requests of this dialect name no model.
    #[error("requests of this dialect name no model")]
    Dialect,
}

/// What stands before and after a model's name in a path.
const IN_PATH: &[(&str, &str)] = &[
    // Gemini and Vertex, whose verb follows: models/{m}:generateContent.
    ("/models/", ":"),
    // Azure.
    ("/openai/deployments/", "/"),
    // Bedrock.
    ("/model/", "/"),
];

/// The request with another model: in the path where it stands there, and in the body where it stands there. All
/// members named `model` are replaced, so that it does not matter which of them a parser takes; a body that should have one
/// and has none gets it. Everything else stays byte for byte.
///
/// # Errors
/// [`Unwritable`] if there is no place for it.
pub fn with_model(
    dialect: Dialect,
    uri: &Uri,
    body: &Bytes,
    model: &str,
) -> Result<(Uri, Bytes), Unwritable> {
    let place = place_in_path(uri.path());
    let uri = match &place {
        Some(place) => rewritten(uri, place, model).ok_or(Unwritable::Path)?,
        None => uri.clone(),
    };
    match dialect {
        Dialect::Bedrock if place.is_none() => return Err(Unwritable::Path),
        // What an invoked model is sent names it rarely, and then as its own API does.
        Dialect::Bedrock => return Ok((uri, body.clone())),
        Dialect::Gemini if place.is_none() && !uri.path().ends_with("/interactions") => {
            return Err(Unwritable::Path);
        }
        Dialect::Tgi => return Err(Unwritable::Dialect),
        _ => {}
    }
    let text = std::str::from_utf8(body).map_err(|_| Unwritable::Body)?;
    let name = quoted(model);
    let mut edits = Vec::new();
    scan::object(text, |m| {
        if text.get(m.key).is_some_and(|key| scan::is(key, "model")) {
            edits.push((m.value, name.clone()));
        }
    })
    .ok_or(Unwritable::Body)?;
    if edits.is_empty() && place.is_none() {
        edits.push(added(text, "model", &name).ok_or(Unwritable::Body)?);
    }
    Ok((uri, spliced(body, &edits)))
}

/// An OpenAI chat body that asks for usage at the end of its stream; `None` if it asks already or for no stream.
#[must_use]
pub fn with_usage(body: &Bytes) -> Option<Bytes> {
    const ASKS: &str = r#"{"include_usage":true}"#;
    let text = std::str::from_utf8(body).ok()?;
    let (mut streams, mut options) = (false, Vec::new());
    scan::object(text, |m| {
        let is = |word| {
            text.get(m.key.clone())
                .is_some_and(|key| scan::is(key, word))
        };
        if is("stream") {
            streams = text.get(m.value.clone()) == Some("true");
        } else if is("stream_options") {
            options.push(m.value);
        }
    })?;
    streams.then_some(())?;
    let Some(last) = options.pop() else {
        let edit = added(text, "stream_options", ASKS)?;
        return Some(spliced(body, &[edit]));
    };
    let inside = text.get(last.clone())?;
    let mut flags = Vec::new();
    let is_object = scan::object(inside, |m| {
        if inside
            .get(m.key)
            .is_some_and(|key| scan::is(key, "include_usage"))
        {
            flags.push(m.value);
        }
    });
    if is_object.is_none() {
        return Some(spliced(body, &[(last, ASKS.to_owned())]));
    }
    if flags.last().and_then(|flag| inside.get(flag.clone())) == Some("true") {
        return None;
    }
    let at = |range: Range<usize>| last.start + range.start..last.start + range.end;
    let edits: Vec<_> = if flags.is_empty() {
        let (place, text) = added(inside, "include_usage", "true")?;
        vec![(at(place), text)]
    } else {
        flags
            .into_iter()
            .map(|flag| (at(flag), "true".to_owned()))
            .collect()
    };
    Some(spliced(body, &edits))
}

/// The request with the beginning of its answer as the last message, to be gone on with.
///
/// For OpenAI chat, Anthropic, Gemini and Ollama chat; `None` in other dialects, for an empty text, and where there is no
/// message to answer. Anthropic refuses an answer that ends in white space: there it is taken off, so that the
/// continuation may begin with it again.
///
/// A list that the caller ended with a message of the assistant follows its dialect's rule. Anthropic takes that message for
/// the beginning of the answer, so the text follows in it (if it is plain text); the others leave open whether it is a turn of
/// its own: `None`.
#[must_use]
pub fn with_prefill(dialect: Dialect, body: &Bytes, text: &str) -> Option<Bytes> {
    let (list, role) = match dialect {
        Dialect::OpenAi | Dialect::Anthropic | Dialect::Ollama => ("messages", "assistant"),
        Dialect::Gemini => ("contents", "model"),
        Dialect::OpenAiResponses | Dialect::Bedrock | Dialect::Cohere | Dialect::Tgi => {
            return None;
        }
    };
    let begun = |text: &str| match dialect {
        Dialect::Anthropic => text.trim_end().to_owned(),
        _ => text.to_owned(),
    };
    if begun(text).is_empty() {
        return None;
    }
    let json = std::str::from_utf8(body).ok()?;
    let mut messages = None;
    scan::object(json, |m| {
        if json.get(m.key).is_some_and(|key| scan::is(key, list)) {
            messages = Some(m.value.start);
        }
    })?;
    let last = scan::last_element(body, messages?)??;
    let (mut by, mut content) = (None, None);
    // What is no object has no role.
    let _ = scan::members(body, last.start, &mut |m| {
        let key = json.get(m.key).unwrap_or_default();
        if scan::is(key, "role") {
            by = json.get(m.value).and_then(scan::decoded);
        } else if scan::is(key, "content") {
            content = Some(m.value);
        }
    });
    if by.as_deref() == Some(role) {
        let content = content.filter(|_| dialect == Dialect::Anthropic)?;
        let own = scan::decoded(json.get(content.clone())?)?;
        let whole = quoted(&begun(&(own + text)));
        return Some(spliced(body, &[(content, whole)]));
    }
    let text = quoted(&begun(text));
    let message = match dialect {
        Dialect::Gemini => format!(r#",{{"role":"model","parts":[{{"text":{text}}}]}}"#),
        _ => format!(r#",{{"role":"assistant","content":{text}}}"#),
    };
    Some(spliced(body, &[(last.end..last.end, message)]))
}

/// The model that a path names, decoded.
pub(crate) fn model_in_path(uri: &Uri) -> Option<String> {
    let place = place_in_path(uri.path())?;
    let raw = uri.path().get(place)?;
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .filter(|_| *byte == b'%')
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(hex.unwrap_or(*byte));
        rest = after.get(if hex.is_some() { 2 } else { 0 }..)?;
    }
    String::from_utf8(decoded).ok()
}

/// Where a path names its model.
fn place_in_path(path: &str) -> Option<Range<usize>> {
    IN_PATH.iter().find_map(|(before, after)| {
        let found = if *before == "/model/" {
            path.starts_with(before).then_some(0)
        } else {
            path.rfind(before)
        };
        let begin = found? + before.len();
        let rest = path.get(begin..)?;
        let length = match *after {
            // The verb is in the same segment.
            ":" => rest
                .find(':')
                .filter(|at| !rest.get(..*at).is_some_and(|m| m.contains('/'))),
            // An ARN's slashes are encoded; what follows is the verb.
            after => rest.find(after),
        }?;
        (length > 0).then_some(begin..begin + length)
    })
}

fn rewritten(uri: &Uri, place: &Range<usize>, model: &str) -> Option<Uri> {
    let path = uri.path();
    let mut text = path.get(..place.start)?.to_owned();
    encode(model, &mut text);
    text.push_str(path.get(place.end..)?);
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// One path segment (RFC 3986 section 2.3). `@` stays: Vertex has it before a model's version.
fn encode(model: &str, into: &mut String) {
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// The path with another model, where it names one.
pub(super) fn with_model_in_path(uri: &Uri, model: &str) -> Option<Uri> {
    rewritten(uri, &place_in_path(uri.path())?, model)
}

/// A string as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The edit that adds a member to an object, as its first.
fn added(object: &str, key: &str, value: &str) -> Option<(Range<usize>, String)> {
    let at = object.find('{')? + 1;
    let empty = object.get(at..)?.trim_start().starts_with('}');
    let comma = if empty { "" } else { "," };
    Some((at..at, format!("\"{key}\":{value}{comma}")))
}

/// The body with parts replaced: in order, not overlapping.
fn spliced(body: &Bytes, edits: &[(Range<usize>, String)]) -> Bytes {
    let more: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let mut out = Vec::with_capacity(body.len() + more);
    let mut at = 0;
    for (range, text) in edits {
        out.extend_from_slice(body.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        at = range.end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out.into()
}
