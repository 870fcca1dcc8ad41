use ::http::{Extensions, HeaderMap, Method, Response, Uri};

use super::*;
use crate::{
    classify::{Classifier, MakeClassifier},
    llm::{
        DialectMode, LlmClassifier,
        stream::{End, Reader},
    },
};

const ALL: [Dialect; 8] = [
    Dialect::OpenAi,
    Dialect::OpenAiResponses,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Bedrock,
    Dialect::Cohere,
    Dialect::Ollama,
    Dialect::Tgi,
];
const OVERLOADED: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn bodies_have_the_shape_and_words_of_their_api() {
    let of = |dialect, outcome| {
        let body = body(dialect, outcome, status(outcome, dialect), "why");
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let openai = |kind: &str, code: Option<&str>| json!({"error": {"message": "why", "type": kind, "param": null, "code": code}});
    let anthropic =
        |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "why"}});
    for (dialect, outcome, expected) in [
        (
            Dialect::OpenAi,
            Outcome::RateLimited,
            openai("rate_limit_error", Some("rate_limit_exceeded")),
        ),
        (
            Dialect::OpenAiResponses,
            Outcome::InvalidRequest,
            openai("invalid_request_error", None),
        ),
        (
            Dialect::OpenAi,
            Outcome::QuotaExhausted,
            openai("insufficient_quota", Some("insufficient_quota")),
        ),
        (
            Dialect::Anthropic,
            Outcome::Overloaded,
            anthropic("overloaded_error"),
        ),
        (
            Dialect::Anthropic,
            Outcome::TooLarge,
            anthropic("request_too_large"),
        ),
        (
            Dialect::Gemini,
            Outcome::RateLimited,
            json!({"error": {"code": 429, "message": "why", "status": "RESOURCE_EXHAUSTED"}}),
        ),
        (
            Dialect::Gemini,
            Outcome::Timeout,
            json!({"error": {"code": 504, "message": "why", "status": "DEADLINE_EXCEEDED"}}),
        ),
        (
            Dialect::Bedrock,
            Outcome::RateLimited,
            json!({"__type": "ThrottlingException", "message": "why"}),
        ),
        (
            Dialect::Cohere,
            Outcome::Overloaded,
            json!({"message": "why"}),
        ),
        (
            Dialect::Ollama,
            Outcome::Overloaded,
            json!({"error": "why"}),
        ),
        (
            Dialect::Tgi,
            Outcome::ContextLength,
            json!({"error": "why", "error_type": "validation"}),
        ),
    ] {
        assert_eq!(of(dialect, outcome), expected);
    }
}

#[test]
fn statuses_are_those_of_the_table() {
    for (outcome, expected) in [
        (Outcome::RateLimited, 429),
        (Outcome::RampLimited, 429),
        (Outcome::QuotaExhausted, 429),
        (Outcome::QuotaWindow, 429),
        (Outcome::RequestExceedsLimit, 429),
        (Outcome::ContextLength, 400),
        (Outcome::ContentFilter, 400),
        (Outcome::InvalidRequest, 400),
        (Outcome::TooLarge, 413),
        (Outcome::Auth, 502),
        (Outcome::Permission, 502),
        (Outcome::NotFound, 404),
        (Outcome::Conflict, 409),
        (Outcome::Timeout, 504),
        (Outcome::FirstTokenTimeout, 504),
        (Outcome::ServerError, 502),
        (Outcome::ModelNotReady, 503),
        (Outcome::OutputInvalid, 502),
        (Outcome::Cancelled, 499),
        (Outcome::Connect, 502),
        (Outcome::Reset, 502),
        (Outcome::StreamTruncated, 502),
    ] {
        for dialect in ALL {
            assert_eq!(status(outcome, dialect), expected, "{outcome:?}");
        }
    }
    for dialect in ALL {
        let expected = if dialect == Dialect::Anthropic {
            529
        } else {
            503
        };
        assert_eq!(status(Outcome::Overloaded, dialect), expected);
    }
}

/// A mesh behind this one understands what this one says, as far as the dialect has a word for it.
#[test]
fn what_is_said_is_understood() {
    use Dialect::{Anthropic, Bedrock, Gemini, OpenAi};
    let uris = [
        (OpenAi, "/v1/chat/completions"),
        (Anthropic, "/v1/messages"),
        (Gemini, "/v1beta/models/m:generateContent"),
        (Bedrock, "/model/m/converse"),
    ];
    for (outcome, known) in [
        (Outcome::RateLimited, &ALL[..]),
        (Outcome::RampLimited, &[OpenAi]),
        (Outcome::Overloaded, &ALL),
        (Outcome::QuotaExhausted, &[OpenAi, Anthropic]),
        (Outcome::ContextLength, &[OpenAi]),
        (Outcome::ContentFilter, &[OpenAi]),
        (Outcome::InvalidRequest, &ALL),
        (Outcome::TooLarge, &[OpenAi, Anthropic]),
        (Outcome::NotFound, &ALL),
        (Outcome::Conflict, &ALL),
        (Outcome::Timeout, &ALL),
        (Outcome::ServerError, &ALL),
        (Outcome::ModelNotReady, &[Bedrock]),
    ] {
        for (dialect, uri) in uris.iter().filter(|(dialect, _)| known.contains(dialect)) {
            let said = said(*dialect, outcome, uri);
            assert_eq!(said, outcome, "{dialect:?}");
        }
    }
}

/// What a classifier makes of our own answer.
fn said(dialect: Dialect, outcome: Outcome, uri: &'static str) -> Outcome {
    let status = status(outcome, dialect);
    let uri = Uri::from_static(uri);
    let maker = LlmClassifier::new(DialectMode::Auto);
    let mut classifier =
        maker.classifier(&Method::POST, &uri, &HeaderMap::new(), &Extensions::new());
    let mut head = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    if dialect == Dialect::Bedrock {
        head = head.header("x-amzn-errortype", exception(outcome, status));
    }
    let (head, ()) = head.body(()).unwrap().into_parts();
    classifier.head(&head, crate::base::time::wall_now());
    classifier.frame(&body(dialect, outcome, status, "why"));
    classifier.end(None).outcome
}

#[test]
fn a_key_of_ours_is_never_called_the_callers() {
    for dialect in ALL {
        for outcome in [Outcome::Auth, Outcome::Permission] {
            let of = |outcome| body(dialect, outcome, StatusCode::BAD_GATEWAY, "why");
            assert_eq!(of(outcome), of(Outcome::ServerError));
        }
    }
}

#[test]
fn a_message_is_escaped() {
    for dialect in ALL {
        let body = body(
            dialect,
            Outcome::ServerError,
            StatusCode::BAD_GATEWAY,
            "a\"\n\r\u{0}b",
        );
        assert!(serde_json::from_slice::<Value>(&body).is_ok());
        assert!(
            !body.contains(&b'\n') && !body.contains(&b'\r'),
            "it is one line"
        );
    }
}

fn error(dialect: Dialect, framing: Framing, passed: &str) -> Option<String> {
    let (mut place, mut whole) = (Place::new(framing), Place::new(framing));
    for byte in passed.as_bytes() {
        place.pass(&[*byte]);
    }
    whole.pass(passed.as_bytes());
    let (outcome, status) = (Outcome::StreamTruncated, StatusCode::BAD_GATEWAY);
    let event = place.error(dialect, outcome, status, "why");
    let same = whole.error(dialect, outcome, status, "why");
    assert_eq!(event, same, "chunks do not matter: {passed:?}");
    event.map(|event| text(&event).to_owned())
}

#[test]
fn each_dialect_has_its_event() {
    for (dialect, framing, expected) in [
        (Dialect::OpenAi, Framing::Sse, "data: {\"error\":{"),
        (
            Dialect::OpenAiResponses,
            Framing::Sse,
            "event: error\ndata: {\"code\":\"stream_truncated\",\"error\":{",
        ),
        (
            Dialect::Anthropic,
            Framing::Sse,
            "event: error\ndata: {\"error\":{",
        ),
        (
            Dialect::Gemini,
            Framing::Sse,
            "data: {\"error\":{\"code\":502",
        ),
        (
            Dialect::Gemini,
            Framing::JsonArray,
            "[{\"error\":{\"code\":502",
        ),
        (
            Dialect::Cohere,
            Framing::Sse,
            "event: message-end\ndata: {\"delta\":{\"error\":\"why\",\"finish_reason\":\"ERROR\"}",
        ),
        (
            Dialect::Cohere,
            Framing::NdJson,
            "{\"event_type\":\"stream-end\",\"finish_reason\":\"ERROR\"",
        ),
        (Dialect::Ollama, Framing::NdJson, "{\"error\":\"why\"}\n"),
        (
            Dialect::Tgi,
            Framing::Sse,
            "data: {\"error\":\"why\",\"error_type\":\"incomplete_generation\"}\n\n",
        ),
    ] {
        let event = error(dialect, framing, "").unwrap();
        assert!(event.starts_with(expected), "{event}");
        assert!(!event.contains("[DONE]"));
        let end = match framing {
            Framing::Sse => "}\n\n",
            Framing::NdJson => "}\n",
            _ => "}]",
        };
        assert!(event.ends_with(end), "{event}");
    }
}

/// Whoever reads the stream sees that it failed, wherever it broke.
#[test]
fn an_event_is_read_as_an_error_after_any_cut() {
    let chat = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    for line_end in ["\n", "\r\n", "\r"] {
        let whole = chat.replace('\n', line_end);
        for end in 0..=whole.len() {
            let passed = &whole[..end];
            let event = error(Dialect::OpenAi, Framing::Sse, passed).unwrap();
            let mut reader = Reader::new(Dialect::OpenAi, None, Framing::Sse);
            let fault = reader.feed(passed.as_bytes()).fault;
            let later = reader.feed(event.as_bytes()).fault;
            let fault = fault.or(later);
            let failed = fault.is_some() || matches!(reader.end(), End::Fault(_));
            assert!(failed, "{passed:?} {event:?}");
            if passed.ends_with(&line_end.repeat(2)) {
                assert!(
                    event.starts_with("data:"),
                    "nothing to end first: {event:?}"
                );
            }
        }
    }
}

#[test]
fn a_line_that_was_cut_is_ended() {
    for (passed, expected) in [
        ("", "{\"error\":\"why\"}\n"),
        ("{\"done\":false}\n", "{\"error\":\"why\"}\n"),
        ("{\"done\":false}\n{\"mess", "\n{\"error\":\"why\"}\n"),
    ] {
        let event = error(Dialect::Ollama, Framing::NdJson, passed);
        assert_eq!(event.as_deref(), Some(expected));
    }
}

#[test]
fn an_array_gets_an_element_where_one_may_stand() {
    for (passed, fits) in [
        ("", true),
        ("[", true),
        ("[{\"a\":\"[{]\\\"\"}\r\n", true),
        ("[{\"a\":1},\n", true),
        ("[{\"a\":1}", true),
        ("[{\"a\":", false),
        ("[{\"a\":\"x", false),
        ("[{\"a\":1}]", false),
    ] {
        let event = error(Dialect::Gemini, Framing::JsonArray, passed);
        assert_eq!(event.is_some(), fits, "{passed}");
        if let Some(event) = event {
            let all: Value = serde_json::from_str(&format!("{passed}{event}")).unwrap();
            let last = all.as_array().unwrap().last().unwrap();
            assert_eq!(last["error"]["status"], "INTERNAL");
        }
    }
}

#[test]
fn a_frame_follows_whole_frames_only() {
    let event =
        |place: &Place| place.error(Dialect::Bedrock, Outcome::Overloaded, OVERLOADED, "why");
    let frame = event(&Place::new(Framing::EventStream)).unwrap();
    let two = [&frame[..], &frame[..]].concat();
    for end in 0..=two.len() {
        for cut in [1, 7, 1000] {
            let mut place = Place::new(Framing::EventStream);
            two[..end].chunks(cut).for_each(|chunk| place.pass(chunk));
            assert_eq!(event(&place).is_some(), end % frame.len() == 0, "{end}");
        }
    }
    let mut lost = Place::new(Framing::EventStream);
    lost.pass(b"\0\0\0\x01garbage that is no frame");
    assert_eq!(event(&lost), None);
}
