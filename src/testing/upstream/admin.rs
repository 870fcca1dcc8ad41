//! The paths that are about the mock itself, `/healthz` and `/mock/…`. They are not counted.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde_json::{Map, Value, json};

use super::{Answer, BadDirective, Script, body::ReplyBody, cases, shared::Shared};

/// The answer, if the path is about the mock itself.
pub(super) fn answer(shared: &Shared, parts: &Parts, body: &Bytes) -> Option<Response<ReplyBody>> {
    let path = parts.uri.path();
    if path != "/healthz" && !path.starts_with("/mock/") {
        return None;
    }
    Some(match (&parts.method, path) {
        (_, "/healthz") => plain(StatusCode::OK, "ok\n"),
        (&Method::POST | &Method::PUT, "/mock/script") => match read(body) {
            Ok(script) => {
                shared.script.store(Arc::new(script));
                json_response(StatusCode::OK, &json!({"script": "set"}))
            }
            Err(bad) => json_response(StatusCode::BAD_REQUEST, &json!({"error": bad.to_string()})),
        },
        (&Method::DELETE, "/mock/script") => {
            shared.script.store(Arc::clone(&shared.initial));
            json_response(StatusCode::OK, &json!({"script": "reset"}))
        }
        (&Method::GET, "/mock/stats") => {
            let mut stats = shared.stats.to_json();
            stats["listener"] = shared.address.to_string().into();
            stats["version"] = shared.label_text().into();
            json_response(StatusCode::OK, &stats)
        }
        (&Method::GET, "/mock/usage") => {
            json_response(StatusCode::OK, &shared.ledger.usage(&parts.headers))
        }
        (&Method::GET, "/mock/prompts") => json_response(StatusCode::OK, &shared.ledger.prompts()),
        (&Method::GET, "/mock/cases") => json_response(StatusCode::OK, &cases::list()),
        (&Method::DELETE, "/mock/state") => {
            shared.sequences.clear();
            shared.ledger.clear();
            json_response(StatusCode::OK, &json!({"state": "forgotten"}))
        }
        _ => json_response(
            StatusCode::NOT_FOUND,
            &json!({"error": "POST or DELETE /mock/script, DELETE /mock/state, GET /mock/stats, /mock/usage, \
                /mock/prompts or /mock/cases"}),
        ),
    })
}

/// Reads `{"status": 500, …}` or `{"sequence": [503, "429;retry-after-ms=300", {"fault": "hang"}], …}`. Names are those
/// of [`Answer::set`]; beside a sequence they make the answer that follows it.
fn read(body: &[u8]) -> Result<Script, BadDirective> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return Err(BadDirective::new("body", "a JSON object"));
    };
    let sequence = fields.remove("sequence").unwrap_or_else(|| json!([]));
    let Value::Array(items) = sequence else {
        return Err(BadDirective::new("sequence", "a list"));
    };
    let answers: Result<Vec<_>, _> = items.iter().map(read_item).collect();
    Ok(Script::sequence(answers?).then(read_fields(&fields)?))
}

fn read_item(item: &Value) -> Result<Answer, BadDirective> {
    match item {
        Value::Object(fields) => read_fields(fields),
        Value::String(text) => text.parse(),
        Value::Number(status) => status.to_string().parse(),
        _ => Err(BadDirective::new(
            "sequence",
            "statuses, texts such as \"429;retry-after-ms=300\" or objects",
        )),
    }
}

fn read_fields(fields: &Map<String, Value>) -> Result<Answer, BadDirective> {
    let mut answer = Answer::ok();
    for (name, value) in fields {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        answer.set(&name.replace('_', "-"), &text)?;
    }
    Ok(answer)
}

fn plain(status: StatusCode, text: &'static str) -> Response<ReplyBody> {
    respond(status, "text/plain", Bytes::from_static(text.as_bytes()))
}

fn json_response(status: StatusCode, value: &Value) -> Response<ReplyBody> {
    respond(status, "application/json", format!("{value}\n").into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
