//! Where requests go: canary weights, pinned users, forms of a request, protocols on both sides.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use http::Version;
use llmesh::testing::upstream::{Answer, Fault};

use crate::{
    kit::{
        CANARY, Caller, Folder, Mesh, Plan, ROUTES, RULES, V1, V2, ask, ms, quick_routes, stream,
        with,
    },
    support::{Raw, soon, until},
};

#[tokio::test]
async fn weights_split_requests_and_a_header_pins_them() {
    let mesh = Plan::routes(CANARY).start().await;
    let mut caller = Caller::http1(mesh.addr()).await;
    let (mut v2, total) = (0_u32, 2000);
    for _ in 0..total {
        let reply = caller.send(ask("/x", &[("x-mock-body-bytes", "1")])).await;
        assert!(reply.is_ok(), "{reply:?}");
        v2 += u32::from(reply.header("x-mock-version") == "v2");
    }
    // 5 %: 100 expected, standard deviation √(2000 · 0.05 · 0.95) = 9.7.
    assert!((71..=129).contains(&v2), "{v2}");
    assert_eq!(mesh.v2.requests(), u64::from(v2));
    for _ in 0..50 {
        let reply = caller.send(ask("/x", &[("x-canary-user", "true")])).await;
        assert_eq!((reply.status, reply.header("x-mock-version")), (200, "v2"));
    }
    // Only the exact value.
    let mut versions = Vec::new();
    for _ in 0..50 {
        let reply = caller.send(ask("/x", &[("x-canary-user", "True")])).await;
        versions.push(reply.header("x-mock-version").to_owned());
    }
    assert!(
        versions.iter().filter(|v| *v == "v1").count() > 25,
        "{versions:?}"
    );
    let route = |n: usize| mesh.log.all()[n].notes.route.clone().unwrap();
    assert_eq!(&*route(2000).route, "internal-testing");
    assert_eq!(
        (&*route(2050).route, &*route(2000).cluster),
        ("weighted-split", V2)
    );
}

#[tokio::test]
async fn weights_changed_on_disk_take_effect_and_no_request_fails() {
    let folder = Folder::new();
    folder.write("canary.yaml", CANARY);
    let mesh = Plan::rules(RULES).watch(folder.0.clone()).start().await;
    let (stop, failed, sent) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
    );
    let load = tokio::spawn({
        let (stop, failed, sent) = (stop.clone(), failed.clone(), sent.clone());
        let mut caller = Caller::http1(mesh.addr()).await;
        async move {
            while !stop.load(Ordering::Relaxed) {
                let reply = caller.send(ask("/x", &[])).await;
                failed.fetch_add(u64::from(!reply.is_ok()), Ordering::Relaxed);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let settled = || sent.load(Ordering::Relaxed) > 20;
    until(settled).await;
    let changes = [
        ("weight: 95", "weight: 0"),
        ("weight: 5\n", "weight: 100\n"),
    ];
    for (changed, cluster) in [(with(CANARY, &changes), V2), (CANARY.to_owned(), V1)] {
        folder.write("canary.yaml", &changed);
        let wanted = |s: &llmesh::metrics::Summary| {
            s.notes
                .route
                .as_ref()
                .is_some_and(|r| &*r.cluster == cluster)
        };
        // Ten in a row, of which by the old weights at most one in a million would be.
        let took = tokio::time::timeout(ms(1000), async {
            let from = mesh.log.len();
            until(|| mesh.log.len() > from + 10 && mesh.log.last(10).iter().all(wanted)).await;
        });
        took.await.expect("within 1 s");
    }
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    assert_eq!(mesh.stat("server.config_reload_success").await, 3);
    // What did not change kept its connections.
    let accepted: u64 = mesh.v1.iter().map(|u| u.accepted()).sum();
    assert!(
        accepted <= 3 + sent.load(Ordering::Relaxed) / 50,
        "{accepted}"
    );
}

#[tokio::test]
async fn both_protocols_on_both_sides() {
    let mesh = Plan::routes(CANARY).start().await;
    // The subset v1 has a connection pool of its own, which replaces the one with the upgrade as a whole.
    for (pinned, upstream, version) in [("true", &mesh.v2, Version::HTTP_2)] {
        for mut caller in [
            Caller::http1(mesh.addr()).await,
            Caller::http2(mesh.addr()).await,
        ] {
            let mut request = ask("/x", &[("x-canary-user", pinned)]);
            if matches!(caller, Caller::Http2(_)) {
                request.headers_mut().remove("host");
                *request.uri_mut() = "http://llm-service/x".parse().unwrap();
            }
            assert!(caller.send(request).await.is_ok());
            let seen = upstream.seen().pop().unwrap();
            assert_eq!(seen.version, version);
        }
    }
    // Many streams on one connection downstream, and one upstream.
    let caller = Caller::http2(mesh.addr()).await;
    let Caller::Http2(sender) = caller else {
        unreachable!()
    };
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let mut caller = Caller::Http2(sender.clone());
        let mut request = ask(
            "/x",
            &[("x-canary-user", "true"), ("x-mock-delay-ms", "20")],
        );
        *request.uri_mut() = "http://llm-service/x".parse().unwrap();
        tasks.spawn(async move { caller.send(request).await.is_ok() });
    }
    assert_eq!(tasks.join_all().await, vec![true; 50]);
    assert_eq!(mesh.v2.accepted(), 1);
    // And v1 is asked in HTTP/1.1.
    let mut request = ask("/x", &[("x-v1", "1")]);
    *request.uri_mut() = "http://llm-service/x".parse().unwrap();
    let mut caller = Caller::Http2(sender);
    while mesh.seen("x-v1", "1").is_empty() {
        let mut again = ask("/x", &[("x-v1", "1")]);
        again.uri_mut().clone_from(request.uri());
        assert!(caller.send(again).await.is_ok());
    }
    let seen = mesh.seen("x-v1", "1").pop().unwrap().1;
    assert_eq!(
        (seen.version, seen.headers["host"].to_str().unwrap()),
        (Version::HTTP_11, "llm-service")
    );
}

#[tokio::test]
async fn hosts_by_any_name_and_in_absolute_form() {
    let mesh = Plan::routes(ROUTES).start().await;
    let names = [
        "llm-service",
        "llm-service:8080",
        "LLM-Service",
        "llm-service.ai-services",
        "llm-service.ai-services.svc",
        "llm-service.ai-services.svc.cluster.local",
        "llm-service.ai-services.svc.cluster.local:8080",
    ];
    let seen = |mesh: &Mesh| -> Vec<_> { mesh.v1.iter().flat_map(|u| u.seen()).collect() };
    for name in names {
        let mut raw = Raw::connect(mesh.addr()).await;
        raw.write(&format!(
            "GET /x HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n"
        ))
        .await;
        let answer = raw.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{name}: {answer}");
        // As a forward proxy gets it; the target counts, not the Host field.
        let mut raw = Raw::connect(mesh.addr()).await;
        raw.write(&format!(
            "GET http://{name}/y?q=1 HTTP/1.1\r\nhost: elsewhere\r\nconnection: close\r\n\r\n"
        ))
        .await;
        let answer = raw.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{name}: {answer}");
    }
    // A user in the target is an error (RFC 9110 section 4.2.4).
    let mut raw = Raw::connect(mesh.addr()).await;
    raw.write("GET http://user:secret@llm-service/z HTTP/1.1\r\nhost: llm-service\r\nconnection: close\r\n\r\n").await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 400 "));
    let all = seen(&mesh);
    for (path, count) in [("/x", names.len()), ("/y?q=1", names.len()), ("/z", 0)] {
        assert_eq!(
            all.iter().filter(|s| s.path == path).count(),
            count,
            "{path}"
        );
    }
    let hosts: Vec<_> = all
        .iter()
        .map(|s| s.headers["host"].to_str().unwrap())
        .collect();
    assert!(hosts.iter().all(|h| names.contains(h)), "{hosts:?}");
}

#[tokio::test]
async fn a_grpc_call_gets_its_failure_in_grpc() {
    let mesh = Plan::routes(&quick_routes()).start().await;
    let headers = [
        ("x-mock-fault", "hang"),
        ("te", "trailers"),
        ("grpc-timeout", "80m"),
    ];
    let mut caller = Caller::http2(mesh.addr()).await;
    let mut request = ask("http://llm-service/api/llm/chat", &headers);
    request.headers_mut().remove("host");
    let kind = http::HeaderValue::from_static("application/grpc");
    request.headers_mut().insert("content-type", kind);
    let reply = caller.send(request).await;
    assert_eq!((reply.status, reply.header("grpc-status")), (200, "14"));
    assert_eq!(reply.header("grpc-message"), "upstream request timeout");
    assert_eq!(
        (reply.header("content-type"), &*reply.body),
        ("application/grpc", "")
    );
    assert!(
        reply.took >= ms(75) && reply.took < ms(300),
        "{:?}",
        reply.took
    );
    let summary = mesh.log.nth(0).await;
    assert_eq!(
        (summary.notes.flags(), summary.grpc),
        ("UT".to_owned(), true)
    );
}

#[tokio::test]
async fn large_bodies_pass_and_are_not_sent_twice() {
    let mesh = Plan::routes(ROUTES).start().await;
    for (size, status, attempts) in [
        (3 << 20, "503", 1),
        (3 << 20, "200", 1),
        (1 << 10, "503", 4),
    ] {
        let mut request = ask("/api/llm/chat", &[("x-mock-status", status)]);
        *request.body_mut() = "x".repeat(size).into();
        let before: usize = mesh.v1.iter().map(|u| u.seen().len()).sum();
        let (reply, summary) = mesh.tell(request).await;
        assert_eq!(
            (reply.status.to_string().as_str(), summary.notes.attempts),
            (status, attempts)
        );
        assert_eq!(summary.bytes_received, size as u64);
        let mut seen: Vec<_> = mesh.v1.iter().flat_map(|u| u.seen()).collect();
        seen.sort_by_key(|s| s.at);
        assert_eq!(seen.len() - before, attempts as usize);
        assert!(seen[before..].iter().all(|s| s.body_len == size as u64));
    }
    // A large answer comes whole, and as it comes.
    let (reply, summary) = mesh
        .tell(ask("/x", &[("x-mock-body-bytes", "5000000")]))
        .await;
    assert_eq!((reply.status, reply.body.len()), (200, 5_000_000));
    assert_eq!(summary.bytes_sent, 5_000_000);
}

#[tokio::test]
async fn hop_by_hop_fields_stay_on_their_hop() {
    let mesh = Plan::routes(ROUTES).start().await;
    let mut raw = Raw::connect(mesh.addr()).await;
    raw.write("GET /x HTTP/1.1\r\nhost: llm-service\r\nconnection: x-hop, close\r\nx-hop: 1\r\nx-end: 1\r\nkeep-alive: 5\r\n\r\n").await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 200 "));
    let seen = mesh.seen("x-end", "1").pop().unwrap().1;
    for gone in ["x-hop", "keep-alive", "connection"] {
        assert!(!seen.headers.contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn odd_but_right_requests_pass() {
    let mesh = Plan::routes(ROUTES).start().await;
    for (text, answers) in [
        // No body after the answer to HEAD, whatever its length says: the next answer follows at once.
        (
            "HEAD /x HTTP/1.1\r\nhost: llm-service\r\n\r\nGET /x HTTP/1.1\r\nhost: llm-service\r\nconnection: close\r\n\r\n",
            2,
        ),
        ("GET /x HTTP/1.0\r\nhost: llm-service\r\n\r\n", 1),
        (
            "OPTIONS * HTTP/1.1\r\nhost: llm-service\r\nconnection: close\r\n\r\n",
            1,
        ),
        (
            "POST /x HTTP/1.1\r\nhost: llm-service\r\ntransfer-encoding: chunked\r\nconnection: close\r\ntrailer: x-t\r\n\r\n2\r\nab\r\n0\r\nx-t: 1\r\n\r\n",
            1,
        ),
        (
            "POST /x HTTP/1.1\r\nhost: llm-service\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\nab",
            1,
        ),
        (
            "DELETE /%2e%2e//a?x=%00#f HTTP/1.1\r\nhost: llm-service\r\nconnection: close\r\n\r\n",
            1,
        ),
    ] {
        let mut raw = Raw::connect(mesh.addr()).await;
        raw.write(text).await;
        let answer = raw.rest().await;
        let count = answer.matches(" 200 OK\r\n").count();
        assert_eq!(count, answers, "{text:?}: {answer:?}");
        if text.starts_with("HEAD") {
            let (head, next) = answer.split_once("\r\n\r\n").unwrap();
            assert!(
                head.contains("content-length: ") && next.starts_with("HTTP/1.1 200 "),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn a_cut_stream_is_shown_as_cut() {
    let mesh = Plan::routes(ROUTES).start().await;
    mesh.v1
        .iter()
        .for_each(|u| u.set_script(Answer::fault(Fault::Cut(3))));
    let (reply, summary) = mesh.tell(stream(&[])).await;
    assert_eq!((reply.status, reply.broken), (200, true));
    assert!(reply.body.starts_with("data: "), "{}", reply.body);
    assert_eq!(summary.notes.attempts, 1);
    // HTTP/2 callers get a reset, not an end.
    let mut caller = Caller::http2(mesh.addr()).await;
    let mut request = stream(&[]);
    request.headers_mut().remove("host");
    *request.uri_mut() = "http://llm-service/api/llm/stream".parse().unwrap();
    let reply = soon(caller.send(request)).await;
    assert_eq!((reply.status, reply.broken), (200, true));
}
