//! One endpoint's HTTP/2 connections, and who waits for a stream on them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hyper::client::conn::http2;
use tokio::sync::oneshot;

use super::{Limits, error::DialFailure, settle::Connection, upload::Uploading};
use crate::base::time::Instant;

/// The connections and the requests waiting for a stream. Clones share them.
#[derive(Clone)]
pub(super) struct Lane(Arc<Shared>);

struct Shared {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: Vec<Entry>,
    waiting: VecDeque<Waiting>,
    dialling: bool,
    next_ticket: u64,
}

struct Waiting {
    ticket: u64,
    to: oneshot::Sender<Result<Stream, DialFailure>>,
}

/// A connection in service.
struct Entry {
    id: u64,
    sender: http2::SendRequest<Uploading>,
    connection: Arc<Mutex<Connection>>,
    active: u32,
    served: u32,
    peer_max: usize,
    born: Instant,
    /// When the last stream ended.
    since: Instant,
}

/// Leave to open one stream. Given back on drop.
pub(super) struct Stream {
    lane: Lane,
    id: u64,
    pub(super) sender: http2::SendRequest<Uploading>,
    /// Whether it is the first on its connection.
    pub(super) fresh: bool,
    armed: bool,
}

// === impl Lane ===

impl Lane {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared {
            limits,
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream on a connection that has room, unless others wait for one.
    pub(super) fn open(&self) -> Option<Stream> {
        let mut state = self.state();
        let queued = !state.waiting.is_empty();
        if queued { None } else { state.open(self) }
    }

    /// Queues a request.
    pub(super) fn wait(&self) -> (u64, oneshot::Receiver<Result<Stream, DialFailure>>) {
        let (to, grant) = oneshot::channel();
        let mut state = self.state();
        state.next_ticket += 1;
        let ticket = state.next_ticket;
        state.waiting.push_back(Waiting { ticket, to });
        (ticket, grant)
    }

    /// Takes a request that was given up out of the queue.
    pub(super) fn leave(&self, ticket: u64) {
        self.state().waiting.retain(|w| w.ticket != ticket);
    }

    /// Serves who waits. True if some still do and nobody dials for them: whoever asks has to. One dial at a time: those who come
    /// meanwhile share it.
    pub(super) fn pump(&self) -> bool {
        let mut state = self.state();
        state.grant(self);
        let dials = !state.waiting.is_empty() && !state.dialling;
        state.dialling |= dials;
        dials
    }

    /// A connection was made.
    pub(super) fn add(
        &self,
        id: u64,
        sender: http2::SendRequest<Uploading>,
        connection: Arc<Mutex<Connection>>,
        born: Instant,
    ) {
        let mut state = self.state();
        state.connections.push(Entry {
            id,
            sender,
            connection,
            active: 0,
            served: 0,
            peer_max: 1,
            born,
            since: born,
        });
        state.dialling = false;
    }

    /// No connection was made: so those who wait are told.
    pub(super) fn fail(&self, failure: &DialFailure) {
        let waiting = {
            let mut state = self.state();
            state.dialling = false;
            std::mem::take(&mut state.waiting)
        };
        for waiting in waiting {
            let told = waiting.to.send(Err(failure.clone())).is_ok();
            if told && !failure.is_other_protocol() {
                self.0.limits.stats().rq_pending_failure_eject.inc();
            }
        }
    }

    /// Takes a connection whose time is over out of service, and tells when to look again. It closes when its last stream ends.
    pub(super) fn check(&self, id: u64) -> Instant {
        let now = Instant::now();
        let limits = &self.0.limits;
        let mut state = self.state();
        let Some(entry) = state.connections.iter().find(|entry| entry.id == id) else {
            return limits.next_check(now, now, now);
        };
        let (since, born, active) = (entry.since, entry.born, entry.active);
        let too_old = limits.is_too_old(born, now);
        let idle = active == 0
            && limits
                .params()
                .idle_timeout
                .is_some_and(|d| now.saturating_duration_since(since) >= d);
        let mut gone = None;
        if too_old {
            limits.stats().cx_max_duration.inc();
            gone = state.remove(id);
        } else if idle {
            limits.stats().cx_idle_timeout.inc();
            gone = state.remove(id);
        }
        drop(state);
        drop(gone);
        let since = if active == 0 && !idle { since } else { now };
        limits.next_check(since, born, now)
    }

    /// A connection is closed. Whether it was in service.
    pub(super) fn remove(&self, id: u64) -> bool {
        let gone = self.state().remove(id);
        gone.is_some()
    }

    /// Takes all connections out of service; each closes when its last stream ends.
    pub(super) fn drain(&self) {
        let connections = std::mem::take(&mut self.state().connections);
        drop(connections);
    }
}

// === impl State ===

impl State {
    /// A stream on the first connection that has room.
    fn open(&mut self, lane: &Lane) -> Option<Stream> {
        let limits = &lane.0.limits;
        let params = limits.params();
        let ours = usize::try_from(params.max_concurrent_streams).unwrap_or(usize::MAX);
        self.connections.retain(|entry| !entry.sender.is_closed());
        let at = self
            .connections
            .iter_mut()
            .position(|entry| entry.has_room(ours))?;
        let entry = &mut self.connections[at];
        entry.active += 1;
        entry.served = entry.served.saturating_add(1);
        let stream = Stream {
            lane: lane.clone(),
            id: entry.id,
            sender: entry.sender.clone(),
            fresh: entry.served == 1,
            armed: true,
        };
        if limits.is_spent(entry.served) {
            limits.stats().cx_max_requests.inc();
            self.connections.remove(at);
        }
        Some(stream)
    }

    /// Gives streams to those who wait for one.
    fn grant(&mut self, lane: &Lane) {
        while !self.waiting.is_empty() {
            let Some(mut stream) = self.open(lane) else {
                return;
            };
            while let Some(waiting) = self.waiting.pop_front() {
                match waiting.to.send(Ok(stream)) {
                    Ok(()) => break,
                    Err(Ok(back)) if self.waiting.is_empty() => {
                        self.give_back(back);
                        return;
                    }
                    Err(Ok(back)) => stream = back,
                    Err(Err(_)) => return,
                }
            }
        }
    }

    /// Undoes [`open`](Self::open) while the lane is locked.
    fn give_back(&mut self, mut stream: Stream) {
        stream.armed = false;
        self.end(stream.id);
    }

    fn end(&mut self, id: u64) {
        if let Some(entry) = self.connections.iter_mut().find(|entry| entry.id == id) {
            entry.active = entry.active.saturating_sub(1);
            entry.since = Instant::now();
        }
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let at = self.connections.iter().position(|entry| entry.id == id)?;
        Some(self.connections.remove(at))
    }
}

// === impl Entry ===

impl Entry {
    fn has_room(&mut self, ours: usize) -> bool {
        // Locked means that its task runs right now: what it said last is near enough.
        if let Ok(connection) = self.connection.try_lock() {
            self.peer_max = connection.current_max_send_streams();
        }
        let max = self.peer_max.min(ours).max(1);
        usize::try_from(self.active).is_ok_and(|active| active < max)
    }
}

// === impl Stream ===

impl Drop for Stream {
    fn drop(&mut self) {
        if self.armed {
            let mut state = self.lane.state();
            state.end(self.id);
            state.grant(&self.lane);
        }
    }
}
