//! AWS Bedrock `Converse`.

use serde_json::{Value, json};

use super::{
    answer::{ErrorKind, Finish},
    dialect::Ask,
    event::Event,
    reply::Reply,
};

pub(super) fn whole(ask: &Ask, reply: &Reply, text: &str) -> Value {
    let content = match &reply.tool {
        None => json!({"text": text}),
        Some(tool) => json!({"toolUse": {
            "toolUseId": "tooluse_mock", "name": tool.name, "input": tool.arguments,
        }}),
    };
    json!({
        "output": {"message": {"role": "assistant", "content": [content]}},
        "stopReason": finish(reply.finish),
        "usage": usage(ask, reply.tokens.len()),
        "metrics": {"latencyMs": 1},
    })
}

/// Text blocks begin without a start event; usage comes after `messageStop`.
pub(super) fn events(ask: &Ask, reply: &Reply) -> Vec<Event> {
    let mut out = vec![Event::new("messageStart", json!({"role": "assistant"}))];
    if let Some(tool) = &reply.tool {
        let start = json!({"toolUse": {"toolUseId": "tooluse_mock", "name": tool.name}});
        let start = json!({"contentBlockIndex": 0, "start": start});
        out.push(Event::new("contentBlockStart", start));
    }
    out.extend(reply.tokens.iter().map(|token| {
        let delta = match &reply.tool {
            None => json!({"text": token}),
            Some(_) => json!({"toolUse": {"input": token}}),
        };
        let value = json!({"contentBlockIndex": 0, "delta": delta});
        Event::token("contentBlockDelta", value)
    }));
    out.extend([
        Event::new("contentBlockStop", json!({"contentBlockIndex": 0})),
        Event::finish("messageStop", json!({"stopReason": finish(reply.finish)})),
        Event::new(
            "metadata",
            json!({"usage": usage(ask, reply.tokens.len()), "metrics": {"latencyMs": 1}}),
        ),
    ]);
    out
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ContentFilter => "content_filtered",
        Finish::ToolCalls => "tool_use",
    }
}

fn usage(ask: &Ask, tokens: usize) -> Value {
    json!({
        "inputTokens": ask.prompt.tokens,
        "outputTokens": tokens,
        "totalTokens": ask.prompt.tokens + tokens,
    })
}

/// Name and message.
pub(super) fn error_parts(kind: ErrorKind) -> (&'static str, &'static str) {
    const THROTTLING: &str = "ThrottlingException";
    const VALIDATION: &str = "ValidationException";
    match kind {
        ErrorKind::RateLimit => (
            THROTTLING,
            "Too many requests, please wait before trying again.",
        ),
        ErrorKind::RampLimit => (
            THROTTLING,
            "Your request rate is too high, please slow down.",
        ),
        ErrorKind::QuotaWindow => (
            THROTTLING,
            "Too many tokens per day, please wait before trying again.",
        ),
        ErrorKind::RequestExceedsLimit => (
            THROTTLING,
            "Request too large: Limit 30000, Requested 48211.",
        ),
        ErrorKind::InsufficientQuota => (
            "ServiceQuotaExceededException",
            "Your request exceeds the service quota for your account.",
        ),
        ErrorKind::Overloaded => (
            "ServiceUnavailableException",
            "The service isn't currently available.",
        ),
        ErrorKind::ContextLength => (VALIDATION, "Input is too long for requested model."),
        ErrorKind::ContentFilter => (VALIDATION, "The input was blocked by the content filter."),
        ErrorKind::InvalidRequest => (VALIDATION, "Malformed input request."),
        ErrorKind::TooLarge => (VALIDATION, "The request body is too large."),
        ErrorKind::Auth => (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        ErrorKind::Permission => (
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
        ),
        ErrorKind::NotFound => ("ResourceNotFoundException", "The model is not found."),
        ErrorKind::Conflict => (
            "ConflictException",
            "The resource was modified concurrently.",
        ),
        ErrorKind::Timeout => ("ModelTimeoutException", "The model timed out."),
        ErrorKind::ServerError => (
            "InternalServerException",
            "The server had an error while processing your request.",
        ),
    }
}

/// The name of the exception in a stream, which knows fewer.
pub(super) fn event_name(kind: ErrorKind) -> &'static str {
    match error_parts(kind).0 {
        "ThrottlingException" | "ServiceQuotaExceededException" => "throttlingException",
        "ServiceUnavailableException" => "serviceUnavailableException",
        "InternalServerException" => "internalServerException",
        "ModelTimeoutException" => "modelTimeoutException",
        _ => "validationException",
    }
}
