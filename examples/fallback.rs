//! A chain of two models: the first one fails, the second one answers, and soon the first is passed over.
//!
//! `cargo run --example fallback`

use bytes::Bytes;
use http::{Request, Response};
use llmesh::{
    base::{BoxError, ext::AnsweredBy},
    body::Body,
    fallback::{FallbackLayer, Health, Params, Reach, Target},
};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // Stands for a client with retries: it answers by the model that is asked for.
    let provider = service_fn(|request: Request<Body>| async move {
        let body = http_body_util::BodyExt::collect(request.into_body()).await?;
        let asked = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        let status = if asked.contains("large") { 503 } else { 200 };
        println!("  asked {asked} -> {status}");
        Ok::<_, BoxError>(Response::builder().status(status).body(Body::empty())?)
    });
    let cluster = "outbound|443||llm.example";
    let chain = FallbackLayer::new(
        Params::to([Target::new(cluster).with_model("small")]),
        cluster,
        [Reach::new(provider)],
        Health::default(),
    );
    let client = chain.layer(provider);
    for n in 1..=5 {
        println!("request {n}");
        let body = Bytes::from_static(br#"{"model":"large"}"#);
        let request = Request::post("/v1/chat/completions").body(Body::from(body))?;
        let response = client.clone().oneshot(request).await?;
        let by = response.extensions().get::<AnsweredBy>();
        let model = by.and_then(|by| by.model.as_deref()).unwrap_or("large");
        println!("  {} by {model}", response.status());
    }
    Ok(())
}
