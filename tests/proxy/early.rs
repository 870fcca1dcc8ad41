//! Answers that come before a request is complete: whoever gives one up in the middle has answered, and is heard.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use llmesh::proxy::server::Params;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use crate::{
    recorder::{HOST, Wire, proxy_before},
    support::{bind, soon},
};

/// Plays each connection that comes.
pub fn play<F, Fut>(listener: TcpListener, act: F)
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let act = Arc::new(act);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(act(stream));
        }
    });
}

/// A head, of which more may have come; empty at the end of the connection.
pub async fn head(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut more = [0; 1024];
        let n = stream.read(&mut more).await.unwrap();
        if n == 0 {
            return String::new();
        }
        text.extend_from_slice(&more[..n]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

async fn refuses_at_the_head(mut stream: TcpStream, answer: &'static [u8]) {
    head(&mut stream).await;
    // With the rest of the request unread, closing is a reset.
    stream.write_all(answer).await.unwrap();
}

fn upload(size: usize, chunked: bool) -> Vec<u8> {
    let body = "x".repeat(size);
    let text = if chunked {
        format!("Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n")
    } else {
        format!("Content-Length: {size}\r\n\r\n{body}")
    };
    format!("POST /a HTTP/1.1\r\nHost: {HOST}\r\n{text}").into_bytes()
}

async fn answer_to(proxy: SocketAddr, request: &[u8]) -> Option<(u16, String)> {
    let mut wire = Wire::connect(proxy).await;
    soon(wire.write(request)).await;
    let answer = wire.answer().await?;
    answer.whole.then_some((answer.status, answer.body))
}

const WITH_LENGTH: &[u8] =
    b"HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 9\r\n\r\ntoo large";
const IN_CHUNKS: &[u8] =
    b"HTTP/1.1 403 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntoo\r\n6\r\n large\r\n0\r\n\r\n";
const AFTER_INTERIM: &[u8] =
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\nno";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_before_a_reset_reaches_the_caller() {
    for (answer, status, body) in [
        (WITH_LENGTH, 413, "too large"),
        (IN_CHUNKS, 403, "too large"),
        (AFTER_INTERIM, 401, "no"),
    ] {
        let (listener, address) = bind().await;
        play(listener, move |stream| refuses_at_the_head(stream, answer));
        let (proxy, _) = proxy_before(address, "http", Params::default()).await;
        for size in [20_000, 200_000, 3_000_000] {
            for chunked in [false, true, false, true, false, true] {
                let got = answer_to(proxy.outbound(), &upload(size, chunked)).await;
                assert_eq!(got, Some((status, body.to_owned())), "{size} {chunked}");
            }
        }
    }
}

/// A request that is refused here, by a caller that sends all of it before it reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refusal_reaches_a_caller_that_goes_on_sending() {
    let (listener, address) = bind().await;
    play(listener, async |_| {});
    let (proxy, _) = proxy_before(address, "http", Params::default()).await;
    let text = format!(
        "POST /a HTTP/1.1\r\nHost: {HOST}\r\nExpect: miracles\r\nContent-Length: 3000000\r\n\r\n"
    );
    for _ in 0..5 {
        let mut stream = TcpStream::connect(proxy.outbound()).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        for _ in 0..30 {
            sleep(Duration::from_millis(2)).await;
            stream.write_all(&[b'x'; 100_000]).await.unwrap();
        }
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 417 "), "{answer}");
    }
}

/// And no caller can keep a connection so.
#[tokio::test]
async fn a_caller_that_never_stops_sending_is_closed_all_the_same() {
    let (listener, address) = bind().await;
    play(listener, async |_| {});
    let (proxy, _) = proxy_before(address, "http", Params::default()).await;
    let mut stream = TcpStream::connect(proxy.outbound()).await.unwrap();
    let text = format!(
        "POST /a HTTP/1.1\r\nHost: {HOST}\r\nExpect: miracles\r\nContent-Length: 3000000000\r\n\r\n"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let sending = async { while stream.write_all(&[b'x'; 1000]).await.is_ok() {} };
    timeout(Duration::from_secs(5), sending)
        .await
        .expect("closed");
}

fn expecting(size: usize) -> Vec<u8> {
    format!(
        "POST /a HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-Continue\r\nContent-Length: {size}\r\n\r\n"
    )
    .into_bytes()
}

/// Who asks for the body is the upstream; what it refuses by the head is never sent.
#[tokio::test]
async fn an_expectation_is_answered_by_the_upstream() {
    let (listener, address) = bind().await;
    let (told, mut heads) = mpsc::unbounded_channel();
    play(listener, move |mut stream| {
        let told = told.clone();
        async move {
            loop {
                let head = head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                told.send(head.clone()).unwrap();
                if head.contains("x-refused") {
                    let refusal = b"HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno";
                    stream.write_all(refusal).await.unwrap();
                    // No byte of the body comes.
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest).await;
                    told.send(String::from_utf8(rest).unwrap()).unwrap();
                    return;
                }
                stream
                    .write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                    .await
                    .unwrap();
                sleep(Duration::from_millis(100)).await;
                stream
                    .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                    .await
                    .unwrap();
                let mut body = [0; 5];
                stream.read_exact(&mut body).await.unwrap();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                stream.write_all(&body).await.unwrap();
            }
        }
    });
    let (proxy, _) = proxy_before(address, "http", Params::default()).await;
    let mut wire = Wire::connect(proxy.outbound()).await;
    for _ in 0..2 {
        let begin = Instant::now();
        wire.write(&expecting(5)).await;
        assert_eq!(wire.answer().await.unwrap().status, 100);
        assert!(
            begin.elapsed() >= Duration::from_millis(95),
            "asked before the upstream did"
        );
        wire.write(b"hello").await;
        let answer = wire.answer().await.unwrap();
        assert_eq!((answer.status, &*answer.body), (200, "hello"));
        let head = soon(heads.recv()).await.unwrap();
        assert!(
            head.to_lowercase().contains("expect: 100-continue\r\n"),
            "{head}"
        );
    }
    let refused = String::from_utf8(expecting(5))
        .unwrap()
        .replace("Expect", "X-Refused: 1\r\nExpect");
    wire.write(refused.as_bytes()).await;
    let answer = wire.answer().await.unwrap();
    assert_eq!((answer.status, &*answer.body), (413, "no"));
    assert!(wire.is_closed().await);
    soon(heads.recv()).await.unwrap();
    assert_eq!(soon(heads.recv()).await.unwrap(), "");
}

/// An upstream that knows nothing of expectations waits for the body; after a second it gets it.
#[tokio::test]
async fn an_upstream_that_never_asks_gets_the_body_all_the_same() {
    let (listener, address) = bind().await;
    play(listener, async |mut stream: TcpStream| {
        head(&mut stream).await;
        let mut body = [0; 5];
        stream.read_exact(&mut body).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
    });
    let (proxy, _) = proxy_before(address, "http", Params::default()).await;
    let mut wire = Wire::connect(proxy.outbound()).await;
    wire.write(&expecting(5)).await;
    assert_eq!(wire.answer().await.unwrap().status, 100);
    wire.write(b"hello").await;
    assert_eq!(wire.answer().await.unwrap().status, 200);
}

/// It has said all, and that it wants no more of the request: RST_STREAM with NO_ERROR (RFC 9113 section 8.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_of_an_http2_upstream_that_wants_no_more_reaches_the_caller() {
    let (listener, address) = bind().await;
    play(listener, async |stream: TcpStream| {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let head = http::Response::builder().status(413).body(()).unwrap();
            let mut body = respond.send_response(head, false).unwrap();
            body.send_data("too large".into(), true).unwrap();
            drop(request);
        }
    });
    let (proxy, _) = proxy_before(address, "http2", Params::default()).await;
    for size in [20_000, 200_000, 3_000_000] {
        for chunked in [false, true, false, true] {
            let got = answer_to(proxy.outbound(), &upload(size, chunked)).await;
            assert_eq!(got, Some((413, "too large".to_owned())), "{size} {chunked}");
        }
    }
}
