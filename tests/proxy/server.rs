//! The server over real sockets.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::BodyExt;
use llmesh::{
    base::{BoxError, ext::Arrival},
    body::Body,
    model::{self, Protocol},
    proxy::{
        connect::Tcp,
        drain::{self, Signal},
        pool::{Limits, Pool},
        server::{Params, serve},
    },
};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle};
use tower::{ServiceExt, service_fn};

use crate::support::{Raw, bind, channel_body, get, soon, text, until};

async fn start<F, Fut>(params: Params, handler: F) -> (SocketAddr, Signal, JoinHandle<()>)
where
    F: Fn(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let (listener, address) = bind().await;
    let (signal, watch) = drain::channel();
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let task = tokio::spawn(serve(listener, move |_| service.clone(), params, watch));
    (address, signal, task)
}

/// The other end of a body.
type Feed = mpsc::Sender<Result<Bytes, BoxError>>;

/// A body whose sender the test keeps, one for each request.
fn streaming() -> (
    impl Fn(Request<Body>) -> std::future::Ready<Response<Body>> + Clone + Send + Sync + 'static,
    mpsc::UnboundedReceiver<Feed>,
) {
    let (started, streams) = mpsc::unbounded_channel();
    let handler = move |_| {
        let (sender, body) = channel_body();
        started.send(sender).unwrap();
        std::future::ready(Response::new(body))
    };
    (handler, streams)
}

fn pool(address: SocketAddr, protocol: Protocol) -> Pool {
    let mut params = model::Pool::default();
    params.protocol = protocol;
    Pool::new(address, Limits::new(params), Arc::new(Tcp))
}

#[tokio::test]
async fn requests_come_as_they_were_sent_with_their_arrival() {
    let echo = |request: Request<Body>| async move {
        let arrival = request.extensions().get::<Arrival>().unwrap();
        let (peer, local) = (arrival.peer.unwrap(), arrival.local.unwrap());
        let text = format!(
            "{} {} {:?} {} {}",
            request.method(),
            request.uri(),
            request.version(),
            peer.port(),
            local.port(),
        );
        Response::builder()
            .header("x-seen", text)
            .body(Body::empty())
            .unwrap()
    };
    let (address, _signal, _task) = start(Params::default(), echo).await;
    let mut client = Raw::connect(address).await;
    let here = client.0.local_addr().unwrap().port();
    for (line, seen) in [
        ("GET /a?b HTTP/1.1", "GET /a?b"),
        (
            "GET http://svc:8080/a?b HTTP/1.1",
            "GET http://svc:8080/a?b",
        ),
        ("OPTIONS * HTTP/1.1", "OPTIONS *"),
        ("CONNECT svc:443 HTTP/1.1", "CONNECT svc:443"),
    ] {
        client.write(&format!("{line}\r\nhost: svc\r\n\r\n")).await;
        let wanted = format!("x-seen: {seen} HTTP/1.1 {here} {}\r\n", address.port());
        let head = client.head().await;
        assert!(head.contains(&wanted), "{head}");
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_on_the_same_port() {
    let echo = |request: Request<Body>| async move {
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.method(), Method::POST);
        Response::new(request.into_body())
    };
    let (address, _signal, _task) = start(Params::default(), echo).await;
    let mut request = get("/");
    *request.method_mut() = Method::POST;
    *request.body_mut() = "hello".into();
    let sent = pool(address, Protocol::Http2).oneshot(request);
    assert_eq!(text(soon(sent).await.unwrap()).await, "hello");
}

#[tokio::test]
async fn each_event_is_written_at_once() {
    let (handler, mut streams) = streaming();
    let (address, _signal, _task) = start(Params::default(), handler).await;
    let mut client = Raw::connect(address).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let stream = soon(streams.recv()).await.unwrap();
    client.head().await;
    for n in 0..3 {
        stream
            .send(Ok(format!("data: {n}\n\n").into()))
            .await
            .unwrap();
        assert_eq!(client.piece().await, format!("9\r\ndata: {n}\n\n\r\n"));
    }
    drop(stream);
    assert_eq!(client.piece().await, "0\r\n\r\n");
}

#[tokio::test]
async fn a_stream_that_fails_ends_without_its_last_chunk() {
    let (handler, mut streams) = streaming();
    let (address, _signal, _task) = start(Params::default(), handler).await;
    let mut client = Raw::connect(address).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let stream = soon(streams.recv()).await.unwrap();
    stream.send(Ok("abc".into())).await.unwrap();
    client.head().await;
    assert_eq!(client.piece().await, "3\r\nabc\r\n");
    stream.send(Err("cut".into())).await.unwrap();
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn draining_finishes_streams_and_takes_no_new_connections() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (handler, mut streams) = streaming();
        let (address, signal, task) = start(Params::default(), handler).await;
        let idle = Raw::connect(address).await;
        let pool = pool(address, protocol);
        let response = soon(pool.clone().oneshot(get("/"))).await.unwrap();
        let stream = soon(streams.recv()).await.unwrap();
        let mut body = response.into_body();
        until(|| signal.live() == 2).await;
        signal.drain();
        // The idle connection goes, the stream stays.
        drop(idle);
        until(|| signal.live() == 1).await;
        assert!(TcpStream::connect(address).await.is_err());
        for n in 0..3 {
            stream.send(Ok(format!("{n}").into())).await.unwrap();
            let frame = soon(body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), n.to_string());
        }
        assert!(!task.is_finished());
        drop(stream);
        assert!(soon(body.collect()).await.is_ok());
        soon(task).await.unwrap();
        assert_eq!(signal.live(), 0);
    }
}

#[tokio::test]
async fn a_request_on_its_way_when_draining_begins_is_served() {
    let (address, signal, task) =
        start(Params::default(), |_| async { Response::new("ok".into()) }).await;
    let mut client = Raw::connect(address).await;
    until(|| signal.live() == 1).await;
    signal.drain();
    tokio::task::yield_now().await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"),
        "{answer}"
    );
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    soon(task).await.unwrap();
}

#[tokio::test]
async fn a_connection_at_rest_when_draining_begins_is_served_once_more() {
    let (address, signal, task) =
        start(Params::default(), |_| async { Response::new("ok".into()) }).await;
    let mut client = Raw::connect(address).await;
    let ask = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write(ask).await;
    client.head().await;
    assert_eq!(client.piece().await, "ok");
    signal.drain();
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.write(ask).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    soon(task).await.unwrap();
}

#[tokio::test]
async fn stopping_ends_streams_now() {
    let (handler, mut streams) = streaming();
    let (address, signal, task) = start(Params::default(), handler).await;
    let mut client = Raw::connect(address).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let stream = soon(streams.recv()).await.unwrap();
    client.head().await;
    let drained = signal.drain_for(Duration::from_millis(20)).await;
    assert!(!drained);
    soon(task).await.unwrap();
    assert_eq!(client.rest().await, "");
    soon(stream.closed()).await;
}

#[tokio::test]
async fn a_client_that_goes_away_drops_its_response() {
    let (handler, mut streams) = streaming();
    let (address, _signal, _task) = start(Params::default(), handler).await;
    let mut client = Raw::connect(address).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let stream = soon(streams.recv()).await.unwrap();
    client.head().await;
    drop(client);
    soon(stream.closed()).await;
}

#[tokio::test]
async fn heads_that_do_not_come_in_time_end_the_connection() {
    let mut params = Params::default();
    params.header_read_timeout = Duration::from_millis(50);
    params.idle_timeout = Duration::from_millis(50);
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = {
        let calls = Arc::clone(&calls);
        move |_| {
            calls.fetch_add(1, Ordering::SeqCst);
            async { Response::new("ok".into()) }
        }
    };
    let (address, signal, _task) = start(params, handler).await;
    // Nothing, half of the HTTP/2 preface, all of it, half a head.
    for start in [
        "",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a",
    ] {
        let mut client = Raw::connect(address).await;
        client.write(start).await;
        client.rest().await;
    }
    until(|| signal.live() == 0).await;
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let (address, _signal, _task) =
        start(Params::default(), |_| async { Response::new("ok".into()) }).await;
    let many = "a: b\r\n".repeat(101);
    let long = format!("a: {}\r\n", "b".repeat(70 << 10));
    for headers in [many, long] {
        let mut client = Raw::connect(address).await;
        client
            .write(&format!("GET / HTTP/1.1\r\n{headers}\r\n"))
            .await;
        assert!(client.piece().await.starts_with("HTTP/1.1 431 "));
    }
}
