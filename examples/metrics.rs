//! One access log line per request, written when its stream is over; a caller who leaves early is told apart.
//!
//! `cargo run --example metrics`

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::{BoxError, Error, Kind},
    metrics::{
        MetricsLayer, Report, Summary,
        access_log::{AccessLog, Encoding},
    },
    respond::RespondLayer,
};
use tower::{ServiceBuilder, ServiceExt};

/// A report of one's own.
struct Sizes;

impl Report for Sizes {
    fn report(&self, summary: &Summary) {
        println!(
            "  own report: {} bytes in, {} bytes out, flags {:?}",
            summary.bytes_received, summary.bytes_sent, summary.notes.flags
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let log = AccessLog::new(Encoding::Text, |line| println!("  {line}"));
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::new(vec![Arc::new(log), Arc::new(Sizes)]))
        // Outside this layer errors are responses, so that the log has the status that the caller gets.
        .layer(RespondLayer::new())
        .service_fn(upstream);
    let request = |path: &str| {
        Request::post(format!("http://llm{path}"))
            .header("host", "llm")
            .body(Full::new(Bytes::from_static(b"{\"prompt\":\"hello\"}")))
    };

    println!("an answer, read to its end");
    let Ok(response) = service.clone().oneshot(request("/chat")?).await;
    println!("  head: {}", response.status());
    response.into_body().collect().await?;

    println!("an error");
    let Ok(response) = service.clone().oneshot(request("/down")?).await;
    response.into_body().collect().await?;

    println!("an answer that the caller does not read");
    let Ok(response) = service.oneshot(request("/chat")?).await;
    drop(response);
    Ok(())
}

async fn upstream<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, BoxError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    if request.uri().path() == "/down" {
        return Err(Error::new(Kind::NoEndpoints).into());
    }
    request.into_body().collect().await.map_err(Into::into)?;
    Ok(Response::new(Full::new(Bytes::from_static(
        b"hello to you",
    ))))
}
