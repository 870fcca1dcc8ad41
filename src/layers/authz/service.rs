//! The `Service` shell.

use std::{
    fmt,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, request::Parts};
use pin_project::pin_project;
use tower::Service;

use super::{
    engine::Decision,
    facts::{Fact, Facts},
    layer::Policies,
};
use crate::base::{
    BoxError, Error, Kind,
    ext::{Arrival, PeerIdentity},
};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Passes on what policies let in.
///
/// It reads the request's head, its [`Arrival`] and its [`PeerIdentity`]. The path is taken as it stands: bring it into its
/// normal form before.
///
/// # Errors
/// [`Kind::Forbidden`], with Envoy's response code details as its detail, and those of the inner service.
///
/// # Cancel safety
/// That of the inner service.
#[derive(Clone)]
pub struct Authz<S> {
    inner: S,
    policies: Arc<dyn Policies>,
    port: Option<u16>,
}

/// Response future of [`Authz`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F>(#[pin] State<F>);

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    In(#[pin] F),
    Refused(Option<Error>),
}

// === impl Authz ===

impl<S> Authz<S> {
    pub(super) fn new(inner: S, policies: Arc<dyn Policies>, port: Option<u16>) -> Self {
        Self {
            inner,
            policies,
            port,
        }
    }

    /// The inner service.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Why a request may not pass.
    fn refuse(&self, head: &Parts) -> Option<Error> {
        let Some(engine) = self.policies.engine() else {
            let detail = "rbac_access_denied_matched_policy[none]";
            return Some(Error::new(Kind::Forbidden).with_detail(detail));
        };
        if engine.is_open() {
            return None;
        }
        let decision = engine.decide(&facts(head, self.port));
        tell(&decision);
        let refused = !decision.allowed;
        refused.then(|| Error::new(Kind::Forbidden).with_detail(decision.details()))
    }
}

/// What policies that decide nothing have to say goes to the log.
fn tell(decision: &Decision) {
    if let Some(rule) = &decision.audited {
        tracing::info!(target: "llmesh::authz", %rule, allowed = decision.allowed, "audited");
    }
    if let Some(would) = decision.tried {
        tracing::info!(
            target: "llmesh::authz",
            allowed = decision.allowed,
            would_be_allowed = would,
            "a policy that is only tried out would change this"
        );
    }
}

fn facts(head: &Parts, port: Option<u16>) -> Facts<'_> {
    let arrival = head.extensions.get::<Arrival>();
    let peer = arrival.and_then(|arrival| arrival.peer);
    let local = arrival.and_then(|arrival| arrival.local);
    let identity = head.extensions.get::<PeerIdentity>();
    let direct = Fact::perhaps(peer.map(|peer| peer.ip()));
    let mut facts = Facts::of_head(head);
    // Without a handshake nothing was proved.
    facts.peer = Fact::known(identity.and_then(|identity| identity.uri.as_deref()));
    facts.sni = Fact::known(identity.and_then(|identity| identity.sni.as_deref()));
    facts.source_ip = direct;
    facts.remote_ip = forwarded_for(&head.headers).map_or(direct, Fact::Is);
    facts.destination_ip = Fact::perhaps(local.map(|local| local.ip()));
    facts.port = Fact::perhaps(port.or_else(|| local.map(|local| local.port())));
    facts
}

/// The last address of `x-forwarded-for`: who it was for the hop before, with no hops trusted beyond it.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all(FORWARDED_FOR).iter().next_back()?;
    let last = line.to_str().ok()?.rsplit(',').next()?.trim();
    last.parse().ok()
}

impl<S, B> Service<Request<B>> for Authz<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        ResponseFuture(match self.refuse(&head) {
            Some(error) => State::Refused(Some(error)),
            None => State::In(self.inner.call(Request::from_parts(head, body))),
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for Authz<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authz")
            .field("inner", &self.inner)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Output = Result<R, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::In(future) => future.poll(cx).map_err(Into::into),
            StateProj::Refused(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error.into())),
                // Polled again after completion, which the contract of `Future` forbids.
                None => Poll::Pending,
            },
        }
    }
}
