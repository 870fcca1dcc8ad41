//! One request: read it, choose its answer, send it or break as told.

use std::{future, sync::atomic::Ordering};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode, Version,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;

use super::{
    Shared, admin,
    answer::{Answer, Content, ErrorKind, Fault},
    body::{Aborted, Ending, Piece, ReplyBody},
    conn::Conn,
    dialect::Ask,
    errors, reply, script,
    seen::SeenRequest,
    stream,
};
use crate::base::time::sleep;

/// Tokens of an answer that does not say.
const TOKENS: usize = 16;

/// A larger request body is read, but neither parsed nor kept.
const MAX_PARSED: usize = 32 << 20;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers one request. An error breaks the connection (HTTP/2: the stream).
pub(super) async fn serve(
    shared: &Shared,
    conn: &Conn,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Aborted> {
    let (parts, body) = request.into_parts();
    let (body, body_len) = read(body).await?;
    if let Some(response) = admin::answer(shared, &parts, &body) {
        return Ok(response);
    }
    shared.stats.request(parts.uri.path());
    let seen = || SeenRequest::new(&parts, &body, body_len, conn.id);
    if shared.records() {
        shared.recorder.push(seen());
    }
    let answer = match script::steered(&parts.headers, &shared.sequences) {
        Ok(Some(answer)) => answer,
        Ok(None) => shared.script.load().next(seen),
        Err(bad) => Answer::json(
            json!({"error": {"type": "mock_error", "message": bad.to_string()}}).to_string(),
        )
        .with_status(StatusCode::BAD_REQUEST),
    };
    if !answer.delay.is_zero() {
        sleep(answer.delay).await;
    }
    if let Some(fault) = answer.fault {
        break_off(shared, conn, parts.version, fault).await?;
    }
    let mut response = respond(shared, answer, &parts, &body);
    let headers = response.headers_mut();
    headers.insert(LISTENER, shared.listener.clone());
    if let Some(label) = &shared.label {
        headers.insert(VERSION, label.clone());
    }
    shared.stats.answered(response.status());
    Ok(response)
}

const LISTENER: HeaderName = HeaderName::from_static("x-mock-listener");
const VERSION: HeaderName = HeaderName::from_static("x-mock-version");

/// Faults instead of a head. Those that come later return `Ok`.
async fn break_off(
    shared: &Shared,
    conn: &Conn,
    version: Version,
    fault: Fault,
) -> Result<(), Aborted> {
    match fault {
        Fault::Hang | Fault::Close | Fault::Reset | Fault::Refuse => shared.stats.unanswered.inc(),
        Fault::Cut(_) | Fault::Stall(_) | Fault::End(_) | Fault::Error(_) => return Ok(()),
    }
    match fault {
        Fault::Hang => future::pending().await,
        Fault::Refuse => shared.doors.refuse().await,
        Fault::Reset if version != Version::HTTP_2 => conn.reset.store(true, Ordering::Relaxed),
        _ => {}
    }
    Err(Aborted)
}

/// The whole body, up to [`MAX_PARSED`], and its full length.
async fn read(mut body: Incoming) -> Result<(Bytes, u64), Aborted> {
    if body.is_end_stream() {
        return Ok((Bytes::new(), 0));
    }
    let (mut first, mut rest, mut len) = (Bytes::new(), BytesMut::new(), 0_u64);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Aborted)?.into_data() else {
            continue;
        };
        len += data.len() as u64;
        if len > MAX_PARSED as u64 {
            (first, rest) = (Bytes::new(), BytesMut::new());
        } else if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    let whole = if rest.is_empty() {
        first
    } else {
        rest.freeze()
    };
    Ok((whole, len))
}

fn respond(shared: &Shared, answer: Answer, parts: &Parts, body: &Bytes) -> Response<ReplyBody> {
    let mut head = Response::new(());
    for (name, value) in &answer.headers {
        head.headers_mut().append(name, value.clone());
    }
    let status = answer.status.unwrap_or(StatusCode::OK);
    match answer.content {
        Content::Bytes(content_type, bytes) => {
            *head.status_mut() = status;
            whole(head, content_type, bytes, answer.fault)
        }
        Content::Chunks(ref content_type, ref chunks) => {
            *head.status_mut() = status;
            let content_type = content_type.clone();
            let pieces = chunks.iter().map(|bytes| Piece {
                bytes: bytes.clone(),
                token: true,
            });
            let pieces = pieces.collect();
            played(head, content_type, pieces, &answer)
        }
        Content::Dialect | Content::Error(_) => {
            let ask = Ask::read(parts, body);
            in_dialect(shared, head, &answer, &ask)
        }
    }
}

fn in_dialect(
    shared: &Shared,
    mut head: Response<()>,
    answer: &Answer,
    ask: &Ask,
) -> Response<ReplyBody> {
    let in_stream = match answer.fault {
        Some(Fault::Error(after)) => Some(after),
        _ => None,
    };
    let kind = match answer.content {
        Content::Error(kind) => Some(kind),
        _ => answer
            .status
            .filter(|s| s.as_u16() >= 400)
            .map(ErrorKind::of_status),
    };
    if let (Some(kind), None) = (kind, in_stream) {
        let status = answer
            .status
            .unwrap_or_else(|| errors::status(ask.dialect, kind));
        *head.status_mut() = status;
        errors::hint(head.headers_mut(), ask.dialect, status, answer.retry_after);
        let error = errors::body(ask, kind, status, answer.retry_after).to_string();
        return whole(head, JSON, error.into(), answer.fault);
    }
    *head.status_mut() = match answer.status {
        Some(status) if in_stream.is_none() => status,
        _ => StatusCode::OK,
    };
    let kind = kind.unwrap_or(ErrorKind::ServerError);
    let error = || {
        let status = errors::status(ask.dialect, kind);
        errors::body(ask, kind, status, answer.retry_after)
    };
    let tokens = reply::tokens(answer.tokens.unwrap_or(TOKENS), shared.label_text());
    if ask.stream {
        let mut pieces = stream::pieces(ask, &tokens);
        if let Some(after) = in_stream {
            pieces.truncate(after);
            pieces.push(stream::error_piece(ask, &error(), pieces.len()));
        }
        let content_type = HeaderValue::from_static(stream::content_type(ask));
        head.headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        played(head, content_type, pieces, answer)
    } else {
        let bytes = match in_stream {
            Some(_) => error().to_string().into(),
            None => reply::whole(ask, &tokens, answer.body_bytes),
        };
        whole(head, JSON, bytes, answer.fault)
    }
}

fn whole(
    head: Response<()>,
    content_type: HeaderValue,
    bytes: Bytes,
    fault: Option<Fault>,
) -> Response<ReplyBody> {
    let (mut parts, ()) = head.into_parts();
    // Unless the script names one.
    parts.headers.entry(CONTENT_TYPE).or_insert(content_type);
    let (keep, ending) = match fault {
        Some(Fault::Cut(n) | Fault::End(n)) => (n, Ending::Cut),
        Some(Fault::Stall(n)) => (n, Ending::Stall),
        _ => return Response::from_parts(parts, ReplyBody::whole(bytes)),
    };
    // The promise that is not kept.
    parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
    let piece = Piece {
        bytes: bytes.slice(..keep.min(bytes.len())),
        token: false,
    };
    let body = ReplyBody::played(vec![piece], Default::default(), Default::default(), ending);
    Response::from_parts(parts, body)
}

fn played(
    head: Response<()>,
    content_type: HeaderValue,
    mut pieces: Vec<Piece>,
    answer: &Answer,
) -> Response<ReplyBody> {
    let (mut parts, ()) = head.into_parts();
    // Unless the script names one.
    parts.headers.entry(CONTENT_TYPE).or_insert(content_type);
    let ending = match answer.fault {
        Some(Fault::Cut(n)) => {
            pieces.truncate(n);
            Ending::Cut
        }
        Some(Fault::Stall(n)) => {
            pieces.truncate(n);
            Ending::Stall
        }
        Some(Fault::End(n)) => {
            pieces.truncate(n);
            Ending::Clean
        }
        _ => Ending::Clean,
    };
    let first = answer.first_chunk_delay.unwrap_or(answer.chunk_delay);
    let body = ReplyBody::played(pieces, first, answer.chunk_delay, ending);
    Response::from_parts(parts, body)
}
