//! Errors in the caller's dialect: as a body, and as an event in a stream that has begun.
//!
//! An SDK knows its own API's errors; anything else it shows as a parse error or, in a stream, as nothing at all. So an error
//! that is made here has the shape and the words of the API that was called. It says what happened in fixed words: nothing
//! of a prompt, a key, or of what the upstream is.
//!
//! | dialect | body | in a stream |
//! |---|---|---|
//! | OpenAI chat | `{"error":{message,type,param,code}}` | the same as `data:`; no `[DONE]` |
//! | OpenAI Responses | the same | `event: error`, the fields at the top and under `error` |
//! | Anthropic | `{"type":"error","error":{type,message}}` | `event: error`, the same |
//! | Gemini | `{"error":{code,message,status}}` | the same as `data:`, or as the array's last element |
//! | Bedrock | `{"__type","message"}`, with [`exception`] as `x-amzn-errortype` | an exception frame |
//! | Cohere | `{"message"}` | `message-end` with `ERROR`; v1: `stream-end` |
//! | Ollama | `{"error"}` | the same as a line |
//! | TGI | `{"error","error_type"}` | the same as `data:` |

mod frame;
mod place;
mod words;

use ::http::StatusCode;
use bytes::Bytes;
use serde_json::{Value, json};

pub use self::place::Place;
use self::words::{sentence, words};
use crate::{
    base::Kind,
    classify::{Class, Outcome, Signal},
    llm::{
        Dialect,
        status::{KeyOwner, client_status},
        stream::Framing,
    },
};

/// The status of an answer that is made for an outcome. 529 is for Anthropic's callers only.
#[must_use]
pub fn status(outcome: Outcome, dialect: Dialect) -> StatusCode {
    let class = Class::new(outcome, Signal::Error(Kind::Internal));
    match outcome {
        // Those whose status is the upstream's, of which there is none.
        Outcome::Success | Outcome::OutputInvalid => StatusCode::BAD_GATEWAY,
        Outcome::QuotaExhausted => StatusCode::TOO_MANY_REQUESTS,
        _ => client_status(&class, Some(dialect), KeyOwner::Gateway),
    }
}

/// An error body. A refused key is called one only under a 4xx: under a 5xx it was not the caller's.
#[must_use]
pub fn body(dialect: Dialect, outcome: Outcome, status: StatusCode, message: &str) -> Bytes {
    value(dialect, outcome, status, message).to_string().into()
}

/// What happened, in a fixed sentence for people. As in [`body`], a key that is not the caller's is not spoken of.
#[must_use]
pub fn message(outcome: Outcome, status: StatusCode) -> &'static str {
    sentence(outcome, status)
}

/// The name of a Bedrock exception, which SDKs read in `x-amzn-errortype`.
#[must_use]
pub fn exception(outcome: Outcome, status: StatusCode) -> String {
    format!("{}Exception", words(outcome, status).bedrock)
}

/// The error event of a stream between two events. In an array it is an element; see [`Place`] for what stands round it.
#[must_use]
pub fn event(
    dialect: Dialect,
    framing: Framing,
    outcome: Outcome,
    status: StatusCode,
    message: &str,
) -> Bytes {
    let plain = || value(dialect, outcome, status, message);
    match (framing, dialect) {
        (Framing::EventStream, _) => {
            let mut name = exception(outcome, status);
            // Event streams have them in lower camel case.
            name.get_mut(..1).map(str::make_ascii_lowercase);
            frame::exception(&name, &json!({"message": message}).to_string())
        }
        (Framing::JsonArray, _) => plain().to_string().into(),
        (Framing::NdJson, Dialect::Cohere) => {
            let end =
                json!({"is_finished": true, "event_type": "stream-end", "finish_reason": "ERROR"});
            format!("{end}\n").into()
        }
        (Framing::NdJson, _) => format!("{}\n", plain()).into(),
        (Framing::Sse, Dialect::OpenAiResponses) => {
            let words = words(outcome, status);
            let error = json!({"type": words.openai, "code": words.code, "message": message, "param": null});
            let event = json!({
                "type": "error", "code": words.code.unwrap_or(words.openai), "message": message, "param": null,
                "error": error,
            });
            sse("error", &event)
        }
        (Framing::Sse, Dialect::Anthropic) => sse("error", &plain()),
        (Framing::Sse, Dialect::Cohere) => {
            let delta = json!({"finish_reason": "ERROR", "error": message});
            sse(
                "message-end",
                &json!({"type": "message-end", "delta": delta}),
            )
        }
        (Framing::Sse, _) => format!("data: {}\n\n", plain()).into(),
    }
}

fn sse(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

fn value(dialect: Dialect, outcome: Outcome, status: StatusCode, message: &str) -> Value {
    let words = words(outcome, status);
    match dialect {
        Dialect::OpenAi | Dialect::OpenAiResponses => json!({
            "error": {"message": message, "type": words.openai, "param": null, "code": words.code}
        }),
        Dialect::Anthropic => json!({
            "type": "error", "error": {"type": words.anthropic, "message": message}
        }),
        Dialect::Gemini => json!({
            "error": {"code": status.as_u16(), "message": message, "status": words.google}
        }),
        Dialect::Bedrock => json!({"__type": exception(outcome, status), "message": message}),
        Dialect::Cohere => json!({"message": message}),
        Dialect::Ollama => json!({"error": message}),
        Dialect::Tgi => json!({"error": message, "error_type": words.tgi}),
    }
}

#[cfg(test)]
mod tests;
