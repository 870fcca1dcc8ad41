use std::time::UNIX_EPOCH;

use ::http::{Method, Response};
use proptest::prelude::*;

use super::*;
use crate::{
    base::{Error, Kind},
    classify::Scope,
    llm::{Dialect, DialectMode},
};

fn attempt(setting: DialectMode, method: &Method, path: &str) -> Attempt {
    let uri = format!("http://llm-service{path}").parse().unwrap();
    LlmClassifier::new(setting).attempt(method, &uri, &HeaderMap::new())
}

fn head(status: u16, headers: &[(&str, &str)]) -> response::Parts {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

/// The verdict at the head, and the class at the end.
fn run(
    setting: DialectMode,
    path: &str,
    status: u16,
    headers: &[(&str, &str)],
    body: &'static str,
) -> (Option<Outcome>, Class) {
    let mut attempt = attempt(setting, &Method::POST, path);
    let first = match attempt.head(&head(status, headers), UNIX_EPOCH) {
        Verdict::Done(class) => Some(class.outcome),
        Verdict::Wait => None,
    };
    let _ = attempt.frame(&Bytes::from_static(body.as_bytes()));
    (first, attempt.end(None))
}

const CHAT: &str = "/v1/chat/completions";

#[test]
fn ordinary_services_answer_as_they_like() {
    for (kind, body) in [
        ("text/html", "<html>"),
        ("text/plain", "an answer"),
        ("application/json", r#"{"error": "none found"}"#),
        ("application/json", "not json"),
    ] {
        let path = "/api/knowledge/query";
        let (first, end) = run(
            DialectMode::Auto,
            path,
            200,
            &[("content-type", kind)],
            body,
        );
        assert_eq!(first, Some(Outcome::Success), "{kind}");
        assert!(end.is_success(), "{kind}");
    }
    // Errors are read everywhere.
    let body = r#"{"error": {"code": "insufficient_quota"}}"#;
    let (_, end) = run(DialectMode::Auto, "/api/llm/chat", 429, &[], body);
    assert_eq!(end.outcome, Outcome::QuotaExhausted);
}

const PAGE: &str = "<!DOCTYPE html><html><title>502</title></html>";

#[test]
fn a_page_is_no_completion_whatever_its_label() {
    let fixed = DialectMode::Fixed(Dialect::Ollama);
    for kind in [
        "text/html",
        "text/plain",
        "application/json",
        "text/event-stream",
    ] {
        for (setting, path, outcome) in [
            (DialectMode::Auto, CHAT, Outcome::ServerError),
            (
                DialectMode::Auto,
                "/model/m/converse-stream",
                Outcome::ServerError,
            ),
            (DialectMode::StatusOnly, CHAT, Outcome::Success),
            // A path that ordinary services have too.
            (DialectMode::Auto, "/api/chat", Outcome::Success),
            (fixed, "/api/chat", Outcome::ServerError),
            (fixed, "/answer", Outcome::Success),
        ] {
            let (_, end) = run(setting, path, 200, &[("content-type", kind)], PAGE);
            assert_eq!(end.outcome, outcome, "{path} {kind}");
        }
    }
}

#[test]
fn where_ordinary_services_answer_too_a_200_is_a_200() {
    let json = &[("content-type", "application/json")][..];
    for path in [
        "/api/chat",
        "/api/generate",
        "/generate",
        "/v1/chat",
        "/v2/chat",
    ] {
        for body in [
            r#"{"error": "room is closed"}"#,
            r#"{"error": {"code": 429, "message": "m"}}"#,
            r#"{"finish_reason": "ERROR", "id": 7}"#,
            r#"{"choices": [{"message": {"content": "Hel"#,
        ] {
            let (_, end) = run(DialectMode::Auto, path, 200, json, body);
            assert!(end.is_success(), "{path} {body}: {end:?}");
            let (_, end) = run(DialectMode::Fixed(Dialect::OpenAi), path, 200, json, body);
            assert!(!end.is_success(), "{path} {body}, as the operator says");
        }
        let uri = format!("http://api.cohere.com{path}").parse().unwrap();
        let classifier = LlmClassifier::new(DialectMode::Auto);
        let mut known = classifier.attempt(&Method::POST, &uri, &HeaderMap::new());
        let _ = known.head(&head(200, json), UNIX_EPOCH);
        let _ = known.frame(&Bytes::from_static(br#"{"error": "m"}"#));
        assert!(!known.end(None).is_success(), "{path} of a known host");
    }
    // Nothing is held back there, and what it cost is known.
    let mut served = attempt(DialectMode::Auto, &Method::POST, "/api/chat");
    let _ = served.head(&head(200, json), UNIX_EPOCH);
    let body =
        br#"{"error": "", "model": "m", "prompt_eval_count": 3, "eval_count": 2, "done": true}"#;
    let verdict = served.frame(&Bytes::from_static(body));
    assert!(!served.says_nothing());
    assert!(served.end(None).is_success(), "{verdict:?}");
    assert_eq!(served.usage().map(|usage| usage.output), Some(2));
}

#[test]
fn an_error_that_says_nothing_is_none() {
    for error in ["{}", "null", "\"\"", "[]", "{\"message\": null}"] {
        for body in [
            format!(
                r#"{{"choices": [{{"error": {error}, "message": {{"content": "x"}}, "finish_reason": "stop"}}]}}"#
            ),
            format!(r#"{{"error": {error}, "choices": []}}"#),
            format!(r#"{{"errors": {error}, "choices": []}}"#),
        ] {
            let body: &'static str = body.leak();
            let (_, end) = run(DialectMode::Auto, CHAT, 200, &[], body);
            assert!(end.is_success(), "{body}: {end:?}");
        }
    }
}

#[test]
fn a_whole_error_has_any_form_that_one_in_a_stream_has() {
    for (path, body, outcome) in [
        (
            CHAT,
            r#"{"type": "error", "code": "rate_limit_exceeded", "message": "m"}"#,
            Outcome::RateLimited,
        ),
        (
            CHAT,
            r#"{"type": "error", "message": "Overloaded"}"#,
            Outcome::Overloaded,
        ),
        (
            CHAT,
            r#"{"object": "error", "message": "m", "type": "BadRequestError", "code": 400}"#,
            Outcome::InvalidRequest,
        ),
        (
            "/model/m/converse",
            r#"{"__type": "ThrottlingException"}"#,
            Outcome::RateLimited,
        ),
        (
            "/model/m/converse",
            r#"{"__type": "com.amazon.coral.service#ThrottlingException", "message": "m"}"#,
            Outcome::RateLimited,
        ),
        (
            CHAT,
            r#"{"error": [{"code": 429, "message": "m"}]}"#,
            Outcome::RateLimited,
        ),
        (
            CHAT,
            r#"{"errors": [{"code": "insufficient_quota", "message": "m"}]}"#,
            Outcome::QuotaExhausted,
        ),
        (
            CHAT,
            r#"{"code": 503, "message": "m"}"#,
            Outcome::Overloaded,
        ),
        // Answers, and what nobody knows.
        (CHAT, r#"{"type": "error"}"#, Outcome::Success),
        (CHAT, r#"{"errors": []}"#, Outcome::Success),
        (CHAT, r#"{"code": 200, "message": "ok"}"#, Outcome::Success),
        (CHAT, r#"{"message": "m"}"#, Outcome::Success),
        (
            CHAT,
            r#"{"choices": [{"finish_reason": "stop"}], "code": 500, "message": "m"}"#,
            Outcome::Success,
        ),
        (
            "/v1/messages",
            r#"{"type": "message", "content": [], "errors": [{"message": "m"}]}"#,
            Outcome::Success,
        ),
    ] {
        let (_, end) = run(DialectMode::Auto, path, 200, &[], body);
        assert_eq!(end.outcome, outcome, "{body}");
    }
}

#[test]
fn a_refusal_in_place_of_an_answer_is_no_200() {
    use crate::llm::status::{KeyOwner, client_status};
    for (body, status) in [
        (
            r#"{"error": {"code": "content_filter", "message": "m"}}"#,
            400,
        ),
        (r#"{"error": {"code": 403, "type": "content_filter"}}"#, 403),
        // An answer that a filter ended is one.
        (r#"{"choices": [{"finish_reason": "content_filter"}]}"#, 200),
    ] {
        let (_, end) = run(DialectMode::Auto, CHAT, 200, &[], body);
        assert_eq!(end.outcome, Outcome::ContentFilter, "{body}");
        assert_eq!(
            client_status(&end, None, KeyOwner::Caller),
            status,
            "{body}"
        );
    }
}

#[test]
fn what_is_not_recognised_is_no_failure() {
    for kind in [
        "text/html",
        "text/plain",
        "application/json",
        "text/event-stream",
        "x/y",
        "",
    ] {
        for body in [
            "",
            "x",
            "an answer",
            "null",
            "[1, 2]",
            "{'single': 'quotes'}",
            "{\"half\": \"of",
            "{\"two\": 1} {\"values\": 2}",
            "< 3 answers",
            "{\"jsonrpc\": \"2.0\", \"error\": {\"code\": -32601}}",
            "{\"choices\": [], \"error\": null}",
        ] {
            let (_, end) = run(
                DialectMode::Auto,
                CHAT,
                200,
                &[("content-type", kind)],
                body,
            );
            assert!(end.is_success(), "{kind} {body}: {end:?}");
        }
    }
}

#[test]
fn json_is_read_whatever_its_label() {
    for kind in ["text/html", "text/plain", "text/event-stream", "x/y", ""] {
        for (body, outcome) in [
            (
                "\n \r\n{\"error\": {\"code\": \"insufficient_quota\"}}",
                Outcome::QuotaExhausted,
            ),
            (
                "\u{feff}[{\"error\": {\"code\": 503}}]",
                Outcome::Overloaded,
            ),
            (
                "{\"choices\": [{\"message\": {\"content\": \"Hel",
                Outcome::ServerError,
            ),
            (
                "{\"choices\": [{\"finish_reason\": \"stop\"}]}",
                Outcome::Success,
            ),
        ] {
            let (first, end) = run(
                DialectMode::Auto,
                CHAT,
                200,
                &[("content-type", kind)],
                body,
            );
            assert_eq!((first, end.outcome), (None, outcome), "{kind} {body}");
        }
    }
}

#[test]
fn only_a_call_is_answered_with_a_completion() {
    let error = "{\"error\": {\"code\": \"invalid_training_file\"}}";
    let json = &[("content-type", "application/json")][..];
    for setting in [DialectMode::Auto, DialectMode::Fixed(Dialect::OpenAi)] {
        for path in ["/v1/embeddings", "/v1/images/generations", "/mcp", "/order"] {
            for body in [error, PAGE, "x"] {
                let (first, end) = run(setting, path, 200, json, body);
                assert_eq!(first, Some(Outcome::Success), "{path}");
                assert!(end.is_success(), "{path}");
            }
        }
        let uri = "http://api.openai.com/v1/responses/resp_1".parse().unwrap();
        let mut get = LlmClassifier::new(setting).attempt(&Method::GET, &uri, &HeaderMap::new());
        let verdict = get.head(&head(200, json), UNIX_EPOCH);
        assert!(matches!(verdict, Verdict::Done(class) if class.is_success()));
    }
}

#[test]
fn tokens_of_embeddings_are_counted() {
    let json = head(200, &[("content-type", "application/json")]);
    let mut attempt = attempt(DialectMode::Auto, &Method::POST, "/v1/embeddings");
    let _ = attempt.head(&json, UNIX_EPOCH);
    let body = "{\"data\": [], \"usage\": {\"prompt_tokens\": 8, \"total_tokens\": 8}}";
    let _ = attempt.frame(&Bytes::from_static(body.as_bytes()));
    assert!(attempt.end(None).is_success());
    assert_eq!(attempt.usage().map(|usage| usage.input), Some(8));
}

#[test]
fn an_error_is_worth_a_longer_wait() {
    let mut attempt = attempt(DialectMode::Auto, &Method::POST, CHAT);
    let _ = attempt.head(&head(200, &[]), UNIX_EPOCH);
    assert!(attempt.says_nothing());
    let _ = attempt.frame(&Bytes::from_static(b" {"));
    assert!(!attempt.says_nothing());
    let _ = attempt.frame(&Bytes::from_static(b" \"error\""));
    assert!(attempt.says_nothing());
}

/// The class at the end of a gzipped body that came in pieces of this size.
fn gzipped(status: u16, content_type: &str, body: &[u8], size: usize) -> Class {
    let mut attempt = attempt(DialectMode::Auto, &Method::POST, CHAT);
    let headers = [("content-encoding", "gzip"), ("content-type", content_type)];
    let _ = attempt.head(&head(status, &headers), UNIX_EPOCH);
    for piece in body.chunks(size) {
        let _ = attempt.frame(&Bytes::copy_from_slice(piece));
    }
    attempt.end(None)
}

fn gzip(text: &str) -> Vec<u8> {
    let level = flate2::Compression::default();
    let mut to = flate2::write::GzEncoder::new(Vec::new(), level);
    std::io::Write::write_all(&mut to, text.as_bytes()).unwrap();
    to.finish().unwrap()
}

#[test]
fn what_is_said_means_the_same_under_a_coding() {
    let json = "application/json";
    let long = format!(
        "{{\"error\": {{\"code\": \"insufficient_quota\"}}, \"x\": \"{}\"}}",
        "x".repeat(60_000)
    );
    for (status, kind, body, outcome) in [
        (429, json, &*long, Outcome::QuotaExhausted),
        (
            400,
            json,
            r#"{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8"}}"#,
            Outcome::ContextLength,
        ),
        (
            200,
            json,
            r#"{"error": {"code": 503, "message": "no"}}"#,
            Outcome::Overloaded,
        ),
        (
            200,
            json,
            r#"{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}"#,
            Outcome::Success,
        ),
        (200, "text/html", "<html></html>", Outcome::ServerError),
    ] {
        let packed = gzip(body);
        for size in [1, 7, packed.len()] {
            let class = gzipped(status, kind, &packed, size);
            assert_eq!(class.outcome, outcome, "{status} {kind} by {size}");
        }
    }
}

#[test]
fn what_is_not_coded_as_its_label_says_is_left_alone() {
    let json = "application/json";
    let quota = r#"{"error": {"code": "insufficient_quota"}}"#;
    let half = gzip(quota);
    let half = &half[..half.len() / 2];
    for body in [quota.as_bytes(), b"\x1f", half, b""] {
        for size in [1, 100] {
            let class = gzipped(200, json, body, size);
            assert_eq!(class.outcome, Outcome::Success);
            let class = gzipped(429, json, body, size);
            assert_eq!(class.outcome, Outcome::RateLimited);
            assert!(class.status_only);
        }
    }
    let unknown = &[("content-encoding", "dcb"), ("content-type", json)][..];
    let (first, end) = run(DialectMode::Auto, CHAT, 200, unknown, quota);
    assert_eq!(
        (first, end.outcome, end.status_only),
        (Some(Outcome::Success), Outcome::Success, true)
    );
    let (first, _) = run(DialectMode::Auto, CHAT, 429, unknown, quota);
    assert_eq!(first, Some(Outcome::RateLimited));
}

#[test]
fn grpc_is_classified_as_grpc() {
    let headers = &[("content-type", "application/grpc"), ("grpc-status", "14")][..];
    let (first, end) = run(DialectMode::Auto, "/pkg.Service/Call", 200, headers, "");
    assert_eq!(first, Some(Outcome::Overloaded));
    assert_eq!(end.outcome, Outcome::Overloaded);
}

#[test]
fn a_cut_error_body_leaves_the_status() {
    let mut attempt = attempt(DialectMode::Auto, &Method::POST, CHAT);
    let _ = attempt.head(&head(429, &[("retry-after", "3")]), UNIX_EPOCH);
    let _ = attempt.frame(&Bytes::from_static(b"{\"error\": {\"code\": \"insuffi"));
    let class = attempt.error(&Error::new(Kind::Canceled).into());
    assert_eq!(
        (class.outcome, class.scope),
        (Outcome::RateLimited, Scope::None)
    );
    assert_eq!(class.hint.map(|hint| hint.source), Some("retry-after"));
}

#[test]
fn a_cut_answer_is_a_failed_body() {
    let mut attempt = attempt(DialectMode::Auto, &Method::POST, CHAT);
    let _ = attempt.head(&head(200, &[]), UNIX_EPOCH);
    let class = attempt.error(&Error::new(Kind::IdleTimeout).into());
    assert_eq!(class.outcome, Outcome::StreamStalled);
}

#[test]
fn a_long_answer_passes_unread() {
    let mut attempt = attempt(DialectMode::Auto, &Method::POST, CHAT);
    let _ = attempt.head(&head(200, &[]), UNIX_EPOCH);
    let chunk = Bytes::from(vec![b' '; 64 * 1024]);
    let verdicts: Vec<_> = (0..17).map(|_| attempt.frame(&chunk)).collect();
    assert_eq!(verdicts.first(), Some(&Verdict::Wait));
    assert!(matches!(verdicts.last(), Some(Verdict::Done(class)) if class.is_success()));
    assert!(attempt.buffer.is_empty() && attempt.end(None).is_success());
}

#[test]
fn x_should_retry_forbids_and_never_allows() {
    let forbidden = [("x-should-retry", "false")];
    let body = r#"{"error": {"message": "m"}}"#;
    assert!(
        !run(DialectMode::Auto, CHAT, 503, &forbidden, body)
            .1
            .retry_same
    );
    let told = [("x-should-retry", "true")];
    assert!(!run(DialectMode::Auto, CHAT, 400, &told, body).1.retry_same);
}

#[test]
fn deep_nesting_is_not_followed() {
    let mut attempt = attempt(DialectMode::Auto, &Method::POST, CHAT);
    let _ = attempt.head(&head(400, &[]), UNIX_EPOCH);
    let _ = attempt.frame(&Bytes::from("[".repeat(60_000)));
    assert_eq!(attempt.end(None).outcome, Outcome::InvalidRequest);
}

/// JSON made of the words that the reader looks for.
fn facts() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~µé]{0,40}".prop_map(Value::from),
        "(try again in |retry after |Limit )[0-9.]{0,25}(h|m|s|ms| seconds|)".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let key = prop::sample::select(
            &[
                "error",
                "message",
                "code",
                "type",
                "status",
                "details",
                "metadata",
                "detail",
                "innererror",
                "resets_at",
                "retryDelay",
                "@type",
                "violations",
                "estimated_time",
                "choices",
                "finish_reason",
                "usage",
                "candidates",
                "originalStatusCode",
                "usageMetadata",
                "limit_source",
            ][..],
        );
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6).prop_map(|entries| Value::Object(
                entries
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), v))
                    .collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_panics(
        status in 200_u16..=999,
        path in prop::sample::select(&[CHAT, "/x", "/model/m/converse"][..]),
        body in prop_oneof![
            facts().prop_map(|v| v.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..200),
        ],
        cut in 0_usize..200,
        seconds in 0_u64..20_000_000_000,
    ) {
        let now = UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let mut attempt = attempt(DialectMode::Auto, &Method::POST, path);
        let verdict = attempt.head(&head(status, &[]), now);
        let (a, b) = body.split_at(cut.min(body.len()));
        for chunk in [a, b] {
            let _ = attempt.frame(&Bytes::copy_from_slice(chunk));
        }
        let class = attempt.end(None);
        if let Verdict::Done(first) = verdict {
            prop_assert_eq!(&first, &class);
        }
        if status >= 400 {
            prop_assert!(!class.is_success());
        }
        if let Some(hint) = class.hint {
            prop_assert!(hint.wait <= crate::classify::hint::LONGEST);
        }
    }
}
