//! The mesh as a client.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, uri::Scheme};
use http_body::Body as HttpBody;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{
    BoxFuture,
    inner::{Inner, UnknownHosts},
    sanitize,
    snapshot::Snapshot,
};
use crate::{
    base::{BoxError, Error, Kind, ext::AsksTls},
    body::Body,
    context::{self, ClientLayer},
    model::OutboundPolicy,
    respond::Respond,
    route::matcher::RequestView,
    stack::{self, Boxed, Outbound},
};

/// A client of everything that a [`Mesh`](super::Mesh) knows: routes, retries, deadlines, health, pools.
///
/// URIs are absolute (`http://llm-service/api`, `https://api.openai.com/v1`) or have a `Host` header. Each request is served
/// by the configuration that is in force when it is sent. Trace, deadline and baggage of the inbound request that it is sent
/// for go along (see [`context`](crate::layers::context)). Always ready. Clones share everything.
///
/// The scheme says what the program wants, the files say how the mesh goes on: both schemes reach an upstream that speaks
/// TLS. Where no port is named, `https` addresses 443 and `http` 80 if the host has them in the files, else what it has.
/// An `https` request goes on in plain text only within this host, or where the files mean it: where they say
/// `tls: {mode: DISABLE}`, or declare the port of a service of the mesh (a Service, or a ServiceEntry with
/// `location: MESH_INTERNAL`) as an HTTP one.
///
/// Hosts that the mesh does not know are reached by the plain way over HTTP, unless
/// [refused](UnknownHosts::Refuse); [`with_passthrough`](Self::with_passthrough) takes a client for them that speaks TLS, as
/// does `Mesh::reqwest` (feature `reqwest`).
///
/// It serves bodies of any type, so `ServiceExt::ready` cannot infer its request type: use [`send`](Self::send) or
/// `oneshot`.
///
/// # Errors
/// An [`Error`] in a [`BoxError`]: what layers and pools raise (see [`Kind`]), [`Kind::BadRequest`] for an `https` request
/// that would go on in plain text and may not, [`Kind::UnknownHost`] if those are refused. Responses of upstreams, whatever
/// their status, are responses. For responses instead of errors see [`responding`](Self::responding).
///
/// # Cancel safety
/// Dropping a future, or a response body before its end, resets the stream or closes the connection, and counts against
/// no endpoint.
#[derive(Clone)]
pub struct MeshClient {
    mesh: Arc<Inner>,
    shell: Boxed,
    passthrough: Boxed,
}

/// A [`MeshClient`] whose errors are responses, with Envoy's statuses and bodies.
#[derive(Clone)]
pub struct Responding {
    client: MeshClient,
    shell: context::Client<Outbound>,
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Mesh,
    Through,
}

/// The configuration that serves a request, on its way from where it is asked for its hosts to where it serves.
#[derive(Clone)]
struct InForce(Arc<Snapshot>);

// === impl MeshClient ===

impl MeshClient {
    pub(super) fn new(mesh: Arc<Inner>) -> Self {
        let passthrough = mesh.passthrough.clone();
        let (reports, trace) = (mesh.reports.clone(), mesh.trace.clone());
        let shell = stack::inside(service_fn(dispatch), reports, trace, &mesh.rng);
        Self {
            mesh,
            shell,
            passthrough,
        }
    }

    /// Hosts that the mesh does not know are reached through this.
    #[must_use]
    pub fn with_passthrough(mut self, passthrough: Boxed) -> Self {
        self.passthrough = passthrough;
        self
    }

    /// The same with responses instead of errors.
    #[must_use]
    pub fn responding(&self) -> Responding {
        let (reports, trace) = (self.mesh.reports.clone(), self.mesh.trace.clone());
        let shell = stack::outbound(service_fn(dispatch), reports, trace, &self.mesh.rng);
        Responding {
            client: self.clone(),
            shell: ClientLayer::new().layer(shell),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// As the [service](Self)'s.
    ///
    /// # Cancel safety
    /// As the [service](Self)'s.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<Body>, BoxError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.clone().oneshot(request).await
    }

    /// Where a request for this host goes.
    pub(super) fn way(&self, snapshot: &Snapshot, host: &str) -> Result<Way, Error> {
        // Without a host it is the router's to refuse.
        if host.is_empty() || snapshot.knows(host) {
            return Ok(Way::Mesh);
        }
        let registry_only = snapshot.model.settings.outbound == Some(OutboundPolicy::RegistryOnly);
        match self.mesh.unknown_hosts {
            UnknownHosts::Allow if !registry_only => Ok(Way::Through),
            _ => Err(Error::unknown_host(host)),
        }
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.mesh.reloader.snapshot()
    }

    fn way_of(&self, snapshot: &Snapshot, request: &Request<Body>) -> Result<Way, Error> {
        self.way(snapshot, RequestView::new(request).host())
    }
}

impl<B> Service<Request<B>> for MeshClient
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (snapshot, request) = (self.snapshot(), request.map(Body::new));
        match self.way_of(&snapshot, &request) {
            Ok(Way::Mesh) => Box::pin(self.shell.clone().oneshot(with(snapshot, request))),
            Ok(Way::Through) => Box::pin(self.passthrough.clone().oneshot(request)),
            Err(error) => Box::pin(std::future::ready(Err(error.into()))),
        }
    }
}

impl fmt::Debug for MeshClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshClient").finish_non_exhaustive()
    }
}

// === impl Responding ===

impl<B> Service<Request<B>> for Responding
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (snapshot, request) = (self.client.snapshot(), request.map(Body::new));
        if let Ok(Way::Mesh) = self.client.way_of(&snapshot, &request) {
            return Box::pin(self.shell.clone().oneshot(with(snapshot, request)));
        }
        Box::pin(Respond::new(self.client.clone()).oneshot(request))
    }
}

impl fmt::Debug for Responding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responding").finish_non_exhaustive()
    }
}

// === free functions ===

fn with(snapshot: Arc<Snapshot>, mut request: Request<Body>) -> Request<Body> {
    let https = request.uri().scheme() == Some(&Scheme::HTTPS);
    let extensions = request.extensions_mut();
    extensions.insert(InForce(snapshot));
    if https {
        extensions.insert(AsksTls);
    }
    request
}

/// Serves a request from the configuration that it carries: the one that was asked whether it knows the host.
async fn dispatch(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let (mut head, body) = request.into_parts();
    sanitize::outbound(&mut head);
    let Some(InForce(snapshot)) = head.extensions.remove() else {
        return Err(Error::new(Kind::Internal)
            .with_detail("the request carries no configuration")
            .into());
    };
    snapshot.serve(Request::from_parts(head, body)).await
}
