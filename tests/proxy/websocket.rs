//! Connections that leave HTTP: WebSocket through the proxy, byte by byte.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use llmesh::{
    base::time::Instant,
    config::Source,
    metrics::Summary,
    proxy::{Input, Options, Proxy, server::Params},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    kit::{Folder, Log, ms, number},
    recorder::HOST,
    support::{Raw, bind, soon, until},
};

const CLUSTER: &str = "outbound|80||svc.test";

/// A policy that changes nothing.
const PLAIN: &str = "{loadBalancer: {simple: ROUND_ROBIN}}";

/// What a caller begins with.
const ASK: &str = "GET /chat?x=1 HTTP/1.1\r\nHost: svc.test\r\nConnection: keep-alive, Upgrade, x-named\r\nUpgrade: WebSocket\r\nX-Named: 1\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: realtime, key.abc\r\n\r\n";

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: realtime\r\n\r\n";

/// One service, which has a route of its own for WebSocket.
fn entry(address: SocketAddr, policy: &str, route: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: svc}}\nspec:\n  hosts: [{HOST}]\n  \
         resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
         endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]\n---\n\
         apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: svc}}\nspec: {{host: {HOST}, trafficPolicy: {policy}}}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: svc}}\nspec:\n  hosts: [{HOST}]\n  http:\n  \
         - match: [{{headers: {{upgrade: {{exact: websocket}}}}}}]\n    name: socket\n    \
         route: [{{destination: {{host: {HOST}}}}}]\n    \
         headers: {{request: {{set: {{x-set: a}}}}, response: {{set: {{x-back: b}}}}}}\n    {route}\n  \
         - name: other\n    route: [{{destination: {{host: {HOST}}}}}]\n",
        address.port()
    )
}

/// A proxy before an upstream that the test plays.
struct Gate {
    proxy: Proxy,
    log: Arc<Log>,
    upstream: TcpListener,
}

impl Gate {
    async fn new() -> Self {
        Self::with(PLAIN, "timeout: 10s", Params::default()).await
    }

    /// With this `trafficPolicy`, and this beside the route's destination.
    async fn with(policy: &str, route: &str, server: Params) -> Self {
        let (upstream, address) = bind().await;
        Self::plain(upstream, entry(address, policy, route), server).await
    }

    async fn plain(upstream: TcpListener, text: String, server: Params) -> Self {
        let input = Input::inline(vec![Source::new("mesh.yaml", text)]);
        Self::over(upstream, input, server).await
    }

    async fn over(upstream: TcpListener, input: Input, server: Params) -> Self {
        let log = Arc::new(Log::default());
        let mut options = Options::new(input);
        options.watch = true;
        options.outbound.set_port(0);
        options.admin = Some(([127, 0, 0, 1], 0).into());
        options.server = server;
        options.reports = vec![Arc::clone(&log) as _];
        let proxy = Proxy::start(options).await.map_err(|e| e.to_string());
        Self {
            proxy: proxy.unwrap(),
            log,
            upstream,
        }
    }

    async fn caller(&self) -> Raw {
        Raw::connect(self.proxy.outbound()).await
    }

    /// Both ends of a connection that has left HTTP.
    async fn open(&self) -> (Raw, Raw) {
        let mut caller = self.caller().await;
        caller.write(ASK).await;
        let mut upstream = Raw::accept(&self.upstream).await;
        upstream.head().await;
        upstream.write(SWITCH).await;
        assert!(caller.head().await.starts_with("HTTP/1.1 101 "));
        (caller, upstream)
    }

    async fn told(&self, n: usize) -> Summary {
        self.log.nth(n).await
    }

    async fn stat(&self, name: &str) -> u64 {
        let admin = self.proxy.admin().unwrap();
        let mut page = Raw::connect(admin).await;
        page.write("GET /stats HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
            .await;
        number(&page.rest().await.replace('\r', ""), name)
    }

    async fn of(&self, name: &str) -> u64 {
        self.stat(&format!("cluster.{CLUSTER}.{name}")).await
    }

    async fn until(&self, name: &str, value: u64) {
        soon(async {
            while self.of(name).await != value {
                tokio::time::sleep(ms(5)).await;
            }
        })
        .await;
    }
}

async fn passes(from: &mut Raw, to: &mut Raw, bytes: &[u8]) {
    from.0.write_all(bytes).await.unwrap();
    let mut got = vec![0; bytes.len()];
    soon(to.0.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, bytes);
}

/// A close in order, by both.
async fn bye(mut caller: Raw, mut upstream: Raw) {
    caller.0.shutdown().await.unwrap();
    assert_eq!(upstream.rest().await, "");
    drop(upstream);
    assert_eq!(caller.rest().await, "");
}

fn field<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let named = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.trim()).collect()
}

#[tokio::test]
async fn both_ways_from_the_first_byte_to_the_last() {
    let gate = Gate::new().await;
    let mut caller = gate.caller().await;
    // One that does not wait: nothing of it goes out before the switch.
    caller.write(&format!("{ASK}early")).await;
    let mut upstream = Raw::accept(&gate.upstream).await;
    let head = upstream.head().await;
    assert!(head.starts_with("GET /chat?x=1 HTTP/1.1\r\n"), "{head}");
    for (name, values) in [
        ("connection", &["Upgrade"][..]),
        ("upgrade", &["websocket"]),
        ("host", &["svc.test"]),
        ("sec-websocket-version", &["13"]),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ=="]),
        ("sec-websocket-protocol", &["realtime, key.abc"]),
        ("x-set", &["a"]),
        ("x-named", &[]),
        ("content-length", &[]),
        ("transfer-encoding", &[]),
    ] {
        assert_eq!(field(&head, name), values, "{name}");
    }
    let mut byte = [0];
    let early = tokio::time::timeout(ms(50), upstream.0.read(&mut byte)).await;
    assert!(early.is_err(), "before the switch: {byte:?}");
    upstream.write(&format!("{SWITCH}first")).await;
    let head = caller.head().await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    for (name, values) in [
        ("connection", &["Upgrade"][..]),
        ("upgrade", &["websocket"]),
        ("sec-websocket-accept", &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]),
        ("sec-websocket-protocol", &["realtime"]),
        ("x-back", &["b"]),
        ("x-hop", &[]),
        ("content-length", &[]),
        ("transfer-encoding", &[]),
    ] {
        assert_eq!(field(&head, name), values, "{name}");
    }
    let (mut early, mut first) = ([0; 5], [0; 5]);
    soon(upstream.0.read_exact(&mut early)).await.unwrap();
    soon(caller.0.read_exact(&mut first)).await.unwrap();
    assert_eq!((&early, &first), (b"early", b"first"));

    // What looks like HTTP is none any more: a chunk that would be refused, a head with two framings, a TLS hello.
    let odd = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1;\0\r\n\x16\x03\x01\r\n\r\n\xff\0";
    passes(&mut caller, &mut upstream, odd).await;
    passes(&mut upstream, &mut caller, odd).await;
    let big: Vec<u8> = (0..1 << 20).map(|i| (i % 251) as u8).collect();
    let sent = big.clone();
    let (mut caller_in, mut caller_out) = caller.0.into_split();
    let (mut upstream_in, mut upstream_out) = upstream.0.into_split();
    let (a, b, c, d) = tokio::join!(
        async { caller_out.write_all(&sent).await },
        async { upstream_out.write_all(&sent).await },
        async {
            let mut got = vec![0; big.len()];
            caller_in.read_exact(&mut got).await.unwrap();
            got
        },
        async {
            let mut got = vec![0; big.len()];
            upstream_in.read_exact(&mut got).await.unwrap();
            got
        },
    );
    a.unwrap();
    b.unwrap();
    assert!(c == big && d == big);
    assert_eq!(gate.log.len(), 0, "told at its end");
    assert_eq!(gate.of("upstream_rq_active").await, 1);
    tokio::time::sleep(ms(30)).await;
    caller_out.shutdown().await.unwrap();
    upstream_out.shutdown().await.unwrap();
    let summary = gate.told(0).await;
    let passed = (odd.len() + big.len() + 5) as u64;
    assert_eq!(summary.status, 101);
    assert_eq!(
        (summary.bytes_received, summary.bytes_sent),
        (passed, passed)
    );
    assert_eq!(summary.notes.flags(), "-");
    assert_eq!(summary.notes.details.as_deref(), Some("via_upstream"));
    assert_eq!(&*summary.notes.route.unwrap().route, "socket");
    assert_eq!(summary.notes.attempts, 1);
    assert!(summary.duration >= ms(80), "{:?}", summary.duration);
    for (name, value) in [
        ("upstream_rq_active", 0),
        ("upstream_cx_active", 0),
        ("upstream_rq_total", 1),
        ("upstream_cx_total", 1),
        ("upstream_cx_destroy", 1),
        ("upstream_cx_destroy_remote", 1),
        ("upstream_cx_destroy_local", 0),
        ("upstream_rq_101", 1),
    ] {
        assert_eq!(gate.of(name).await, value, "{name}");
    }
}

#[tokio::test]
async fn the_end_of_one_direction_leaves_the_other_open() {
    let gate = Gate::new().await;
    for caller_first in [true, false] {
        let (mut caller, mut upstream) = gate.open().await;
        let (one, other) = match caller_first {
            true => (&mut caller, &mut upstream),
            false => (&mut upstream, &mut caller),
        };
        passes(one, other, b"last").await;
        one.0.shutdown().await.unwrap();
        assert_eq!(other.rest().await, "");
        passes(other, one, b"more").await;
        passes(other, one, b"and more").await;
        assert_eq!(gate.of("upstream_rq_active").await, 1);
        other.0.shutdown().await.unwrap();
        assert_eq!(one.rest().await, "");
        gate.until("upstream_cx_active", 0).await;
    }
    for n in 0..2 {
        assert_eq!(gate.told(n).await.notes.flags(), "-");
    }
}

#[tokio::test]
async fn whoever_breaks_it_off_is_named() {
    let gate = Gate::new().await;
    let reset = |end: Raw| {
        let socket = socket2::SockRef::from(&end.0);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    };
    let (caller, mut upstream) = gate.open().await;
    reset(caller);
    assert_eq!(upstream.rest().await, "");
    let summary = gate.told(0).await;
    assert_eq!((summary.status, &*summary.notes.flags()), (101, "DC"));
    assert_eq!(
        summary.notes.details.as_deref(),
        Some("downstream_remote_disconnect")
    );
    let (mut caller, upstream) = gate.open().await;
    reset(upstream);
    assert_eq!(caller.rest().await, "");
    let summary = gate.told(1).await;
    assert_eq!((summary.status, &*summary.notes.flags()), (101, "UC"));
    assert_eq!(
        summary.notes.details.as_deref(),
        Some("upstream_reset_after_response_started{connection_termination}")
    );
    // Never again what was answered.
    assert_eq!(gate.of("upstream_rq_total").await, 2);
    gate.until("upstream_cx_active", 0).await;
    assert_eq!(gate.of("upstream_cx_destroy").await, 2);
}

#[tokio::test]
async fn an_answer_that_switches_nothing_is_an_answer() {
    let gate = Gate::new().await;
    let mut again = None;
    for (answer, status, body) in [
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno",
            "403",
            "no",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "200",
            "2\r\nok\r\n0\r\n\r\n",
        ),
        (
            "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 0\r\n\r\n",
            "426",
            "",
        ),
    ] {
        let mut caller = gate.caller().await;
        // What is behind it may be meant for the protocol that was not switched to.
        caller
            .write(&format!(
                "{ASK}GET /evil HTTP/1.1\r\nHost: svc.test\r\n\r\n"
            ))
            .await;
        // The connection to the upstream is used again: it has seen one request, and is asked the next.
        let mut upstream = match again.take() {
            Some(upstream) => upstream,
            None => Raw::accept(&gate.upstream).await,
        };
        assert!(upstream.head().await.starts_with("GET /chat?x=1 "));
        upstream.write(answer).await;
        let head = caller.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(field(&head, "connection"), ["close"], "{head}");
        assert_eq!(field(&head, "upgrade"), [""; 0], "{head}");
        assert_eq!(caller.rest().await, body);
        again = Some(upstream);
    }
    assert_eq!(gate.log.len(), 3);
    assert_eq!(gate.of("upstream_cx_total").await, 1);
}

#[tokio::test]
async fn a_switch_to_anything_else_is_none() {
    let gate = Gate::new().await;
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        let mut caller = gate.caller().await;
        caller.write(ASK).await;
        let mut upstream = Raw::accept(&gate.upstream).await;
        upstream.head().await;
        upstream.write(&format!("{answer}hello")).await;
        let head = caller.head().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{answer}: {head}");
        assert_eq!(upstream.rest().await, "");
        assert!(!caller.rest().await.contains("hello"));
    }
    for n in 0..3 {
        assert_eq!(gate.told(n).await.notes.flags(), "UPE");
    }
    gate.until("upstream_cx_active", 0).await;
}

#[tokio::test]
async fn no_timeout_of_the_route_ends_it_and_all_of_them_hold_before() {
    let route = "timeout: 200ms\n    retries: {attempts: 2, perTryTimeout: 90ms, retryOn: 5xx}";
    let gate = Gate::with(PLAIN, route, Params::default()).await;
    let (mut caller, mut upstream) = gate.open().await;
    let begun = Instant::now();
    while begun.elapsed() < ms(450) {
        passes(&mut caller, &mut upstream, b"ping").await;
        passes(&mut upstream, &mut caller, b"pong").await;
        tokio::time::sleep(ms(50)).await;
    }
    bye(caller, upstream).await;
    assert_eq!(gate.told(0).await.notes.flags(), "-");

    let mut caller = gate.caller().await;
    caller.write(ASK).await;
    assert!(caller.head().await.starts_with("HTTP/1.1 504 "));
    let summary = gate.told(1).await;
    assert_eq!(summary.notes.flags(), "UT");
    assert!(summary.notes.attempts >= 2);
}

#[tokio::test]
async fn it_is_asked_for_again_as_long_as_nothing_switched() {
    let route = "retries: {attempts: 2, retryOn: '5xx,reset'}";
    let gate = Gate::with(PLAIN, route, Params::default()).await;
    let mut caller = gate.caller().await;
    caller.write(&format!("{ASK}early")).await;
    let mut upstream = Raw::accept(&gate.upstream).await;
    upstream.head().await;
    upstream
        .write("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .await;
    let mut upstream = Raw::accept(&gate.upstream).await;
    upstream.head().await;
    drop(upstream);
    let mut upstream = Raw::accept(&gate.upstream).await;
    upstream.head().await;
    upstream.write(SWITCH).await;
    assert!(caller.head().await.starts_with("HTTP/1.1 101 "));
    let mut early = [0; 5];
    soon(upstream.0.read_exact(&mut early)).await.unwrap();
    assert_eq!(&early, b"early");
    passes(&mut upstream, &mut caller, b"hello").await;
    bye(caller, upstream).await;
    let summary = gate.told(0).await;
    assert_eq!((summary.status, summary.notes.attempts), (101, 3));
}

#[tokio::test]
async fn it_holds_its_place_to_its_end_and_gives_it_back_once() {
    let policy = "{connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}";
    let gate = Gate::with(policy, "timeout: 10s", Params::default()).await;
    let (caller, upstream) = gate.open().await;
    // The next one waits for the place; a third is one too many.
    let mut next = gate.caller().await;
    next.write(ASK).await;
    gate.until("upstream_rq_pending_active", 1).await;
    let mut third = gate.caller().await;
    third.write(ASK).await;
    assert!(third.head().await.starts_with("HTTP/1.1 503 "));
    bye(caller, upstream).await;
    let mut upstream = Raw::accept(&gate.upstream).await;
    upstream.head().await;
    upstream.write(SWITCH).await;
    assert!(next.head().await.starts_with("HTTP/1.1 101 "));
    passes(&mut next, &mut upstream, b"hello").await;
    assert_eq!(gate.of("upstream_cx_active").await, 1);
    drop(next);
    assert_eq!(upstream.rest().await, "");
    drop(upstream);
    gate.until("upstream_cx_active", 0).await;
    // There is room for exactly one again.
    for _ in 0..3 {
        let (caller, upstream) = gate.open().await;
        assert_eq!(gate.of("upstream_cx_active").await, 1);
        bye(caller, upstream).await;
        gate.until("upstream_cx_active", 0).await;
    }
    assert_eq!(gate.of("upstream_rq_active").await, 0);
}

#[tokio::test]
async fn a_side_that_does_not_read_holds_the_other_back() {
    const FLOOD: usize = 64 << 20;
    let gate = Gate::new().await;
    for caller_reads_not in [true, false] {
        let (mut caller, mut upstream) = gate.open().await;
        let (slow, busy) = match caller_reads_not {
            true => (&mut caller, &mut upstream),
            false => (&mut upstream, &mut caller),
        };
        let piece = vec![7; 64 << 10];
        let mut sent = 0;
        while let Ok(n) = tokio::time::timeout(ms(300), busy.0.write(&piece)).await {
            sent += n.unwrap();
            assert!(sent < FLOOD, "nobody holds it back");
        }
        // The other direction is as open as before.
        passes(slow, busy, b"still here").await;
        let mut got = 0;
        let mut space = vec![0; 1 << 20];
        while got < sent {
            got += soon(slow.0.read(&mut space)).await.unwrap();
        }
        assert_eq!(got, sent);
        passes(busy, slow, b"and on").await;
        bye(caller, upstream).await;
    }
}

#[tokio::test]
async fn a_caller_that_never_reads_is_given_up() {
    let mut params = Params::default();
    params.write_idle_timeout = ms(200);
    params.idle_timeout = ms(50);
    params.header_read_timeout = ms(50);
    let gate = Gate::with(PLAIN, "timeout: 10s", params).await;
    // Silence is no reason.
    let (mut caller, mut upstream) = gate.open().await;
    tokio::time::sleep(ms(400)).await;
    passes(&mut caller, &mut upstream, b"ping").await;
    let piece = vec![7; 64 << 10];
    let flood = async { while upstream.0.write_all(&piece).await.is_ok() {} };
    soon(flood).await;
    assert_eq!(gate.told(0).await.notes.flags(), "DC");
    gate.until("upstream_cx_active", 0).await;
}

#[tokio::test]
async fn draining_leaves_it_alone_until_its_end() {
    let gate = Gate::new().await;
    let (mut caller, mut upstream) = gate.open().await;
    let (mut second, mut other) = gate.open().await;
    let stopped = tokio::spawn(gate.proxy.stop(ms(700)));
    tokio::time::sleep(ms(100)).await;
    passes(&mut caller, &mut upstream, b"ping").await;
    passes(&mut upstream, &mut caller, b"pong").await;
    bye(caller, upstream).await;
    assert!(!stopped.is_finished());
    passes(&mut second, &mut other, b"ping").await;
    // The limit ends it, on both sides.
    assert_eq!(second.rest().await, "");
    assert_eq!(other.rest().await, "");
    assert!(!soon(stopped).await.unwrap());
    until(|| gate.log.len() == 2).await;
}

/// A key of the mesh, names for callers: what holds for requests holds for it. Its path is none of a call, whatever comes on it.
#[tokio::test]
async fn keys_and_callers_are_as_for_all_requests() {
    let policy = |address: SocketAddr, keys: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: svc}}\nspec:\n  hosts: [{HOST}]\n  \
             resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
             endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]\n---\n\
             apiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: llm}}\nspec:\n  hosts: [{HOST}]\n  dialect: openai\n  \
             timeouts: {{firstToken: 50ms, interToken: 50ms, headers: 5s}}\n  credential: {{file: {keys}/own}}\n  \
             callers: [{{name: one, file: {keys}/one}}]\n",
            address.port()
        )
    };
    let keys = Folder::new();
    keys.write("own", "sk-own");
    keys.write("one", "sk-one");
    let (upstream, address) = bind().await;
    let keys_at = keys.0.display().to_string();
    let gate = Gate::plain(upstream, policy(address, &keys_at), Params::default()).await;
    let ask = |key: &str| {
        let path = "/v1/realtime?model=gpt-realtime";
        let head = ASK.replacen("/chat?x=1", path, 1);
        head.replacen(
            "\r\n\r\n",
            &format!("\r\nAuthorization: Bearer {key}\r\n\r\n"),
            1,
        )
    };
    let mut stranger = gate.caller().await;
    stranger.write(&ask("sk-two")).await;
    assert!(stranger.head().await.starts_with("HTTP/1.1 401 "));
    assert_eq!(gate.of("upstream_cx_total").await, 0);
    let mut caller = gate.caller().await;
    caller.write(&ask("sk-one")).await;
    let mut upstream = Raw::accept(&gate.upstream).await;
    let head = upstream.head().await;
    assert_eq!(field(&head, "authorization"), ["Bearer sk-own"]);
    upstream.write(SWITCH).await;
    assert!(caller.head().await.starts_with("HTTP/1.1 101 "));
    let error = b"data: {\"error\":{\"type\":\"server_error\",\"code\":503}}\n\n";
    passes(&mut upstream, &mut caller, error).await;
    tokio::time::sleep(ms(150)).await;
    passes(&mut upstream, &mut caller, b"data: [DONE]\n\n").await;
    passes(&mut caller, &mut upstream, b"{\"model\":\"m\"}").await;
    bye(caller, upstream).await;
    let summary = gate.told(1).await;
    assert_eq!((summary.status, &*summary.notes.flags()), (101, "-"));
    assert_eq!(summary.notes.caller.as_deref(), Some("one"));
    assert_eq!(gate.of("upstream_rq_total").await, 1);
}

#[tokio::test]
async fn a_reload_leaves_it_alone() {
    let (upstream, address) = bind().await;
    let folder = Folder::new();
    let text = |timeout: &str| entry(address, PLAIN, &format!("timeout: {timeout}"));
    folder.write("mesh.yaml", &text("10s"));
    let mut input = Input::inline(Vec::new());
    input.files.push(folder.0.clone());
    let gate = Gate::over(upstream, input, Params::default()).await;
    let (mut caller, mut upstream) = gate.open().await;
    // Everything is made anew, or nothing is left of it.
    for (n, text) in [(2, text("1s")), (3, "# nothing\n".to_owned())] {
        folder.write("mesh.yaml", &text);
        soon(async {
            while gate.stat("server.config_reload_success").await < n {
                tokio::time::sleep(ms(10)).await;
            }
        })
        .await;
        passes(&mut caller, &mut upstream, b"ping").await;
        passes(&mut upstream, &mut caller, b"pong").await;
    }
    bye(caller, upstream).await;
    assert_eq!(gate.told(0).await.notes.flags(), "-");
}
