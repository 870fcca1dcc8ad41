//! An error response, from its head and body to its class.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use llmesh::{
    base::time::wall_now,
    classify::{Class, Classifier, HttpClassifier},
    llm::{DialectMode, LlmClassifier},
};

use super::harness::Subject;

const PACING: &str = r#"{"error":{"message":"Rate limit reached for gpt-5.4 in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 1500. Please try again in 1s. Visit https://platform.openai.com/account/rate-limits to learn more.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
const QUOTA: &str = r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
const OVERLOADED: &str = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_011CSHoEeqs5C35K2UUqR7Fy"}"#;
const EXHAUSTED: &str = r#"{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests","quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}"#;

pub(super) fn subjects() -> Vec<Subject<'static>> {
    let chat = "https://api.openai.com/v1/chat/completions";
    let messages = "https://api.anthropic.com/v1/messages";
    let gemini =
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro:generateContent";
    let plain = response(429, PACING);
    let by_status = move || finish(HttpClassifier::default(), &plain);
    vec![
        Subject::each("429 by status", move |_| by_status()),
        llm("429 of OpenAI, pacing", chat, 429, PACING),
        llm("429 of OpenAI, quota", chat, 429, QUOTA),
        llm("529 of Anthropic", messages, 529, OVERLOADED),
        llm("429 of Gemini", gemini, 429, EXHAUSTED),
    ]
}

fn llm(name: &str, uri: &'static str, status: u16, body: &'static str) -> Subject<'static> {
    let (uri, response) = (Uri::from_static(uri), response(status, body));
    Subject::each(name, move |_| {
        let maker = LlmClassifier::new(DialectMode::Auto);
        finish(
            maker.attempt(&Method::POST, &uri, &HeaderMap::new()),
            &response,
        )
    })
}

fn response(status: u16, body: &'static str) -> (http::response::Parts, Bytes) {
    let head = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("date", "Sun, 22 Nov 2026 10:00:00 GMT")
        .header("retry-after", "1")
        .header("retry-after-ms", "1000")
        .header("x-ratelimit-limit-requests", "500")
        .header("x-ratelimit-limit-tokens", "30000")
        .header("x-ratelimit-remaining-requests", "499")
        .header("x-ratelimit-remaining-tokens", "0")
        .header("x-ratelimit-reset-requests", "120ms")
        .header("x-ratelimit-reset-tokens", "1s")
        .header("x-request-id", "req_011CSHoEeqs5C35K2UUqR7Fy")
        .body(())
        .expect("a response");
    (head.into_parts().0, Bytes::from_static(body.as_bytes()))
}

fn finish(mut classifier: impl Classifier, response: &(http::response::Parts, Bytes)) -> Class {
    let (head, body) = response;
    std::hint::black_box(classifier.head(head, wall_now()));
    std::hint::black_box(classifier.frame(body));
    let class = classifier.end(None);
    assert!(!class.is_success());
    class
}
