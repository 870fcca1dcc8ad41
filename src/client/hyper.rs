//! hyper-util's `Client` as a service.
//!
//! `hyper_util::client::legacy::Client` is a `tower::Service<http::Request<B>>` and so takes every layer as it is. Two
//! things should be set, which [`HyperClient`] does:
//!
//! - `retry_canceled_requests(false)`: by default the client sends a request again whose pooled connection died, unseen
//!   by retry budgets and counters;
//! - a pool timer, without which idle connections are never closed.
//!
//! It also names failed connections that the client leaves unnamed (a name that does not resolve), so that
//! `connect-failure` retries see them. The client has no ceiling on open connections; put
//! [`ConcurrencyLayer`](crate::layers::limit::concurrency::ConcurrencyLayer) over it.
//!
//! # Examples
//! ```no_run
//! use std::time::Duration;
//!
//! use llmesh::{body::Body, client::hyper::HyperClient, deadline::{self, DeadlineLayer}};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # async fn run() -> Result<(), llmesh::base::BoxError> {
//! let client = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(deadline::Params::default().with_timeout(Duration::from_secs(30))))
//!     .service(HyperClient::http());
//! let request = http::Request::get("http://localhost:8080/").body(Body::empty())?;
//! let response = client.oneshot(request).await?;
//! # drop(response);
//! # Ok(())
//! # }
//! ```

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{
        self, Client,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};
use pin_project::pin_project;
use tower::Service;

use crate::{
    base::{BoxError, Error, Kind, error::ConnectFailure},
    body::Body,
    classify::transport::kind_of,
};

/// A pooling HTTP client for requests of any body, so that any layer goes over it. Clones share the pool.
///
/// URIs must be absolute. Since it takes any body, `ServiceExt::ready` cannot infer its request type; use `oneshot`.
///
/// # Errors
/// hyper-util's, under an [`Error`] of kind [`Kind::Connect`] where no connection was made.
///
/// # Cancel safety
/// Dropping a future gives its HTTP/1 connection up, or resets its stream.
pub struct HyperClient<C> {
    client: Client<C, Body>,
}

/// Future of [`HyperClient`].
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(#[pin] legacy::ResponseFuture);

// === impl HyperClient ===

impl HyperClient<HttpConnector> {
    /// Over plain TCP, with `TCP_NODELAY`.
    #[must_use]
    pub fn http() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self::new(connector)
    }
}

impl<C: Connect + Clone> HyperClient<C> {
    /// Over connections of another kind, such as hyper-rustls' `HttpsConnector`.
    #[must_use]
    pub fn new(connector: C) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .retry_canceled_requests(false)
            .build(connector);
        Self { client }
    }
}

impl<C> HyperClient<C> {
    /// Wraps a client with settings of its own. See the [module](self) on what they should be.
    #[must_use]
    pub const fn from_client(client: Client<C, Body>) -> Self {
        Self { client }
    }
}

impl<C: Clone> Clone for HyperClient<C> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
        }
    }
}

impl<C> fmt::Debug for HyperClient<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperClient").finish_non_exhaustive()
    }
}

impl<C, B> Service<Request<B>> for HyperClient<C>
where
    C: Connect + Clone + Send + Sync + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::<Request<Body>>::poll_ready(&mut self.client, cx).map_err(named)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        ResponseFuture(self.client.call(request.map(Body::new)))
    }
}

// === impl ResponseFuture ===

impl Future for ResponseFuture {
    type Output = Result<Response<Incoming>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().0.poll(cx).map_err(named)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

// === free functions ===

fn named(error: legacy::Error) -> BoxError {
    if error.is_connect() {
        unmade(error)
    } else {
        error.into()
    }
}

/// An error of a connection that was not made.
pub(super) fn unmade(error: impl std::error::Error + Send + Sync + 'static) -> BoxError {
    let failure = match kind_of(&error) {
        Kind::Connect(failure) => failure,
        _ => ConnectFailure::Local,
    };
    Error::new(Kind::Connect(failure)).with_source(error).into()
}
