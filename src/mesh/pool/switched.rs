//! Connections that have left HTTP.
//!
//! The answer that says so has a body which is both connections: reading it moves what each side sends to the other, and its
//! frames are what the caller was sent, to be counted. It ends when both directions have, and dropping it closes both.
//! The end of one direction is passed on and leaves the other open.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::{Body as HttpBody, Frame};
use hyper::{
    body::Incoming,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{active::Active, line::DriveGuard, message, socket::Socket};
use crate::{
    base::{
        BoxError, Error, Kind,
        error::ResetReason,
        ext::Tunnelled,
        time::{Sleep, sleep},
    },
    body::Body,
    mesh::upgrade::{self, Upgrade},
};

/// What is read at a time in one direction, and all that waits in it.
const PIECE: usize = 16 << 10;

/// Where less room is left than this, room is made.
const LEAST: usize = 2 << 10;

/// How long the one direction may be silent once the other has ended: a peer that has gone for good and one that sends no
/// more look alike.
const HALF: Duration = Duration::from_secs(300);

/// Both connections. See the [module](self).
struct Switched {
    caller: Caller,
    upstream: Socket,
    up: Pipe,
    down: Pipe,
    received: Tunnelled,
    half: Option<Pin<Box<Sleep>>>,
    /// Until it is over.
    active: Option<Active>,
    /// Whether the end of the upstream's connection is still to be counted.
    counts: bool,
}

/// The caller's connection.
enum Caller {
    /// Its server is about to write the answer.
    Answering(OnUpgrade),
    Here(TokioIo<Upgraded>),
}

/// One direction.
struct Pipe {
    room: BytesMut,
    /// What was read, and how much of it is written.
    piece: Bytes,
    written: usize,
    /// Something was written and may not have gone out.
    held: bool,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Flowing,
    /// The reading end has come to its end.
    Ending,
    Over,
}

/// Which of a pipe's ends failed.
enum Broken {
    From(io::Error),
    To(io::Error),
}

// === impl Pipe ===

impl Pipe {
    /// With what was read before.
    fn new(piece: Bytes) -> Self {
        Self {
            room: BytesMut::new(),
            piece,
            written: 0,
            held: false,
            at: At::Flowing,
        }
    }

    fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// The next piece, once it is written; `None` once the direction is over and its end told.
    fn poll<R, W>(
        &mut self,
        from: &mut R,
        to: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            if self.at == At::Over {
                return Poll::Ready(Ok(None));
            }
            if let Some(rest) = self.piece.get(self.written..).filter(|r| !r.is_empty()) {
                let n = ready!(Pin::new(&mut *to).poll_write(cx, rest)).map_err(Broken::To)?;
                if n == 0 {
                    return Poll::Ready(Err(Broken::To(io::ErrorKind::WriteZero.into())));
                }
                self.held = true;
                self.written += n;
                if self.written >= self.piece.len() {
                    self.written = 0;
                    return Poll::Ready(Ok(Some(std::mem::take(&mut self.piece))));
                }
                continue;
            }
            if self.at == At::Ending {
                // A peer that is gone need not be told.
                let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                self.at = At::Over;
                continue;
            }
            match self.poll_read(from, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::From(error))),
                Poll::Pending => {
                    if self.held {
                        ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(Broken::To)?;
                        self.held = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Takes what there is to read, or the end of it.
    fn poll_read<R>(&mut self, from: &mut R, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
    {
        if self.room.len() < LEAST {
            self.room.resize(PIECE, 0);
        }
        let mut buf = ReadBuf::new(&mut self.room);
        let read = ready!(Pin::new(from).poll_read(cx, &mut buf));
        let n = buf.filled().len();
        match read {
            Ok(()) if n > 0 => self.piece = self.room.split_to(n).freeze(),
            Ok(()) => self.at = At::Ending,
            // A TLS session that was not ended in due form: what was sent in it says by itself whether it is whole.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.at = At::Ending,
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}

// === impl Switched ===

impl Switched {
    /// Moves what can be moved. A frame is what the caller was sent.
    fn poll_moved(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Caller::Answering(connection) = &mut self.caller {
            match ready!(Pin::new(connection).poll(cx)) {
                Ok(io) => self.caller = Caller::Here(TokioIo::new(io)),
                Err(error) => return Poll::Ready(Some(Err(canceled(error)))),
            }
        }
        let Caller::Here(caller) = &mut self.caller else {
            return Poll::Pending;
        };
        loop {
            let mut moved = false;
            if !self.up.is_over() {
                match self.up.poll(caller, &mut self.upstream, cx) {
                    Poll::Ready(Ok(piece)) => {
                        self.received.add(piece.map_or(0, |piece| piece.len()));
                        moved = true;
                    }
                    Poll::Ready(Err(Broken::From(e))) => return self.down.broken(canceled(e)),
                    Poll::Ready(Err(Broken::To(e))) => return self.down.broken(reset(e)),
                    Poll::Pending => {}
                }
            }
            if !self.down.is_over() {
                match self.down.poll(&mut self.upstream, caller, cx) {
                    Poll::Ready(Ok(Some(piece))) => {
                        self.half = None;
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    Poll::Ready(Ok(None)) => moved = true,
                    Poll::Ready(Err(Broken::From(e))) => return self.up.broken(reset(e)),
                    Poll::Ready(Err(Broken::To(e))) => return self.up.broken(canceled(e)),
                    Poll::Pending => {}
                }
            }
            if self.up.is_over() && self.down.is_over() {
                return Poll::Ready(None);
            }
            if moved {
                self.half = None;
            } else {
                return self.poll_half(cx).map(|()| None);
            }
        }
    }

    /// Where one direction is over: until the other has been silent for too long.
    fn poll_half(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.up.is_over() && !self.down.is_over() {
            return Poll::Pending;
        }
        let half = self.half.get_or_insert_with(|| Box::pin(sleep(HALF)));
        half.as_mut().poll(cx)
    }

    /// Both connections are done with.
    fn end(&mut self, remote: bool) {
        (self.up.at, self.down.at) = (At::Over, At::Over);
        self.half = None;
        let Some(active) = self.active.take() else {
            return;
        };
        if std::mem::take(&mut self.counts) {
            let stats = active.limits.stats();
            match remote {
                true => stats.cx_destroy_remote.inc(),
                false => stats.cx_destroy_local.inc(),
            }
        }
    }
}

impl Pipe {
    /// What the failure of the other direction comes to: where this one is over, nothing is lost by it.
    fn broken(&self, error: Error) -> Poll<Option<Result<Bytes, Error>>> {
        tracing::debug!(%error, "a connection that has left HTTP broke off");
        Poll::Ready((!self.is_over()).then_some(Err(error)))
    }
}

impl HttpBody for Switched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.active.is_none() {
            return Poll::Ready(None);
        }
        let moved = ready!(self.poll_moved(cx));
        match moved {
            Some(Ok(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Some(Err(error)) => {
                self.end(error.kind() != Kind::Canceled);
                Poll::Ready(Some(Err(error.into())))
            }
            None => {
                self.end(true);
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        self.end(false);
    }
}

// === free functions ===

/// The answer that switches, with both connections as its body. The caller's is taken over once that body is read, which
/// must be when the answer's head is on its way.
///
/// # Errors
/// The upstream's connection did not come to the switch.
pub(super) async fn switched(
    response: Response<Incoming>,
    active: Active,
    drive: DriveGuard,
    upgrade: Upgrade,
) -> Result<Response<Body>, Error> {
    let mut response = response.map(drop);
    let left = poll_fn(|cx| drive.poll_left(cx)).await;
    let Some((upstream, read)) = left else {
        return Err(reset(io::ErrorKind::ConnectionAborted.into()));
    };
    let body = Switched {
        caller: Caller::Answering(upgrade.connection),
        upstream,
        up: Pipe::new(Bytes::new()),
        down: Pipe::new(read),
        received: upgrade.received,
        half: None,
        active: Some(active),
        counts: drive.counts_end(),
    };
    message::clean_response(&mut response);
    upgrade::say(response.headers_mut());
    Ok(response.map(|()| Body::new(body)))
}

fn canceled(error: impl Into<BoxError>) -> Error {
    Error::new(Kind::Canceled).with_source(error)
}

fn reset(error: io::Error) -> Error {
    Error::new(Kind::Reset {
        reason: ResetReason::Terminated,
        sent: true,
    })
    .with_source(error)
}
