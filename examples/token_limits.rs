//! A limit on tokens: what requests may cost is reserved, what they cost is settled.
//!
//! `cargo run --example token_limits`

use std::{convert::Infallible, num::NonZeroU64, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::{
        BoxError,
        cost::{Ledger, Spent, Usage},
        error,
    },
    limit::tokens::{By, Limit, Params, TokenLimitLayer},
    llm::{DialectMode, dialect::Api, request::Call},
};
use tower::{Layer, ServiceExt, service_fn};

/// A chat request with its `Call`, which the composed stack reads from the body.
fn chat(key: &str, max_tokens: u64) -> Result<Request<Bytes>, BoxError> {
    let body = format!(r#"{{"model":"m","max_tokens":{max_tokens},"messages":["hello there"]}}"#);
    let mut request = Request::post("/v1/chat/completions")
        .header("x-api-key", key)
        .body(Bytes::from(body))?;
    let api = Api::of(
        DialectMode::Auto,
        &Method::POST,
        request.uri(),
        &HeaderMap::new(),
    );
    if let Some(call) = Call::read(&api, request.uri(), request.body()) {
        request.extensions_mut().insert(call);
    }
    Ok(request)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // An upstream that generates 50 tokens, and notes them as the layers of the stack do.
    let upstream = service_fn(|request: Request<Bytes>| async move {
        if let Some(ledger) = request.extensions().get::<Ledger>() {
            ledger.push(Spent::new(1, Usage::new(4, 50)));
        }
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("fifty tokens"))))
    });
    let amount = NonZeroU64::new(1000).ok_or("not zero")?;
    let limit = Limit::new("per key", By::Credential).with_tokens(amount, Duration::from_secs(60));
    let layer = TokenLimitLayer::new(Params::new([limit]));
    let service = layer.layer(upstream);

    for (key, max_tokens) in [("a", 600), ("a", 900), ("a", 900), ("b", 900), ("b", 2000)] {
        match service.clone().oneshot(chat(key, max_tokens)?).await {
            Ok(response) => {
                let left = response.headers()["ratelimit"].clone();
                response.into_body().collect().await?;
                println!("{key} asks for {max_tokens:4}: let in; reserved, there is {left:?}");
            }
            Err(refused) => {
                let wait = error::find(&*refused).and_then(error::Error::retry_after);
                println!("{key} asks for {max_tokens:4}: refused; wait: {wait:?}");
            }
        }
    }
    for (name, stats) in layer.registry().stats() {
        println!(
            "{name}: {} tokens in {} requests",
            stats.tokens.get(),
            stats.allowed.get()
        );
    }
    Ok(())
}
