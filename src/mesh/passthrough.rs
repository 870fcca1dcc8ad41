//! The way to hosts that the mesh does not know: over HTTP, by name, with a pool and nothing else.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Response, Uri, uri::Scheme};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::{Service, ServiceBuilder};

use super::{
    BoxFuture,
    connect::{BoxIo, Dial},
    discovery::{ip, look_up},
    proxied::Network,
};
use crate::{
    base::{BoxError, Error, Kind, error::ConnectFailure},
    body::Body,
    client::hyper::HyperClient,
    stack::Boxed,
};

/// How long a name and a connection may take each: Istio's default `connectTimeout`.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to URIs through the mesh's seams.
#[derive(Clone)]
struct Dialer(Network);

/// A connection as hyper-util wants it.
struct Stream(BoxIo);

/// The service.
pub(super) fn service(network: Network) -> Boxed {
    let client = HyperClient::new(Dialer(network));
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .service(client);
    Boxed::new(stack)
}

// === impl Dialer ===

impl Dialer {
    async fn dial(self, uri: Uri) -> Result<BoxIo, Error> {
        if uri.scheme() == Some(&Scheme::HTTPS) {
            let detail = "the mesh does not know this host, and reaches such by plain HTTP alone: a ServiceEntry makes it known, or give a client that speaks TLS (`Mesh::reqwest`, `MeshClient::with_passthrough`)";
            return Err(Error::new(Kind::Connect(ConnectFailure::Tls)).with_detail(detail));
        }
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(80);
        let unresolved = |error| Error::new(Kind::Connect(ConnectFailure::Dns)).with_source(error);
        let found = look_up(&*self.0.resolver(false), host, port, TIMEOUT).await;
        let name = ip(host).is_none().then(|| Arc::from(host));
        let connect = self.0.connector(false, name.as_ref());
        let mut last = Error::new(Kind::Connect(ConnectFailure::Dns));
        for address in found.map_err(unresolved)? {
            let dial = Dial {
                timeout: TIMEOUT,
                keepalive: None,
            };
            match connect.connect(address, dial).await {
                Ok(io) => return Ok(io),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Stream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<TokioIo<Stream>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { Ok(TokioIo::new(Stream(dialer.dial(uri).await?))) })
    }
}

// === impl Stream ===

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
