//! Cohere v2 chat, and v1, whose events are lines of JSON.

use serde_json::{Value, json};

use super::{
    Fault,
    event::{Said, any, some, text, usage_in},
};
use crate::classify::Outcome;

pub(super) fn read<'a>(name: &'a str, event: &'a Value) -> Said<'a> {
    let mut said = Said::default();
    let kind = text(event, "type").or_else(|| text(event, "event_type"));
    let delta = event.get("delta");
    let message = delta.and_then(|delta| delta.get("message"));
    match kind.unwrap_or(name) {
        "content-start" | "content-delta" => {
            let content = message.and_then(|message| message.get("content"));
            said.content = any(content, &["text"]);
            said.reasoning = any(content, &["thinking"]);
        }
        "tool-plan-delta" => said.content = any(message, &["tool_plan"]),
        "tool-call-start" | "tool-call-delta" => said.content = any(message, &["tool_calls"]),
        "message-end" => {
            said.usage = delta.and_then(usage_in);
            end(&mut said, delta);
        }
        "text-generation" => said.content = some(event.get("text")),
        "stream-end" => {
            said.usage = event
                .get("response")
                .and_then(|r| usage_in(&json!({"usage": r.get("meta")?})));
            end(&mut said, Some(event));
        }
        _ => {}
    }
    said
}

fn end(said: &mut Said<'_>, place: Option<&Value>) {
    let code = match place.and_then(|place| text(place, "finish_reason")) {
        Some("ERROR") => "",
        Some("TIMEOUT") => "timeout",
        Some("ERROR_TOXIC") => return said.finish(Outcome::ContentFilter),
        _ => return said.finish(Outcome::Success),
    };
    let message = place
        .and_then(|place| text(place, "error"))
        .unwrap_or_default();
    said.fault = Some(Fault::Error(
        json!({"error": {"message": message, "code": code}}),
    ));
}
