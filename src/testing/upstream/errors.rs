//! Providers' errors: status, hint and body as each API documents them.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{
    answer::ErrorKind,
    dialect::{Ask, Dialect},
};

/// The status that a provider gives an error of this kind.
pub(super) fn status(dialect: Dialect, kind: ErrorKind) -> StatusCode {
    let code = match (kind, dialect) {
        (ErrorKind::InsufficientQuota, Dialect::Anthropic) => 400,
        (ErrorKind::RateLimit | ErrorKind::InsufficientQuota, _) => 429,
        (ErrorKind::Overloaded, Dialect::Anthropic) => 529,
        (ErrorKind::Overloaded, _) => 503,
        (ErrorKind::Auth, Dialect::Gemini) => 400,
        (ErrorKind::Auth, _) => 401,
        (ErrorKind::ContextLength | ErrorKind::InvalidRequest, _) => 400,
        (ErrorKind::NotFound, _) => 404,
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
        Dialect::Chat | Dialect::Responses => openai(kind),
        Dialect::Anthropic => anthropic(kind),
        Dialect::Gemini => gemini(kind, status, retry_after),
        Dialect::Ollama => json!({"error": openai_parts(kind).2}),
    }
}

/// The headers that say when to come back. Gemini says it in the body of a 429.
pub(super) fn hint(
    headers: &mut HeaderMap,
    dialect: Dialect,
    status: StatusCode,
    wait: Option<Duration>,
) {
    let Some(wait) = wait else { return };
    if dialect == Dialect::Gemini && status == StatusCode::TOO_MANY_REQUESTS {
        return;
    }
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    headers.insert("retry-after-ms", HeaderValue::from(millis));
    headers.insert("retry-after", HeaderValue::from(millis.div_ceil(1000)));
}

fn openai(kind: ErrorKind) -> Value {
    let (r#type, code, message) = openai_parts(kind);
    let param = match kind {
        ErrorKind::ContextLength => Some("messages"),
        ErrorKind::InvalidRequest => Some("temprature"),
        _ => None,
    };
    json!({"error": {"message": message, "type": r#type, "param": param, "code": code}})
}

fn openai_parts(kind: ErrorKind) -> (&'static str, Option<&'static str>, &'static str) {
    const INVALID: &str = "invalid_request_error";
    match kind {
        ErrorKind::RateLimit => (
            "requests",
            Some("rate_limit_exceeded"),
            "Rate limit reached for requests.",
        ),
        ErrorKind::InsufficientQuota => (
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details.",
        ),
        ErrorKind::Overloaded => (
            "service_unavailable_error",
            Some("server_is_overloaded"),
            "The server is currently overloaded.",
        ),
        ErrorKind::ContextLength => (
            INVALID,
            Some("context_length_exceeded"),
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        ),
        ErrorKind::InvalidRequest => (
            INVALID,
            Some("unknown_parameter"),
            "Unknown parameter: 'temprature'.",
        ),
        ErrorKind::Auth => (
            INVALID,
            Some("invalid_api_key"),
            "Incorrect API key provided.",
        ),
        ErrorKind::NotFound => (
            INVALID,
            Some("model_not_found"),
            "The model does not exist or you do not have access to it.",
        ),
        ErrorKind::ServerError => (
            "server_error",
            None,
            "The server had an error while processing your request.",
        ),
    }
}

fn anthropic(kind: ErrorKind) -> Value {
    let (r#type, message) = match kind {
        ErrorKind::RateLimit => (
            "rate_limit_error",
            "This request would exceed your organization's rate limit.",
        ),
        ErrorKind::InsufficientQuota => (
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API.",
        ),
        ErrorKind::Overloaded => ("overloaded_error", "Overloaded"),
        ErrorKind::ContextLength => (
            "invalid_request_error",
            "prompt is too long: 200100 tokens > 200000 maximum",
        ),
        ErrorKind::InvalidRequest => (
            "invalid_request_error",
            "temprature: Extra inputs are not permitted",
        ),
        ErrorKind::Auth => ("authentication_error", "invalid x-api-key"),
        ErrorKind::NotFound => ("not_found_error", "model: mock"),
        ErrorKind::ServerError => ("api_error", "Internal server error"),
    };
    json!({"type": "error", "error": {"type": r#type, "message": message}, "request_id": "req_mock"})
}

fn gemini(kind: ErrorKind, status: StatusCode, retry_after: Option<Duration>) -> Value {
    let (name, message, details) = match kind {
        ErrorKind::RateLimit => (
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota.",
            limits("PerMinute", retry_after),
        ),
        ErrorKind::InsufficientQuota => (
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota.",
            limits("PerDay", retry_after),
        ),
        ErrorKind::Overloaded => ("UNAVAILABLE", "The model is overloaded.", json!([])),
        ErrorKind::ContextLength => (
            "INVALID_ARGUMENT",
            "The input token count (1048600) exceeds the maximum number of tokens allowed (1048576).",
            json!([]),
        ),
        ErrorKind::InvalidRequest => (
            "INVALID_ARGUMENT",
            "Invalid JSON payload received. Unknown name \"temprature\".",
            json!([]),
        ),
        ErrorKind::Auth => (
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID", "domain": "googleapis.com",
            }]),
        ),
        ErrorKind::NotFound => ("NOT_FOUND", "The model is not found.", json!([])),
        ErrorKind::ServerError => ("INTERNAL", "An internal error has occurred.", json!([])),
    };
    json!({"error": {"code": status.as_u16(), "message": message, "status": name, "details": details}})
}

fn limits(window: &str, retry_after: Option<Duration>) -> Value {
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": format!("GenerateRequests{window}PerProjectPerModel"),
        }],
    })];
    if let Some(wait) = retry_after {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{}s", wait.as_secs_f64()),
        }));
    }
    Value::Array(details)
}
