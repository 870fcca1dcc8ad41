//! A circuit breaker in front of an upstream that is down for a while.
//!
//! `cargo run --example breaker`

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use llmesh::base::BoxError;
use llmesh::breaker::{BreakerLayer, Params};
use tower::{Layer, ServiceExt, service_fn};

static CALLS: AtomicU32 = AtomicU32::new(0);

/// Fails its first six calls.
async fn upstream(_: Request<Empty<Bytes>>) -> Result<Response<Empty<Bytes>>, std::io::Error> {
    let mut response = Response::new(Empty::new());
    if CALLS.fetch_add(1, Ordering::Relaxed) < 6 {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let layer = BreakerLayer::new(
        Params::default()
            .with_consecutive(Some(5))
            .with_open_for(Duration::from_millis(200), Duration::from_secs(10)),
    );
    let service = layer.layer(service_fn(upstream));
    for n in 1..=20 {
        match service.clone().oneshot(Request::new(Empty::new())).await {
            Ok(response) => {
                let status = response.status();
                // The outcome counts at the end of the body.
                response.into_body().collect().await?;
                println!(
                    "call {n}: {status}, then {}",
                    layer.handle().state().as_str()
                );
            }
            Err(error) => println!("call {n}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    println!(
        "{} of 20 calls reached the upstream",
        CALLS.load(Ordering::Relaxed)
    );
    Ok(())
}
