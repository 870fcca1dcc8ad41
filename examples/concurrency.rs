//! A ceiling on requests in flight, where a stream is in flight to its last byte.
//!
//! `cargo run --example concurrency`

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::{BoxError, Ceiling},
    limit::concurrency::ConcurrencyLayer,
};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let ceiling = Ceiling::new(1);
    let upstream = service_fn(|_: Request<()>| async {
        Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("token token token"))))
    });
    let service = ConcurrencyLayer::new(ceiling.clone()).layer(upstream);

    let streaming = service.clone().oneshot(Request::new(())).await?;
    println!("headers are in, in flight: {}", ceiling.used());

    let refused = service.clone().oneshot(Request::new(())).await;
    println!("a second request: {:?}", refused.err());

    let body = streaming.into_body().collect().await?.to_bytes();
    println!("{} bytes read, in flight: {}", body.len(), ceiling.used());

    service.oneshot(Request::new(())).await?;
    println!("a third request is served");
    Ok(())
}
