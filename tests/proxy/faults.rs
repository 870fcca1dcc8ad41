//! What callers get when something is wrong: with the target, the upstream, the ceilings, or the callers themselves.

use http::Request;
use llmesh::{
    body::Body,
    config::Source,
    proxy::{Input, Options, Proxy},
    testing::upstream::{Answer, Fault, Upstream},
};
use tokio::net::TcpListener;

use crate::{
    kit::{CANARY, Caller, Mesh, Plan, ROUTES, RULES, V1, V2, ask, chunk, ms, play, stream, with},
    support::{Raw, bind, channel_body, until},
};

/// A service with one endpoint and no rules of its own.
fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: ai-services}}\n\
         spec:\n  hosts: [{name}.example.com]\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
         endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}}}]\n"
    )
}

fn get(host: &str, path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", host)
        .body(Body::empty())
        .unwrap()
}

/// A peer that answers every request head with this and closes.
fn answer_all(listener: TcpListener, text: &'static str) {
    tokio::spawn(async move {
        loop {
            let mut raw = Raw::accept(&listener).await;
            raw.head().await;
            raw.write(text).await;
        }
    });
}

/// Istio takes a VirtualService without its DestinationRule, and so does this: nothing defines the subset then.
#[tokio::test]
async fn a_subset_that_nothing_defines_is_no_cluster() {
    let routes = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs, namespace: ai-services}
spec:
  hosts: [lone.example.com]
  http:
  - {route: [{destination: {host: lone.example.com, subset: v9}}]}
";
    let input = Input::inline(vec![
        Source::new("service.yaml", service("lone", 9)),
        Source::new("routes.yaml", routes),
    ]);
    let log = std::sync::Arc::new(crate::kit::Log::default());
    let mut options = Options::new(input);
    options.outbound = ([127, 0, 0, 1], 0).into();
    options.admin = None;
    options.reports = vec![log.clone()];
    let proxy = Proxy::start(options).await.unwrap();
    let mut caller = Caller::http1(proxy.outbound()).await;
    let reply = caller.send(get("lone.example.com", "/x")).await;
    assert_eq!((reply.status, reply.body.as_str()), (503, ""));
    let summary = log.nth(0).await;
    assert_eq!(summary.notes.flags(), "NC");
    assert_eq!(summary.notes.details.as_deref(), Some("cluster_not_found"));
}

const RESET: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";

#[tokio::test]
async fn local_answers_are_envoys() {
    let routes = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs, namespace: ai-services}
spec:
  hosts: [llm-service]
  http:
  - {match: [{uri: {prefix: /none}}], route: [{destination: {host: llm-service, subset: v3}}]}
  - {match: [{uri: {prefix: /once}}], route: [{destination: {host: llm-service, subset: v1}}], retries: {attempts: 0}}
";
    let rules = with(
        RULES,
        &[(
            "  - name: v2\n",
            "  - name: v3\n    labels: {version: v3}\n  - name: v2\n",
        )],
    );
    let (garbage, garbage_at) = bind().await;
    answer_all(garbage, "SSH-2.0-OpenSSH\r\n\r\n");
    let (dead, dead_at) = bind().await;
    drop(dead);
    let mesh = Plan::rules(&rules)
        .and("routes.yaml", routes)
        .and("garbage.yaml", &service("garbage", garbage_at.port()))
        .and("dead.yaml", &service("dead", dead_at.port()))
        .start()
        .await;
    let once = |fault| {
        let mut request = get("llm-service", "/once");
        request
            .headers_mut()
            .insert("x-mock-fault", http::HeaderValue::from_static(fault));
        request
    };
    let reset = |reason| format!("{RESET}{reason}");
    let retried = format!(
        "{}retried and the latest reset reason: remote connection failure",
        RESET.strip_suffix("reset reason: ").unwrap()
    );
    for (request, status, body, flags, details) in [
        (
            get("nowhere.example.com", "/"),
            502,
            "the host is not known to the mesh: \"nowhere.example.com\"; a ServiceEntry or Service in its files makes it known"
                .to_owned(),
            "-",
            "direct_response",
        ),
        (
            get("llm-service", "/other"),
            404,
            String::new(),
            "NR",
            "route_not_found",
        ),
        (
            get("llm-service", "/none"),
            503,
            "no healthy upstream".to_owned(),
            "UH",
            "no_healthy_upstream",
        ),
        (
            once("close"),
            503,
            reset("connection termination"),
            "UC",
            "upstream_reset_before_response_started{connection_termination}",
        ),
        (
            once("reset"),
            503,
            reset("connection termination"),
            "UC",
            "upstream_reset_before_response_started{connection_termination}",
        ),
        (
            get("garbage.example.com", "/"),
            502,
            reset("protocol error"),
            "UPE",
            "upstream_reset_before_response_started{protocol_error}",
        ),
        // Two retries by default, on a service without rules.
        (
            get("dead.example.com", "/"),
            503,
            retried,
            "URX,UF",
            "upstream_reset_before_response_started{remote_connection_failure}",
        ),
    ] {
        let target = format!("{request:?}");
        let (reply, summary) = mesh.tell(request).await;
        assert_eq!((reply.status, &*reply.body), (status, &*body), "{target}");
        assert_eq!(summary.notes.flags(), flags, "{target}");
        assert_eq!(summary.notes.details.as_deref(), Some(details), "{target}");
        assert!(
            !reply.headers.contains_key("x-envoy-overloaded"),
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_route_to_nowhere_stops_no_start_and_a_misspelt_one_does() {
    let routes = |destination: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: vs, namespace: ai-services}}\n\
             spec:\n  hosts: [llm-service]\n  http:\n  - route: [{{destination: {destination}}}]\n"
        )
    };
    let start = async |routes: String| {
        let texts = [RULES, crate::kit::ENDPOINTS, &routes];
        let sources = texts
            .iter()
            .map(|text| Source::new("x.yaml", *text))
            .collect();
        let mut options = Options::new(Input::inline(sources));
        options.outbound.set_port(0);
        options.admin = None;
        Proxy::start(options)
            .await
            .map(drop)
            .map_err(|e| e.to_string())
    };
    start(routes("{host: llm-service, subset: v2}"))
        .await
        .unwrap();
    // It answers 503 (NC), and stops nothing else.
    start(routes("{host: llm-service, subset: v9}"))
        .await
        .unwrap();
    let error = start(routes("{host: llm-service, subet: v2}"))
        .await
        .unwrap_err();
    assert!(
        error.contains("x.yaml:7:") && error.contains("subet"),
        "{error}"
    );
}

#[tokio::test]
async fn malformed_requests_are_refused_here() {
    let mesh = Plan::routes(ROUTES).start().await;
    for (text, status) in [
        ("GET / HTTP/1.0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        (
            "GET / HTTP/1.1\r\nhost: llm-service\r\nhost: other\r\n\r\n",
            "400",
        ),
        (
            "CONNECT llm-service:8080 HTTP/1.1\r\nhost: llm-service\r\n\r\n",
            "405",
        ),
        ("GET / HTTP/3.0\r\nhost: llm-service\r\n\r\n", "400"),
        (
            "POST / HTTP/1.1\r\nhost: llm-service\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "400",
        ),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let mut raw = Raw::connect(mesh.addr()).await;
        raw.write(text).await;
        let answer = raw.piece().await;
        let got = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(got, status, "{text:?}: {answer:?}");
    }
    assert_eq!(mesh.requests_v1(), 0);
}

#[tokio::test]
async fn a_callers_mistake_never_counts_against_an_upstream() {
    let mesh = Plan::routes(ROUTES).start().await;
    for text in [
        // A chunk size that is none, a connection closed within a chunk, one closed within a body of known length.
        "transfer-encoding: chunked\r\n\r\n2\r\nab\r\nZZ\r\n",
        "transfer-encoding: chunked\r\n\r\n9\r\nab",
        "content-length: 100\r\n\r\nab",
    ] {
        for path in ["/api/llm/chat", "/x", "/api/llm/stream"] {
            for _ in 0..8 {
                let mut raw = Raw::connect(mesh.addr()).await;
                raw.write(&format!("POST {path} HTTP/1.1\r\nhost: llm-service\r\naccept: text/event-stream\r\n{text}")).await;
                if text.ends_with("ZZ\r\n") {
                    let answer = raw.piece().await;
                    assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
                }
            }
        }
    }
    // And streams of HTTP/2 that are reset within their body.
    let mut caller = Caller::http2(mesh.addr()).await;
    for _ in 0..8 {
        let (sender, body) = channel_body();
        sender.send(Ok("ab".into())).await.unwrap();
        sender.send(Err("changed my mind".into())).await.unwrap();
        let request = Request::post("http://llm-service/x").body(body).unwrap();
        assert!(caller.open(request).await.is_err());
    }
    until(|| mesh.log.len() == 3 * 3 * 8 + 8).await;
    let mut kinds: Vec<_> = mesh
        .log
        .all()
        .iter()
        .map(|s| (s.status, s.notes.flags()))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(status, flags)| (*status, &**flags))
        .collect();
    assert_eq!(kinds, [(0, "DC"), (400, "DPE"), (499, "DC")]);
    assert_eq!(mesh.requests_v1(), 0);
    let clusters = mesh.page("/clusters").await.body;
    assert!(
        clusters
            .lines()
            .any(|l| l.starts_with(V1) && l.ends_with("::rq_error::0"))
    );
    assert_eq!(clusters.lines().find(bad), None);
    assert!(!clusters.contains("failed_outlier_check"));
    assert_eq!(
        mesh.of(V1, "outlier_detection.ejections_enforced_total")
            .await,
        0
    );
    assert_eq!(mesh.of(V1, "upstream_rq_retry").await, 0);
    idle(&mesh).await;
}

fn bad(line: &&str) -> bool {
    line.contains("::rq_error::") && !line.ends_with("::0")
}

/// Waits until nothing is in flight: every gauge is back at zero.
async fn idle(mesh: &Mesh) {
    let proxy = mesh.proxy();
    until(|| {
        proxy.clusters().iter().all(|c| {
            let (state, pool) = (&c.state, c.limits().stats());
            let endpoints = state.endpoints.endpoints();
            state.requests.used() == 0
                && state.retries.used() == 0
                && pool.rq_active.get() == 0
                && pool.rq_pending_active.get() == 0
                && endpoints.iter().all(|e| e.stats().rq_active.get() == 0)
        })
    })
    .await;
    assert_eq!(mesh.stat("http.outbound.downstream_rq_active").await, 0);
}

#[tokio::test]
async fn ceilings_refuse_at_once_and_say_so() {
    let one_request = with(RULES, &[("http2MaxRequests: 1000", "http2MaxRequests: 1")]);
    // One connection, one that waits for it.
    let changes = [
        (
            "h2UpgradePolicy: UPGRADE",
            "h2UpgradePolicy: DO_NOT_UPGRADE",
        ),
        ("maxConnections: 100", "maxConnections: 1"),
        ("http1MaxPendingRequests: 200", "http1MaxPendingRequests: 1"),
    ];
    let one_waits = with(RULES, &changes);
    let v2 = |headers: &[(&str, &str)]| {
        let mut request = ask("/x", headers);
        request
            .headers_mut()
            .insert("x-canary-user", http::HeaderValue::from_static("true"));
        request
    };
    for (rules, together, counter) in [
        (one_request, 2, "upstream_rq_overflow"),
        (one_waits, 3, "upstream_rq_pending_overflow"),
    ] {
        let mesh = Plan::rules(&rules).and("routes.yaml", CANARY).start().await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 1..together {
            let mut caller = Caller::http1(mesh.addr()).await;
            let request = v2(&[("x-mock-delay-ms", "150")]);
            tasks.spawn(async move { caller.send(request).await.status });
            // One waits for its own dial too: the next comes when the first is out.
            until(|| mesh.v2.requests() >= 1).await;
            let all = mesh.proxy().clusters();
            let cluster = all.iter().find(|c| c.name().to_string() == V2).unwrap();
            until(|| cluster.state.requests.used() == n).await;
        }
        let (reply, summary) = mesh.tell(v2(&[])).await;
        assert_eq!(
            (reply.status, summary.notes.flags()),
            (503, "UO".to_owned()),
            "{counter}"
        );
        assert_eq!(reply.header("x-envoy-overloaded"), "true");
        assert_eq!(reply.body, format!("{RESET}overflow"));
        assert!(reply.took < ms(50), "{:?}", reply.took);
        assert_eq!(summary.notes.attempts, 1);
        assert_eq!(mesh.of(V2, counter).await, 1);
        assert_eq!(tasks.join_all().await, vec![200; together as usize - 1]);
        idle(&mesh).await;
        assert_eq!(mesh.of(V2, "upstream_rq_total").await, together - 1);
        let clusters = mesh.page("/clusters").await.body;
        assert_eq!(
            clusters.lines().find(bad),
            None,
            "a ceiling is not the upstream's fault"
        );
    }
}

#[tokio::test]
async fn a_caller_that_leaves_takes_its_request_along() {
    let mesh = Plan::routes(ROUTES).start().await;
    let open = || mesh.v1.iter().map(Upstream::open).sum::<u64>();
    // In the middle of a stream, before the head, while waiting for a retry.
    mesh.v1
        .iter()
        .for_each(|u| u.set_script(Answer::ok().with_tokens(1000).with_chunk_delay(ms(5))));
    let mut caller = Caller::http1(mesh.addr()).await;
    let response = caller.open(stream(&[])).await.unwrap();
    let mut body = response.into_body();
    for _ in 0..3 {
        chunk(&mut body).await.unwrap().unwrap();
    }
    assert_eq!(open(), 1);
    assert_eq!(mesh.stat("http.outbound.downstream_rq_active").await, 1);
    drop((body, caller));
    tokio::time::timeout(ms(200), until(|| open() == 0))
        .await
        .expect("within 200 ms");
    let summary = mesh.log.nth(0).await;
    assert_eq!(
        (summary.status, summary.notes.flags()),
        (200, "DC".to_owned())
    );

    for request in [
        ask("/x", &[("x-mock-fault", "hang")]),
        play("/api/llm/chat", "429;retry-after-ms=5000,200", "k"),
    ] {
        let seen = mesh.requests_v1();
        let mut caller = Caller::http1(mesh.addr()).await;
        let sent = tokio::time::timeout(ms(100), caller.open(request));
        assert!(sent.await.is_err());
        assert_eq!(mesh.requests_v1(), seen + 1);
        drop(caller);
        tokio::time::timeout(ms(200), idle(&mesh))
            .await
            .expect("within 200 ms");
    }
    let all = mesh.log.all();
    assert!(
        all[1..]
            .iter()
            .all(|s| (s.status, s.notes.flags()) == (0, "DC".to_owned()))
    );
    assert_eq!(
        mesh.of(V1, "outlier_detection.ejections_enforced_total")
            .await,
        0
    );
    let clusters = mesh.page("/clusters").await.body;
    assert_eq!(clusters.lines().find(bad), None);
}

#[tokio::test]
async fn stopping_lets_a_stream_end_and_takes_nothing_new() {
    let mut mesh = Plan::routes(ROUTES).start().await;
    mesh.v1
        .iter()
        .for_each(|u| u.set_script(Answer::ok().with_tokens(20).with_chunk_delay(ms(10))));
    let address = mesh.addr();
    let mut caller = Caller::http1(address).await;
    let response = caller.open(stream(&[])).await.unwrap();
    let mut body = response.into_body();
    chunk(&mut body).await.unwrap().unwrap();
    let proxy = mesh.take_proxy();
    let admin = proxy.admin().unwrap();
    let stopped = tokio::spawn(proxy.stop(ms(2000)));
    tokio::time::sleep(ms(20)).await;
    let refused = tokio::net::TcpStream::connect(address).await;
    assert!(refused.is_err(), "{refused:?}");
    let ready = Caller::http1(admin)
        .await
        .send(get("admin", "/ready"))
        .await;
    assert_eq!((ready.status, &*ready.body), (503, "DRAINING\n"));
    assert!(!stopped.is_finished());
    let mut last = String::new();
    while let Some(chunk) = chunk(&mut body).await {
        last = String::from_utf8(chunk.unwrap().to_vec()).unwrap();
    }
    assert_eq!(last, "data: [DONE]\n\n");
    assert!(stopped.await.unwrap());

    // What does not end by itself is ended.
    let mut mesh = Plan::routes(ROUTES).start().await;
    mesh.v1
        .iter()
        .for_each(|u| u.set_script(Answer::fault(Fault::Stall(2))));
    let mut caller = Caller::http1(mesh.addr()).await;
    let mut body = caller.open(stream(&[])).await.unwrap().into_body();
    chunk(&mut body).await.unwrap().unwrap();
    assert!(!mesh.take_proxy().stop(ms(50)).await);
    let broken = async { while let Some(Ok(_)) = chunk(&mut body).await {} };
    tokio::time::timeout(ms(200), broken).await.expect("ended");
}
