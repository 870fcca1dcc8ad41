//! Errors become Envoy's responses at the edge.
//!
//! `cargo run --example respond`

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::{Error, Kind, error::ConnectFailure, ext::Record},
    respond::RespondLayer,
};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let kinds = [
        Kind::Connect(ConnectFailure::Refused),
        Kind::DeadlineExceeded,
        Kind::Overflow,
        Kind::NoEndpoints,
        Kind::NoRoute,
    ];
    for kind in kinds {
        for content_type in ["application/json", "application/grpc"] {
            let upstream = service_fn(move |_: Request<()>| async move {
                Err::<Response<Full<Bytes>>, Error>(Error::new(kind))
            });
            let record = Record::default();
            let mut request = Request::new(());
            request
                .headers_mut()
                .insert("content-type", content_type.parse().expect("a header"));
            request.extensions_mut().insert(record.clone());

            let Ok(response) = RespondLayer::new().layer(upstream).oneshot(request).await;
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("a local body").to_bytes();
            println!(
                "{:18} {:16} -> {} {:?} {:?}\n{:39}flags {}, details {}",
                kind.as_str(),
                content_type,
                head.status,
                head.headers,
                body,
                "",
                record.snapshot().flags(),
                record.snapshot().details.unwrap_or_default(),
            );
        }
    }
}
