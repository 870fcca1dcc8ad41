//! Connections to one endpoint: kept, counted, limited.
//!
//! hyper's own client pools have no ceiling on open connections, one HTTP/2 connection per host whatever its stream
//! limit, and repeat requests unseen. This one follows Istio's `connectionPool`: a [`Pool`] serves one endpoint, and
//! the [`Limits`] of its cluster are shared by all of the cluster's pools.
//!
//! - A request that finds no connection waits ([`max_pending`](crate::model::Pool::max_pending)), as in Envoy also while
//!   one is being dialled for it. It takes whatever comes first, the new connection or one that comes free.
//! - While it waits, the clock of the attempt ([`TryClock`]) stands still.
//! - A request that was handed to a connection found dead before anything was sent goes to another one unseen.
//! - One that was sent on an HTTP/1 connection that had served before, and got no byte of an answer before that was closed,
//!   has met a peer that closes idle connections (RFC 9112 section 9.3.1). It is sent once more, on another connection, if its
//!   method is idempotent and its body was kept. Nothing else is ever repeated here.
//! - A connection is used again only after the response was read to its end. Dropping a response body in the middle
//!   closes an HTTP/1 connection and resets an HTTP/2 stream.
//! - A request with a key of this side is refused where its connection would be neither encrypted nor to this host, unless a
//!   policy allows it ([`Guarded`](crate::base::ext::Guarded)).
//! - `max_connections` is a ceiling for HTTP/1. HTTP/2 opens another connection when the streams of those that it has
//!   are used up.

mod active;
mod answer;
mod book;
mod conn;
mod dial;
mod endpoint;
mod error;
mod expect;
mod guard;
mod http1;
mod http2;
mod lane;
mod limits;
mod line;
mod message;
mod pending;
mod settle;
mod socket;
mod spare;
mod stats;
mod switched;
mod upload;

use std::{
    fmt,
    future::poll_fn,
    net::SocketAddr,
    ops::ControlFlow,
    sync::Arc,
    task::{Context, Poll},
};

use ::http::{Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use tower::Service;

use self::{
    active::Active,
    answer::Answer,
    conn::Conn,
    endpoint::Endpoint,
    error::{DialFailure, Unanswered},
    expect::Gate,
    lane::Stream,
    line::DriveGuard,
    spare::{Spare, spared},
    upload::{Upload, watched},
};
pub use self::{limits::Limits, stats::PoolStats};
use super::{
    BoxFuture,
    connect::Connect,
    hop, tls,
    upgrade::{self, Upgrade},
};
use crate::{
    base::{BoxError, Error, Kind, error::find, ext::TryClock},
    body::{self, Body, Peek, peek::Stopped},
};

/// How often a request follows a server that changes its protocol from one connection to the next.
const TURNS: usize = 4;

/// The connections to one endpoint, as a service. Clones share them; the last one dropped drains them.
///
/// # Errors
/// Futures end in an [`Error`]: [`Kind::Overflow`], [`Kind::Connect`], [`Kind::Withheld`], [`Kind::Reset`],
/// [`Kind::UpstreamProtocol`], [`Kind::BadRequest`], or what the request body failed with ([`Kind::Canceled`] where
/// that is not an error of this crate). Response bodies fail likewise.
///
/// # Cancel safety
/// Dropping a future while it waits leaves the queue; after that it closes the HTTP/1 connection or resets the stream.
///
/// # Panics
/// Futures must be polled inside a tokio runtime with time and I/O.
#[derive(Clone)]
pub struct Pool(Arc<Handle>);

/// Drains when the last pool is dropped: connections keep the endpoint itself alive.
struct Handle(Arc<Endpoint>);

/// The protocol of a request, and its connection where there is one already.
enum Way {
    Http1(Option<Conn>),
    Http2(Option<Stream>),
}

// === impl Pool ===

impl Pool {
    /// A pool for one endpoint of the cluster that `limits` belongs to. Nothing is dialled yet.
    #[must_use]
    pub fn new(address: SocketAddr, limits: Limits, connect: Arc<dyn Connect>) -> Self {
        Self::over(address, limits, connect, None)
    }

    /// The same over TLS, if any.
    pub(super) fn over(
        address: SocketAddr,
        limits: Limits,
        connect: Arc<dyn Connect>,
        tls: Option<Arc<tls::Client>>,
    ) -> Self {
        Self(Arc::new(Handle(Endpoint::new(
            address, limits, connect, tls,
        ))))
    }

    /// Where it connects to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.0.address()
    }

    /// The name that people know it by, where its address only stands for one.
    pub(super) fn named(&self) -> Option<Arc<str>> {
        self.0.0.named()
    }

    /// The cluster's limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.0.0.limits()
    }

    /// Closes idle connections; those in use close when their requests are over. Requests are still served, each on a
    /// connection that is not kept.
    pub fn drain(&self) {
        self.0.0.drain();
    }
}

impl Service<Request<Body>> for Pool {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    /// Always ready: ceilings are the request's business.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The pool itself is kept until the head is in: dropping it drains.
        let pool = self.clone();
        Box::pin(async move { send(&pool.0.0, request).await })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("address", &self.address())
            .field("limits", self.limits())
            .finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.drain();
    }
}

// === free functions ===

async fn send(
    endpoint: &Arc<Endpoint>,
    mut request: Request<Body>,
) -> Result<Response<Body>, BoxError> {
    let (address, limits) = (endpoint.address(), endpoint.limits());
    guard::check(&request, address, endpoint.is_encrypted(), limits)?;
    endpoint.enter();
    let context = body::Context::of(&request);
    let clock = context.and_then(body::Context::try_clock).cloned();
    let clock = clock.as_ref();
    let upgrade = request.extensions_mut().remove::<Upgrade>();
    let upgrade = upgrade.as_ref();
    let conn = match way(endpoint, request.version(), upgrade.is_some(), clock).await? {
        Way::Http1(conn) => conn,
        Way::Http2(stream) => {
            message::for_http2(&mut request, endpoint.is_encrypted())?;
            let (request, upload) = watched(request);
            let (response, active) = http2::send(endpoint, request, &upload, clock, stream).await?;
            return received(response, active, None, upload).await;
        }
    };
    message::for_http1(&mut request)?;
    if upgrade.is_some() {
        upgrade::say(request.headers_mut());
    }
    let spare;
    (request, spare) = spared(request);
    match send_http1(endpoint, request, clock, conn, upgrade).await {
        Ok(response) => Ok(response),
        Err(unanswered) => match spare.filter(|_| unanswered.raced).and_then(Spare::request) {
            // Whatever else is idle may be as dead.
            Some(request) => {
                endpoint.close_idle();
                let answered = send_http1(endpoint, request, clock, None, upgrade).await;
                answered.map_err(|unanswered| unanswered.error)
            }
            None => Err(unanswered.error),
        },
    }
}

/// Which protocol a request is made ready for. Where that is agreed upon in the handshake, only a connection tells. One that
/// `switches` is for HTTP/1 alone, also where the server would rather speak HTTP/2.
async fn way(
    endpoint: &Arc<Endpoint>,
    version: Version,
    switches: bool,
    clock: Option<&TryClock>,
) -> Result<Way, Error> {
    if !endpoint.negotiates() && !switches {
        return Ok(match endpoint.speaks_http2(version) {
            true => Way::Http2(None),
            false => Way::Http1(None),
        });
    }
    for _ in 0..TURNS {
        if endpoint.speaks_http2(version) && !switches {
            if let Some(stream) = http2::acquire(endpoint, clock).await? {
                return Ok(Way::Http2(Some(stream)));
            }
        } else if let Some(conn) = http1::acquire(endpoint, clock).await? {
            return Ok(Way::Http1(Some(conn)));
        }
    }
    Err(DialFailure::other_protocol().into())
}

async fn send_http1(
    endpoint: &Arc<Endpoint>,
    mut request: Request<Body>,
    clock: Option<&TryClock>,
    conn: Option<Conn>,
    upgrade: Option<&Upgrade>,
) -> Result<Response<Body>, Unanswered> {
    let gate = Gate::before(&mut request);
    let (request, upload) = watched(request);
    let switches = upgrade.is_some();
    let sent = http1::send(endpoint, request, &upload, clock, conn, switches).await;
    let (response, mut active, drive) = sent?;
    let drive = match (drive, upgrade) {
        (Some(drive), Some(upgrade)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let switched = switched::switched(response, active, drive, upgrade.clone());
            return Ok(switched.await?);
        }
        (drive, _) => drive,
    };
    active.answered = gate.map(Gate::answered);
    Ok(received(response, active, drive, upload).await?)
}

async fn received(
    response: Response<Incoming>,
    active: Active,
    drive: Option<DriveGuard>,
    upload: Upload,
) -> Result<Response<Body>, BoxError> {
    let (head, body) = response.into_parts();
    let body = if body.is_end_stream() {
        Body::empty()
    } else {
        let sized = body.size_hint().exact().is_some();
        // Nothing comes behind a body of known length on HTTP/1, which alone has such names.
        let named = if sized {
            Vec::new()
        } else {
            hop::named(&head.headers)
        };
        let body = Answer::new(body, active, drive, upload, named);
        // Nothing can be wrong with bytes that are only counted.
        if sized {
            Body::new(body)
        } else {
            begin(body).await?
        }
    };
    let mut response = Response::from_parts(head, body);
    message::clean_response(&mut response);
    Ok(response)
}

/// Looks at what of the body is there already, and waits for nothing: one that is no HTTP from its first byte is an
/// error that can still be answered.
async fn begin(body: Answer) -> Result<Body, BoxError> {
    // A task of the connection's own hands the head over before it reads on.
    let turns = if body.is_driven() { 1 } else { 2 };
    let mut peek = Peek::new(body);
    for turn in 1..=turns {
        let first =
            poll_fn(|cx| Poll::Ready(peek.poll_until(cx, |_| ControlFlow::Break(())))).await;
        match first {
            Poll::Ready(Stopped::Failed) => {
                let kind = peek.error().and_then(|e| find(&**e)).map(Error::kind);
                if kind == Some(Kind::UpstreamProtocol) {
                    let cause = peek.error().map(ToString::to_string).unwrap_or_default();
                    return Err(Error::new(Kind::UpstreamProtocol).with_source(cause).into());
                }
                break;
            }
            Poll::Ready(_) => break,
            Poll::Pending if turn < turns => tokio::task::yield_now().await,
            Poll::Pending => {}
        }
    }
    Ok(Body::new(peek.into_body()))
}
