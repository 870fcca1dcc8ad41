//! How upstream connections are made: the seam between the pool and the network.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::BoxFuture;
use crate::{
    base::{
        Error, Kind,
        error::{ConnectFailure, find},
    },
    model::Keepalive,
};

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection of any kind.
pub type BoxIo = Box<dyn Io>;

/// How to dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// How long it may take until the connection can be used, handshakes included.
    pub timeout: Duration,
    /// TCP keep-alive probes.
    pub keepalive: Option<Keepalive>,
}

/// Makes connections.
pub trait Connect: Send + Sync + 'static {
    /// Connects to `address`.
    ///
    /// # Errors
    /// An [`Error`] of kind [`Kind::Connect`]. The implementation keeps to [`Dial::timeout`].
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    fn connect(&self, address: SocketAddr, dial: Dial) -> BoxFuture<'_, Result<BoxIo, Error>>;

    /// The name that people know an address by, where it only stands for one and leads nowhere itself.
    fn named(&self, address: SocketAddr) -> Option<Arc<str>> {
        let _ = address;
        None
    }
}

/// Plain TCP, with `TCP_NODELAY`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

// === impl Tcp ===

impl Connect for Tcp {
    fn connect(&self, address: SocketAddr, dial: Dial) -> BoxFuture<'_, Result<BoxIo, Error>> {
        Box::pin(async move {
            let connected = tokio::time::timeout(dial.timeout, TcpStream::connect(address)).await;
            let Ok(connected) = connected else {
                return Err(Error::new(Kind::Connect(ConnectFailure::Timeout)));
            };
            let stream = connected.map_err(failed)?;
            prepare(&stream, dial.keepalive).map_err(failed)?;
            Ok(Box::new(stream) as BoxIo)
        })
    }
}

impl fmt::Debug for dyn Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Io")
    }
}

impl fmt::Debug for dyn Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connect")
    }
}

// === free functions ===

fn prepare(stream: &TcpStream, keepalive: Option<Keepalive>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(wanted) = keepalive else {
        return Ok(());
    };
    let mut probes = TcpKeepalive::new();
    if let Some(time) = wanted.time {
        probes = probes.with_time(time);
    }
    if let Some(interval) = wanted.interval {
        probes = probes.with_interval(interval);
    }
    if let Some(count) = wanted.probes {
        probes = probes.with_retries(count);
    }
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

/// An I/O error while dialling, as Envoy groups them: what the peer did is `Refused`, what this host lacks is `Local`.
pub(super) fn failed(error: io::Error) -> Error {
    if let Some(ours) = find(&error) {
        return Error::new(ours.kind()).with_source(error);
    }
    let failure = match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => ConnectFailure::Refused,
        io::ErrorKind::TimedOut => ConnectFailure::Timeout,
        _ => ConnectFailure::Local,
    };
    Error::new(Kind::Connect(failure)).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_are_grouped_by_who_failed() {
        for (kind, failure) in [
            (io::ErrorKind::ConnectionRefused, ConnectFailure::Refused),
            (io::ErrorKind::ConnectionReset, ConnectFailure::Refused),
            (io::ErrorKind::TimedOut, ConnectFailure::Timeout),
            (io::ErrorKind::NetworkUnreachable, ConnectFailure::Local),
            (io::ErrorKind::AddrNotAvailable, ConnectFailure::Local),
        ] {
            assert_eq!(failed(kind.into()).kind(), Kind::Connect(failure), "{kind}");
        }
    }

    #[test]
    fn an_error_of_ours_inside_an_io_error_keeps_its_kind() {
        let tls = Error::new(Kind::Connect(ConnectFailure::Tls));
        assert_eq!(
            failed(io::Error::other(tls)).kind(),
            Kind::Connect(ConnectFailure::Tls)
        );
    }

    #[tokio::test]
    async fn a_closed_port_refuses_and_an_open_one_has_its_options_set() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let keepalive = Keepalive {
            time: Some(Duration::from_secs(7)),
            interval: Some(Duration::from_secs(3)),
            probes: Some(4),
        };
        let stream = TcpStream::connect(address).await.unwrap();
        prepare(&stream, Some(keepalive)).unwrap();
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);

        drop(listener);
        let dial = Dial {
            timeout: Duration::from_secs(5),
            keepalive: None,
        };
        let error = Tcp.connect(address, dial).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), Kind::Connect(ConnectFailure::Refused));
    }
}
