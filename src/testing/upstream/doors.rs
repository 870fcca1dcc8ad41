//! What the accept loop and the connections are told.

use std::sync::{Mutex, PoisonError, atomic::AtomicBool};

use tokio::sync::watch;

/// A connection's own state.
#[derive(Debug)]
pub(super) struct Conn {
    /// Counted from 1.
    pub(super) id: u64,
    /// Close with RST.
    pub(super) reset: AtomicBool,
}

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Serve,
    Finish,
    Die,
}

/// The way to tell the accept loop and the connections to end. A sender is `closed()` once all that it told are gone.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) listening: Mutex<watch::Sender<()>>,
    pub(super) connections: Mutex<watch::Sender<Order>>,
}

// === impl Doors ===

impl Doors {
    pub(super) fn new() -> Self {
        Self {
            listening: Mutex::new(watch::Sender::new(())),
            connections: Mutex::new(watch::Sender::new(Order::Serve)),
        }
    }

    /// Closes the listening socket, and returns once it is closed.
    pub(super) async fn refuse(&self) {
        let told = swap(&self.listening, ());
        told.send_replace(());
        told.closed().await;
    }

    /// Closes all connections at once, and returns once they are.
    pub(super) async fn kill(&self) {
        let told = swap(&self.connections, Order::Serve);
        told.send_replace(Order::Die);
        told.closed().await;
    }

    /// Lets all connections finish their requests, and returns once they have.
    pub(super) async fn finish(&self) {
        let told = swap(&self.connections, Order::Serve);
        told.send_replace(Order::Finish);
        told.closed().await;
    }

    /// Tells all to end, without waiting.
    pub(super) fn shut(&self) {
        swap(&self.listening, ()).send_replace(());
        swap(&self.connections, Order::Serve).send_replace(Order::Die);
    }
}

/// Puts a fresh sender in place, for those that come later.
fn swap<T>(cell: &Mutex<watch::Sender<T>>, fresh: T) -> watch::Sender<T> {
    let mut current = cell.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *current, watch::Sender::new(fresh))
}

/// Hears what is told from now on.
pub(super) fn subscribe<T>(cell: &Mutex<watch::Sender<T>>) -> watch::Receiver<T> {
    let current = cell.lock().unwrap_or_else(PoisonError::into_inner);
    current.subscribe()
}
