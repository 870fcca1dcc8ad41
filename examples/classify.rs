//! What an attempt came to. The status alone cannot tell pacing from an empty account, or see an error in a 200.
//!
//! `cargo run --example classify`

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::BoxError,
    classify::{Class, Classified, ClassifyLayer, HttpClassifier, MakeClassifier},
    llm::LlmClassifier,
};
use tower::{Layer, ServiceExt, service_fn};

/// Status, `retry-after`, body.
type Answer = (u16, Option<&'static str>, &'static str);

const ANSWERS: [(&str, Answer); 6] = [
    (
        "served",
        (200, None, r#"{"choices":[{"message":{"content":"hi"}}]}"#),
    ),
    (
        "pacing",
        (
            429,
            Some("2"),
            r#"{"error":{"type":"requests","code":"rate_limit_exceeded","message":"Slow down."}}"#,
        ),
    ),
    (
        "an empty account",
        (
            429,
            None,
            r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"Check your plan."}}"#,
        ),
    ),
    (
        "too long a prompt",
        (
            400,
            None,
            r#"{"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"Too long."}}"#,
        ),
    ),
    ("overload", (503, None, "upstream connect error")),
    (
        "an error in a 200",
        (
            200,
            None,
            r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
        ),
    ),
];

async fn class<M>(make: M, (status, retry_after, body): Answer) -> Result<Option<Class>, BoxError>
where
    M: MakeClassifier + Clone,
{
    let upstream = service_fn(move |_: Request<()>| async move {
        let mut response = Response::builder()
            .status(status)
            .header("content-type", "application/json");
        if let Some(seconds) = retry_after {
            response = response.header("retry-after", seconds);
        }
        response.body(Full::new(Bytes::from_static(body.as_bytes())))
    });
    let request = Request::post("https://api.openai.com/v1/chat/completions").body(())?;
    let response = ClassifyLayer::new(make)
        .layer(upstream)
        .oneshot(request)
        .await?;
    let classified = response.extensions().get::<Classified>().cloned();
    // The final class is known when the body is over.
    response.into_body().collect().await?;
    Ok(classified.and_then(|c| c.end().cloned()))
}

fn show(class: Option<&Class>) -> String {
    class.map_or_else(
        || "not classified".to_owned(),
        |c| {
            let mut text = c.outcome.as_str().to_owned();
            if c.retry_same {
                text.push_str(", retry");
            }
            if let Some(hint) = c.hint {
                text.push_str(&format!(" in {:?}", hint.wait));
            }
            text
        },
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("{:<20} {:<36} by status alone", "answer", "as an LLM's");
    for (title, answer) in ANSWERS {
        let llm = class(LlmClassifier::default(), answer).await?;
        let http = class(HttpClassifier::default(), answer).await?;
        println!(
            "{title:<20} {:<36} {}",
            show(llm.as_ref()),
            show(http.as_ref())
        );
    }
    Ok(())
}
