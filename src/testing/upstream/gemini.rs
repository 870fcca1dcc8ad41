//! Gemini `generateContent`.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    answer::{ErrorKind, Finish},
    dialect::Ask,
    event::{Event, Mark},
    reply::Reply,
};

pub(super) fn whole(ask: &Ask, reply: &Reply, text: &str) -> Value {
    chunk(ask, reply, text, reply.tokens.len(), true)
}

/// One chunk a token, the last with the finish reason, so an answer of no tokens is one empty chunk. A function call
/// comes whole in one chunk.
pub(super) fn events(ask: &Ask, reply: &Reply) -> Vec<Event> {
    let called = [reply.text()];
    let texts = if reply.tool.is_some() || reply.tokens.is_empty() {
        &called[..]
    } else {
        &reply.tokens[..]
    };
    let mut out = Vec::with_capacity(texts.len() + 1);
    for (n, text) in texts.iter().enumerate() {
        let last = n + 1 == texts.len();
        let sent = if last { reply.tokens.len() } else { n + 1 };
        let mut event = Event::token("", chunk(ask, reply, text, sent, last));
        if last {
            event.mark = Mark::Finish;
        }
        if texts.len() == 1 {
            event.tokens = reply.tokens.len();
        }
        out.push(event);
    }
    if ask.array {
        out.push(Event::done("]"));
    }
    out
}

fn chunk(ask: &Ask, reply: &Reply, text: &str, tokens: usize, last: bool) -> Value {
    let part = match &reply.tool {
        None => json!({"text": text}),
        Some(tool) => json!({"functionCall": {"name": tool.name, "args": tool.arguments}}),
    };
    let mut candidate = json!({"content": {"role": "model", "parts": [part]}, "index": 0});
    if last {
        candidate["finishReason"] = finish(reply.finish).into();
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": ask.prompt.tokens,
            "candidatesTokenCount": tokens,
            "totalTokenCount": ask.prompt.tokens + tokens,
        },
        "modelVersion": ask.model,
        "responseId": "mock",
    })
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
    }
}

/// The error body. A filtered prompt is no error here, but an answer without a candidate.
pub(super) fn error(
    ask: &Ask,
    kind: ErrorKind,
    status: StatusCode,
    retry_after: Option<Duration>,
) -> Value {
    if kind == ErrorKind::ContentFilter {
        return json!({
            "promptFeedback": {"blockReason": "SAFETY"},
            "usageMetadata": {
                "promptTokenCount": ask.prompt.tokens, "totalTokenCount": ask.prompt.tokens,
            },
            "modelVersion": ask.model,
            "responseId": "mock",
        });
    }
    let (name, message, details) = match kind {
        ErrorKind::RateLimit | ErrorKind::RampLimit => (
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota.",
            limits("PerMinute", retry_after),
        ),
        ErrorKind::RequestExceedsLimit => (
            "RESOURCE_EXHAUSTED",
            "Request too large on tokens per minute: Limit 30000, Requested 48211.",
            limits("PerMinute", None),
        ),
        ErrorKind::InsufficientQuota | ErrorKind::QuotaWindow => (
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
        ErrorKind::InvalidRequest | ErrorKind::TooLarge | ErrorKind::ContentFilter => (
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
        ErrorKind::Permission => (
            "PERMISSION_DENIED",
            "The caller does not have permission.",
            json!([]),
        ),
        ErrorKind::Timeout => (
            "DEADLINE_EXCEEDED",
            "The request did not finish in time.",
            json!([]),
        ),
        ErrorKind::Conflict => ("ABORTED", "The operation was aborted.", json!([])),
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
