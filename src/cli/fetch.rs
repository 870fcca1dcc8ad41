//! One GET, for asking an admin port.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{base::BoxError, body::Body};

/// The largest admin page that is read.
const MAX_PAGE: usize = 256 * 1024 * 1024;

/// The body of a 200 answer.
///
/// # Errors
/// If nobody listens, the answer takes more than 10 s, or is not 200.
pub async fn get(address: SocketAddr, path: &str) -> Result<Bytes, BoxError> {
    tokio::time::timeout(Duration::from_secs(10), exchange(address, path))
        .await
        .map_err(|_| "no answer within 10 s")?
}

async fn exchange(address: SocketAddr, path: &str) -> Result<Bytes, BoxError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let task = tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", address.to_string())
        .body(Body::empty())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_PAGE)
        .collect()
        .await?
        .to_bytes();
    task.abort();
    if status == StatusCode::OK {
        Ok(body)
    } else {
        Err(format!("status {status}").into())
    }
}
