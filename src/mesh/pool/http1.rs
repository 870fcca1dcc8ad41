//! HTTP/1.1: one request at a time on a connection.
//!
//! A request moves its connection's bytes itself (see [`line`](super::line)), so that no other task has to be woken for
//! them; the connection's own task does it before and after.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Sleep, sleep_until},
};

use super::{
    active::Active,
    book::{Free, Grant, Put, Rest},
    conn::Conn,
    endpoint::Endpoint,
    error::{self, DialFailure, Unanswered},
    line::{DriveGuard, SharedConnection},
    message,
    pending::{Pending, Queue},
    socket::Socket,
    upload::{Upload, Uploading},
};
use crate::base::{Error, Kind, error::ResetReason, ext::TryClock, time::Instant};

/// How many dead connections one request may be handed before it gives up.
const REPLACEMENTS: usize = 8;

/// How much of an answer is read before its reader takes it: hyper's own 400 KiB are too much for slow readers. Also the
/// longest response head.
const READ_AHEAD: usize = 64 << 10;

/// A request's ticket in the book.
struct Ticket {
    endpoint: Arc<Endpoint>,
    ticket: u64,
}

// === impl Ticket ===

impl Queue for Ticket {
    fn leave(&self) {
        self.endpoint
            .limits()
            .book()
            .leave(self.endpoint.lane(), self.ticket);
    }
}

// === free functions ===

/// Sends a request on a connection of its own. One that `switches` may be answered 101; then nobody else gets the connection,
/// and it is driven on by whoever takes it over.
pub(super) async fn send(
    endpoint: &Arc<Endpoint>,
    mut request: Request<Uploading>,
    upload: &Upload,
    clock: Option<&TryClock>,
    mut first: Option<Conn>,
    switches: bool,
) -> Result<(Response<Incoming>, Active, Option<DriveGuard>), Unanswered> {
    for replaced in 0..REPLACEMENTS {
        let conn = match first.take() {
            Some(conn) => Some(conn),
            None => acquire(endpoint, clock).await?,
        };
        let Some(mut conn) = conn else {
            return Err(Unanswered::moved());
        };
        let reused = conn.served > 0;
        conn.served = conn.served.saturating_add(1);
        if replaced == 0 {
            endpoint.limits().stats().rq_total.inc();
        }
        let active = Active::new(endpoint.limits(), None);
        let (heard, before) = (conn.heard.clone(), conn.heard.bytes());
        let drive = conn.line.claim(switches);
        let mut sending = pin!(conn.sender.try_send_request(request));
        let sent = poll_fn(|cx| {
            drive.poll(cx);
            sending.as_mut().poll(cx)
        });
        let mut died = match sent.await {
            Ok(mut response) => {
                // A connection on which something was wrong is not used again.
                message::check_response(&mut response, switches)?;
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    return Ok((response, active, Some(drive)));
                }
                drive.rest();
                go_home(endpoint, conn);
                // Who reads the answer may take its time, and the rest of the request must not wait for that.
                let drive = upload.is_over().then_some(drive);
                return Ok((response, active, drive));
            }
            Err(died) => died,
        };
        request = match died.take_message() {
            Some(request) if reused => request,
            Some(_) => return Err(error::unsent(died.into_error()).into()),
            None => {
                let error = if heard.is_tls() {
                    error::speaks_tls()
                } else {
                    error::sent(died.into_error(), upload.failure())
                };
                let closed = matches!(error.kind(), Kind::Reset { .. });
                return Err(Unanswered {
                    raced: reused && closed && heard.bytes() == before,
                    error: error.into(),
                });
            }
        };
    }
    Err(Error::new(Kind::Reset {
        reason: ResetReason::Terminated,
        sent: false,
    })
    .into())
}

/// An idle connection, or the first that comes free or can be made. `None`: the server speaks HTTP/2 now.
pub(super) async fn acquire(
    endpoint: &Arc<Endpoint>,
    clock: Option<&TryClock>,
) -> Result<Option<Conn>, Error> {
    while let Some(conn) = take_idle(endpoint) {
        if !conn.sender.is_closed() {
            return Ok(Some(conn));
        }
    }
    let (pending, grant) = enqueue(endpoint)?;
    let held = clock.map(TryClock::hold);
    let grant = pending.wait(grant).await;
    drop(held);
    match grant {
        Err(failure) if failure.is_other_protocol() => Ok(None),
        grant => Ok(Some(grant?)),
    }
}

fn take_idle(endpoint: &Endpoint) -> Option<Conn> {
    endpoint.limits().book().take_idle(endpoint.lane())
}

fn enqueue(
    endpoint: &Arc<Endpoint>,
) -> Result<(Pending<Ticket>, oneshot::Receiver<Grant<Conn>>), Error> {
    let limits = endpoint.limits();
    let permit = Pending::<Ticket>::permit(limits)?;
    let max = u64::from(limits.look().max_connections);
    let (ticket, grant) = limits.book().wait(endpoint.lane());
    let pending = Pending::new(
        limits.clone(),
        permit,
        Ticket {
            endpoint: Arc::clone(endpoint),
            ticket,
        },
    );
    limits.pump();
    let mut book = limits.book();
    if book.is_short(endpoint.lane()) {
        limits.stats().cx_overflow.inc();
        let evicted = book.evict(endpoint.lane(), max);
        drop(book);
        drop(evicted);
    }
    Ok((pending, grant))
}

/// Gives the connection to its task, or closes it if this was its last request.
fn go_home(endpoint: &Endpoint, conn: Conn) {
    if endpoint.limits().is_spent(conn.served) {
        endpoint.limits().stats().cx_max_requests.inc();
        return;
    }
    let home = conn.home.clone();
    // The task is gone if the connection is closed; then so is the connection.
    drop(home.send(conn));
}

/// Runs a connection: passes requests' bytes, takes it back when it is free, closes it when its time is over. `ready` is
/// called when requests can have it.
pub(super) async fn run(endpoint: &Arc<Endpoint>, socket: Socket, ready: impl FnOnce() + Send) {
    let heard = socket.heard();
    let handshake = http1::Builder::new()
        .max_buf_size(READ_AHEAD)
        .handshake::<_, Uploading>(TokioIo::new(socket))
        .await;
    let limits = endpoint.limits();
    let (sender, connection) = match handshake {
        Ok(made) => made,
        Err(error) => return fail(endpoint, &DialFailure::handshake(&error)),
    };
    limits.stats().cx_http1_total.inc();
    limits.book().dialled(endpoint.lane());
    let (id, born) = (endpoint.next_id(), Instant::now());
    let (home, returning) = mpsc::unbounded_channel();
    let line = SharedConnection::new(connection);
    free(
        endpoint,
        Conn {
            id,
            sender,
            served: 0,
            born,
            heard,
            line: Arc::clone(&line),
            home,
        },
    );
    ready();
    let mut keeper = Keeper {
        endpoint,
        id,
        born,
        line,
        returning,
        resting: None,
    };
    let mut timer = pin!(sleep_until(limits.next_check(born, born, born)));
    poll_fn(|cx| keeper.poll(timer.as_mut(), cx)).await;
    // Whoever closes a connection on this side drops its handle first, and with it the way home.
    let local = keeper.returning.sender_strong_count() == 0 && !keeper.line.ended_in_use();
    match keeper.line.counts_end() {
        true if local => limits.stats().cx_destroy_local.inc(),
        true => limits.stats().cx_destroy_remote.inc(),
        false => {}
    }
    let gone = limits.book().rest(endpoint.lane(), id, None);
    drop(gone);
}

/// Tells those who wait for a connection that none was made.
pub(super) fn fail(endpoint: &Endpoint, failure: &DialFailure) {
    let limits = endpoint.limits();
    let failed = limits.book().dial_failed(endpoint.lane(), failure);
    if !failure.is_other_protocol() {
        limits.stats().rq_pending_failure_eject.add(failed);
    }
}

/// The task of a connection.
struct Keeper<'a> {
    endpoint: &'a Endpoint,
    id: u64,
    born: Instant,
    line: Arc<SharedConnection>,
    returning: mpsc::UnboundedReceiver<Conn>,
    /// A handle that came back, until it can take a request again.
    resting: Option<Conn>,
}

// === impl Keeper ===

impl Keeper<'_> {
    /// Until the connection is closed, by whomever.
    fn poll(&mut self, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        let mut polled = None;
        while self.resting.is_some() || self.receive(cx) {
            let Some(conn) = &mut self.resting else { break };
            let mut ready = conn.sender.poll_ready(cx);
            if ready.is_pending() && polled.is_none() {
                polled = Some(self.line.poll(cx));
                ready = conn.sender.poll_ready(cx);
            }
            let Poll::Ready(ready) = ready else { break };
            if let Some(conn) = self.resting.take().filter(|_| ready.is_ok()) {
                // Whoever reads its last response has all of it.
                self.line.free();
                polled = Some(self.line.poll(cx));
                free(self.endpoint, conn);
            }
        }
        if polled.unwrap_or_else(|| self.line.poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        while timer.as_mut().poll(cx).is_ready() {
            timer
                .as_mut()
                .reset(check(self.endpoint, self.id, self.born));
        }
        Poll::Pending
    }

    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        if let Poll::Ready(conn) = self.returning.poll_recv(cx) {
            self.resting = conn;
        }
        self.resting.is_some()
    }
}

/// A connection is free: to the next request, to the idle ones, or closed.
fn free(endpoint: &Endpoint, conn: Conn) {
    let now = Instant::now();
    let limits = endpoint.limits();
    if limits.is_too_old(conn.born, now) {
        limits.stats().cx_max_duration.inc();
        return;
    }
    let how = Free {
        now,
        max: u64::from(limits.look().max_connections),
        keep: !endpoint.is_draining(),
    };
    let put = limits.book().put(endpoint.lane(), conn.id, conn, how);
    if let Put::Close(conn) = put {
        drop(conn);
    }
}

/// Closes an idle connection whose time is over, and tells when to look again.
fn check(endpoint: &Endpoint, id: u64, born: Instant) -> Instant {
    let now = Instant::now();
    let limits = endpoint.limits();
    if limits.is_too_old(born, now) {
        let rest = limits.book().rest(endpoint.lane(), id, None);
        if let Rest::Close(conn) = rest {
            limits.stats().cx_max_duration.inc();
            drop(conn);
        }
        return limits.next_check(now, born, now);
    }
    let Some(limit) = limits
        .params()
        .idle_timeout
        .and_then(|d| now.checked_sub(d))
    else {
        return limits.next_check(now, born, now);
    };
    let rest = limits.book().rest(endpoint.lane(), id, Some(limit));
    match rest {
        Rest::Close(conn) => {
            limits.stats().cx_idle_timeout.inc();
            drop(conn);
            limits.next_check(now, born, now)
        }
        Rest::Since(since) => limits.next_check(since, born, now),
        Rest::Busy => limits.next_check(now, born, now),
    }
}
