//! OpenAI responses.

use serde_json::{Value, json};

use super::{
    answer::Finish,
    dialect::Ask,
    event::{Event, Mark},
    reply::{CREATED, Reply},
};

pub(super) fn whole(ask: &Ask, reply: &Reply, text: &str) -> Value {
    response(ask, Some((reply, text)))
}

/// The events of one output item: a message's text or a function's arguments.
pub(super) fn events(ask: &Ask, reply: &Reply) -> Vec<Event> {
    let text = reply.text();
    let begun = response(ask, None);
    let mut out = vec![
        typed("response.created", json!({"response": begun})),
        typed("response.in_progress", json!({"response": begun})),
        typed(
            "response.output_item.added",
            json!({"output_index": 0, "item": item(reply, "in_progress", "")}),
        ),
    ];
    if reply.tool.is_some() {
        arguments(reply, &text, &mut out);
    } else {
        message(reply, &text, &mut out);
    }
    out.push(typed(
        "response.output_item.done",
        json!({"output_index": 0, "item": item(reply, status(reply), &text)}),
    ));
    let last = match status(reply) {
        "completed" => "response.completed",
        _ => "response.incomplete",
    };
    let mut last = typed(
        last,
        json!({"response": response(ask, Some((reply, &text)))}),
    );
    last.mark = Mark::Finish;
    out.push(last);
    out
}

fn message(reply: &Reply, text: &str, out: &mut Vec<Event>) {
    let at = |kind, key: &str, value: Value| {
        let mut event = json!({"item_id": "item_mock", "output_index": 0, "content_index": 0});
        event[key] = value;
        if key != "part" {
            event["logprobs"] = json!([]);
        }
        typed(kind, event)
    };
    out.push(at("response.content_part.added", "part", part("")));
    for token in &reply.tokens {
        let mut delta = at("response.output_text.delta", "delta", json!(token));
        delta.tokens = 1;
        out.push(delta);
    }
    out.push(at("response.output_text.done", "text", json!(text)));
    out.push(at("response.content_part.done", "part", part(text)));
}

fn arguments(reply: &Reply, text: &str, out: &mut Vec<Event>) {
    let name = reply.tool.as_ref().map(|tool| &tool.name);
    for token in &reply.tokens {
        let mut delta = typed(
            "response.function_call_arguments.delta",
            json!({"item_id": "item_mock", "output_index": 0, "delta": token}),
        );
        delta.tokens = 1;
        out.push(delta);
    }
    out.push(typed(
        "response.function_call_arguments.done",
        json!({"item_id": "item_mock", "output_index": 0, "name": name, "arguments": text}),
    ));
}

fn typed(kind: &'static str, mut value: Value) -> Event {
    value["type"] = kind.into();
    Event::new(kind, value)
}

/// The response object: begun, or complete with its reply.
fn response(ask: &Ask, reply: Option<(&Reply, &str)>) -> Value {
    let (state, output, usage) = match reply {
        None => ("in_progress", json!([]), Value::Null),
        Some((reply, text)) => (
            status(reply),
            json!([item(reply, status(reply), text)]),
            usage(ask, reply.tokens.len()),
        ),
    };
    let reason = reply.and_then(|(reply, _)| match reply.finish {
        Finish::Length => Some(json!({"reason": "max_output_tokens"})),
        Finish::ContentFilter => Some(json!({"reason": "content_filter"})),
        Finish::Stop | Finish::ToolCalls => None,
    });
    json!({
        "id": "resp_mock", "object": "response", "created_at": CREATED, "status": state,
        "model": ask.model, "error": null, "incomplete_details": reason, "instructions": null,
        "metadata": {}, "output": output, "parallel_tool_calls": true, "temperature": 1.0,
        "tool_choice": "auto", "tools": [], "top_p": 1.0, "usage": usage,
    })
}

fn usage(ask: &Ask, tokens: usize) -> Value {
    json!({
        "input_tokens": ask.prompt.tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": ask.prompt.tokens + tokens,
    })
}

fn status(reply: &Reply) -> &'static str {
    match reply.finish {
        Finish::Stop | Finish::ToolCalls => "completed",
        Finish::Length | Finish::ContentFilter => "incomplete",
    }
}

/// The one output item of a response.
fn item(reply: &Reply, status: &str, text: &str) -> Value {
    let begun = status == "in_progress";
    if let Some(tool) = &reply.tool {
        return json!({
            "id": "item_mock", "type": "function_call", "status": status, "call_id": "call_mock",
            "name": tool.name, "arguments": if begun { String::new() } else { reply.text() },
        });
    }
    let content = if begun {
        json!([])
    } else {
        json!([part(text)])
    };
    json!({"id": "item_mock", "type": "message", "status": status, "role": "assistant", "content": content})
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}
