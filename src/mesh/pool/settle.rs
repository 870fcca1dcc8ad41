//! Making an HTTP/2 connection ready: nothing is sent before the peer has said how many streams it takes.
//!
//! hyper opens up to a hundred streams before the peer's settings are in, and a peer that takes fewer refuses the rest.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hyper::{client::conn::http2, rt::Executor};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;

use super::{Limits, error::DialFailure, socket::Socket, upload::Uploading};

/// What a slow reader may leave unread on one stream.
const STREAM_WINDOW: u32 = 256 << 10;

/// Far above the streams' sum in practice: h2 closes the whole connection when unread small frames use up half of this,
/// and token streams are small frames.
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The largest response head, as Envoy's `max_request_headers_kb`.
const MAX_HEADER_LIST: u32 = 60 << 10;

/// What h2 takes for the peer's stream limit until the peer has said it; above any that it can say.
const UNSAID: usize = usize::MAX - 1;

pub(super) type Connection = http2::Connection<TokioIo<Socket>, Uploading, Settling>;

/// Runs hyper's tasks, and until the peer's settings are known tells whenever they may have come.
#[derive(Clone, Default)]
pub(super) struct Settling(Arc<Settled>);

#[derive(Default)]
struct Settled {
    known: AtomicBool,
    progress: Notify,
}

// === impl Settling ===

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Settling {
    fn execute(&self, task: F) {
        let settled = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut task = pin!(task);
            poll_fn(|cx| {
                let polled = task.as_mut().poll(cx);
                if !settled.known.load(Ordering::Acquire) {
                    settled.progress.notify_one();
                }
                polled
            })
            .await;
        });
    }
}

// === free functions ===

/// Waits for the peer's settings, so that no stream is opened above its limit, only to be refused.
pub(super) async fn handshake(
    limits: &Limits,
    socket: Socket,
) -> Result<(http2::SendRequest<Uploading>, Connection), DialFailure> {
    let settling = Settling::default();
    let settled = Arc::clone(&settling.0);
    let (sender, mut connection) = http2::Builder::new(settling)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_max_send_streams(UNSAID)
        .max_header_list_size(MAX_HEADER_LIST)
        .handshake::<_, Uploading>(TokioIo::new(socket))
        .await
        .map_err(|error| DialFailure::handshake(&error))?;
    let known = async {
        loop {
            tokio::select! {
                ended = &mut connection => {
                    limits.count_failed(false);
                    return Err(DialFailure::not_http2(ended.err()));
                }
                () = settled.progress.notified() => {}
            }
            if connection.current_max_send_streams() != UNSAID {
                return Ok(());
            }
        }
    };
    let timeout = limits.params().connect_timeout;
    match tokio::time::timeout(timeout, known).await {
        Ok(known) => known?,
        Err(_) => {
            limits.count_failed(true);
            return Err(DialFailure::no_settings());
        }
    }
    settled.known.store(true, Ordering::Release);
    Ok((sender, connection))
}
