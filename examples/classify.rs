//! What several canned answers of LLM providers come to.
//!
//! `cargo run --example classify`

use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::{BoxError, ext::Attempt},
    body::Context,
    classify::{Classified, ClassifyLayer},
    llm::{DialectMode, LlmClassifier},
};
use tower::{Layer, ServiceExt, service_fn};

/// Status, a header, and a body.
type Answer = (u16, (&'static str, &'static str), &'static str);

const ANSWERS: &[(&str, Answer)] = &[
    (
        "pacing",
        (
            429,
            ("retry-after-ms", "1500"),
            r#"{"error": {"code": "rate_limit_exceeded"}}"#,
        ),
    ),
    (
        "an empty account",
        (
            429,
            ("retry-after", "1"),
            r#"{"error": {"code": "insufficient_quota"}}"#,
        ),
    ),
    (
        "can never fit",
        (
            429,
            ("x-request-id", "1"),
            r#"{"error": {"message": "Limit 30000, Requested 48211", "code": "rate_limit_exceeded"}}"#,
        ),
    ),
    (
        "a cold start",
        (
            503,
            ("x-request-id", "1"),
            r#"{"error": "Model x is currently loading", "estimated_time": 42.5}"#,
        ),
    ),
    (
        "a 200 with an error",
        (
            200,
            ("content-type", "application/json"),
            r#"{"error": {"code": 503, "message": "Overloaded"}}"#,
        ),
    ),
    (
        "a maintenance page",
        (200, ("content-type", "text/html"), "<html>back soon</html>"),
    ),
    (
        "an answer",
        (
            200,
            ("content-type", "application/json"),
            r#"{"choices": [{"finish_reason": "stop"}]}"#,
        ),
    ),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("{:22} {:24} {:5} hint", "answer", "class", "again");
    for (name, (status, header, body)) in ANSWERS {
        let upstream = service_fn(move |_: Request<Full<&[u8]>>| async move {
            let response = Response::builder()
                .status(*status)
                .header(header.0, header.1)
                .body(Full::from(*body))
                .unwrap_or_default();
            Ok::<_, Infallible>(response)
        });
        let service = ClassifyLayer::new(LlmClassifier::new(DialectMode::Auto)).layer(upstream);

        let mut request =
            Request::post("http://llm-service/v1/chat/completions").body(Full::default())?;
        // A retry may follow: hold the answer back until its class is known.
        Context::edit(&mut request, |context| {
            context.set_attempt(Attempt {
                number: 1,
                may_retry: true,
            });
            context.set_retries_answers(true);
        });
        let response = service.oneshot(request).await?;
        let classified = response.extensions().get::<Classified>().cloned();
        if let Some(class) = classified.unwrap_or_default().head() {
            let hint = class.hint.map_or_else(
                || "-".to_owned(),
                |h| format!("{:?} ({})", h.wait, h.source),
            );
            let outcome = class.outcome.as_str();
            println!("{name:22} {outcome:24} {:5} {hint}", class.retry_same);
        }
        let bytes = response.into_body().collect().await?.to_bytes();
        assert_eq!(bytes, *body, "holding back changes nothing");
    }
    Ok(())
}
