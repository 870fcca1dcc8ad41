//! A plain relay between hops: it knows nothing of what they tell each other, and takes it out.

use std::net::SocketAddr;

use http::Request;
use hyper::{
    body::Incoming, client::conn::http1 as client, server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use llmesh::{base::BoxError, proxy::listener::Accept};

use crate::net::{Listener, Net};

/// Relays each request on a connection of its own.
pub(crate) fn start(net: Net, mut listener: Listener, to: SocketAddr) {
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let net = net.clone();
            let service = service_fn(move |request| relay(net.clone(), to, request));
            tokio::spawn(async move {
                // How a connection ends is the caller's to judge.
                let _ = server::Builder::new()
                    .serve_connection(TokioIo::new(io), service)
                    .await;
            });
        }
    });
}

async fn relay(
    net: Net,
    to: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<http::Response<Incoming>, BoxError> {
    request.headers_mut().remove("x-envoy-attempt-count");
    let (mut sender, connection) = client::handshake(TokioIo::new(net.dial(to).await?)).await?;
    // What becomes of it is seen by its request.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let mut response = sender.send_request(request).await?;
    response.headers_mut().remove("x-llmesh-final");
    Ok(response)
}
