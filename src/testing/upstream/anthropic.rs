//! Anthropic messages.

use serde_json::{Value, json};

use super::{
    answer::{ErrorKind, Finish},
    dialect::Ask,
    event::Event,
    reply::Reply,
};

pub(super) fn whole(ask: &Ask, reply: &Reply, text: &str) -> Value {
    let content = match &reply.tool {
        None => json!({"type": "text", "text": text}),
        Some(tool) => json!({
            "type": "tool_use", "id": "toolu_mock", "name": tool.name, "input": tool.arguments,
        }),
    };
    json!({
        "id": "msg_mock", "type": "message", "role": "assistant", "model": ask.model,
        "content": [content], "stop_reason": finish(reply.finish), "stop_sequence": null,
        "usage": {
            "input_tokens": ask.prompt.tokens, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens": reply.tokens.len(),
        },
    })
}

/// One content block between the events that frame a message.
pub(super) fn events(ask: &Ask, reply: &Reply) -> Vec<Event> {
    let block = match &reply.tool {
        None => json!({"type": "text", "text": ""}),
        Some(tool) => {
            json!({"type": "tool_use", "id": "toolu_mock", "name": tool.name, "input": {}})
        }
    };
    let mut out = vec![
        Event::new(
            "message_start",
            json!({"type": "message_start", "message": {
                "id": "msg_mock", "type": "message", "role": "assistant", "model": ask.model, "content": [],
                "stop_reason": null, "stop_sequence": null,
                "usage": {"input_tokens": ask.prompt.tokens, "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0, "output_tokens": 1},
            }}),
        ),
        Event::new(
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
        ),
        Event::new("ping", json!({"type": "ping"})),
    ];
    out.extend(reply.tokens.iter().map(|token| {
        let delta = match &reply.tool {
            None => json!({"type": "text_delta", "text": token}),
            Some(_) => json!({"type": "input_json_delta", "partial_json": token}),
        };
        let value = json!({"type": "content_block_delta", "index": 0, "delta": delta});
        Event::token("content_block_delta", value)
    }));
    out.extend([
        Event::new(
            "content_block_stop",
            json!({"type": "content_block_stop", "index": 0}),
        ),
        Event::new(
            "message_delta",
            json!({
                "type": "message_delta",
                "delta": {"stop_reason": finish(reply.finish), "stop_sequence": null},
                "usage": {"output_tokens": reply.tokens.len()},
            }),
        ),
        Event::finish("message_stop", json!({"type": "message_stop"})),
    ]);
    out
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ContentFilter => "refusal",
        Finish::ToolCalls => "tool_use",
    }
}

/// The error body.
pub(super) fn error(kind: ErrorKind) -> Value {
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
        ErrorKind::ContentFilter => (
            "invalid_request_error",
            "Output blocked by content filtering policy",
        ),
        ErrorKind::Permission => (
            "permission_error",
            "Your API key does not have permission to use the specified resource.",
        ),
        ErrorKind::Timeout => ("timeout_error", "Request timed out"),
        ErrorKind::TooLarge => (
            "request_too_large",
            "Request exceeds the maximum allowed number of bytes.",
        ),
        ErrorKind::Conflict => ("conflict_error", "Resource was modified concurrently."),
        ErrorKind::RampLimit => (
            "rate_limit_error",
            "Your organization's usage is growing too fast.",
        ),
        ErrorKind::QuotaWindow => (
            "rate_limit_error",
            "Your organization reached its monthly spend limit.",
        ),
        ErrorKind::RequestExceedsLimit => (
            "rate_limit_error",
            "Request too large: Limit 30000, Requested 48211.",
        ),
    };
    let mut error = json!({"type": r#type, "message": message});
    match kind {
        ErrorKind::RampLimit => error["details"] = json!({"error_code": "ramp_limit_exceeded"}),
        ErrorKind::QuotaWindow => {
            error["details"] = json!({"error_code": "enforced_spend_limit_reached"});
        }
        _ => {}
    }
    json!({"type": "error", "error": error, "request_id": "req_mock"})
}
