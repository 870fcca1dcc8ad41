//! OpenAI Responses.

use serde_json::{Value, json};

use super::{
    Fault,
    event::{Said, kind, some, text, usage_in},
};
use crate::classify::Outcome;

pub(super) fn read<'a>(name: &'a str, event: &'a Value) -> Said<'a> {
    let mut said = Said::default();
    let response = event
        .get("response")
        .filter(|response| response.is_object());
    if let Some(response) = response {
        said.usage = usage_in(response);
        said.model = text(response, "model");
    }
    match kind(name, event) {
        "response.failed" => said.fault = Some(failed(response)),
        "response.completed" | "response.done" => {
            match response.and_then(|response| text(response, "status")) {
                Some("failed") => said.fault = Some(failed(response)),
                _ => said.finish(Outcome::Success),
            }
        }
        "response.cancelled" => said.finish(Outcome::Success),
        "response.incomplete" => {
            let reason = response.and_then(|response| {
                let details = response.get("incomplete_details")?;
                text(details, "reason")
            });
            said.finish(match reason {
                Some("content_filter") => Outcome::ContentFilter,
                _ => Outcome::Success,
            });
        }
        "response.output_item.done" => {
            let item = event.get("item");
            said.reasoning = item.and_then(|item| text(item, "type")) == Some("reasoning");
            said.content = !said.reasoning && some(item);
        }
        "response.image_generation_call.partial_image" => {
            said.content = some(event.get("partial_image_b64"));
        }
        kind if kind.ends_with(".delta") => {
            let delta = some(event.get("delta"));
            said.reasoning = delta && kind.starts_with("response.reasoning");
            said.content = delta && !said.reasoning;
        }
        _ => {}
    }
    said
}

fn failed(response: Option<&Value>) -> Fault {
    let error = response.and_then(|response| response.get("error"));
    Fault::Error(json!({ "error": error }))
}
