//! The case file: what providers answer on their bad days, one case a line, replayed as it stands.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, Content, Fault},
    bad_directive::BadDirective,
    wire,
};

const CASES: &str = include_str!("../../../tests/data/llm-error-cases.jsonl");

/// Puts the case into the answer: status, headers and body, frames and ending, or what happens to the connection.
/// `date` is the case's own, so that hints that are dates count from it.
pub(super) fn apply(answer: &mut Answer, id: &str) -> Result<(), BadDirective> {
    // Most lines are not it, and need not be parsed to know.
    let case = CASES
        .lines()
        .filter(|line| line.contains(id))
        .find_map(|line| {
            let case: Value = serde_json::from_str(line).ok()?;
            (case.get("id")?.as_str()? == id).then_some(case)
        });
    let case = case.ok_or_else(|| BadDirective::new("case", "an id of GET /mock/cases"))?;
    if let Some(kind) = case.pointer("/transport/kind").and_then(Value::as_str) {
        transport(answer, kind);
        return Ok(());
    }
    answer.status = case
        .get("status")
        .and_then(Value::as_u64)
        .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let headers = headers(&case);
    let content_type = headers.get("content-type").cloned();
    answer.content = match pieces(&case) {
        Some(pieces) => {
            if case.get("end").and_then(Value::as_str) == Some("open") {
                answer.fault = Some(Fault::Stall(pieces.len()));
            }
            Content::Chunks(stream_type(&case), pieces)
        }
        None => {
            let json = HeaderValue::from_static("application/json");
            let text = match (case.get("body"), case.get("body_text")) {
                (Some(body), _) => body.to_string(),
                (None, text) => text.and_then(Value::as_str).unwrap_or_default().to_owned(),
            };
            Content::Bytes(content_type.unwrap_or(json), text.into())
        }
    };
    answer.headers.extend(
        headers
            .into_iter()
            .filter_map(|(name, value)| Some((name?, value))),
    );
    Ok(())
}

/// Ids with their class and reason.
pub(super) fn list() -> Value {
    let cases = CASES.lines().filter_map(|line| {
        let case: Value = serde_json::from_str(line).ok()?;
        Some(json!({
            "id": case.get("id")?, "phase": case.get("phase")?, "status": case.get("status"),
            "class": case.pointer("/expect/class")?, "why": case.get("why")?,
        }))
    });
    json!({"cases": cases.collect::<Vec<_>>()})
}

fn transport(answer: &mut Answer, kind: &str) {
    match kind {
        "connect_refused" => answer.fault = Some(Fault::RefuseFor(1000)),
        "reset_before_headers" => answer.fault = Some(Fault::Reset),
        // A stream slow enough to be hung up on.
        "client_disconnected" => {
            answer.tokens = Some(200);
            answer.chunk_delay = std::time::Duration::from_millis(50);
        }
        // `no_headers`.
        _ => answer.fault = Some(Fault::Hang),
    }
}

fn headers(case: &Value) -> HeaderMap {
    let mut out = HeaderMap::new();
    let none = Map::new();
    let given = case.get("headers").and_then(Value::as_object);
    for (name, value) in given.unwrap_or(&none) {
        let value = value.as_str().and_then(|v| HeaderValue::try_from(v).ok());
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name), value) {
            out.append(name, value);
        }
    }
    let now = case.get("now").and_then(Value::as_str);
    if let Some(now) = now.and_then(crate::base::time::parse_rfc3339)
        && let Ok(date) = HeaderValue::try_from(crate::base::time::format_http_date(now))
    {
        out.entry(http::header::DATE).or_insert(date);
    }
    out
}

/// The frames of a stream, one a chunk.
fn pieces(case: &Value) -> Option<Vec<bytes::Bytes>> {
    if let Some(frames) = case.get("frames").and_then(Value::as_array) {
        let frames = frames.iter().filter_map(Value::as_str);
        return Some(frames.map(|frame| frame.to_owned().into()).collect());
    }
    let events = case.get("events")?.as_array()?;
    let messages = events.iter().filter_map(|event| {
        let headers = event.get("headers")?.as_object()?;
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
            .collect();
        Some(wire::aws_message(
            &headers,
            event.get("payload")?.to_string().as_bytes(),
        ))
    });
    Some(messages.collect())
}

fn stream_type(case: &Value) -> HeaderValue {
    HeaderValue::from_static(match case.get("api").and_then(Value::as_str) {
        Some("native") => "application/x-ndjson",
        Some("converse-stream") => "application/vnd.amazon.eventstream",
        _ => "text/event-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_replayed() {
        let list = list();
        let ids = list["cases"].as_array().unwrap();
        assert!(ids.len() > 100, "{}", ids.len());
        for case in ids {
            let mut answer = Answer::ok();
            apply(&mut answer, case["id"].as_str().unwrap()).unwrap();
            assert_ne!(answer, Answer::ok(), "{case}");
            if let Some(status) = case["status"].as_u64() {
                let got = answer.status.unwrap();
                assert_eq!(u64::from(got.as_u16()), status, "{case}");
                assert!(!matches!(answer.content, Content::Dialect), "{case}");
            }
        }
        assert!(apply(&mut Answer::ok(), "openai-999").is_err());
    }
}
