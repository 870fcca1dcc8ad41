//! Serves HTTP/1.1 and HTTP/2 with prior knowledge on one port.
//!
//! The server does as little as it can: it limits heads, streams and time, notes when and whence a request came, and
//! hands it to a tower service. The URI is passed as it came: absolute form from callers that use the proxy as such,
//! origin form else, and `CONNECT` with an authority.

use std::{
    convert::Infallible,
    error::Error as _,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Request, Response, Version, header::CONNECTION};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use pin_project::pin_project;
use tokio::{sync::Notify, task::JoinSet};
use tower::{Service, ServiceExt, util::Oneshot};

use super::{
    drain::{Phase, Watch},
    listener::{Accept, Backoff, Info},
};
use crate::{
    base::{
        Error, Kind,
        ext::Arrival,
        time::{Instant, sleep},
    },
    body::Body,
};

/// Limits of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Params {
    /// How long a request's head may take, from the end of the response before it on HTTP/1: it also bounds how long a
    /// connection may stay idle there.
    pub header_read_timeout: Duration,
    /// Header fields of an HTTP/1 request.
    pub max_headers: usize,
    /// Bytes of a request's head. HTTP/1: also the read buffer; at least 8 KiB.
    pub max_header_bytes: u32,
    /// Concurrent streams on an HTTP/2 connection.
    pub max_concurrent_streams: u32,
}

/// How long a connection on which no request came yet is kept after draining has begun: it may be on its way.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(250);

/// How many connections are still taken from the listen queue when draining begins.
const BACKLOG: usize = 1024;

/// Bytes of request body that one HTTP/2 stream may have unread.
const STREAM_WINDOW: u32 = 256 << 10;

/// Bytes of request bodies that one HTTP/2 connection may have unread.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// A connection's service as hyper wants it.
struct Edge<S> {
    inner: S,
    info: Info,
    seen: Arc<Seen>,
    drain: Watch,
}

/// The service's answer, told to be the connection's last while draining.
#[pin_project]
struct Answer<F> {
    #[pin]
    inner: F,
    /// HTTP/2 says it by GOAWAY.
    http1: bool,
    drain: Watch,
}

/// Whether a request came on a connection.
#[derive(Default)]
struct Seen {
    any: AtomicBool,
    notify: Notify,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(30),
            max_headers: 100,
            max_header_bytes: 60 << 10,
            max_concurrent_streams: 100,
        }
    }
}

/// Accepts connections and serves each with the service that `make` returns for it, until `drain` says stop.
///
/// When draining begins, what has been accepted or waits to be is served, nothing else; the future completes when the
/// last connection has ended, or at once when `drain` stops. HTTP/1 responses then carry `connection: close`, HTTP/2
/// connections get a GOAWAY.
///
/// # Cancel safety
/// Dropping the future closes the listener and all its connections.
pub async fn serve<A, M, S>(mut listener: A, make: M, params: Params, drain: Watch)
where
    A: Accept,
    M: Fn(&Info) -> S,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let builder = builder(&params);
    let mut connections = JoinSet::new();
    let mut backoff = Backoff::default();
    let start = |connections: &mut JoinSet<()>, io, info| {
        let edge = Edge {
            inner: make(&info),
            info,
            seen: Arc::default(),
            drain: drain.clone(),
        };
        connections.spawn(connection(builder.clone(), io, edge, params, drain.clone()));
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.draining() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((io, info)) => {
                backoff.reset();
                start(&mut connections, io, info);
            }
            Err(error) => tokio::select! {
                () = rest(&mut backoff, &error) => {}
                () = drain.draining() => {}
            },
        }
    }
    // What waits to be accepted now was promised a server.
    for _ in 0..BACKLOG {
        tokio::select! {
            biased;
            Ok((io, info)) = listener.accept() => start(&mut connections, io, info),
            () = std::future::ready(()) => break,
        }
    }
    drop(listener);
    tokio::select! {
        biased;
        () = drain.stopped() => {}
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
}

async fn rest(backoff: &mut Backoff, error: &io::Error) {
    if let Some(wait) = backoff.after(error) {
        tracing::warn!(%error, ?wait, "cannot accept connections");
        sleep(wait).await;
    }
}

async fn connection<I, S>(
    builder: auto::Builder<TokioExecutor>,
    io: I,
    edge: Edge<S>,
    params: Params,
    drain: Watch,
) where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let _live = drain.hold();
    let seen = Arc::clone(&edge.seen);
    let peer = edge.info.peer;
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), edge));
    // hyper's own timeout begins after the first bytes, and is HTTP/1's only.
    let first = async {
        tokio::select! {
            () = seen.wait() => std::future::pending().await,
            () = sleep(params.header_read_timeout) => {}
        }
    };
    let mut first = pin!(first);
    let begin_drain = async {
        drain.draining().await;
        tokio::select! {
            () = seen.wait() => {}
            () = sleep(FIRST_REQUEST_GRACE) => {}
        }
    };
    let mut begin_drain = pin!(begin_drain);
    let mut draining = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(?peer, %error, "connection ended badly");
                }
                return;
            }
            () = begin_drain.as_mut(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = first.as_mut() => return,
            () = drain.stopped() => return,
        }
    }
}

fn builder(params: &Params) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(params.header_read_timeout)
        .max_headers(params.max_headers)
        .max_buf_size((params.max_header_bytes as usize).max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(params.max_concurrent_streams)
        .max_header_list_size(params.max_header_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

/// Why a request's body broke off: what came was no HTTP, or the caller went away. Neither is an upstream's fault.
fn broken(error: hyper::Error) -> Error {
    let io = error.source().and_then(|e| e.downcast_ref::<io::Error>());
    let kind = match io.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Kind::BadRequest,
        _ => Kind::Canceled,
    };
    Error::new(kind).with_source(error)
}

// === impl Seen ===

impl Seen {
    fn note(&self) {
        if !self.any.swap(true, Ordering::AcqRel) {
            self.notify.notify_waiters();
        }
    }

    async fn wait(&self) {
        let notified = self.notify.notified();
        let mut notified: Pin<&mut _> = pin!(notified);
        // Listen first: a request may come between the look and the wait.
        notified.as_mut().enable();
        if !self.any.load(Ordering::Acquire) {
            notified.await;
        }
    }
}

// === impl Edge ===

impl<S> hyper::service::Service<Request<Incoming>> for Edge<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<Oneshot<S, Request<Body>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.seen.note();
        let mut request = request.map(|body| {
            if body.is_end_stream() {
                Body::empty()
            } else {
                Body::new(body.map_err(broken))
            }
        });
        request.extensions_mut().insert(Arrival {
            at: Instant::now(),
            peer: self.info.peer,
            local: self.info.local,
            tls: self.info.tls,
        });
        Answer {
            http1: request.version() < Version::HTTP_2,
            inner: self.inner.clone().oneshot(request),
            drain: self.drain.clone(),
        }
    }
}

// === impl Answer ===

impl<F> Future for Answer<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(cx));
        if *this.http1 && this.drain.phase() != Phase::Serving {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}
