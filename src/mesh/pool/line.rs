//! A connection's bytes, and who moves them.
//!
//! hyper wants its connection polled by somebody. Were that always a task of the connection's own, each request would
//! cost several switches between two tasks and their wake-ups. So a request that is on a connection polls it itself; the
//! task stands by for the rest of the time: it reads on where nobody asks for more yet, sees the peer close, and ends what
//! was given up. One may poll at any time, and only what was woken is polled.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{socket::Socket, upload::Uploading};
use crate::base::Relay;

type Connection = http1::Connection<TokioIo<Socket>, Uploading>;

/// A connection that its task and its requests poll, one at a time.
pub(super) struct SharedConnection(Mutex<State>);

struct State {
    /// `None` once it is closed.
    connection: Option<Connection>,
    /// Who polls it.
    driver: Driver,
    /// Which request is on it, or was last.
    request: u64,
    /// The task's.
    task: Option<Waker>,
    /// To whoever polls it.
    relay: Arc<Relay>,
    waker: Waker,
    /// Whether it was closed while a request polled it.
    ended_in_use: bool,
    /// Whether its end is counted, or left to whoever took it over.
    counted: bool,
    /// Whether the request on it may take it over, and then what is left of it once HTTP is over.
    switches: bool,
    left: Option<Connection>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Driver {
    Task,
    Request,
}

/// The right of one request to poll its connection, as long as it is on it. The task takes over when this is dropped.
pub(super) struct DriveGuard {
    line: Arc<SharedConnection>,
    request: u64,
}

// === impl SharedConnection ===

impl SharedConnection {
    pub(super) fn new(connection: Connection) -> Arc<Self> {
        let relay = Relay::new();
        Arc::new(Self(Mutex::new(State {
            connection: Some(connection),
            driver: Driver::Task,
            request: 0,
            task: None,
            waker: Waker::from(Arc::clone(&relay)),
            relay,
            ended_in_use: false,
            counted: false,
            switches: false,
            left: None,
        })))
    }

    /// The next request is on it, and polls it from now on. One that `switches` may take it over from HTTP.
    pub(super) fn claim(self: &Arc<Self>, switches: bool) -> DriveGuard {
        let mut state = self.state();
        state.switches = switches;
        state.driver = Driver::Request;
        state.request += 1;
        DriveGuard {
            line: Arc::clone(self),
            request: state.request,
        }
    }

    /// The request that was on it is over: it is the task's.
    pub(super) fn free(&self) {
        self.state().driver = Driver::Task;
    }

    /// Polls on behalf of the task; ready once the connection is closed. Nothing while a request does.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        match &mut state.task {
            Some(task) => task.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        let closed = match state.driver {
            Driver::Task => state.poll(cx),
            Driver::Request => None,
        };
        let over = state.connection.is_none();
        drop(state);
        drop(closed);
        if over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether it was closed while a request polled it, and so not on this side.
    pub(super) fn ended_in_use(&self) -> bool {
        self.state().ended_in_use
    }

    /// Whether its end is to be counted by whoever asks: true once.
    pub(super) fn counts_end(&self) -> bool {
        !std::mem::replace(&mut self.state().counted, true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// The connection if it is closed now, to be dropped when the lock is free.
    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Connection> {
        let connection = self.connection.as_mut()?;
        self.relay.set(cx.waker());
        if !self.relay.take_woken() {
            return None;
        }
        match Pin::new(connection).poll(&mut Context::from_waker(&self.waker)) {
            Poll::Pending => return None,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => tracing::debug!(%error, "connection failed"),
        }
        self.ended_in_use |= self.driver == Driver::Request;
        let closed = self.connection.take();
        if self.switches {
            self.left = closed;
            return None;
        }
        closed
    }
}

// === impl DriveGuard ===

impl DriveGuard {
    /// Moves what can be moved; the caller is woken when more can. Nothing once another request is on the connection.
    pub(super) fn poll(&self, cx: &mut Context<'_>) {
        let mut state = self.line.state();
        if state.request != self.request {
            return;
        }
        state.driver = Driver::Request;
        let closed = state.poll(cx);
        drop(state);
        drop(closed);
    }

    /// A wake-up of the connection by its reader was kept back. The reader polls it next, unless that is left to the task.
    pub(super) fn missed(&self, relay: &Relay) {
        let driver = self.line.state().driver;
        match driver {
            Driver::Request => relay.mark(),
            Driver::Task => relay.notify(),
        }
    }

    /// Waits for the end of HTTP on it, and takes over what is left: the socket, and what was read of it too far. `None` if it
    /// has been given up.
    pub(super) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Option<(Socket, Bytes)>> {
        self.poll(cx);
        let mut state = self.line.state();
        match state.left.take() {
            Some(left) => {
                let parts = left.into_parts();
                Poll::Ready(Some((parts.io.into_inner(), parts.read_buf)))
            }
            None if state.connection.is_none() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// See [`SharedConnection::counts_end`].
    pub(super) fn counts_end(&self) -> bool {
        self.line.counts_end()
    }

    /// Leaves it to the task for now.
    pub(super) fn rest(&self) {
        let mut state = self.line.state();
        if state.request != self.request || state.driver == Driver::Task {
            return;
        }
        state.driver = Driver::Task;
        let task = state.task.clone();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Drop for DriveGuard {
    fn drop(&mut self) {
        self.rest();
    }
}
