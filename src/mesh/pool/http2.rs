//! HTTP/2 with prior knowledge: many requests on a connection, more connections when streams run out.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::sleep_until;

use super::{
    active::Active,
    endpoint::Endpoint,
    error::{self, DialFailure},
    lane::{Lane, Stream},
    limits::Dials,
    message,
    pending::{Pending, Queue},
    settle::handshake,
    socket::Socket,
    upload::{Upload, Uploading},
};
use crate::{
    base::{BoxError, Error, Kind, error::ResetReason, ext::TryClock, time::Instant},
    mesh::tls::Refusal,
};

/// How many dead connections one request may be handed before it gives up.
const REPLACEMENTS: usize = 8;

/// A request's place in the queue.
struct Ticket {
    lane: Lane,
    ticket: u64,
}

// === impl Ticket ===

impl Queue for Ticket {
    fn leave(&self) {
        self.lane.leave(self.ticket);
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
        let active = Active::new(endpoint.limits(), Some(stream));
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
    let (lane, limits) = (endpoint.http2(), endpoint.limits());
    if let Some(stream) = lane.open() {
        return Ok(Some(stream));
    }
    let permit = Pending::<Ticket>::permit(limits)?;
    let (ticket, grant) = lane.wait();
    let queue = Ticket {
        lane: lane.clone(),
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

/// Serves who waits, and dials if some still do.
fn pump(endpoint: &Arc<Endpoint>) {
    if endpoint.http2().pump() {
        Arc::clone(endpoint).dial_http2();
    }
}

/// Runs a connection to its end. `ready` is called when requests can have it, or never will.
pub(super) async fn run(
    endpoint: &Arc<Endpoint>,
    socket: Socket,
    refused: Option<Refusal>,
    ready: impl FnOnce() + Send,
) {
    let (limits, lane) = (endpoint.limits(), endpoint.http2());
    let (sender, connection) = match handshake(limits, socket).await {
        Ok(made) => made,
        Err(failure) => {
            let refused = refused.as_ref().and_then(Refusal::get).cloned();
            let refused = refused.map(|why| DialFailure::new(&endpoint.count_refused(why)));
            lane.fail(&refused.unwrap_or(failure));
            return ready();
        }
    };
    let stats = limits.stats();
    stats.cx_http2_total.inc();
    let (id, born) = (endpoint.next_id(), Instant::now());
    let connection = Arc::new(Mutex::new(connection));
    lane.add(id, sender, Arc::clone(&connection), born);
    ready();
    pump(endpoint);
    if endpoint.is_draining() {
        lane.drain();
    }

    let mut timer = pin!(sleep_until(limits.next_check(born, born, born)));
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
                let next = lane.check(id);
                timer.as_mut().reset(next);
            }
        }
    }
    if lane.remove(id) {
        stats.cx_destroy_remote.inc();
    } else {
        stats.cx_destroy_local.inc();
    }
    pump(endpoint);
}
