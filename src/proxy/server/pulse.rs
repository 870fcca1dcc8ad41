//! What a connection is waiting for, and for how long it may.
//!
//! hyper has one timer for a head, which also runs while nothing is asked. Here they are two: a head that has begun must
//! be over soon, a connection at rest may stay. The socket notes its bytes, the service its requests; the task that
//! drives the connection asks after each poll when to look again.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use super::params::Params;
use crate::base::time::Instant;

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No look is further away.
const DAY: Duration = Duration::from_secs(86_400);

/// What a connection is waiting for. Clones share it.
#[derive(Clone)]
pub(super) struct ConnectionTimers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// How often something was written.
    writes: AtomicU64,
    /// The connection has left HTTP.
    switched: AtomicBool,
}

/// What is over when time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// A head has begun and does not come to its end.
    Head,
    /// Nothing was asked.
    Idle,
    /// The peer does not read.
    Write,
}

/// What an HTTP/1 connection writes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The head of an answer.
    Head,
    /// A chunk of an answer.
    Chunk,
    /// Anything.
    Unknown,
}

/// A request under way: until the last clone is dropped.
pub(super) struct Request {
    pulse: ConnectionTimers,
    answered: AtomicBool,
    /// Its head frames the body in two ways: by a length and by chunks.
    framed_twice: bool,
}

/// A request's body that is being read: until it is over or given up.
pub(super) struct Reading {
    request: Arc<Request>,
    over: bool,
}

struct State {
    /// Requests whose bodies are not over.
    active: usize,
    /// Since when there is none.
    idle: Instant,
    /// When the head that is being read began.
    head: Option<Instant>,
    /// Since when nothing could be written.
    stalled: Option<Instant>,
    /// How much of the preface came, as long as nothing else did.
    preface: Option<usize>,
    /// The connection was told to close.
    closing: bool,
    /// Requests whose bodies are being read.
    reading: usize,
    /// What comes next on the way out, on HTTP/1.
    next: Next,
    /// Heads that were served.
    heads: u64,
    /// The rest of a request's body was given up.
    unread: bool,
    /// The first head that frames its body in two ways, counted from 1. There is no other behind it: the connection ends.
    framed_twice: Option<u64>,
    /// The peer began as TLS does.
    tls: bool,
}

// === impl ConnectionTimers ===

impl ConnectionTimers {
    pub(super) fn new() -> Self {
        let state = Mutex::new(State {
            active: 0,
            idle: Instant::now(),
            head: None,
            stalled: None,
            preface: Some(0),
            closing: false,
            reading: 0,
            next: Next::Unknown,
            heads: 0,
            unread: false,
            framed_twice: None,
            tls: false,
        });
        Self(Arc::new(Shared {
            state,
            writes: AtomicU64::new(0),
            switched: AtomicBool::new(false),
        }))
    }

    /// Whether the peer has begun as HTTP/2 does.
    pub(super) fn is_http2(&self) -> bool {
        self.state().preface == Some(PREFACE.len())
    }

    /// A request's head is over.
    pub(super) fn request(&self) -> Arc<Request> {
        let mut state = self.state();
        state.active += 1;
        state.next = Next::Head;
        state.head = None;
        state.heads += 1;
        let framed_twice = state.framed_twice == Some(state.heads);
        drop(state);
        Arc::new(Request {
            pulse: self.clone(),
            answered: AtomicBool::new(false),
            framed_twice,
        })
    }

    /// Whether the connection has left HTTP: nothing that comes on it is to be understood.
    pub(super) fn has_switched(&self) -> bool {
        self.0.switched.load(Ordering::Acquire)
    }

    /// Whether the rest of a request's body was given up: the peer may be sending it yet.
    pub(super) fn is_unread(&self) -> bool {
        self.state().unread
    }

    /// What comes next on the way out, if a request is all there and its answer is not over. Then the end of what the peer
    /// sends is no end of the connection. A body that came `whole` may still wait for the one who reads it.
    pub(super) fn owes(&self, whole: bool) -> Option<Next> {
        let state = self.state();
        (state.active > 0 && (whole || state.reading == 0)).then_some(state.next)
    }

    /// The connection was told to close, and may take as long as a head for it.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closing = true;
        state.idle = Instant::now();
    }

    /// Which limit is reached, or else when to look again.
    pub(super) fn look(&self, params: &Params, now: Instant) -> Result<Limit, Instant> {
        let state = self.state();
        let mut next = now + params.header_read_timeout.min(DAY);
        let mut reached = None;
        let mut limit = |since: Option<Instant>, time, limit| {
            if let Some(at) = since.and_then(|since| since.checked_add(time)) {
                if at <= now {
                    reached = Some(limit);
                }
                next = next.min(at);
            }
        };
        limit(state.stalled, params.write_idle_timeout, Limit::Write);
        if state.active == 0 {
            let rest = if state.closing {
                params.header_read_timeout
            } else {
                params.idle_timeout
            };
            limit(Some(state.idle), rest, Limit::Idle);
            limit(state.head, params.header_read_timeout, Limit::Head);
        }
        reached.ok_or(next)
    }

    /// This head, counted from 1, frames its body in two ways.
    pub(super) fn note_framed_twice(&self, head: u64) {
        self.state().framed_twice.get_or_insert(head);
    }

    /// The peer began as TLS does.
    pub(super) fn note_tls(&self) {
        self.state().tls = true;
    }

    /// Whether the peer began as TLS does.
    pub(super) fn is_tls(&self) -> bool {
        self.state().tls
    }

    /// Bytes came. Whether they are HTTP/2.
    pub(super) fn read(&self, bytes: &[u8]) -> bool {
        let mut state = self.state();
        let http2 = |state: &State| state.preface == Some(PREFACE.len());
        if bytes.is_empty() || state.active > 0 {
            return http2(&state);
        }
        if let Some(had) = state.preface {
            let rest = PREFACE.get(had..).unwrap_or_default();
            let same = bytes.iter().zip(rest).all(|(a, b)| a == b);
            state.preface = same.then(|| PREFACE.len().min(had.saturating_add(bytes.len())));
        }
        // From then on what comes is frames, most of them no head.
        if http2(&state) {
            state.head = None;
        } else if state.head.is_none() {
            state.head = Some(Instant::now());
        }
        http2(&state)
    }

    pub(super) fn wrote<T>(&self, written: &Poll<io::Result<T>>) {
        let mut state = self.state();
        match written {
            Poll::Pending if state.stalled.is_none() => state.stalled = Some(Instant::now()),
            Poll::Pending => {}
            Poll::Ready(_) => {
                state.stalled = None;
                self.0.writes.fetch_add(1, Ordering::Release);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Request ===

impl Request {
    /// A response has begun, whose body is sent in chunks or is not.
    pub(super) fn answered(&self, chunks: bool) {
        self.answered.store(true, Ordering::Release);
        let next = if chunks { Next::Chunk } else { Next::Unknown };
        self.pulse.state().next = next;
    }

    /// It was answered with a switch of protocols.
    pub(super) fn switched(&self) {
        self.pulse.0.switched.store(true, Ordering::Release);
    }

    /// How often its connection wrote so far.
    pub(super) fn writes(&self) -> u64 {
        self.pulse.0.writes.load(Ordering::Acquire)
    }

    /// Whether its head frames the body in two ways.
    pub(super) fn is_framed_twice(&self) -> bool {
        self.framed_twice
    }

    /// Whether a response has begun.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = self.pulse.state();
        state.active = state.active.saturating_sub(1);
        state.idle = Instant::now();
    }
}

// === impl Reading ===

impl Reading {
    pub(super) fn new(request: Arc<Request>) -> Self {
        request.pulse.state().reading += 1;
        Self {
            request,
            over: false,
        }
    }

    /// Nothing of it is left to be sent.
    pub(super) fn finish(mut self) {
        self.over = true;
    }

    /// Whether a response has begun.
    pub(super) fn is_answered(&self) -> bool {
        self.request.is_answered()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.request.pulse.state();
        state.reading = state.reading.saturating_sub(1);
        state.unread |= !self.over;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn params() -> Params {
        Params {
            header_read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(3600),
            write_idle_timeout: Duration::from_secs(300),
            ..Params::default()
        }
    }

    fn look(pulse: &ConnectionTimers) -> Option<Limit> {
        pulse.look(&params(), Instant::now()).ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_short_and_rest_is_long() {
        let pulse = ConnectionTimers::new();
        advance(Duration::from_secs(3599)).await;
        assert_eq!(look(&pulse), None);
        pulse.read(b"G");
        advance(Duration::from_secs(29)).await;
        pulse.read(b"E");
        assert_eq!(
            look(&pulse),
            Some(Limit::Idle),
            "rest goes on while a head is read"
        );
        advance(Duration::from_secs(1)).await;
        assert_eq!(look(&pulse), Some(Limit::Head));

        let (head, body) = (pulse.request(), pulse.request());
        advance(Duration::from_secs(7200)).await;
        pulse.read(b"body");
        assert_eq!(look(&pulse), None);
        drop((head, body));
        advance(Duration::from_secs(3599)).await;
        assert_eq!(look(&pulse), None);
        advance(Duration::from_secs(1)).await;
        assert_eq!(look(&pulse), Some(Limit::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn http2_has_no_head_after_its_preface() {
        let pulse = ConnectionTimers::new();
        pulse.read(&PREFACE[..9]);
        assert_eq!(
            pulse.look(&params(), Instant::now()),
            Err(Instant::now() + Duration::from_secs(30))
        );
        pulse.read(&PREFACE[9..]);
        pulse.read(b"settings");
        advance(Duration::from_secs(31)).await;
        assert_eq!(look(&pulse), None);
        let other = ConnectionTimers::new();
        other.read(b"PRI * HTTP/1.1");
        advance(Duration::from_secs(30)).await;
        assert_eq!(look(&other), Some(Limit::Head));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_has_its_time_however_busy() {
        let pulse = ConnectionTimers::new();
        let request = pulse.request();
        pulse.wrote::<usize>(&Poll::Pending);
        advance(Duration::from_secs(299)).await;
        pulse.wrote::<usize>(&Poll::Pending);
        assert_eq!(look(&pulse), None);
        pulse.wrote(&Poll::Ready(Ok(1)));
        pulse.wrote::<usize>(&Poll::Pending);
        advance(Duration::from_secs(299)).await;
        assert_eq!(look(&pulse), None);
        advance(Duration::from_secs(1)).await;
        assert_eq!(look(&pulse), Some(Limit::Write));
        drop(request);
    }
}
