//! The HTTP/1 connections of a cluster as numbers and queues: who may dial, who gets a connection that comes free.
//!
//! Synchronous, without sockets or clocks. The rules:
//!
//! - Never more than `max` connections are open or being made, over all endpoints of the cluster. Envoy lets an
//!   endpoint without any connection go over the ceiling; here another endpoint gives one up instead: an idle one at
//!   once, else the next one that comes free.
//! - A request waits in its endpoint's queue and takes whatever comes first: a connection that another request gives
//!   back or one that was dialled. An endpoint dials no more connections than it has requests waiting.
//! - A dial that fails fails every request waiting for that endpoint, as in Envoy: they would only wait for the same.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;

use super::error::DialFailure;
use crate::base::time::Instant;

/// What a waiting request is given.
pub(super) type Grant<C> = Result<C, DialFailure>;

/// All lanes of a cluster. `C` is a connection, `O` what the shell needs to dial for a lane.
pub(super) struct Book<C, O> {
    lanes: BTreeMap<u64, Lane<C, O>>,
    open: u64,
    next_lane: u64,
    next_ticket: u64,
}

struct Lane<C, O> {
    owner: O,
    /// Open or being made.
    open: u64,
    dialling: u64,
    /// Last in, first out, so that the least used end by their idle timeout.
    idle: Vec<Idle<C>>,
    waiting: VecDeque<Waiting<C>>,
}

struct Idle<C> {
    id: u64,
    since: Instant,
    connection: C,
}

struct Waiting<C> {
    ticket: u64,
    to: oneshot::Sender<Grant<C>>,
}

/// How a connection comes free.
#[derive(Clone, Copy)]
pub(super) struct Free {
    /// When.
    pub(super) now: Instant,
    /// The ceiling.
    pub(super) max: u64,
    /// Whether it may wait for a request.
    pub(super) keep: bool,
}

/// What became of a connection that was given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put<C> {
    /// A waiting request has it.
    Handed,
    /// It is idle.
    Stored,
    /// Another endpoint's requests need its place: close it.
    Close(C),
}

/// What to do about an idle connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest<C> {
    /// It was idle for too long: close it.
    Close(C),
    /// It is idle since then.
    Since(Instant),
    /// It is in use, or gone.
    Busy,
}

// === impl Book ===

impl<C, O> Default for Book<C, O> {
    fn default() -> Self {
        Self {
            lanes: BTreeMap::new(),
            open: 0,
            next_lane: 0,
            next_ticket: 0,
        }
    }
}

impl<C, O: Clone> Book<C, O> {
    /// A lane for one endpoint.
    pub(super) fn add(&mut self, owner: O) -> u64 {
        self.next_lane += 1;
        self.lanes.insert(
            self.next_lane,
            Lane {
                owner,
                open: 0,
                dialling: 0,
                idle: Vec::new(),
                waiting: VecDeque::new(),
            },
        );
        self.next_lane
    }

    /// Forgets a lane that has neither connections nor requests any more.
    pub(super) fn remove(&mut self, lane: u64) {
        self.lanes.remove(&lane);
    }

    /// The idle connection used last.
    pub(super) fn take_idle(&mut self, lane: u64) -> Option<C> {
        let idle = self.lanes.get_mut(&lane)?.idle.pop()?;
        Some(idle.connection)
    }

    /// Queues a request.
    pub(super) fn wait(&mut self, lane: u64) -> (u64, oneshot::Receiver<Grant<C>>) {
        let (to, grant) = oneshot::channel();
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.waiting.push_back(Waiting { ticket, to });
        }
        (ticket, grant)
    }

    /// Takes a request that was given up out of its queue.
    pub(super) fn leave(&mut self, lane: u64, ticket: u64) {
        if let Some(lane) = self.lanes.get_mut(&lane)
            && let Ok(at) = lane.waiting.binary_search_by_key(&ticket, |w| w.ticket)
        {
            lane.waiting.remove(at);
        }
    }

    /// Allots as many dials as are wanted and allowed. Each is counted as open and as being made from here on.
    pub(super) fn dials(&mut self, max: u64) -> Vec<O> {
        let mut orders = Vec::new();
        while self.open < max {
            let Some(lane) = self.most_in_need() else {
                break;
            };
            lane.open += 1;
            lane.dialling += 1;
            orders.push(lane.owner.clone());
            self.open += 1;
        }
        orders
    }

    /// A place under the ceiling for a connection of this lane that is there already, if there is room. It counts as open
    /// and as being made.
    pub(super) fn allot(&mut self, lane: u64, max: u64) -> bool {
        if self.open >= max {
            return false;
        }
        let Some(lane) = self.lanes.get_mut(&lane) else {
            return false;
        };
        lane.open += 1;
        lane.dialling += 1;
        self.open += 1;
        true
    }

    /// The lane that dials next: one without any connection first, else the one whose request waits longest.
    fn most_in_need(&mut self) -> Option<&mut Lane<C, O>> {
        self.lanes
            .values_mut()
            .filter_map(|lane| {
                lane.unserved()
                    .map(|ticket| ((lane.open > 0, ticket), lane))
            })
            .min_by_key(|(need, _)| *need)
            .map(|(_, lane)| lane)
    }

    /// An idle connection of another endpoint that must be closed, because the ceiling is reached and this lane has a
    /// request that nobody dials for.
    pub(super) fn evict(&mut self, wants: u64, max: u64) -> Option<C> {
        if self.open < max || self.lanes.get(&wants)?.unserved().is_none() {
            return None;
        }
        let (_, lane) = self
            .lanes
            .iter_mut()
            .filter(|(id, lane)| **id != wants && !lane.idle.is_empty())
            .min_by_key(|(_, lane)| lane.idle.first().map(|idle| idle.since))?;
        Some(lane.idle.remove(0).connection)
    }

    /// Whether a request of this lane waits and nobody dials for it.
    pub(super) fn is_short(&self, lane: u64) -> bool {
        self.lanes
            .get(&lane)
            .is_some_and(|lane| lane.unserved().is_some())
    }

    /// A connection is free: for the request that waits longest, else idle if it may be kept.
    pub(super) fn put(&mut self, lane: u64, id: u64, connection: C, how: Free) -> Put<C> {
        // Below the ceiling nobody needs another lane's place.
        let short = |starving: bool| {
            (self.open >= how.max)
                .then(|| self.shortest(lane, starving))
                .flatten()
        };
        let (starving, short) = (short(true), short(false));
        let Some(lane) = self.lanes.get_mut(&lane) else {
            return Put::Close(connection);
        };
        let close = match lane.waiting.front() {
            None => short.is_some(),
            // The last connection is given up only to those who came first: else the two lanes would swap for ever.
            Some(own) => starving.is_some_and(|other| lane.open > 1 || other < own.ticket),
        };
        if close {
            return Put::Close(connection);
        }
        match lane.hand(connection) {
            None => Put::Handed,
            Some(connection) if !how.keep => Put::Close(connection),
            Some(connection) => {
                lane.idle.push(Idle {
                    id,
                    since: how.now,
                    connection,
                });
                Put::Stored
            }
        }
    }

    /// The first request of another lane that nobody dials for; if `starving`, of a lane without any connection.
    fn shortest(&self, but: u64, starving: bool) -> Option<u64> {
        self.lanes
            .iter()
            .filter(|(id, lane)| **id != but && (!starving || lane.open == 0))
            .filter_map(|(_, lane)| lane.unserved())
            .min()
    }

    /// A dial ended well. The connection follows by [`put`](Self::put).
    pub(super) fn dialled(&mut self, lane: u64) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.dialling = lane.dialling.saturating_sub(1);
        }
    }

    /// A dial failed: so does every request waiting for the endpoint. Returns how many. Its place is free only when
    /// [`closed`](Self::closed) is called.
    pub(super) fn dial_failed(&mut self, lane: u64, failure: &DialFailure) -> u64 {
        let Some(lane) = self.lanes.get_mut(&lane) else {
            return 0;
        };
        lane.dialling = lane.dialling.saturating_sub(1);
        let mut failed = 0;
        for waiting in lane.waiting.drain(..) {
            failed += u64::from(waiting.to.send(Err(failure.clone())).is_ok());
        }
        failed
    }

    /// A connection is closed, or was never made.
    pub(super) fn closed(&mut self, lane: u64) {
        self.open = self.open.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.open = lane.open.saturating_sub(1);
        }
    }

    /// Takes this connection out if it is idle since `limit` or longer.
    pub(super) fn rest(&mut self, lane: u64, id: u64, limit: Option<Instant>) -> Rest<C> {
        let Some(lane) = self.lanes.get_mut(&lane) else {
            return Rest::Busy;
        };
        let Some(at) = lane.idle.iter().position(|idle| idle.id == id) else {
            return Rest::Busy;
        };
        let since = lane.idle[at].since;
        if limit.is_some_and(|limit| since > limit) {
            return Rest::Since(since);
        }
        Rest::Close(lane.idle.remove(at).connection)
    }

    /// Takes all idle connections of a lane.
    pub(super) fn take_all_idle(&mut self, lane: u64) -> Vec<C> {
        self.lanes.get_mut(&lane).map_or_else(Vec::new, |lane| {
            lane.idle.drain(..).map(|idle| idle.connection).collect()
        })
    }
}

// === impl Lane ===

impl<C, O> Lane<C, O> {
    /// The ticket of the first request that no dial is under way for.
    fn unserved(&self) -> Option<u64> {
        let dialling = usize::try_from(self.dialling).unwrap_or(usize::MAX);
        self.waiting.get(dialling).map(|w| w.ticket)
    }

    /// Gives a connection to the first request that still wants one.
    fn hand(&mut self, connection: C) -> Option<C> {
        let mut grant = Ok(connection);
        while let Some(waiting) = self.waiting.pop_front() {
            match waiting.to.send(grant) {
                Ok(()) => return None,
                Err(back) => grant = back,
            }
        }
        grant.ok()
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
