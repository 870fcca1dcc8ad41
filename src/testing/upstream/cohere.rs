//! Cohere's second chat API.

use serde_json::{Value, json};

use super::{answer::Finish, dialect::Ask, event::Event, reply::Reply};

pub(super) fn whole(ask: &Ask, reply: &Reply, text: &str) -> Value {
    let message = match &reply.tool {
        None => json!({"role": "assistant", "content": [{"type": "text", "text": text}]}),
        Some(tool) => {
            json!({"role": "assistant", "tool_plan": "", "tool_calls": [call(&tool.name, &reply.text())]})
        }
    };
    json!({
        "id": "mock", "finish_reason": finish(reply.finish), "message": message,
        "usage": usage(ask, reply.tokens.len()),
    })
}

/// One content block or one tool call between the events that frame a message.
pub(super) fn events(ask: &Ask, reply: &Reply) -> Vec<Event> {
    let start = json!({"type": "message-start", "id": "mock", "delta": {"message": {
        "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": [],
    }}});
    let mut out = vec![Event::new("message-start", start)];
    let at = |kind: &'static str, message: Value| {
        Event::new(
            kind,
            json!({"type": kind, "index": 0, "delta": {"message": message}}),
        )
    };
    let end = |kind: &'static str| Event::new(kind, json!({"type": kind, "index": 0}));
    let token = |event: Event| Event { tokens: 1, ..event };
    let tokens = reply.tokens.iter();
    if let Some(tool) = &reply.tool {
        out.push(at(
            "tool-call-start",
            json!({"tool_calls": call(&tool.name, "")}),
        ));
        out.extend(tokens.map(|text| {
            token(at(
                "tool-call-delta",
                json!({"tool_calls": {"function": {"arguments": text}}}),
            ))
        }));
        out.push(end("tool-call-end"));
    } else {
        out.push(at(
            "content-start",
            json!({"content": {"type": "text", "text": ""}}),
        ));
        out.extend(
            tokens.map(|text| token(at("content-delta", json!({"content": {"text": text}})))),
        );
        out.push(end("content-end"));
    }
    out.push(Event::finish(
        "message-end",
        json!({"type": "message-end", "id": "mock", "delta": {
            "finish_reason": finish(reply.finish), "usage": usage(ask, reply.tokens.len()),
        }}),
    ));
    out
}

fn call(name: &str, arguments: &str) -> Value {
    json!({"id": "call_mock", "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "COMPLETE",
        Finish::Length => "MAX_TOKENS",
        // It has no reason of its own for a filter.
        Finish::ContentFilter => "ERROR",
        Finish::ToolCalls => "TOOL_CALL",
    }
}

fn usage(ask: &Ask, tokens: usize) -> Value {
    let counts = json!({"input_tokens": ask.prompt.tokens, "output_tokens": tokens});
    json!({"billed_units": counts, "tokens": counts})
}
