//! How connections come in: the seam between the server and the network.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// What is known about a connection that came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The direct peer.
    pub peer: Option<SocketAddr>,
    /// The address it was accepted on.
    pub local: Option<SocketAddr>,
    /// Whether it is TLS.
    pub tls: bool,
}

/// Takes connections in.
pub trait Accept: Send + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection.
    ///
    /// # Errors
    /// Of one connection (the peer went away) or of the host (no descriptor left); [`Backoff`] tells them apart.
    ///
    /// # Cancel safety
    /// Dropping the future loses no connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, Info)>> + Send;
}

/// How long to wait after an accept error, so that a host without descriptors is not asked in a loop.
#[derive(Debug, Default)]
pub struct Backoff {
    last: Option<Duration>,
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

// === impl Accept for TcpListener ===

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Info)> {
        let (stream, peer) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        let info = Info {
            peer: Some(peer),
            local: stream.local_addr().ok(),
            tls: false,
        };
        Ok((stream, info))
    }
}

// === impl Backoff ===

impl Backoff {
    /// A connection came in.
    pub fn reset(&mut self) {
        self.last = None;
    }

    /// How long to wait after this error: not at all if only one connection failed, else from 10 ms doubling to 1 s.
    pub fn after(&mut self, error: &io::Error) -> Option<Duration> {
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::NotConnected
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::Interrupted
        ) {
            return None;
        }
        let wait = self.last.map_or(SHORTEST, |last| (last * 2).min(LONGEST));
        self.last = Some(wait);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_descriptors_is_asked_ever_less_often() {
        let mut backoff = Backoff::default();
        let none_left = io::Error::from_raw_os_error(24);
        let waits: Vec<_> = (0..9).filter_map(|_| backoff.after(&none_left)).collect();
        assert_eq!(waits.first(), Some(&SHORTEST));
        assert!(waits.windows(2).all(|w| w[1] == (w[0] * 2).min(LONGEST)));
        assert_eq!(waits.last(), Some(&LONGEST));
        backoff.reset();
        assert_eq!(backoff.after(&none_left), Some(SHORTEST));
    }

    #[test]
    fn a_peer_that_went_away_costs_no_wait() {
        let gone = io::ErrorKind::ConnectionAborted.into();
        assert_eq!(Backoff::default().after(&gone), None);
    }
}
