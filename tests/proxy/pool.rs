//! The upstream pool against scripted peers.

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
use http::{Request, Response};
use http_body_util::BodyExt;
use llmesh::{
    base::{
        BoxError, Error, Kind,
        error::{ConnectFailure, ResetReason, find},
        ext::TryClock,
        time::Instant,
    },
    body::{Body, Context},
    model::{self, Protocol},
    proxy::{
        BoxFuture,
        connect::{BoxIo, Connect, Dial, Tcp},
        drain,
        pool::{Limits, Pool},
        server,
    },
};
use tokio::{
    io::DuplexStream,
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tower::{ServiceExt, service_fn};

use crate::support::{Raw, bind, channel_body, get, soon, text, until};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

type Answer = Result<Response<Body>, BoxError>;

fn limits(change: impl FnOnce(&mut model::Pool)) -> Limits {
    let mut params = model::Pool::default();
    change(&mut params);
    Limits::new(params)
}

fn pool(address: SocketAddr, limits: &Limits) -> Pool {
    Pool::new(address, limits.clone(), Arc::new(Tcp))
}

fn send(pool: &Pool, request: Request<Body>) -> JoinHandle<Answer> {
    tokio::spawn(pool.clone().oneshot(request))
}

async fn answer(task: JoinHandle<Answer>) -> Response<Body> {
    soon(task).await.unwrap().unwrap()
}

async fn kind(task: JoinHandle<Answer>) -> Kind {
    let error = soon(task).await.unwrap().unwrap_err();
    find(&*error).expect("an error of this crate").kind()
}

async fn accepts_nothing(listener: &TcpListener) {
    let waited = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(waited.is_err(), "an unexpected connection");
}

fn reset(sent: bool) -> Kind {
    Kind::Reset {
        reason: ResetReason::Terminated,
        sent,
    }
}

/// Serves on a port of its own with our server, which speaks HTTP/1.1 and HTTP/2.
async fn upstream<F, Fut>(streams: u32, handler: F) -> (SocketAddr, drain::Signal)
where
    F: Fn(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let (listener, address) = bind().await;
    let (signal, watch) = drain::channel();
    let mut params = server::Params::default();
    params.max_concurrent_streams = streams;
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    tokio::spawn(server::serve(
        listener,
        move |_| service.clone(),
        params,
        watch,
    ));
    (address, signal)
}

#[tokio::test]
async fn a_connection_is_used_again_and_heads_are_in_the_form_it_needs() {
    let (listener, address) = bind().await;
    let limits = limits(|_| {});
    let pool = pool(address, &limits);
    let absolute = Request::builder()
        .uri("http://svc:8080/a?b=c")
        .header("connection", "x-drop")
        .header("x-drop", "1")
        .body(Body::empty())
        .unwrap();
    let first = send(&pool, absolute);
    let mut peer = Raw::accept(&listener).await;
    let head = peer.head().await;
    assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("host: svc:8080\r\n") && !head.contains("x-drop"),
        "{head}"
    );
    peer.write("HTTP/1.1 200 OK\r\nkeep-alive: 5\r\ncontent-length: 2\r\n\r\nok")
        .await;
    let response = answer(first).await;
    assert!(!response.headers().contains_key("keep-alive"));
    assert_eq!(text(response).await, "ok");
    for _ in 0..2 {
        let next = send(&pool, get("/next"));
        assert!(peer.head().await.starts_with("GET /next "));
        peer.write(OK).await;
        assert_eq!(text(answer(next).await).await, "ok");
    }
    accepts_nothing(&listener).await;
    let stats = limits.stats();
    assert_eq!((stats.cx_total.get(), stats.cx_active.get()), (1, 1));
    assert_eq!((stats.rq_total.get(), stats.rq_active.get()), (3, 0));
    assert!(stats.cx_rx_bytes.get() >= 2 * OK.len() as u64);
}

#[tokio::test]
async fn at_max_connections_requests_wait_and_too_many_waiting_overflow() {
    let (listener, address) = bind().await;
    let limits = limits(|p| (p.max_connections, p.max_pending) = (1, 1));
    let pool = pool(address, &limits);
    let first = send(&pool, get("/1"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    let second = send(&pool, get("/2"));
    until(|| limits.stats().rq_pending_active.get() == 1).await;
    assert_eq!(kind(send(&pool, get("/3"))).await, Kind::Overflow);
    accepts_nothing(&listener).await;
    peer.write(OK).await;
    assert_eq!(text(answer(first).await).await, "ok");
    assert!(peer.head().await.starts_with("GET /2 "));
    peer.write(OK).await;
    assert_eq!(text(answer(second).await).await, "ok");
    let stats = limits.stats();
    assert_eq!(stats.rq_pending_overflow.get(), 1);
    assert_eq!(stats.rq_pending_active.get(), 0);
    assert_eq!((stats.cx_total.get(), stats.cx_overflow.get()), (1, 1));
}

#[tokio::test]
async fn a_request_given_up_while_it_waits_frees_its_place_in_the_queue() {
    let (listener, address) = bind().await;
    let limits = limits(|p| (p.max_connections, p.max_pending) = (1, 1));
    let pool = pool(address, &limits);
    let first = send(&pool, get("/1"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    let given_up = send(&pool, get("/2"));
    until(|| limits.stats().rq_pending_active.get() == 1).await;
    given_up.abort();
    until(|| limits.stats().rq_pending_active.get() == 0).await;
    let third = send(&pool, get("/3"));
    until(|| limits.stats().rq_pending_active.get() == 1).await;
    peer.write(OK).await;
    text(answer(first).await).await;
    assert!(peer.head().await.starts_with("GET /3 "));
    peer.write(OK).await;
    assert_eq!(text(answer(third).await).await, "ok");
    assert_eq!(limits.stats().rq_cancelled.get(), 1);
}

#[tokio::test]
async fn the_ceiling_spans_the_clusters_endpoints_and_idle_connections_make_room() {
    let ((listener_a, a), (listener_b, b)) = (bind().await, bind().await);
    let limits = limits(|p| p.max_connections = 1);
    let (pool_a, pool_b) = (pool(a, &limits), pool(b, &limits));
    let first = send(&pool_a, get("/a"));
    let mut peer = Raw::accept(&listener_a).await;
    peer.head().await;
    let second = send(&pool_b, get("/b"));
    accepts_nothing(&listener_b).await;
    peer.write(OK).await;
    text(answer(first).await).await;
    let mut other = Raw::accept(&listener_b).await;
    assert_eq!(peer.rest().await, "", "the first connection was closed");
    other.head().await;
    other.write(OK).await;
    text(answer(second).await).await;
    // Now idle there, and in the way here.
    let third = send(&pool_a, get("/a"));
    let mut peer = Raw::accept(&listener_a).await;
    peer.head().await;
    assert_eq!(other.rest().await, "");
    assert_eq!(limits.stats().cx_active.get(), 1);
    peer.write(OK).await;
    text(answer(third).await).await;
}

#[tokio::test]
async fn raising_the_ceiling_lets_waiting_requests_dial() {
    let (listener, address) = bind().await;
    let limits = limits(|p| p.max_connections = 1);
    let pool = pool(address, &limits);
    let _first = send(&pool, get("/1"));
    let mut one = Raw::accept(&listener).await;
    one.head().await;
    let _second = send(&pool, get("/2"));
    accepts_nothing(&listener).await;
    let mut params = model::Pool::default();
    params.max_connections = 2;
    limits.set(params);
    let mut two = Raw::accept(&listener).await;
    assert!(two.head().await.starts_with("GET /2 "));
}

#[tokio::test]
async fn a_connection_is_closed_after_its_number_of_requests() {
    let (listener, address) = bind().await;
    let limits = limits(|p| p.max_requests_per_connection = 2);
    let pool = pool(address, &limits);
    for connection in 0..2 {
        let mut peer = None;
        for _ in 0..2 {
            let task = send(&pool, get("/"));
            if peer.is_none() {
                peer = Some(Raw::accept(&listener).await);
            }
            let peer = peer.as_mut().unwrap();
            peer.head().await;
            peer.write(OK).await;
            assert_eq!(text(answer(task).await).await, "ok");
        }
        assert_eq!(peer.unwrap().rest().await, "");
        until(|| limits.stats().cx_max_requests.get() == connection + 1).await;
    }
    until(|| limits.stats().cx_destroy_local.get() == 2).await;
    assert_eq!(limits.stats().cx_active.get(), 0);
}

#[tokio::test]
async fn a_refused_dial_fails_all_who_waited_for_it() {
    let (listener, address) = bind().await;
    drop(listener);
    let limits = limits(|p| p.max_connections = 1);
    let pool = pool(address, &limits);
    let tasks: Vec<_> = (0..3).map(|_| send(&pool, get("/"))).collect();
    for task in tasks {
        assert_eq!(kind(task).await, Kind::Connect(ConnectFailure::Refused));
    }
    until(|| limits.stats().cx_active.get() == 0).await;
    assert!(limits.stats().cx_connect_fail.get() >= 1);
    assert_eq!(limits.stats().rq_pending_active.get(), 0);
    assert_eq!(limits.stats().rq_total.get(), 0);
}

/// Dials that last as long as they may.
struct Silence;

impl Connect for Silence {
    fn connect(&self, _: SocketAddr, dial: Dial) -> BoxFuture<'_, Result<BoxIo, Error>> {
        Box::pin(async move {
            tokio::time::sleep(dial.timeout).await;
            Err(Error::new(Kind::Connect(ConnectFailure::Timeout)))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_dial_ends_at_the_connect_timeout_and_the_clock_of_the_try_stands_still() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let limits = limits(|p| {
            p.connect_timeout = Duration::from_secs(3);
            p.protocol = protocol;
        });
        let pool = Pool::new(
            ([127, 0, 0, 1], 1).into(),
            limits.clone(),
            Arc::new(Silence),
        );
        let (clock, begin) = (TryClock::start(), Instant::now());
        let mut request = get("/");
        Context::edit(&mut request, |context| context.set_try_clock(clock.clone()));
        let task = send(&pool, request);
        tokio::select! {
            failed = kind(task) => assert_eq!(failed, Kind::Connect(ConnectFailure::Timeout)),
            () = clock.expired(Duration::from_secs(2)) => panic!("the clock ran"),
        }
        assert_eq!(begin.elapsed(), Duration::from_secs(3));
        assert_eq!(limits.stats().cx_connect_timeout.get(), 1);
        assert_eq!(limits.stats().cx_connect_fail.get(), 1);
    }
}

#[tokio::test]
async fn a_peer_that_closes_before_it_answers_is_a_reset_after_sending() {
    let (listener, address) = bind().await;
    let pool = pool(address, &limits(|_| {}));
    let task = send(&pool, get("/"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    drop(peer);
    assert_eq!(kind(task).await, reset(true));
    accepts_nothing(&listener).await;
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_protocol_error() {
    let (listener, address) = bind().await;
    let pool = pool(address, &limits(|_| {}));
    let task = send(&pool, get("/"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    peer.write("SSH-2.0-x\r\n\r\n").await;
    assert_eq!(kind(task).await, Kind::UpstreamProtocol);
}

/// Connections in memory, so that an end is seen by whoever looks first.
struct Memory(mpsc::UnboundedSender<DuplexStream>);

impl Connect for Memory {
    fn connect(&self, _: SocketAddr, _: Dial) -> BoxFuture<'_, Result<BoxIo, Error>> {
        let (near, far) = tokio::io::duplex(64 << 10);
        self.0.send(far).unwrap();
        Box::pin(async move { Ok(Box::new(near) as BoxIo) })
    }
}

#[tokio::test]
async fn a_stale_connection_is_replaced_unseen() {
    let (dialled, mut peers) = mpsc::unbounded_channel();
    let limits = limits(|_| {});
    let connect = Arc::new(Memory(dialled));
    let pool = Pool::new(([127, 0, 0, 1], 1).into(), limits.clone(), connect);
    let mut idle = Vec::new();
    let tasks = [send(&pool, get("/1")), send(&pool, get("/2"))];
    for _ in 0..2 {
        let mut peer = Raw(soon(peers.recv()).await.unwrap());
        peer.head().await;
        peer.write(OK).await;
        idle.push(peer);
    }
    for task in tasks {
        text(answer(task).await).await;
    }
    let (body_sender, body) = channel_body();
    body_sender.send(Ok("abc".into())).await.unwrap();
    drop(body_sender);
    let post = Request::post("/3")
        .header("host", "svc")
        .body(body)
        .unwrap();
    // Both end, and before their tasks notice the request goes out on one.
    drop(idle);
    assert_eq!(limits.stats().cx_active.get(), 2);
    let mut sending = std::pin::pin!(pool.clone().oneshot(post));
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(sending.as_mut().poll(cx))).await;
    assert!(first.is_pending());
    let serving = async {
        let mut peer = Raw(soon(peers.recv()).await.unwrap());
        assert!(peer.head().await.starts_with("POST /3 "));
        peer.write(OK).await;
        peer
    };
    let (response, _peer) = tokio::join!(sending, serving);
    assert_eq!(text(response.unwrap()).await, "ok");
    assert_eq!(
        (limits.stats().rq_total.get(), limits.stats().cx_total.get()),
        (3, 3)
    );
    until(|| limits.stats().cx_destroy_remote.get() == 2).await;
}

#[tokio::test]
async fn a_connection_closed_by_the_peer_while_idle_is_forgotten() {
    let (listener, address) = bind().await;
    let limits = limits(|_| {});
    let pool = pool(address, &limits);
    let task = send(&pool, get("/1"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    peer.write(OK).await;
    text(answer(task).await).await;
    drop(peer);
    until(|| limits.stats().cx_active.get() == 0).await;
    assert_eq!(limits.stats().cx_destroy_remote.get(), 1);
    let task = send(&pool, get("/2"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    peer.write(OK).await;
    assert_eq!(text(answer(task).await).await, "ok");
}

/// The peer reads a request on a connection that has served before, and closes it with no word: it may as well have closed it
/// before the request came.
#[tokio::test]
async fn a_request_that_raced_an_idle_close_is_sent_once_more_if_that_is_safe() {
    for (method, body, word, sent) in [
        ("GET", "", "", 2),
        ("HEAD", "", "", 2),
        ("OPTIONS", "", "", 2),
        ("DELETE", "", "", 2),
        ("PUT", "put this", "", 2),
        ("DELETE", "and why", "", 2),
        ("POST", "", "", 1),
        ("POST", "pay 5", "", 1),
        ("PATCH", "+5", "", 1),
        // It was seen: half an answer came.
        ("GET", "", "HTTP/1.1 200", 1),
    ] {
        let what = format!("{method} {body:?} {word:?}");
        let (listener, address) = bind().await;
        let pool = pool(address, &limits(|_| {}));
        // Two connections that are idle then.
        let tasks = [send(&pool, get("/1")), send(&pool, get("/2"))];
        let mut peers = [Raw::accept(&listener).await, Raw::accept(&listener).await];
        for peer in &mut peers {
            peer.head().await;
            peer.write(OK).await;
        }
        for task in tasks {
            text(answer(task).await).await;
        }
        let request = Request::builder()
            .method(method)
            .uri("/raced")
            .header("host", "svc")
            .body(Body::from(body))
            .unwrap();
        let task = send(&pool, request);
        // Whichever of the two it is on.
        let [a, b] = peers;
        let (mut a, mut b) = (a, b);
        let raced = tokio::select! {
            head = a.head() => head,
            head = b.head() => head,
        };
        assert!(
            raced.starts_with(&format!("{method} /raced ")),
            "{what}: {raced}"
        );
        a.write(word).await;
        b.write(word).await;
        drop((a, b));
        if sent == 1 {
            assert_eq!(kind(task).await, reset(true), "{what}");
            accepts_nothing(&listener).await;
            continue;
        }
        let mut fresh = Raw::accept(&listener).await;
        let again = fresh.head().await;
        assert_eq!(again, raced, "{what}");
        let mut kept = vec![0; body.len()];
        soon(tokio::io::AsyncReadExt::read_exact(&mut fresh.0, &mut kept))
            .await
            .unwrap();
        assert_eq!(kept, body.as_bytes(), "{what}");
        fresh.write("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(answer(task).await.status(), 204, "{what}");
    }
}

/// On a new connection nothing can have raced, and once is enough.
#[tokio::test]
async fn nothing_else_is_sent_again() {
    let (listener, address) = bind().await;
    let pool = pool(address, &limits(|_| {}));
    let task = send(&pool, get("/"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    drop(peer);
    assert_eq!(kind(task).await, reset(true));
    accepts_nothing(&listener).await;

    let task = send(&pool, get("/"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    peer.write(OK).await;
    text(answer(task).await).await;
    let task = send(&pool, get("/"));
    peer.head().await;
    drop(peer);
    let mut fresh = Raw::accept(&listener).await;
    fresh.head().await;
    drop(fresh);
    assert_eq!(kind(task).await, reset(true));
    accepts_nothing(&listener).await;
}

#[tokio::test]
async fn a_peer_that_does_not_speak_http2_fails_the_request() {
    let (listener, address) = bind().await;
    let limits = limits(|p| p.protocol = Protocol::Http2);
    let pool = pool(address, &limits);
    let task = send(&pool, get("/"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    peer.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        .await;
    drop(peer);
    let failed = kind(task).await;
    assert!(
        matches!(
            failed,
            Kind::UpstreamProtocol | Kind::Connect(ConnectFailure::Refused)
        ),
        "{failed:?}"
    );
    assert_eq!(limits.stats().cx_connect_fail.get(), 1);
}

#[tokio::test]
async fn dropping_a_body_in_the_middle_closes_the_connection() {
    let (listener, address) = bind().await;
    let limits = limits(|p| p.max_connections = 1);
    let pool = pool(address, &limits);
    let task = send(&pool, get("/1"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
        .await;
    let mut body = answer(task).await.into_body();
    assert_eq!(
        soon(body.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        "abc"
    );
    assert_eq!(limits.stats().rq_active.get(), 1);
    let second = send(&pool, get("/2"));
    accepts_nothing(&listener).await;
    drop(body);
    assert_eq!(peer.rest().await, "");
    let mut peer = Raw::accept(&listener).await;
    assert!(peer.head().await.starts_with("GET /2 "));
    peer.write(OK).await;
    text(answer(second).await).await;
    assert_eq!(limits.stats().rq_active.get(), 0);
}

#[tokio::test]
async fn a_body_cut_short_fails_and_its_connection_is_not_used_again() {
    let (listener, address) = bind().await;
    let pool = pool(address, &limits(|_| {}));
    let task = send(&pool, get("/"));
    let mut peer = Raw::accept(&listener).await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
        .await;
    let response = answer(task).await;
    drop(peer);
    let error = soon(response.into_body().collect()).await.unwrap_err();
    assert_eq!(find(&*error).map(Error::kind), Some(reset(true)));
    let _next = send(&pool, get("/"));
    Raw::accept(&listener).await;
}

#[tokio::test]
async fn a_request_body_that_fails_is_the_callers_fault() {
    let streaming = |_| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Response::new(Body::empty())
    };
    for (protocol, failure, wanted) in [
        (Protocol::Http1, BoxError::from("gone"), Kind::Canceled),
        (Protocol::Http2, BoxError::from("gone"), Kind::Canceled),
        (
            Protocol::Http1,
            Error::new(Kind::BodyTooLarge).into(),
            Kind::BodyTooLarge,
        ),
        (
            Protocol::Http2,
            Error::new(Kind::BodyTooLarge).into(),
            Kind::BodyTooLarge,
        ),
    ] {
        let (address, _signal) = upstream(10, streaming).await;
        let limits = limits(|p| p.protocol = protocol);
        let pool = pool(address, &limits);
        let (sender, body) = channel_body();
        let post = Request::post("/").header("host", "svc").body(body).unwrap();
        let task = send(&pool, post);
        sender.send(Ok("abc".into())).await.unwrap();
        sender.send(Err(failure)).await.unwrap();
        assert_eq!(kind(task).await, wanted, "{protocol:?}");
    }
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    // Also on a connection that is taken out of service with its first request.
    for (protocol, max_requests) in [
        (Protocol::Http1, 0),
        (Protocol::Http2, 0),
        (Protocol::Http1, 1),
        (Protocol::Http2, 1),
    ] {
        let (sender, body) = channel_body();
        let body = Arc::new(std::sync::Mutex::new(Some(body)));
        let handler = move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async move { Response::new(body) }
        };
        let (address, _signal) = upstream(10, handler).await;
        let limits = limits(|p| {
            p.protocol = protocol;
            p.max_requests_per_connection = max_requests;
        });
        let response = answer(send(&pool(address, &limits), get("/"))).await;
        let mut body = response.into_body();
        for n in 0..5 {
            let event = Bytes::from(format!("data: {n}\n\n"));
            sender.send(Ok(event.clone())).await.unwrap();
            let frame = soon(body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), event, "{protocol:?}");
        }
        drop(sender);
        let rest = soon(body.collect()).await.unwrap().to_bytes();
        assert_eq!(rest, "");
    }
}

#[tokio::test]
async fn idle_and_old_connections_are_closed() {
    let short = Duration::from_millis(40);
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (address, _signal) = upstream(10, |_| async { Response::new("ok".into()) }).await;
        for old in [false, true] {
            let limits = limits(|p| {
                p.protocol = protocol;
                if old {
                    p.max_connection_duration = Some(short);
                } else {
                    p.idle_timeout = Some(short);
                }
            });
            let pool = pool(address, &limits);
            assert_eq!(text(answer(send(&pool, get("/"))).await).await, "ok");
            let stats = limits.stats();
            assert_eq!(stats.cx_active.get(), 1);
            until(|| stats.cx_active.get() == 0 && stats.cx_destroy_local.get() == 1).await;
            let seen = (stats.cx_idle_timeout.get(), stats.cx_max_duration.get());
            assert_eq!(seen, if old { (0, 1) } else { (1, 0) }, "{protocol:?}");
            assert_eq!(text(answer(send(&pool, get("/"))).await).await, "ok");
        }
    }
}

#[tokio::test]
async fn draining_closes_idle_connections_and_lets_active_ones_finish() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let release = Arc::new(Notify::new());
        let handler = {
            let release = Arc::clone(&release);
            move |request: Request<Body>| {
                let release = Arc::clone(&release);
                async move {
                    if request.uri().path() == "/slow" {
                        release.notified().await;
                    }
                    Response::new("ok".into())
                }
            }
        };
        let (address, _signal) = upstream(10, handler).await;
        let limits = limits(|p| p.protocol = protocol);
        let pool = pool(address, &limits);
        let slow = send(&pool, get("/slow"));
        until(|| limits.stats().rq_active.get() == 1).await;
        text(answer(send(&pool, get("/fast"))).await).await;
        let open = limits.stats().cx_active.get();
        pool.drain();
        until(|| limits.stats().cx_active.get() == 1).await;
        assert_eq!(open, if protocol == Protocol::Http1 { 2 } else { 1 });
        release.notify_one();
        assert_eq!(text(answer(slow).await).await, "ok");
        until(|| limits.stats().cx_active.get() == 0).await;
        // Whoever still holds it is served.
        assert_eq!(text(answer(send(&pool, get("/fast"))).await).await, "ok");
        until(|| limits.stats().cx_active.get() == 0).await;
    }
}

#[tokio::test]
async fn the_last_pool_dropped_closes_its_connections() {
    let (address, _signal) = upstream(10, |_| async { Response::new("ok".into()) }).await;
    let limits = limits(|_| {});
    let pool = pool(address, &limits);
    let clone = pool.clone();
    text(answer(send(&pool, get("/"))).await).await;
    drop(pool);
    assert_eq!(limits.stats().cx_active.get(), 1);
    drop(clone);
    until(|| limits.stats().cx_active.get() == 0).await;
}

#[tokio::test]
async fn http2_shares_one_dial_and_opens_another_connection_when_streams_run_out() {
    let (release, active) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let (release, active) = (Arc::clone(&release), Arc::clone(&active));
        move |request: Request<Body>| {
            assert_eq!(request.uri(), "http://svc/");
            let (release, active) = (Arc::clone(&release), Arc::clone(&active));
            async move {
                let released = release.notified();
                active.fetch_add(1, Ordering::SeqCst);
                released.await;
                Response::new("ok".into())
            }
        }
    };
    let (address, _signal) = upstream(100, handler).await;
    let limits = limits(|p| (p.protocol, p.max_concurrent_streams) = (Protocol::Http2, 3));
    let pool = pool(address, &limits);
    let tasks: Vec<_> = (0..7).map(|_| send(&pool, get("/"))).collect();
    until(|| active.load(Ordering::SeqCst) == 7).await;
    assert_eq!(limits.stats().cx_http2_total.get(), 3);
    release.notify_waiters();
    for task in tasks {
        assert_eq!(text(answer(task).await).await, "ok");
    }
    assert_eq!(limits.stats().cx_active.get(), 3);
    assert_eq!(limits.stats().rq_active.get(), 0);
}

#[tokio::test]
async fn http2_keeps_to_the_peers_stream_limit() {
    let active = Arc::new(AtomicUsize::new(0));
    let release = Arc::new(Notify::new());
    let handler = {
        let (release, active) = (Arc::clone(&release), Arc::clone(&active));
        move |request: Request<Body>| {
            let (release, active) = (Arc::clone(&release), Arc::clone(&active));
            async move {
                if request.uri().path() == "/slow" {
                    let released = release.notified();
                    active.fetch_add(1, Ordering::SeqCst);
                    released.await;
                }
                Response::new("ok".into())
            }
        }
    };
    let (address, _signal) = upstream(1, handler).await;
    let limits = limits(|p| p.protocol = Protocol::Http2);
    let pool = pool(address, &limits);
    // Its settings are known once it has answered.
    text(answer(send(&pool, get("/"))).await).await;
    let tasks: Vec<_> = (0..10).map(|_| send(&pool, get("/slow"))).collect();
    until(|| {
        release.notify_waiters();
        tasks.iter().all(JoinHandle::is_finished)
    })
    .await;
    for task in tasks {
        assert_eq!(text(answer(task).await).await, "ok");
    }
    assert_eq!(active.load(Ordering::SeqCst), 10);
    assert!(limits.stats().cx_http2_total.get() >= 2);
}

#[tokio::test]
async fn http2_loses_nothing_when_the_peer_says_goodbye() {
    let (address, first) = upstream(100, |_| async { Response::new("ok".into()) }).await;
    let limits = limits(|p| p.protocol = Protocol::Http2);
    let pool = pool(address, &limits);
    text(answer(send(&pool, get("/"))).await).await;
    assert!(soon(first.drain_for(Duration::from_secs(4))).await);
    until(|| limits.stats().cx_active.get() == 0).await;
    assert_eq!(limits.stats().cx_destroy_remote.get(), 1);
    // The same port, a new process.
    let listener = TcpListener::bind(address).await.unwrap();
    let (_signal, watch) = drain::channel();
    let service = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::from("new")))
    });
    tokio::spawn(server::serve(
        listener,
        move |_| service,
        server::Params::default(),
        watch,
    ));
    assert_eq!(text(answer(send(&pool, get("/"))).await).await, "new");
}

#[tokio::test]
async fn the_callers_version_chooses_the_protocol_where_that_is_wanted() {
    let echo = |request: Request<Body>| async move {
        Response::new(format!("{:?}", request.version()).into())
    };
    let (address, _signal) = upstream(10, echo).await;
    let limits = limits(|p| p.protocol = Protocol::AsCaller);
    let pool = pool(address, &limits);
    for version in [http::Version::HTTP_11, http::Version::HTTP_2] {
        let mut request = get("/");
        *request.version_mut() = version;
        let body = text(answer(send(&pool, request)).await).await;
        assert_eq!(body, format!("{version:?}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_forgotten_while_others_come_and_go() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let slow = |_: Request<Body>| async {
            tokio::task::yield_now().await;
            Response::new("ok".into())
        };
        let ((a, _a), (b, _b)) = (upstream(100, slow).await, upstream(100, slow).await);
        let limits = limits(|p| {
            p.protocol = protocol;
            p.max_connections = 3;
            p.max_requests_per_connection = 7;
            p.max_concurrent_streams = 2;
        });
        let pools = [pool(a, &limits), pool(b, &limits)];
        let tasks: Vec<_> = (0..400)
            .map(|n| (n, send(&pools[n % 2], get("/"))))
            .collect();
        for (n, task) in tasks {
            match n % 5 {
                0 => task.abort(),
                // Dropped unread.
                1 => drop(answer(task).await),
                _ => assert_eq!(text(answer(task).await).await, "ok"),
            }
            let open = limits.stats().cx_active.get();
            assert!(open <= 3 || protocol == Protocol::Http2, "{open} open");
        }
        let stats = limits.stats();
        until(|| stats.rq_active.get() == 0 && stats.rq_pending_active.get() == 0).await;
        drop(pools);
        until(|| stats.cx_active.get() == 0).await;
        assert_eq!(stats.cx_total.get(), stats.cx_destroy.get());
    }
}
