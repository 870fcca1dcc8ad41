//! HTTP/2 with prior knowledge: many requests on a connection, more connections when streams run out.

mod dial;

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
};

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http2};
use tokio::{sync::oneshot, time::sleep_until};

use self::dial::{dial, fail};
use super::{
    Active,
    endpoint::Endpoint,
    error::{self, DialFailure},
    message,
    pending::{Pending, Queue},
    settle::{Connection, handshake},
    socket::Socket,
    upload::{Upload, Uploading},
};
use crate::{
    base::{BoxError, Error, Kind, error::ResetReason, ext::TryClock, time::Instant},
    mesh::tls::Refusal,
};

/// How many dead connections one request may be handed before it gives up.
const REPLACEMENTS: usize = 8;

/// One endpoint's connections and the requests waiting for a stream.
#[derive(Default)]
pub(super) struct Lane {
    connections: Vec<Entry>,
    waiting: VecDeque<Waiting>,
    dialling: bool,
    next_ticket: u64,
}

struct Waiting {
    ticket: u64,
    to: oneshot::Sender<Result<Stream, DialFailure>>,
}

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
    endpoint: Arc<Endpoint>,
    id: u64,
    sender: http2::SendRequest<Uploading>,
    fresh: bool,
    armed: bool,
}

struct Ticket {
    endpoint: Arc<Endpoint>,
    ticket: u64,
}

// === impl Lane ===

impl Lane {
    /// A stream on the first connection that has room.
    fn open(&mut self, endpoint: &Arc<Endpoint>) -> Option<Stream> {
        let params = endpoint.limits().params();
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
            endpoint: Arc::clone(endpoint),
            id: entry.id,
            sender: entry.sender.clone(),
            fresh: entry.served == 1,
            armed: true,
        };
        if endpoint.is_spent(entry.served) {
            endpoint.limits().stats().cx_max_requests.inc();
            self.connections.remove(at);
        }
        Some(stream)
    }

    /// Gives streams to those who wait for one.
    fn grant(&mut self, endpoint: &Arc<Endpoint>) {
        while !self.waiting.is_empty() {
            let Some(mut stream) = self.open(endpoint) else {
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
            let mut lane = self.endpoint.http2();
            lane.end(self.id);
            lane.grant(&self.endpoint);
        }
    }
}

// === impl Ticket ===

impl Queue for Ticket {
    fn leave(&self) {
        let mut lane = self.endpoint.http2();
        lane.waiting.retain(|w| w.ticket != self.ticket);
    }
}

// === free functions ===

/// Sends a request on a stream.
pub(super) async fn send(
    endpoint: &Arc<Endpoint>,
    mut request: Request<Uploading>,
    upload: &Upload,
    clock: Option<&TryClock>,
    mut first: Option<Stream>,
) -> Result<(Response<Incoming>, Active), BoxError> {
    for replaced in 0..REPLACEMENTS {
        let stream = match first.take() {
            Some(stream) => Some(stream),
            None => acquire(endpoint, clock).await?,
        };
        let Some(mut stream) = stream else {
            return Err(error::moved().into());
        };
        if replaced == 0 {
            endpoint.limits().stats().rq_total.inc();
        }
        let fresh = stream.fresh;
        let sending = stream.sender.try_send_request(request);
        let active = Active::new(endpoint, Some(stream));
        let mut died = match sending.await {
            Ok(mut response) => {
                message::check_response(&mut response, false)?;
                return Ok((response, active));
            }
            Err(died) => died,
        };
        request = match died.take_message() {
            Some(request) if !fresh => request,
            Some(_) => return Err(error::unsent(died.into_error()).into()),
            None => return Err(error::sent(died.into_error(), upload.failure()).into()),
        };
    }
    Err(Error::new(Kind::Reset {
        reason: ResetReason::Terminated,
        sent: false,
    })
    .into())
}

/// A stream on a connection that has room, or on the next. `None`: the server speaks HTTP/1 now.
pub(super) async fn acquire(
    endpoint: &Arc<Endpoint>,
    clock: Option<&TryClock>,
) -> Result<Option<Stream>, Error> {
    let open = {
        let mut lane = endpoint.http2();
        let queued = !lane.waiting.is_empty();
        if queued { None } else { lane.open(endpoint) }
    };
    if open.is_some() {
        return Ok(open);
    }
    let limits = endpoint.limits();
    let permit = Pending::<Ticket>::permit(limits)?;
    let (to, grant) = oneshot::channel();
    let ticket = {
        let mut lane = endpoint.http2();
        lane.next_ticket += 1;
        let ticket = lane.next_ticket;
        lane.waiting.push_back(Waiting { ticket, to });
        ticket
    };
    let queue = Ticket {
        endpoint: Arc::clone(endpoint),
        ticket,
    };
    let pending = Pending::new(limits.clone(), permit, queue);
    pump(endpoint);
    let held = clock.map(TryClock::hold);
    let stream = pending.wait(grant).await;
    drop(held);
    match stream {
        Err(failure) if failure.is_other_protocol() => Ok(None),
        stream => Ok(Some(stream?)),
    }
}

/// Serves who waits, and dials if some still do. One dial at a time: those who come meanwhile share it.
fn pump(endpoint: &Arc<Endpoint>) {
    let mut lane = endpoint.http2();
    lane.grant(endpoint);
    if lane.waiting.is_empty() || lane.dialling {
        return;
    }
    lane.dialling = true;
    drop(lane);
    endpoint.spawn(dial(endpoint));
}

/// Runs a connection to its end. `ready` is called when requests can have it, or never will.
pub(super) async fn run(
    endpoint: &Arc<Endpoint>,
    socket: Socket,
    refused: Option<Refusal>,
    ready: impl FnOnce() + Send,
) {
    let (sender, connection) = match handshake(endpoint, socket).await {
        Ok(made) => made,
        Err(failure) => {
            let refused = refused.as_ref().and_then(Refusal::get).cloned();
            let refused = refused.map(|why| DialFailure::new(&endpoint.count_refused(why)));
            fail(endpoint, &refused.unwrap_or(failure));
            return ready();
        }
    };
    let stats = endpoint.limits().stats();
    stats.cx_http2_total.inc();
    let (id, born) = (endpoint.next_id(), Instant::now());
    let connection = Arc::new(Mutex::new(connection));
    let entry = Entry {
        id,
        sender,
        connection: Arc::clone(&connection),
        active: 0,
        served: 0,
        peer_max: 1,
        born,
        since: born,
    };
    {
        let mut lane = endpoint.http2();
        lane.connections.push(entry);
        lane.dialling = false;
    }
    ready();
    pump(endpoint);
    if endpoint.is_draining() {
        drain(endpoint);
    }

    let mut timer = pin!(sleep_until(endpoint.next_check(born, born, born)));
    loop {
        let polled = poll_fn(|cx| {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            Pin::new(&mut *connection).poll(cx)
        });
        tokio::select! {
            biased;
            ended = polled => {
                if let Err(error) = ended {
                    tracing::debug!(address = %endpoint.shown(), %error, "connection failed");
                }
                break;
            }
            () = timer.as_mut() => {
                let next = check(endpoint, id);
                timer.as_mut().reset(next);
            }
        }
    }
    let gone = endpoint.http2().remove(id);
    match gone {
        Some(_) => stats.cx_destroy_remote.inc(),
        None => stats.cx_destroy_local.inc(),
    }
    pump(endpoint);
}

/// Takes a connection whose time is over out of service; it closes when its last stream ends.
fn check(endpoint: &Endpoint, id: u64) -> Instant {
    let now = Instant::now();
    let limits = endpoint.limits();
    let mut lane = endpoint.http2();
    let Some(entry) = lane.connections.iter().find(|entry| entry.id == id) else {
        return endpoint.next_check(now, now, now);
    };
    let (since, born, active) = (entry.since, entry.born, entry.active);
    let too_old = endpoint.is_too_old(born, now);
    let idle = active == 0
        && limits
            .params()
            .idle_timeout
            .is_some_and(|d| now.saturating_duration_since(since) >= d);
    let mut gone = None;
    if too_old {
        limits.stats().cx_max_duration.inc();
        gone = lane.remove(id);
    } else if idle {
        limits.stats().cx_idle_timeout.inc();
        gone = lane.remove(id);
    }
    drop(lane);
    drop(gone);
    let since = if active == 0 && !idle { since } else { now };
    endpoint.next_check(since, born, now)
}

/// Takes all connections out of service; each closes when its last stream ends.
pub(super) fn drain(endpoint: &Endpoint) {
    let connections = std::mem::take(&mut endpoint.http2().connections);
    drop(connections);
}
