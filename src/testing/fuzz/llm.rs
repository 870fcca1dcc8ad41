//! Answers of LLM providers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header::HOST, response};

use super::text::{headers, line};
use crate::{
    classify::{Class, Classifier, Outcome, Verdict, hint::LONGEST},
    llm::{
        Dialect, DialectMode, LlmClassifier,
        status::{KeyOwner, client_status},
    },
};

/// One host of each provider, and one of nobody.
const HOSTS: [&str; 15] = [
    "api.openai.com",
    "x.openai.azure.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "aiplatform.googleapis.com",
    "bedrock-runtime.us-east-1.amazonaws.com",
    "api.mistral.ai",
    "api.cohere.com",
    "api.groq.com",
    "api.together.ai",
    "api.fireworks.ai",
    "openrouter.ai",
    "api.deepseek.com",
    "router.huggingface.co",
    "llm-service",
];

const DIALECTS: [Dialect; 8] = [
    Dialect::OpenAi,
    Dialect::OpenAiResponses,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Bedrock,
    Dialect::Cohere,
    Dialect::Ollama,
    Dialect::Tgi,
];

/// Input: a status, header lines, an empty line, a body.
///
/// Under every provider and dialect: a verdict on the request, the key or the account is not asked for again and is
/// not blamed on the target; a wait is no longer than 31 days; the class does not depend on how the body was cut into
/// frames, is the same when asked twice, and shows nothing of the body; the caller's status fits it.
///
/// # Panics
/// If one of these does not hold.
pub fn llm(data: &[u8]) {
    let (status, rest) = line(data);
    let Ok(status) = StatusCode::from_bytes(status.trim_ascii()) else {
        return;
    };
    let (headers, body) = headers(rest);
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let (head, ()) = response.into_parts();
    let body = Bytes::copy_from_slice(body);
    for host in HOSTS {
        one(DialectMode::Auto, host, &head, &body);
    }
    one(DialectMode::StatusOnly, "api.openai.com", &head, &body);
    for dialect in DIALECTS {
        one(DialectMode::Fixed(dialect), "llm-service", &head, &body);
    }
}

fn one(setting: DialectMode, host: &'static str, head: &response::Parts, body: &Bytes) {
    let whole = classify(setting, host, head, std::slice::from_ref(body));
    let middle = body.len() / 2;
    let cut = [
        body.slice(..middle),
        Bytes::new(),
        body.slice(middle..middle + usize::from(middle < body.len())),
        body.slice(middle + usize::from(middle < body.len())..),
    ];
    let pieces = classify(setting, host, head, &cut);
    assert_eq!(whole, pieces, "however it is cut");
    check(&whole, setting, body);
}

fn classify(
    setting: DialectMode,
    host: &'static str,
    head: &response::Parts,
    frames: &[Bytes],
) -> Class {
    let now: SystemTime = UNIX_EPOCH + Duration::from_secs(1_795_341_600);
    let mut request = HeaderMap::new();
    request.insert(HOST, HeaderValue::from_static(host));
    let path = Uri::from_static("/v1/chat/completions");
    let mut attempt = LlmClassifier::new(setting).attempt(&Method::POST, &path, &request);
    let mut early = None;
    if let Verdict::Done(class) = attempt.head(head, now) {
        early = Some(class);
    }
    for frame in frames {
        if let Verdict::Done(class) = attempt.frame(frame)
            && early.is_none()
        {
            early = Some(class);
        }
    }
    let class = attempt.end(None);
    assert_eq!(attempt.end(None), class, "asked twice");
    if let Some(early) = early {
        assert_eq!(early, class, "decided is decided");
    }
    class
}

fn check(class: &Class, setting: DialectMode, body: &Bytes) {
    let meaning = match class.outcome {
        Outcome::StreamError => class.inner.unwrap_or(Outcome::ServerError),
        outcome => outcome,
    };
    if is_verdict(meaning) {
        assert!(!class.retry_same, "asked again: {class:?}");
    }
    // A 403 may be a network rule of one target (Azure).
    if is_verdict(class.outcome) && class.outcome != Outcome::Permission {
        assert!(!class.blames_target(), "blamed: {class:?}");
    }
    if let Some(hint) = class.hint {
        assert!(hint.wait <= LONGEST && !hint.source.is_empty());
    }
    // 64 bytes of a body would be a leak; all that is shown are numbers and names of ours.
    let shown = format!("{class:?}");
    let leak = body
        .windows(64)
        .step_by(16)
        .any(|part| std::str::from_utf8(part).is_ok_and(|part| shown.contains(part)));
    assert!(!leak, "shows the body: {shown}");
    for key in [KeyOwner::Gateway, KeyOwner::Caller] {
        let dialect = match setting {
            DialectMode::Fixed(dialect) => Some(dialect),
            _ => None,
        };
        let status = client_status(class, dialect, key).as_u16();
        let as_received = matches!(meaning, Outcome::Success | Outcome::OutputInvalid)
            || meaning == Outcome::ContentFilter;
        assert!(
            as_received || (400..600).contains(&status),
            "{status}: {class:?}"
        );
    }
}

/// Whether asking again cannot help: money, rights, or what the request itself is.
fn is_verdict(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Auth
            | Outcome::ContentFilter
            | Outcome::ContextLength
            | Outcome::InvalidRequest
            | Outcome::Permission
            | Outcome::QuotaExhausted
            | Outcome::QuotaWindow
            | Outcome::RequestExceedsLimit
            | Outcome::TooLarge
    )
}
