//! Scripted peers and short cuts.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use llmesh::{base::BoxError, body::Body};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Fails a test that hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what)
        .await
        .expect("took longer than 30 s")
}

/// Polls until `done`.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    soon(async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(crate) async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A connection to a raw peer: reads heads, writes what it is told.
pub(crate) struct Raw<S = TcpStream>(pub(crate) S);

impl Raw {
    pub(crate) async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = soon(listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// Everything up to and with the next blank line.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = soon(self.0.read_u8()).await.unwrap();
            head.push(byte);
        }
        String::from_utf8(head).unwrap()
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// What comes in one piece.
    pub(crate) async fn piece(&mut self) -> String {
        let mut buffer = vec![0; 64 << 10];
        let n = soon(self.0.read(&mut buffer)).await.unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    }

    /// Everything until the peer closes; a reset counts as closed.
    pub(crate) async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let _ = soon(self.0.read_to_end(&mut all)).await;
        String::from_utf8_lossy(&all).into_owned()
    }
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::builder()
        .uri(path)
        .header("host", "svc")
        .body(Body::empty())
        .unwrap()
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = soon(response.into_body().collect())
        .await
        .unwrap()
        .to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A body fed by hand: ends when the sender is dropped.
pub(crate) fn channel_body() -> (mpsc::Sender<Result<Bytes, BoxError>>, Body) {
    let (sender, receiver) = mpsc::channel(16);
    (sender, Body::new(Channel(receiver)))
}

struct Channel(mpsc::Receiver<Result<Bytes, BoxError>>);

impl http_body::Body for Channel {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0
            .poll_recv(cx)
            .map(|next| next.map(|r| r.map(Frame::data)))
    }
}
