//! One request that comes in with a B3 header and leaves in two attempts. No span is made here, so both name the caller's.
//!
//! `cargo run --example trace`

use std::convert::Infallible;

use http::Request;
use llmesh::{
    base::BoxError,
    trace::{InjectLayer, Params, TraceLayer},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let upstream = service_fn(|request: Request<()>| async move {
        println!("sent:");
        for (name, value) in request.headers() {
            println!("  {name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        Ok::<_, Infallible>(())
    });
    let attempt = InjectLayer::new().layer(upstream);
    // Stands for a retry layer, which sends the same request again.
    let twice = service_fn(move |request: Request<()>| {
        let mut attempt = attempt.clone();
        async move {
            attempt.ready().await?.call(request.clone()).await?;
            attempt.ready().await?.call(request).await
        }
    });
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new(Params::default()))
        .service(twice);
    let request = Request::get("/chat")
        .header("b3", "463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1")
        .body(())?;
    service.oneshot(request).await?;
    Ok(())
}
