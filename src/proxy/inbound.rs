//! In front of an application: what comes in for it, if policies let it in.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use tower::Service;

use super::{
    BoxFuture,
    dispatch::{asked_itself, refused},
    listener::{Accept, Info},
    reload::Reloader,
};
use crate::{
    authz::{Engine, Policies, params::Mode},
    base::{
        BoxError, Denied, Error, Kind,
        ext::{Arrival, Record, RouteMeta},
    },
    body::Body,
    mesh::Refusal,
    model::{self, ClusterName, Discovery, Protocol},
    stack::Boxed,
};

/// An application, and where the requests for it come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Where they come in. Port 0 is a free one.
    pub listen: SocketAddr,
    /// Where it listens. Its port is the workload's, which policies mean.
    pub app: SocketAddr,
}

/// The policies in force for this process's own workload.
#[derive(Clone, Debug)]
pub(super) struct InForce(pub(super) Arc<Reloader>);

/// Takes connections in as long as the port takes plain text: others are closed without an answer.
pub(super) struct Guarded<A> {
    pub(super) inner: A,
    pub(super) policies: InForce,
    pub(super) port: u16,
}

/// Answers what has no one form before any policy is asked.
#[derive(Clone)]
pub(super) struct Gate<S>(pub(super) S);

/// The application, as the last of its stack.
#[derive(Clone)]
pub(super) struct App {
    service: Boxed,
    route: RouteMeta,
    policies: InForce,
    port: u16,
}

// === impl Inbound ===

impl Inbound {
    /// Requests that come in here are for the application there.
    #[must_use]
    pub const fn new(listen: SocketAddr, app: SocketAddr) -> Self {
        Self { listen, app }
    }

    /// The application as a cluster of one: plain text, in the protocol of the caller.
    pub(super) fn cluster(self) -> model::Cluster {
        let name = ClusterName::new(self.app.port(), "", "inbound");
        let endpoint = model::Endpoint::new(self.app.ip().to_string(), self.app.port());
        let mut cluster = model::Cluster::new(name, Discovery::Static(vec![endpoint]));
        cluster.plain_text = true;
        cluster.pool.protocol = Protocol::AsCaller;
        cluster
    }
}

// === impl InForce ===

impl InForce {
    /// What a port takes now.
    pub(super) fn mode(&self, port: u16) -> Mode {
        let snapshot = self.0.snapshot();
        snapshot.model.security.mode(&snapshot.model.settings, port)
    }
}

impl Policies for InForce {
    fn engine(&self) -> Option<Arc<Engine>> {
        Some(Arc::clone(&self.0.snapshot().authorization))
    }
}

// === impl Guarded ===

impl<A: Accept> Accept for Guarded<A> {
    type Io = A::Io;

    async fn accept(&mut self) -> io::Result<(A::Io, Info)> {
        loop {
            let (io, info) = self.inner.accept().await?;
            if info.tls || self.policies.mode(self.port) != Mode::Strict {
                return Ok((io, info));
            }
            tracing::debug!(target: "llmesh::inbound", peer = ?info.peer, port = self.port, "closed: plain text to a STRICT port");
        }
    }
}

// === impl Gate ===

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match request.extensions().get::<Refusal>() {
            Some(refusal) => {
                let response = refused(*refusal, &request);
                Box::pin(async move { Ok(response) })
            }
            None => Box::pin(self.0.call(request)),
        }
    }
}

// === impl App ===

impl App {
    pub(super) fn new(service: Boxed, port: u16, policies: InForce) -> Self {
        let route = RouteMeta {
            id: usize::MAX,
            route: "default".into(),
            virtual_host: format!("inbound|http|{port}").into(),
            cluster: format!("inbound|{port}||").into(),
        };
        Self {
            service,
            route,
            policies,
            port,
        }
    }
}

impl Service<Request<Body>> for App {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(record) = request.extensions().get::<Record>() {
            record.note(|n| n.route = Some(self.route.clone()));
        }
        let arrival = request.extensions().get::<Arrival>();
        // On a connection that was taken in before the port became STRICT.
        if !arrival.is_some_and(|a| a.tls) && self.policies.mode(self.port) == Mode::Strict {
            let error =
                Error::new(Kind::Forbidden).with_source(Denied("plain_text_to_strict_port".into()));
            return Box::pin(async move { Err(error.into()) });
        }
        if request.method() == Method::OPTIONS && request.uri().path() == "*" {
            let response = asked_itself(&request);
            return Box::pin(async move { Ok(response) });
        }
        self.service.call(request)
    }
}
