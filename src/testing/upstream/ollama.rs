//! Ollama's native chat.

use serde_json::{Value, json};

use super::{answer::Finish, dialect::Ask, event::Event, reply::Reply};

pub(super) fn whole(ask: &Ask, reply: &Reply, text: &str) -> Value {
    let message = match &reply.tool {
        None => message(text),
        Some(_) => call(reply),
    };
    done(ask, reply, &message)
}

/// One line a token, or one with the whole call, then the line with the counts.
pub(super) fn events(ask: &Ask, reply: &Reply) -> Vec<Event> {
    let mut out = Vec::new();
    match &reply.tool {
        None => out.extend(
            reply
                .tokens
                .iter()
                .map(|token| Event::token("", line(ask, &message(token)))),
        ),
        Some(_) => out.push(Event {
            tokens: reply.tokens.len(),
            ..Event::new("", line(ask, &call(reply)))
        }),
    }
    out.push(Event::finish("", done(ask, reply, &message(""))));
    out
}

fn line(ask: &Ask, message: &Value) -> Value {
    json!({
        "model": ask.model, "created_at": "2026-11-22T10:00:00Z", "message": message, "done": false,
    })
}

fn done(ask: &Ask, reply: &Reply, message: &Value) -> Value {
    let mut line = line(ask, message);
    line["done"] = true.into();
    line["done_reason"] = match reply.finish {
        Finish::Length => "length".into(),
        _ => "stop".into(),
    };
    line["prompt_eval_count"] = ask.prompt.tokens.into();
    line["eval_count"] = reply.tokens.len().into();
    line
}

fn message(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

fn call(reply: &Reply) -> Value {
    let calls = reply.tool.iter();
    let calls: Vec<_> = calls
        .map(|tool| json!({"function": {"name": tool.name, "arguments": tool.arguments}}))
        .collect();
    json!({"role": "assistant", "content": "", "tool_calls": calls})
}
