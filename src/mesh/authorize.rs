//! The policies of a mesh in front of a Rust service's own server.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts, uri::PathAndQuery};
use http_body::Body as HttpBody;
use pin_project::pin_project;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{BoxFuture, inner::Inner, path};
use crate::{
    authz::{AuthzLayer, Engine},
    base::{BoxError, Error, Kind},
    body::Body,
    llm::DialectMode,
    respond::{Respond, RespondLayer},
};

/// Applies [`Authorized`]. See [`Mesh::authorization_layer`](super::Mesh::authorization_layer).
#[derive(Clone)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct AuthorizationLayer {
    mesh: Arc<Inner>,
    authz: AuthzLayer,
}

/// A service behind the AuthorizationPolicies of its workload.
///
/// What they do not let in is answered here: 403 `RBAC: access denied`, over gRPC status 7. Paths are brought into the mesh's
/// normal form first, so that the service sees the path that the policies saw.
///
/// Who calls is what a [`PeerIdentity`](crate::base::ext::PeerIdentity) in the request's extensions says, which the program's
/// TLS leaves there; without one the caller is nobody. Addresses and ports are those of an
/// [`Arrival`](crate::base::ext::Arrival) there; without one rules that look at them let nobody in.
#[derive(Clone)]
pub struct Authorized<S> {
    inner: S,
    layer: AuthorizationLayer,
}

/// Response future of [`Authorized`].
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct Authorizing<F>(#[pin] State<F>);

#[pin_project(project = StateProj)]
enum State<F> {
    In(#[pin] F),
    Refused(BoxFuture<'static, Result<Response<Body>, Infallible>>),
}

// === impl AuthorizationLayer ===

impl AuthorizationLayer {
    pub(super) fn new(mesh: Arc<Inner>) -> Self {
        let in_force = Arc::clone(&mesh);
        let engine = move || -> Option<Arc<Engine>> {
            Some(Arc::clone(&in_force.reloader.snapshot().authorization))
        };
        Self {
            mesh,
            authz: AuthzLayer::new(engine),
        }
    }

    /// Sets the port of the workload, which `ports` of policies mean.
    pub fn with_port(mut self, port: u16) -> Self {
        self.authz = self.authz.with_port(port);
        self
    }

    /// Brings the path into its normal form and asks the policies.
    fn check(&self, head: &mut Parts) -> Result<(), Error> {
        let form = self.mesh.reloader.snapshot().model.settings.normalization;
        let bad = |_| Error::new(Kind::BadRequest);
        let path = head.uri.path();
        if path.starts_with('/') {
            let normal =
                path::in_form(path, form).map_err(|path::Nul| Error::new(Kind::BadRequest))?;
            if normal != path {
                let target = match head.uri.query() {
                    Some(query) => format!("{normal}?{query}"),
                    None => normal.into_owned(),
                };
                let mut parts = head.uri.clone().into_parts();
                parts.path_and_query =
                    Some(PathAndQuery::try_from(target).map_err(|_| Error::new(Kind::BadRequest))?);
                head.uri = http::Uri::from_parts(parts).map_err(bad)?;
            }
        }
        self.authz.check(head)
    }
}

impl<S> Layer<S> for AuthorizationLayer {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Authorized<S> {
        Authorized {
            inner,
            layer: self.clone(),
        }
    }
}

impl fmt::Debug for AuthorizationLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationLayer").finish_non_exhaustive()
    }
}

// === impl Authorized ===

impl<S, B, R> Service<Request<B>> for Authorized<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Authorizing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        Authorizing(match self.layer.check(&mut head) {
            Ok(()) => State::In(self.inner.call(Request::from_parts(head, body))),
            Err(error) => State::Refused(Box::pin(answer(head, error))),
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for Authorized<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// The response to a refusal, as [`respond`](crate::layers::respond) makes it.
async fn answer(head: Parts, error: Error) -> Result<Response<Body>, Infallible> {
    let mut error = Some(error);
    let raise = service_fn(move |_: Request<()>| {
        let error = error.take().unwrap_or_else(|| Kind::Internal.into());
        std::future::ready(Err::<Response<Body>, Error>(error))
    });
    let respond = RespondLayer::new().with_dialect(DialectMode::StatusOnly);
    let respond: Respond<_> = respond.layer(raise);
    respond.oneshot(Request::from_parts(head, ())).await
}

// === impl Authorizing ===

impl<F, R, E> Future for Authorizing<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::In(future) => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(Body::new)))
            }
            StateProj::Refused(answer) => {
                let Ok(response) = ready!(answer.as_mut().poll(cx));
                Poll::Ready(Ok(response))
            }
        }
    }
}

impl<F> fmt::Debug for Authorizing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizing").finish_non_exhaustive()
    }
}
