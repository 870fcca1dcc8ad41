//! OpenAI chat completions, Azure's included.

use serde_json::{Value, json};

use super::{
    answer::{ErrorKind, Finish},
    dialect::Ask,
    event::Event,
    reply::{CREATED, Reply},
};

pub(super) fn whole(ask: &Ask, reply: &Reply, text: &str) -> Value {
    let message = match &reply.tool {
        None => json!({"role": "assistant", "content": text, "refusal": null}),
        Some(tool) => json!({
            "role": "assistant", "content": null, "refusal": null,
            "tool_calls": [{
                "id": "call_mock", "type": "function",
                "function": {"name": tool.name, "arguments": reply.text()},
            }],
        }),
    };
    json!({
        "id": "chatcmpl-mock", "object": "chat.completion", "created": CREATED, "model": ask.model,
        "choices": [{
            "index": 0, "message": message, "logprobs": null, "finish_reason": finish(reply.finish),
        }],
        "usage": usage(ask, reply.tokens.len()),
    })
}

/// Role, tokens, finish reason, usage if asked for, `[DONE]`.
pub(super) fn events(ask: &Ask, reply: &Reply) -> Vec<Event> {
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": CREATED,
            "model": ask.model, "choices": choices,
        });
        if ask.usage {
            chunk["usage"] = usage.unwrap_or(Value::Null);
        }
        chunk
    };
    let delta = |delta: Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        chunk(json!([choice]), None)
    };
    let role = match &reply.tool {
        None => json!({"role": "assistant", "content": ""}),
        Some(tool) => json!({"role": "assistant", "content": null, "tool_calls": [{
            "index": 0, "id": "call_mock", "type": "function",
            "function": {"name": tool.name, "arguments": ""},
        }]}),
    };
    let mut out = vec![Event::new("", delta(role, None))];
    out.extend(reply.tokens.iter().map(|token| {
        let content = match &reply.tool {
            None => json!({"content": token}),
            Some(_) => json!({"tool_calls": [{"index": 0, "function": {"arguments": token}}]}),
        };
        Event::token("", delta(content, None))
    }));
    out.push(Event::finish(
        "",
        delta(json!({}), Some(finish(reply.finish))),
    ));
    if ask.usage {
        let usage = usage(ask, reply.tokens.len());
        out.push(Event::new("", chunk(json!([]), Some(usage))));
    }
    out.push(Event::done("data: [DONE]\n\n"));
    out
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
        Finish::ToolCalls => "tool_calls",
    }
}

fn usage(ask: &Ask, tokens: usize) -> Value {
    json!({
        "prompt_tokens": ask.prompt.tokens,
        "completion_tokens": tokens,
        "total_tokens": ask.prompt.tokens + tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}

/// The error body.
pub(super) fn error(kind: ErrorKind) -> Value {
    let (r#type, code, message) = error_parts(kind);
    let param = match kind {
        ErrorKind::ContextLength => Some("messages"),
        ErrorKind::InvalidRequest => Some("temprature"),
        _ => None,
    };
    json!({"error": {"message": message, "type": r#type, "param": param, "code": code}})
}

/// Type, code and message.
pub(super) fn error_parts(kind: ErrorKind) -> (&'static str, Option<&'static str>, &'static str) {
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
        ErrorKind::ContentFilter => (
            INVALID,
            Some("content_policy_violation"),
            "Request rejected by the safety system.",
        ),
        ErrorKind::Permission => (
            INVALID,
            Some("unsupported_country_region_territory"),
            "Country, region, or territory not supported.",
        ),
        ErrorKind::Timeout => ("timeout", None, "Request timed out."),
        ErrorKind::TooLarge => (INVALID, None, "The request body is too large."),
        ErrorKind::Conflict => (
            "conflict_error",
            None,
            "The resource was modified concurrently.",
        ),
        ErrorKind::RampLimit => (
            "rate_limit_error",
            Some("slow_down"),
            "Traffic is rising too fast; slow down.",
        ),
        ErrorKind::QuotaWindow => (
            "insufficient_quota",
            Some("project_spend_limit_exceeded"),
            "This project reached its monthly spend limit.",
        ),
        ErrorKind::RequestExceedsLimit => (
            "tokens",
            Some("rate_limit_exceeded"),
            "Request too large for model on tokens per min (TPM): Limit 30000, Requested 48211.",
        ),
        ErrorKind::ServerError => (
            "server_error",
            None,
            "The server had an error while processing your request.",
        ),
    }
}
