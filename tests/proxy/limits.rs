//! Limits of time and number, short enough to be met.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use llmesh::{
    base::time::Instant,
    body::Body,
    proxy::{
        drain,
        listener::{Accept, Info},
        server::{Params, serve},
    },
};
use tokio::io::DuplexStream;
use tower::service_fn;

use crate::{
    kit::{Caller, ms},
    recorder::{Front, HOST, Wire},
    support::{bind, soon, until},
};

fn params(change: impl FnOnce(&mut Params)) -> Params {
    let mut params = Params::default();
    change(&mut params);
    params
}

#[tokio::test]
async fn half_heads_are_closed_in_time_and_disturb_nobody() {
    let front = Front::start(params(|p| p.header_read_timeout = ms(200))).await;
    let begin = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut wire = front.wire().await;
        wire.write(b"GET / HTTP/1.1\r\nHost: svc.test\r\nX-A: ")
            .await;
        slow.push(wire);
    }
    // A byte now and then gains no time.
    let mut trickle = front.wire().await;
    let trickling = tokio::spawn(async move {
        while begin.elapsed() < ms(150) {
            trickle.write(b"G").await;
            tokio::time::sleep(ms(20)).await;
        }
        trickle.is_closed().await
    });
    let mut good = front.wire().await;
    while begin.elapsed() < ms(150) {
        good.get("/good").await;
        assert_eq!(good.answer().await.unwrap().status, 200);
    }
    for mut wire in slow {
        assert!(wire.is_closed().await);
    }
    assert!(trickling.await.unwrap());
    let took = begin.elapsed();
    assert!(took >= ms(200) && took < ms(900), "{took:?}");
    // At rest longer than a head may take.
    good.get("/good").await;
    assert_eq!(good.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_at_rest_outlives_the_time_of_a_head_but_not_its_own() {
    let limits = params(|p| {
        p.header_read_timeout = ms(50);
        p.idle_timeout = ms(300);
    });
    let front = Front::start(limits).await;
    let (mut fresh, mut used) = (front.wire().await, front.wire().await);
    let mut http2 = Caller::http2(front.proxy.outbound()).await;
    used.get("/a").await;
    assert_eq!(used.answer().await.unwrap().status, 200);
    tokio::time::sleep(ms(150)).await;
    for wire in [&mut fresh, &mut used] {
        wire.get("/b").await;
        assert_eq!(wire.answer().await.unwrap().status, 200);
    }
    let request = Request::get("http://svc.test/c").body(Body::empty());
    assert_eq!(http2.send(request.unwrap()).await.status, 200);
    let rest = Instant::now();
    assert!(fresh.is_closed().await && used.is_closed().await);
    assert!(rest.elapsed() >= ms(250), "{:?}", rest.elapsed());
    until(|| front.proxy.drain().live() == 0).await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_a_408() {
    let front = Front::start(params(|p| p.upload_idle_timeout = ms(100))).await;
    let mut wire = front.wire().await;
    let head = "POST /a HTTP/1.1\r\nHost: svc.test\r\nContent-Length: 100\r\n\r\n";
    wire.write(head.as_bytes()).await;
    // As long as something comes there is time.
    for _ in 0..4 {
        wire.write(b"a").await;
        tokio::time::sleep(ms(50)).await;
    }
    let begin = Instant::now();
    let answer = wire.answer().await.unwrap();
    assert_eq!((answer.status, &*answer.body), (408, "stream timeout"));
    assert!(begin.elapsed() < ms(500), "{:?}", begin.elapsed());
    assert!(wire.is_closed().await);
    let summary = front.log.nth(0).await;
    assert_eq!(summary.notes.flags(), "SI");
    let details = summary.notes.details.as_deref();
    assert_eq!(details, Some("stream_idle_timeout"));
    // The upstream has nothing whole, and its connection is gone.
    until(|| front.upstream.open() == 0).await;
    assert!(front.upstream.take().is_empty());
}

/// One that listens, or one that speaks gRPC.
#[tokio::test]
async fn a_silent_upload_may_last_once_the_answer_has_begun() {
    let (listener, address) = bind().await;
    let (_signal, watch) = drain::channel();
    let echo = service_fn(|request: Request<Body>| async {
        if request.headers().contains_key("content-type") {
            let body = request.into_body().collect().await;
            return Ok(Response::new(body.map_or_else(
                |error| Body::from(error.to_string()),
                |body| Body::from(body.to_bytes()),
            )));
        }
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let limits = params(|p| p.upload_idle_timeout = ms(50));
    tokio::spawn(serve(listener, move |_| echo, limits, watch));
    for fields in ["", "Content-Type: application/grpc\r\n"] {
        let mut wire = Wire::connect(address).await;
        let head =
            format!("POST / HTTP/1.1\r\nHost: svc.test\r\n{fields}Content-Length: 4\r\n\r\nab");
        wire.write(head.as_bytes()).await;
        tokio::time::sleep(ms(200)).await;
        wire.write(b"cd").await;
        assert_eq!(wire.answer().await.unwrap().body, "abcd", "{fields}");
    }
    let mut wire = Wire::connect(address).await;
    wire.write(b"POST / HTTP/1.1\r\nHost: svc.test\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nab").await;
    let body = wire.answer().await.unwrap().body;
    assert_eq!(body, "the caller stopped sending the request body");
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_let_go_and_the_upstream_too() {
    let front = Front::start(params(|p| p.write_idle_timeout = ms(200))).await;
    let mut big = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 32 << 20).into_bytes();
    big.resize(big.len() + (32 << 20), b'a');
    front.upstream.answer("/big", &big, false);
    let mut wire = front.wire().await;
    wire.get("/big").await;
    until(|| front.upstream.open() == 1).await;
    let begin = Instant::now();
    until(|| front.upstream.open() == 0 && front.proxy.drain().live() == 0).await;
    assert!(begin.elapsed() >= ms(150), "{:?}", begin.elapsed());
    let answer = wire.answer().await.unwrap();
    assert!(!answer.whole);
    // One that reads gets it all.
    let mut wire = front.wire().await;
    wire.get("/big").await;
    assert!(wire.answer().await.unwrap().whole);
}

#[tokio::test]
async fn connections_have_a_limit_if_one_is_set() {
    let front = Front::start(params(|p| p.max_connections = Some(2))).await;
    let (mut one, mut two) = (front.wire().await, front.wire().await);
    for wire in [&mut one, &mut two] {
        wire.get("/a").await;
        assert_eq!(wire.answer().await.unwrap().status, 200);
    }
    assert!(front.wire().await.is_closed().await);
    drop(one);
    until(|| front.proxy.drain().live() == 1).await;
    let mut three = front.wire().await;
    three.get("/a").await;
    assert_eq!(three.answer().await.unwrap().status, 200);
}

/// A listener of a host that has no descriptor left, until it has.
struct Exhausted {
    asked: Arc<AtomicUsize>,
    until: Instant,
    connections: Vec<DuplexStream>,
}

impl Accept for Exhausted {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Info)> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if Instant::now() < self.until {
            return Err(io::Error::from_raw_os_error(24));
        }
        match self.connections.pop() {
            Some(io) => Ok((io, Info::default())),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_without_descriptors_is_not_asked_in_a_loop() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut caller, io) = tokio::io::duplex(1 << 10);
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = Exhausted {
        asked: Arc::clone(&asked),
        until: Instant::now() + Duration::from_secs(60),
        connections: vec![io],
    };
    let (_signal, watch) = drain::channel();
    let service = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::from("ok")))
    });
    tokio::spawn(serve(listener, move |_| service, Params::default(), watch));
    caller
        .write_all(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let begin = Instant::now();
    let mut first = [0; 12];
    caller.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    // 10 ms doubling to 1 s: seven waits for the first 1.27 s, then one a second.
    assert_eq!(asked.load(Ordering::SeqCst), 68);
    assert!(begin.elapsed() < Duration::from_secs(62));
}

#[tokio::test]
async fn a_flood_of_resets_ends_its_connection_alone() {
    let front = Front::start(params(|p| p.max_pending_resets = 5)).await;
    let stream = tokio::net::TcpStream::connect(front.proxy.outbound()).await;
    let (h2, connection) = h2::client::handshake(stream.unwrap()).await.unwrap();
    let ended = tokio::spawn(connection);
    let mut flood = h2;
    // In one piece, so that they are reset before they can be served.
    for _ in 0..200 {
        flood = soon(flood.ready()).await.unwrap();
        let request = Request::get("http://svc.test/a").body(()).unwrap();
        let (_, mut stream) = flood.send_request(request, false).unwrap();
        stream.send_reset(h2::Reason::CANCEL);
    }
    assert!(soon(ended).await.unwrap().is_err());
    assert!(front.upstream.take().len() <= 5);
    let mut good: Wire = front.wire().await;
    good.get("/a").await;
    assert_eq!(good.answer().await.unwrap().status, 200);
}
