//! Sockets: accepting, serving, refusing and breaking.

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{
    doors::{Conn, Order, subscribe},
    serve,
    shared::Shared,
};
use crate::base::{Counter, time::sleep};

/// A socket that resets the connection on drop if its [`Conn`] says so.
struct Socket {
    stream: TcpStream,
    conn: Arc<Conn>,
}

/// Holds the count of open connections.
struct Open<'a>(&'a Counter);

/// Starts to accept on `listener`.
pub(super) fn spawn(shared: &Arc<Shared>, listener: TcpListener) {
    // Subscribed before this returns, so that an order given right after it is heard.
    let closing = subscribe(&shared.doors.listening);
    tokio::spawn(accept(Arc::clone(shared), listener, closing));
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, mut closing: watch::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = closing.changed() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => open(&shared, stream),
            // Out of descriptors, or the peer was gone before it was accepted: the next may succeed.
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
    // The socket is closed before the order is reported as obeyed.
    drop(listener);
    drop(closing);
}

fn open(shared: &Arc<Shared>, stream: TcpStream) {
    shared.stats.accepted.inc();
    shared.stats.open.inc();
    // Only latency suffers if this fails.
    let _ = stream.set_nodelay(true);
    let conn = Arc::new(Conn {
        id: shared.stats.accepted.get(),
        reset: AtomicBool::new(false),
    });
    let orders = subscribe(&shared.doors.connections);
    tokio::spawn(run(Arc::clone(shared), stream, conn, orders));
}

async fn run(
    shared: Arc<Shared>,
    stream: TcpStream,
    conn: Arc<Conn>,
    mut orders: watch::Receiver<Order>,
) {
    let _open = Open(&shared.stats.open);
    {
        let socket = Socket {
            stream,
            conn: Arc::clone(&conn),
        };
        let service = service_fn(|request| {
            let (shared, conn) = (Arc::clone(&shared), Arc::clone(&conn));
            async move { serve::serve(&shared, &conn, request).await }
        });
        let mut serving = pin!(shared.http.serve_connection(TokioIo::new(socket), service));
        loop {
            tokio::select! {
                // How it ended is for the client to see.
                _ = serving.as_mut() => break,
                told = orders.changed() => {
                    let order = *orders.borrow_and_update();
                    if told.is_err() || order == Order::Die {
                        break;
                    }
                    serving.as_mut().graceful_shutdown();
                }
            }
        }
    }
    drop(orders);
}

/// HTTP/1.1 and HTTP/2 on one port.
pub(super) fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // Idle connections of a client's pool are kept.
        .header_read_timeout(None);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(1000);
    http
}

/// Listens on `address`.
pub(super) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Listens again after `wait`, unless the upstream is gone or another has the port by then.
pub(super) fn revive_after(shared: &Arc<Shared>, wait: Duration) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        sleep(wait).await;
        for _ in 0..20 {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            if let Ok((listener, _)) = bind(shared.address).await {
                return spawn(&shared, listener);
            }
            drop(shared);
            sleep(Duration::from_millis(50)).await;
        }
    });
}

// === impl Socket ===

impl Drop for Socket {
    fn drop(&mut self) {
        if self.conn.reset.load(Ordering::Relaxed) {
            // Where it cannot be set the connection closes with FIN: broken all the same.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

// === impl Open ===

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
