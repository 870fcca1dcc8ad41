//! One deadline over the answer and its stream, told on to the upstream.
//!
//! `cargo run --example deadline`

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use llmesh::{
    base::{
        BoxError, error,
        time::{Instant, Sleep, sleep},
    },
    body::RequestBody,
    deadline::{DeadlineLayer, Params, PropagateLayer, Stats},
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// A token every 30 ms, for ever.
struct Tokens(std::pin::Pin<Box<Sleep>>);

impl Body for Tokens {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        std::task::ready!(self.0.as_mut().poll(cx));
        self.0 = Box::pin(sleep(Duration::from_millis(30)));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"token ")))))
    }
}

/// An upstream that starts to answer after so many milliseconds.
async fn upstream(request: Request<RequestBody>) -> Result<Response<Tokens>, BoxError> {
    let told = &request.headers()["x-envoy-expected-rq-timeout-ms"];
    println!("  upstream: I have {told:?} ms");
    let start_after = request.headers()["x-start-after-ms"].to_str()?.parse()?;
    sleep(Duration::from_millis(start_after)).await;
    Ok(Response::new(Tokens(Box::pin(sleep(
        Duration::from_millis(30),
    )))))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let stats = Arc::new(Stats::default());
    let policy = Params::default().with_timeout(Duration::from_millis(200));
    let client = ServiceBuilder::new()
        .layer(DeadlineLayer::new(policy).with_stats(Arc::clone(&stats)))
        .layer(PropagateLayer::new())
        .service(service_fn(upstream));

    for (title, start_after, caller) in [
        ("no answer within 200 ms", 1000_u64, None),
        ("a stream that would go on for ever", 50, None),
        ("a caller who waits for 80 ms only", 10, Some("80")),
    ] {
        println!("{title}");
        let mut request = Request::new(RequestBody::empty());
        let value = http::HeaderValue::from(start_after);
        request.headers_mut().insert("x-start-after-ms", value);
        if let Some(ms) = caller {
            let value = http::HeaderValue::from_static(ms);
            request
                .headers_mut()
                .insert("x-envoy-expected-rq-timeout-ms", value);
        }
        let begin = Instant::now();
        match client.clone().oneshot(request).await {
            Err(error) => report("no head", begin, &error),
            Ok(response) => {
                let mut body = pin!(response.into_body());
                let mut tokens = 0;
                while let Some(frame) = body.frame().await {
                    match frame {
                        Ok(_) => tokens += 1,
                        Err(error) => report(&format!("{tokens} tokens"), begin, &error),
                    }
                }
            }
        }
    }
    println!("timeouts counted: {}", stats.timeouts.get());
    Ok(())
}

fn report(what: &str, begin: Instant, error: &BoxError) {
    let kind = error::find(&**error).map_or("unknown", |e| e.kind().as_str());
    let ms = begin.elapsed().as_millis();
    println!("  client: {what}, then {kind} after {ms} ms");
}
