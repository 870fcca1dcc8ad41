//! One endpoint's side of the pool: dialling, and the queues of both protocols.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
};

use http::Version;
use tokio::runtime::Handle;

use super::{Limits, error::DialFailure, lane::Lane, socket::Owner, stats::PoolStats};
use crate::{
    base::{Error, Kind, error::ConnectFailure, time::Instant},
    mesh::{
        connect::{BoxIo, Connect, Dial},
        tls::{Client, Failure, Offer, Refusal, What},
    },
    model::Protocol,
};

pub(super) struct Endpoint {
    address: SocketAddr,
    limits: Limits,
    connect: Arc<dyn Connect>,
    tls: Option<Arc<Client>>,
    /// What the last handshake of a negotiated protocol gave.
    spoken: AtomicU8,
    /// Its lane in the cluster's book of HTTP/1 connections.
    lane: u64,
    http2: Lane,
    next_id: AtomicU64,
    draining: AtomicBool,
    /// Where dials run: set by the first request, because a pool may be made outside of a runtime and dropped after it.
    runtime: OnceLock<Handle>,
}

/// What [`Endpoint::spoken`] says.
const UNKNOWN: u8 = 0;
const HTTP1: u8 = 1;
const HTTP2: u8 = 2;

/// A connection that was dialled.
pub(super) struct Dialled {
    pub(super) io: BoxIo,
    /// Whether HTTP/2 is spoken on it.
    pub(super) http2: bool,
    /// Why the server of a TLS connection refused it afterwards.
    pub(super) refused: Option<Refusal>,
}

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn new(
        address: SocketAddr,
        limits: Limits,
        connect: Arc<dyn Connect>,
        tls: Option<Arc<Client>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me: &Weak<Self>| {
            let lane = limits.book().add(me.clone() as _);
            Self {
                address,
                connect,
                tls,
                spoken: AtomicU8::new(UNKNOWN),
                lane,
                http2: Lane::new(limits.clone()),
                limits,
                next_id: AtomicU64::new(0),
                draining: AtomicBool::new(false),
                runtime: OnceLock::new(),
            }
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The name that people know it by, where its address only stands for one.
    pub(super) fn named(&self) -> Option<Arc<str>> {
        self.connect.named(self.address)
    }

    /// Where it is, for people.
    pub(super) fn shown(&self) -> String {
        match self.named() {
            Some(name) => format!("{name}:{}", self.address.port()),
            None => self.address.to_string(),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether what is sent there cannot be read on the way.
    pub(super) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn lane(&self) -> u64 {
        self.lane
    }

    pub(super) fn http2(&self) -> &Lane {
        &self.http2
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Remembers the runtime of the caller, which must be inside one.
    pub(super) fn enter(&self) {
        self.runtime.get_or_init(Handle::current);
    }

    /// Runs a connection.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime.get() {
            runtime.spawn(task);
        }
    }

    /// Closes idle connections; those in use close when they come free.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.close_idle();
        self.http2.drain();
    }

    /// Closes idle HTTP/1 connections.
    pub(super) fn close_idle(&self) {
        let idle = self.limits.book().take_all_idle(self.lane);
        drop(idle);
    }

    /// Whether HTTP/2 is spoken for a request that came in this version. Where that is agreed upon in the handshake, it is
    /// what the last one gave; before the first, one connection is made for all, as for HTTP/2.
    pub(super) fn speaks_http2(&self, caller: Version) -> bool {
        match self.limits.look().protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::AsCaller => caller == Version::HTTP_2,
            Protocol::Negotiated => {
                self.is_encrypted() && self.spoken.load(Ordering::Relaxed) != HTTP1
            }
        }
    }

    /// Whether a connection may turn out to be of another protocol than it was made for.
    pub(super) fn negotiates(&self) -> bool {
        self.is_encrypted() && self.limits.look().protocol == Protocol::Negotiated
    }

    /// Makes a connection, its TLS included, and counts how it went.
    pub(super) async fn dial(&self, http2: bool) -> Result<Dialled, DialFailure> {
        let params = self.limits.params();
        let dial = Dial {
            timeout: params.connect_timeout,
            keepalive: params.keepalive,
        };
        let made = match &self.tls {
            None => {
                let io = self.connect.connect(self.address, dial).await;
                io.map(|io| Dialled {
                    io,
                    http2,
                    refused: None,
                })
            }
            Some(tls) => {
                let secured = Box::pin(self.dial_tls(tls, dial, http2));
                let late = || {
                    Error::new(Kind::Connect(ConnectFailure::Timeout))
                        .with_source("the TLS handshake was not over in time")
                };
                let made = tokio::time::timeout(dial.timeout, secured).await;
                made.unwrap_or_else(|_| Err(late()))
            }
        };
        let error = match made {
            Ok(dialled) => return Ok(dialled),
            Err(error) => error,
        };
        self.limits
            .count_failed(error.kind() == Kind::Connect(ConnectFailure::Timeout));
        tracing::debug!(address = %self.shown(), error = %error, "dial failed");
        Err(DialFailure::new(&error))
    }

    async fn dial_tls(&self, tls: &Client, dial: Dial, http2: bool) -> Result<Dialled, Error> {
        let http1 = self.spoken.load(Ordering::Relaxed) == HTTP1;
        let offer = match (self.negotiates(), http2) {
            // Where HTTP/1 is not what is spoken, it is what somebody needs.
            (true, false) if !http1 => Offer::Http1,
            (true, _) => Offer::Both,
            (false, true) => Offer::Http2,
            (false, false) => Offer::Http1,
        };
        tls.check().map_err(|failure| self.count_refused(failure))?;
        let io = self.connect.connect(self.address, dial).await?;
        let begun = Instant::now();
        let secured = tls.handshake(io, self.address, offer).await;
        let secured = secured.map_err(|failure| self.count_refused(failure))?;
        let stats = self.limits.stats();
        stats.ssl_handshake.inc();
        stats.ssl_handshake_took.note(begun.elapsed());
        if secured.resumed {
            stats.ssl_session_reused.inc();
        }
        if offer == Offer::Both {
            let spoken = if secured.http2 { HTTP2 } else { HTTP1 };
            self.spoken.store(spoken, Ordering::Relaxed);
        }
        Ok(Dialled {
            io: secured.io,
            http2: secured.http2,
            refused: Some(secured.refused),
        })
    }

    /// Counts a handshake that failed, and says so.
    pub(super) fn count_refused(&self, failure: Failure) -> Error {
        let stats = self.limits.stats();
        match failure.what {
            What::Certificate => stats.ssl_fail_verify_error.inc(),
            What::Names => stats.ssl_fail_verify_san.inc(),
            What::Protocol | What::Broken | What::Unusable => stats.ssl_connection_error.inc(),
        }
        tracing::warn!(address = %self.shown(), "no TLS connection: {}", failure.reason);
        failure.into_error()
    }
}

impl Owner for Endpoint {
    fn stats(&self) -> &PoolStats {
        self.limits.stats()
    }

    fn closed(&self) {
        self.limits.book().closed(self.lane);
        self.limits.pump();
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.limits.book().remove(self.lane);
    }
}
