//! Serves HTTP/1.1 and HTTP/2 with prior knowledge on one port.
//!
//! The server does as little as it can: it limits heads, streams and time, notes when and whence a request came, and
//! hands it to a tower service. The URI is passed as it came: absolute form from callers that use the proxy as such,
//! origin form else, and `CONNECT` with an authority.

mod edge;
mod frames;
mod half;
mod params;
mod pulse;
mod socket;
mod switch;
mod upload;

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use http::{Request, Response};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::task::JoinSet;
use tower::Service;

pub use self::params::Params;
use self::{
    edge::ConnectionService,
    pulse::{ConnectionTimers, Limit},
    socket::Socket,
    switch::{Slot, Switched},
};
use super::{
    drain::Watch,
    listener::{Accept, Backoff, Info},
    news::News,
};
use crate::{
    base::{
        Relay,
        time::{Instant, Sleep, sleep, sleep_until},
    },
    body::Body,
};

/// How long a connection on which no request came yet is kept after draining has begun: it may be on its way.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(250);

/// How long an HTTP/1 connection at rest is kept after draining has begun: its next request may be on its way, and a caller
/// must not find it gone. Whatever is answered from then on says `connection: close`. On HTTP/2, GOAWAY loses nothing.
const REST_GRACE: Duration = Duration::from_secs(1);

/// How many connections are still taken from the listen queue when draining begins.
const BACKLOG: usize = 1024;

/// Bytes of request body that one HTTP/2 stream may have unread.
const STREAM_WINDOW: u32 = 256 << 10;

/// Bytes of request bodies that one HTTP/2 connection may have unread.
const CONNECTION_WINDOW: u32 = 4 << 20;

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
    let (builder, news) = (builder(&params), Arc::new(News::default()));
    let mut connections = JoinSet::new();
    let mut backoff = Backoff::default();
    let start = |connections: &mut JoinSet<()>, io, info| {
        while connections.try_join_next().is_some() {}
        if params
            .max_connections
            .is_some_and(|max| connections.len() >= max)
        {
            tracing::debug!(max = params.max_connections, "one connection too many");
            return;
        }
        let edge = ConnectionService {
            inner: make(&info),
            info,
            seen: Arc::default(),
            pulse: ConnectionTimers::new(),
            slot: Slot::default(),
            drain: drain.clone(),
            upload: params.upload_idle_timeout,
        };
        let served = connection(builder.clone(), io, edge, params, drain.clone());
        let news = Arc::clone(&news);
        connections.spawn(async move {
            if let Err(SpokeTls) = served.await {
                news.tls(&info);
            }
        });
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

/// The peer spoke TLS, which is not spoken here.
struct SpokeTls;

async fn connection<I, S>(
    builder: auto::Builder<TokioExecutor>,
    io: I,
    edge: ConnectionService<S>,
    params: Params,
    drain: Watch,
) -> Result<(), SpokeTls>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let _live = drain.hold();
    let (seen, pulse) = (Arc::clone(&edge.seen), edge.pulse.clone());
    let slot = edge.slot.clone();
    let peer = edge.info.peer;
    let io = TokioIo::new(Socket::new(io, pulse.clone()));
    let mut connection = pin!(builder.serve_connection_with_upgrades(io, edge));
    let relay = Relay::new();
    let waker = Waker::from(Arc::clone(&relay));
    // Over at once, and then set to what the pulse says.
    let mut timer = pin!(sleep_until(Instant::now()));
    let begin_drain = async {
        drain.draining().await;
        if !pulse.is_http2() {
            return sleep(REST_GRACE).await;
        }
        tokio::select! {
            () = seen.wait() => {}
            () = sleep(FIRST_REQUEST_GRACE) => {}
        }
    };
    let mut begin_drain = pin!(begin_drain);
    let mut stopped = pin!(drain.stopped());
    let (mut draining, mut closing) = (false, false);
    loop {
        let driven = poll_fn(|cx| {
            relay.set(cx.waker());
            let polled = connection.as_mut().poll(&mut Context::from_waker(&waker));
            if let Poll::Ready(ended) = polled {
                return Poll::Ready(Err(ended));
            }
            poll_limit(&pulse, &params, timer.as_mut(), cx).map(Ok)
        });
        tokio::select! {
            biased;
            driven = driven => match driven {
                Ok(Limit::Idle) if !closing => {
                    closing = true;
                    pulse.close();
                    connection.as_mut().graceful_shutdown();
                }
                Ok(limit) => {
                    tracing::debug!(?peer, ?limit, "connection closed");
                    return Ok(());
                }
                Err(Ok(())) => break,
                Err(Err(_)) if pulse.is_tls() => return Err(SpokeTls),
                Err(Err(error)) => {
                    tracing::debug!(?peer, %error, "connection ended badly");
                    return Ok(());
                }
            },
            () = begin_drain.as_mut(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = stopped.as_mut() => return Ok(()),
        }
    }
    // Draining leaves it alone.
    if let Some(mut switched) = slot.take() {
        tokio::select! {
            biased;
            () = stopped => {}
            () = poll_fn(|cx| poll_switched(&mut switched, &pulse, &params, timer.as_mut(), cx)) => {}
        }
    }
    Ok(())
}

/// Until a limit is reached.
fn poll_limit(
    pulse: &ConnectionTimers,
    params: &Params,
    mut timer: Pin<&mut Sleep>,
    cx: &mut Context<'_>,
) -> Poll<Limit> {
    loop {
        match pulse.look(params, Instant::now()) {
            Ok(limit) => return Poll::Ready(limit),
            // A timer that is early is cheaper than one that is always set anew.
            Err(at) if at < timer.deadline() || timer.is_elapsed() => timer.as_mut().reset(at),
            Err(_) => {}
        }
        ready!(timer.as_mut().poll(cx));
    }
}

/// Until a connection that has left HTTP is over, or its caller has read nothing for too long.
fn poll_switched(
    switched: &mut Switched,
    pulse: &ConnectionTimers,
    params: &Params,
    timer: Pin<&mut Sleep>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if switched.poll(cx).is_ready() {
        return Poll::Ready(());
    }
    poll_limit(pulse, params, timer, cx).map(drop)
}

/// How many header fields hyper takes if nothing is said.
const HYPERS_MAX_HEADERS: usize = 100;

fn builder(params: &Params) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // The pulse has that, and tells a head from rest.
        .header_read_timeout(None)
        .max_buf_size((params.max_header_bytes as usize).max(8 << 10));
    // Said, it costs hyper a page of copies for each request, so where it is hyper's own it is not.
    if params.max_headers != HYPERS_MAX_HEADERS {
        builder.http1().max_headers(params.max_headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(params.max_concurrent_streams)
        .max_header_list_size(params.max_header_bytes)
        .max_pending_accept_reset_streams(params.max_pending_resets)
        .max_local_error_reset_streams(params.max_local_resets)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}
