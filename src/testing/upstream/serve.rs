//! One request: read it, choose its answer, send it or break as told.

use std::{
    future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Request, Response, StatusCode, Version, request::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;

use super::{
    admin,
    answer::{Answer, Content, Fault},
    bad_directive::BadDirective,
    body::{Aborted, ReplyBody},
    dialect::Ask,
    doors::Conn,
    render::{self, Scene},
    script,
    seen::SeenRequest,
    shared::Shared,
};
use crate::base::time::sleep;

/// A larger request body is read, but neither parsed nor kept.
const MAX_PARSED: usize = 32 << 20;

/// Answers one request. An error breaks the connection (HTTP/2: the stream).
pub(super) async fn serve(
    shared: &Arc<Shared>,
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
    let mut ask = None;
    let answer = choose(shared, &parts, &body, &mut ask, seen);
    // Bytes from the listener's script are the cheapest answer: nothing is parsed or counted for them.
    let scripted = matches!(answer.content, Content::Bytes(..) | Content::Chunks(..));
    let known = !scripted || ask.is_some();
    let ask = ask.unwrap_or_else(|| Ask::read(&parts, if known { &body } else { b"" }));
    let meter = known.then(|| shared.ledger.request(&parts, &ask));
    if !answer.delay.is_zero() {
        sleep(answer.delay).await;
    }
    if let Some(fault) = answer.fault {
        break_off(shared, conn, parts.version, fault).await?;
    }
    let scene = Scene {
        ask: &ask,
        label: shared.label_text(),
        conn,
        version: parts.version,
        meter: meter.as_ref(),
    };
    let mut response = render::respond(&scene, &answer);
    let headers = response.headers_mut();
    headers.insert(LISTENER, shared.listener.clone());
    if let Some(label) = &shared.label {
        headers.insert(VERSION, label.clone());
    }
    shared.stats.answered(response.status());
    Ok(response)
}

/// The answer that the headers, the model's name or the listener's script asks for, in this order. `ask` is set if it
/// had to be read, or must be counted.
fn choose(
    shared: &Shared,
    parts: &Parts,
    body: &Bytes,
    ask: &mut Option<Ask>,
    seen: impl FnOnce() -> SeenRequest,
) -> Answer {
    let bad = |bad: BadDirective| {
        let error = json!({"error": {"type": "mock_error", "message": bad.to_string()}});
        Answer::json(error.to_string()).with_status(StatusCode::BAD_REQUEST)
    };
    match script::steered(&parts.headers, &shared.sequences) {
        Ok(Some(answer)) => {
            *ask = Some(Ask::read(parts, body));
            return answer;
        }
        Ok(None) => {}
        Err(error) => return bad(error),
    }
    if Ask::may_plan(parts, body) {
        let ask = ask.insert(Ask::read(parts, body));
        if let Some(plan) = ask.plan() {
            let key = parts
                .headers
                .get("x-mock-key")
                .and_then(|k| k.to_str().ok());
            return script::planned(&ask.model, plan, key, &shared.sequences).unwrap_or_else(bad);
        }
    }
    let answer = shared.script.load().next(seen);
    script::flapped(answer, "", &shared.sequences)
}

const LISTENER: HeaderName = HeaderName::from_static("x-mock-listener");
const VERSION: HeaderName = HeaderName::from_static("x-mock-version");

/// Faults instead of a head. Those that come later return `Ok`.
async fn break_off(
    shared: &Arc<Shared>,
    conn: &Conn,
    version: Version,
    fault: Fault,
) -> Result<(), Aborted> {
    match fault {
        Fault::Hang | Fault::Close | Fault::Reset | Fault::Refuse | Fault::RefuseFor(_) => {
            shared.stats.unanswered.inc();
        }
        _ => return Ok(()),
    }
    match fault {
        Fault::Hang => future::pending().await,
        Fault::Refuse => shared.doors.refuse().await,
        Fault::RefuseFor(ms) => {
            shared.doors.refuse().await;
            (shared.revive_after)(shared, Duration::from_millis(ms.into()));
        }
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
