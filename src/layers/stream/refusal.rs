//! An error event that came before any content, as the response that it should have been.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
    response,
};
use serde_json::{Value, json};

use crate::{
    classify::{Class, Outcome, Signal},
    llm::{
        Dialect,
        fault::Fault,
        status::{KeyOwner, client_status},
    },
};

/// The response.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) class: Class,
    /// The name of an AWS exception, which its SDKs look for in a header.
    exception: Option<HeaderValue>,
}

const AWS_ERROR: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The response to a stream that was refused with `event`, of this class.
pub(super) fn of(dialect: Dialect, event: &Value, mut class: Class) -> Refusal {
    let mut status = client_status(&class, Some(dialect), KeyOwner::Gateway);
    // Some meanings leave the status as it was received; here that is the 200 that said nothing.
    if !status.is_client_error() && !status.is_server_error() {
        status = match class.inner {
            Some(Outcome::ContentFilter) => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        };
    }
    class.signal = Signal::Response {
        status,
        grpc_status: None,
        ratelimited: false,
    };
    Refusal {
        status,
        body: Bytes::from(body(dialect, event).to_string()),
        class,
        exception: Fault::read(event)
            .aws
            .and_then(|name| HeaderValue::from_str(name).ok()),
    }
}

// === impl Refusal ===

impl Refusal {
    /// Makes a stream's head its own.
    pub(super) fn dress(&self, head: &mut response::Parts) {
        head.status = self.status;
        for of_body in [CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
            head.headers.remove(of_body);
        }
        let json = HeaderValue::from_static("application/json");
        head.headers.insert(CONTENT_TYPE, json);
        if let Some(name) = &self.exception {
            head.headers.insert(AWS_ERROR, name.clone());
        }
    }
}

// === free functions ===

/// The error in the shape of the dialect's error bodies. The provider's words and code stay.
fn body(dialect: Dialect, event: &Value) -> Value {
    let fault = Fault::read(event);
    let message = match fault.message {
        "" => "the stream was refused",
        message => message,
    };
    let error = match inner(event) {
        Value::Object(error) if error.contains_key("message") => Value::Object(error.clone()),
        _ => json!({"message": message, "type": fault.kind, "code": fault.code}),
    };
    let mut body = match dialect {
        Dialect::Anthropic => return json!({"type": "error", "error": error}),
        Dialect::Bedrock | Dialect::Cohere => json!({"message": message}),
        Dialect::Ollama => json!({"error": message}),
        Dialect::Tgi => json!({"error": message, "error_type": fault.error_type}),
        _ => return json!({"error": error}),
    };
    for key in ["__type", "code"] {
        if let Some(word) = error.get(key).filter(|word| !word.is_null()) {
            body[key] = word.clone();
        }
    }
    body
}

/// The error itself, wherever it stands in the event.
fn inner(event: &Value) -> &Value {
    let event = event.get(0).unwrap_or(event);
    [
        "/error",
        "/errors/0",
        "/response/error",
        "/choices/0/error",
        "/x_groq/error",
    ]
    .iter()
    .find_map(|place| event.pointer(place).filter(|found| !found.is_null()))
    .unwrap_or(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;

    fn class(inner: Outcome) -> Class {
        let mut class = Class::new(Outcome::StreamError, Signal::Error(Kind::StreamError));
        class.signal = Signal::Response {
            status: StatusCode::OK,
            grpc_status: None,
            ratelimited: false,
        };
        class.inner = Some(inner);
        class
    }

    #[test]
    fn the_status_is_that_of_the_meaning() {
        for (dialect, inner, status) in [
            (Dialect::OpenAi, Outcome::RateLimited, 429),
            (Dialect::OpenAi, Outcome::Overloaded, 503),
            (Dialect::Anthropic, Outcome::Overloaded, 529),
            (Dialect::Anthropic, Outcome::Auth, 502),
            (Dialect::OpenAi, Outcome::ContentFilter, 400),
            (Dialect::OpenAi, Outcome::ContextLength, 400),
            (Dialect::OpenAi, Outcome::OutputInvalid, 400),
            (Dialect::OpenAi, Outcome::ServerError, 502),
        ] {
            let refusal = of(dialect, &json!({}), class(inner));
            assert_eq!(refusal.status, status, "{dialect:?} {inner:?}");
            let Signal::Response { status: seen, .. } = refusal.class.signal else {
                panic!("{:?}", refusal.class)
            };
            assert_eq!(seen, status);
        }
    }

    #[test]
    fn the_body_is_the_dialects() {
        let error = json!({"message": "m", "type": "t"});
        for (dialect, event, expected) in [
            (
                Dialect::OpenAi,
                json!({"error": error}),
                json!({"error": error}),
            ),
            (
                Dialect::OpenAiResponses,
                json!({"type": "response.failed", "response": {"error": error}}),
                json!({"error": error}),
            ),
            (
                Dialect::OpenAiResponses,
                json!({"type": "error", "message": "m", "code": "c"}),
                json!({"error": {"type": "error", "message": "m", "code": "c"}}),
            ),
            (
                Dialect::Anthropic,
                json!({"type": "error", "error": error}),
                json!({"type": "error", "error": error}),
            ),
            (
                Dialect::Gemini,
                json!([{"error": error}]),
                json!({"error": error}),
            ),
            (
                Dialect::Ollama,
                json!({"error": "m"}),
                json!({"error": "m"}),
            ),
            (
                Dialect::Bedrock,
                json!({"message": "m", "__type": "ThrottlingException", "p": "x"}),
                json!({"message": "m", "__type": "ThrottlingException"}),
            ),
            (
                Dialect::Cohere,
                json!({"error": {"message": "m", "code": "timeout"}}),
                json!({"message": "m", "code": "timeout"}),
            ),
            (
                Dialect::OpenAi,
                json!({"code": "DataInspectionFailed", "message": "m", "request_id": "r"}),
                json!({"error": {"code": "DataInspectionFailed", "message": "m", "request_id": "r"}}),
            ),
            (
                Dialect::OpenAi,
                json!({"errors": [{"code": "c", "message": "m"}]}),
                json!({"error": {"code": "c", "message": "m"}}),
            ),
            (
                Dialect::Tgi,
                json!({"error": "m", "error_type": "generation"}),
                json!({"error": "m", "error_type": "generation"}),
            ),
        ] {
            assert_eq!(body(dialect, &event), expected, "{dialect:?}");
        }
        let nothing = body(Dialect::OpenAi, &Value::Null);
        assert!(nothing["error"]["message"].is_string(), "{nothing}");
    }
}
