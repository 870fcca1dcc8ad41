//! The exporter's HTTP client.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::{HttpClient, HttpError};
use tower::ServiceExt;

use crate::{body::Body, client::hyper::HyperClient};

/// The most of an answer that is read.
const ANSWER_CAP: usize = 64 << 10;

/// A pool of plain connections of its own: what it sends is no request of the mesh.
#[derive(Debug)]
pub(super) struct Client(HyperClient<HttpConnector>);

// === impl Client ===

impl Client {
    pub(super) fn new() -> Self {
        Self(HyperClient::http())
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = self.0.clone();
        Box::pin(async move {
            let response = client.oneshot(request.map(Body::from)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_CAP).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        })
    }
}
