//! From an answer to a response: in the dialect of the request, with its fault.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode, Version,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    response::Parts as Head,
};
use serde_json::Value;

use super::{
    answer::{Answer, Content, Encoding, ErrorKind, Fault},
    body::{Ending, Pace, Piece, ReplyBody},
    dialect::{Ask, Dialect},
    doors::Conn,
    errors,
    event::{self, Event},
    faults,
    reply::Reply,
    spoken,
    usage::Meter,
    wire::Gzip,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// What a response is made for.
pub(super) struct Scene<'a> {
    pub(super) ask: &'a Ask,
    pub(super) label: Option<&'a str>,
    pub(super) conn: &'a Conn,
    pub(super) version: Version,
    pub(super) meter: Option<&'a Meter>,
}

/// The response.
pub(super) fn respond(scene: &Scene<'_>, answer: &Answer) -> Response<ReplyBody> {
    let (mut head, ()) = Response::new(()).into_parts();
    for (name, value) in &answer.headers {
        head.headers.append(name, value.clone());
    }
    if answer.encoding.is_some() {
        let gzip = HeaderValue::from_static("gzip");
        head.headers.insert(CONTENT_ENCODING, gzip);
    }
    if matches!(answer.fault, Some(Fault::ResetAfter(_))) && scene.version != Version::HTTP_2 {
        scene.conn.reset.store(true, Ordering::Relaxed);
    }
    head.status = answer.status.unwrap_or(StatusCode::OK);
    match &answer.content {
        _ if answer.fault == Some(Fault::Page) => page(scene, head, answer),
        Content::Bytes(content_type, bytes) => {
            whole(head, content_type.clone(), bytes.clone(), answer)
        }
        Content::Chunks(content_type, chunks) => {
            let pieces = chunks.iter().map(|bytes| Piece {
                bytes: bytes.clone(),
                tokens: 1,
                wait: Default::default(),
            });
            let (pieces, ending) = cut(pieces.collect(), answer.fault);
            let pace = Pace {
                first: answer.first_chunk_delay.unwrap_or(answer.chunk_delay),
                wait: answer.chunk_delay,
                ping: None,
            };
            content_type_of(&mut head, content_type.clone());
            let body = ReplyBody::played(pieces, pace, ending, None);
            Response::from_parts(head, body)
        }
        Content::Dialect | Content::Error(_) => in_dialect(scene, head, answer),
    }
}

fn in_dialect(scene: &Scene<'_>, mut head: Head, answer: &Answer) -> Response<ReplyBody> {
    let ask = scene.ask;
    let kind = match answer.content {
        Content::Error(kind) => Some(kind),
        _ => answer
            .status
            .filter(|s| s.as_u16() >= 400)
            .map(ErrorKind::of_status),
    };
    let in_stream = matches!(answer.fault, Some(Fault::Error(_)));
    if let (Some(kind), false) = (kind, in_stream) {
        return error(scene, head, answer, kind, None);
    }
    if let Some(message) = bad_prefill(ask, answer) {
        return error(
            scene,
            head,
            answer,
            ErrorKind::InvalidRequest,
            Some(message),
        );
    }
    if in_stream {
        head.status = StatusCode::OK;
    }
    let kind = kind.unwrap_or(ErrorKind::ServerError);
    let body_of_error = || {
        let status = errors::status(ask.dialect, kind);
        errors::body(ask, kind, status, answer.retry_after)
    };
    let reply = Reply::new(answer, ask, scene.label);
    if let Some(meter) = scene.meter {
        meter.answer(ask);
    }
    if !ask.stream {
        if in_stream {
            return whole(head, JSON, body_of_error().to_string().into(), answer);
        }
        if let Some(meter) = scene.meter {
            meter.tokens(reply.tokens.len());
        }
        return whole(
            head,
            JSON,
            spoken::whole(ask, &reply, answer.body_bytes),
            answer,
        );
    }
    let events = spoken::events(ask, &reply);
    streamed(scene, head, answer, events, || {
        errors::event(ask, kind, body_of_error())
    })
}

/// A stream of these events with the answer's fault and pace. `error` is the event that [`Fault::Error`] sends.
fn streamed(
    scene: &Scene<'_>,
    mut head: Head,
    answer: &Answer,
    mut events: Vec<Event>,
    error: impl FnOnce() -> Event,
) -> Response<ReplyBody> {
    let ask = scene.ask;
    let ending = faults::apply(ask, answer, &mut events, error);
    let mut pieces = event::frame(ask, events);
    if answer.encoding == Some(Encoding::Gzip) {
        zip(&mut pieces, ending);
    }
    let ping = answer.ping.filter(|_| answer.encoding.is_none());
    let pace = Pace {
        first: answer.first_chunk_delay.unwrap_or(answer.chunk_delay),
        wait: answer.chunk_delay,
        ping: ping.and_then(|every| Some((every, event::ping(ask)?))),
    };
    head.headers
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    content_type_of(
        &mut head,
        HeaderValue::from_static(event::content_type(ask)),
    );
    let body = ReplyBody::played(pieces, pace, ending, scene.meter.cloned());
    Response::from_parts(head, body)
}

/// A provider's error, whole.
fn error(
    scene: &Scene<'_>,
    mut head: Head,
    answer: &Answer,
    kind: ErrorKind,
    message: Option<&str>,
) -> Response<ReplyBody> {
    let ask = scene.ask;
    let status = answer.status.filter(|s| s.as_u16() >= 400);
    head.status = status.unwrap_or_else(|| errors::status(ask.dialect, kind));
    errors::headers(&mut head.headers, ask, kind, head.status, answer);
    let mut body = errors::body(ask, kind, head.status, answer.retry_after);
    if let Some(message) = message {
        for at in ["/error/message", "/message", "/error"] {
            if let Some(Value::String(text)) = body.pointer_mut(at) {
                message.clone_into(text);
            }
        }
    }
    // Where Gemini's streams are arrays its errors are elements of one.
    if ask.stream && ask.array && ask.dialect == Dialect::Gemini {
        body = Value::Array(vec![body]);
    }
    let text = errors::padded(body, answer.body_bytes);
    whole(head, JSON, text.into(), answer)
}

/// Why a request that ends with the assistant's turn is refused, if it is.
fn bad_prefill(ask: &Ask, answer: &Answer) -> Option<&'static str> {
    let prefill = ask.prompt.prefill.as_deref()?;
    if answer.no_prefill || ask.base().ends_with("-no-prefill") {
        return Some(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        );
    }
    let space = prefill.ends_with(char::is_whitespace);
    (space && ask.dialect == Dialect::Anthropic)
        .then_some("messages: final assistant content cannot end with trailing whitespace")
}

/// A page such as an edge in front of a provider sends.
fn page(scene: &Scene<'_>, mut head: Head, answer: &Answer) -> Response<ReplyBody> {
    if let (Content::Error(kind), None) = (&answer.content, answer.status) {
        head.status = errors::status(scene.ask.dialect, *kind);
    }
    let text = format!("<html><body><h1>{}</h1></body></html>\n", head.status);
    whole(head, HTML, text.into(), answer)
}

fn whole(
    mut head: Head,
    content_type: HeaderValue,
    mut bytes: Bytes,
    answer: &Answer,
) -> Response<ReplyBody> {
    content_type_of(&mut head, content_type);
    if answer.encoding == Some(Encoding::Gzip) {
        let mut gzip = Gzip::new();
        bytes = [gzip.push(&bytes), gzip.finish()].concat().into();
    }
    let (keep, ending) = match answer.fault {
        Some(Fault::Cut(n) | Fault::End(n) | Fault::ResetAfter(n)) => (n, Ending::Cut),
        Some(Fault::Stall(n)) if answer.stall.is_some() => (n, Ending::Clean),
        Some(Fault::Stall(n)) => (n, Ending::Stall),
        Some(Fault::Malformed(n)) => {
            bytes.truncate(n);
            return Response::from_parts(head, ReplyBody::whole(bytes));
        }
        _ => return Response::from_parts(head, ReplyBody::whole(bytes)),
    };
    // The promise that is not kept, or late.
    head.headers.insert(CONTENT_LENGTH, bytes.len().into());
    let rest = bytes.split_off(keep.min(bytes.len()));
    let piece = |bytes, wait| Piece {
        bytes,
        tokens: 0,
        wait,
    };
    let mut pieces = vec![piece(bytes, Default::default())];
    if ending == Ending::Clean {
        pieces.push(piece(rest, answer.stall.unwrap_or_default()));
    }
    let body = ReplyBody::played(pieces, Pace::default(), ending, None);
    Response::from_parts(head, body)
}

/// Scripted chunks know only faults that end them.
fn cut(mut pieces: Vec<Piece>, fault: Option<Fault>) -> (Vec<Piece>, Ending) {
    let (n, ending) = match fault {
        Some(Fault::Cut(n) | Fault::ResetAfter(n)) => (n, Ending::Cut),
        Some(Fault::Stall(n)) => (n, Ending::Stall),
        Some(Fault::End(n)) => (n, Ending::Clean),
        _ => return (pieces, Ending::Clean),
    };
    pieces.truncate(n);
    (pieces, ending)
}

fn zip(pieces: &mut Vec<Piece>, ending: Ending) {
    let mut gzip = Gzip::new();
    for piece in pieces.iter_mut() {
        piece.bytes = gzip.push(&piece.bytes);
    }
    if ending == Ending::Clean {
        pieces.push(Piece {
            bytes: gzip.finish(),
            tokens: 0,
            wait: Default::default(),
        });
    }
}

/// Unless the script names one.
fn content_type_of(head: &mut Head, content_type: HeaderValue) {
    head.headers.entry(CONTENT_TYPE).or_insert(content_type);
}
