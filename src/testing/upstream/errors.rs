//! Providers' errors: status, hint, body and event as each API documents them.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{
    answer::{Answer, ErrorKind},
    anthropic, bedrock, chat,
    dialect::{Ask, Dialect},
    event::Event,
    gemini,
};

/// The status that a provider gives an error of this kind.
pub(super) fn status(dialect: Dialect, kind: ErrorKind) -> StatusCode {
    let code = match (kind, dialect) {
        (ErrorKind::InsufficientQuota, Dialect::Anthropic | Dialect::Bedrock)
        | (ErrorKind::Auth | ErrorKind::TooLarge, Dialect::Gemini)
        | (ErrorKind::Conflict | ErrorKind::TooLarge, Dialect::Bedrock) => 400,
        (ErrorKind::ContentFilter, Dialect::Gemini) => 200,
        (ErrorKind::Overloaded, Dialect::Anthropic) => 529,
        (ErrorKind::Timeout, Dialect::Anthropic | Dialect::Gemini) => 504,
        (ErrorKind::Auth, Dialect::Bedrock) => 403,
        (
            ErrorKind::RateLimit
            | ErrorKind::InsufficientQuota
            | ErrorKind::RampLimit
            | ErrorKind::QuotaWindow
            | ErrorKind::RequestExceedsLimit,
            _,
        ) => 429,
        (ErrorKind::Overloaded, _) => 503,
        (ErrorKind::Auth, _) => 401,
        (ErrorKind::Permission, _) => 403,
        (ErrorKind::ContextLength | ErrorKind::InvalidRequest | ErrorKind::ContentFilter, _) => 400,
        (ErrorKind::NotFound, _) => 404,
        (ErrorKind::Timeout, _) => 408,
        (ErrorKind::Conflict, _) => 409,
        (ErrorKind::TooLarge, _) => 413,
        (ErrorKind::ServerError, _) => 500,
    };
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The error body.
pub(super) fn body(
    ask: &Ask,
    kind: ErrorKind,
    status: StatusCode,
    retry_after: Option<Duration>,
) -> Value {
    match ask.dialect {
        Dialect::Chat | Dialect::Responses => chat::error(kind),
        Dialect::Anthropic => anthropic::error(kind),
        Dialect::Gemini => gemini::error(ask, kind, status, retry_after),
        Dialect::Ollama => json!({"error": chat::error_parts(kind).2}),
        Dialect::Cohere => json!({"id": "mock", "message": chat::error_parts(kind).2}),
        Dialect::Bedrock => json!({"message": bedrock::error_parts(kind).1}),
    }
}

/// The headers of an error: its name where a header says it, and when to come back. Gemini says that in the body of a
/// 429.
pub(super) fn headers(
    headers: &mut HeaderMap,
    ask: &Ask,
    kind: ErrorKind,
    status: StatusCode,
    answer: &Answer,
) {
    if ask.dialect == Dialect::Bedrock {
        let name = HeaderValue::from_static(bedrock::error_parts(kind).0);
        headers.insert("x-amzn-errortype", name);
    }
    let Some(wait) = answer.retry_after else {
        return;
    };
    if ask.dialect == Dialect::Gemini && status == StatusCode::TOO_MANY_REQUESTS {
        return;
    }
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    if !answer.retry_after_seconds {
        headers.insert("retry-after-ms", HeaderValue::from(millis));
    }
    headers.insert("retry-after", HeaderValue::from(millis.div_ceil(1000)));
}

/// The error body, its message padded until the whole has this many bytes.
pub(super) fn padded(mut body: Value, min_bytes: usize) -> String {
    let text = body.to_string();
    let short = min_bytes.saturating_sub(text.len());
    let at = ["/error/message", "/message", "/error"];
    let at = at
        .into_iter()
        .find(|at| body.pointer(at).is_some_and(Value::is_string));
    let message = at.and_then(|at| body.pointer_mut(at));
    match message {
        Some(Value::String(message)) if short > 0 => message.push_str(&"x".repeat(short)),
        _ => return text,
    }
    body.to_string()
}

/// An error inside a stream. `error` is the dialect's whole error body.
pub(super) fn event(ask: &Ask, kind: ErrorKind, error: Value) -> Event {
    match ask.dialect {
        Dialect::Responses => Event::new(
            "error",
            json!({
                "type": "error",
                "code": error.pointer("/error/code"),
                "message": error.pointer("/error/message"),
                "param": error.pointer("/error/param"),
            }),
        ),
        Dialect::Cohere => Event::new(
            "message-end",
            json!({"type": "message-end", "id": "mock", "delta": {
                "finish_reason": "ERROR", "error": error.get("message"),
            }}),
        ),
        Dialect::Bedrock => Event::new(bedrock::event_name(kind), error),
        _ => Event::new("error", error),
    }
}
