//! The reference mesh's routes, request by request: retries, timeouts, streams, deadlines and trace context.

use llmesh::{
    base::time::Instant,
    testing::upstream::{Answer, Upstream},
};

use crate::kit::{Caller, Mesh, Plan, ROUTES, ask, chunk, ms, play, quick_routes, stream};

const CHAT: &str = "/api/llm/chat";

/// What a sequence of upstream answers comes to.
struct Case {
    sequence: &'static str,
    status: u16,
    attempts: u32,
    flags: &'static str,
}

#[tokio::test]
async fn a_chat_is_retried_where_that_helps_and_nowhere_else() {
    let mesh = Plan::routes(ROUTES).start().await;
    let case = |sequence, status, attempts, flags| Case {
        sequence,
        status,
        attempts,
        flags,
    };
    let cases = [
        case("200", 200, 1, "-"),
        case("503,503,200", 200, 3, "-"),
        case("502,504,503,200", 200, 4, "-"),
        case("503,503,503,503,200", 503, 4, "URX"),
        case("close,200", 200, 2, "-"),
        case("reset,200", 200, 2, "-"),
        case("400,200", 400, 1, "-"),
        case("500,200", 500, 1, "-"),
        case("409,200", 200, 2, "-"),
        case("429;retry-after-ms=20,200", 200, 2, "-"),
        case("insufficient_quota,200", 429, 1, "-"),
        case("context_length,200", 400, 1, "-"),
        case("auth,200", 401, 1, "-"),
    ];
    for c in cases {
        let (reply, summary) = mesh.tell(play(CHAT, c.sequence, c.sequence)).await;
        let got = (reply.status, summary.notes.attempts, summary.notes.flags());
        assert_eq!(
            got,
            (c.status, c.attempts, c.flags.to_owned()),
            "{}",
            c.sequence
        );
        let route = summary.notes.route.unwrap();
        assert_eq!(&*route.route, "chat-route");
        let seen = mesh.seen("x-mock-key", c.sequence);
        let counts: Vec<_> = seen
            .iter()
            .map(|(_, s)| {
                s.headers["x-envoy-attempt-count"]
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        let expected: Vec<_> = (1..=c.attempts).map(|n| n.to_string()).collect();
        assert_eq!(counts, expected, "{}", c.sequence);
        // There are three endpoints: the first three attempts go to different ones.
        let mut endpoints: Vec<_> = seen.iter().take(3).map(|(i, _)| *i).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        assert_eq!(endpoints.len(), seen.len().min(3), "{}", c.sequence);
    }
    // The mesh decides, not the caller.
    let wishes = [
        ("x-mock-status", "500"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-max-retries", "9"),
        ("x-envoy-attempt-count", "7"),
    ];
    let (reply, summary) = mesh.tell(ask(CHAT, &wishes)).await;
    assert_eq!((reply.status, summary.notes.attempts), (500, 1));
    let seen = mesh.seen("x-mock-status", "500");
    assert_eq!(seen[0].1.headers["x-envoy-attempt-count"], "1");
}

#[tokio::test]
async fn a_providers_wait_is_waited_for() {
    let mesh = Plan::routes(ROUTES).start().await;
    let (reply, summary) = mesh
        .tell(play(CHAT, "429;retry-after-ms=300,200", "k"))
        .await;
    assert_eq!((reply.status, summary.notes.attempts), (200, 2));
    assert!(
        reply.took >= ms(300) && reply.took < ms(600),
        "{:?}",
        reply.took
    );
    assert_eq!(summary.notes.hints_honoured, 1);
    let took = summary.notes.upstream_time.unwrap();
    assert!(took >= ms(300) && took <= reply.took, "{took:?}");
    assert_eq!(
        reply.header("x-envoy-upstream-service-time"),
        took.as_millis().to_string()
    );
    let seen = mesh.seen("x-mock-key", "k");
    assert!(seen[1].1.at - seen[0].1.at >= ms(300));
}

#[tokio::test]
async fn an_attempt_that_hangs_is_replaced_and_the_route_timeout_ends_it_all() {
    let mesh = Plan::routes(&quick_routes()).start().await;
    let (reply, summary) = mesh.tell(play(CHAT, "hang,200", "once")).await;
    assert_eq!((reply.status, summary.notes.attempts), (200, 2));
    let seen = mesh.seen("x-mock-key", "once");
    let after = seen[1].1.at - seen[0].1.at;
    assert!(after >= ms(290) && after < ms(500), "{after:?}");

    let (reply, summary) = mesh.tell(ask(CHAT, &[("x-mock-fault", "hang")])).await;
    assert_eq!(
        (reply.status, &*reply.body),
        (504, "upstream request timeout")
    );
    assert!(
        reply.took >= ms(890) && reply.took < ms(1200),
        "{:?}",
        reply.took
    );
    assert_eq!(summary.notes.flags(), "UT");
    assert_eq!(summary.notes.details.as_deref(), Some("response_timeout"));
    assert_eq!(summary.notes.attempts, 3);
    // The proxy closed the connections of attempts it gave up: nothing hangs on.
    crate::support::until(|| mesh.v1.iter().map(Upstream::open).sum::<u64>() <= 1).await;
}

#[tokio::test]
async fn a_dead_endpoint_costs_the_caller_nothing() {
    let mesh = Plan::routes(ROUTES).start().await;
    let dead = mesh.v1[1].addr();
    mesh.v1[1].kill().await;
    let mut caller = Caller::http1(mesh.addr()).await;
    for _ in 0..30 {
        let reply = caller.send(ask(CHAT, &[])).await;
        assert!(reply.is_ok(), "{reply:?}");
    }
    mesh.log.nth(29).await;
    let all = mesh.log.all();
    let twice = all.iter().filter(|s| s.notes.attempts == 2).count();
    // Until it was ejected for five refusals in a row.
    assert_eq!(twice, 5);
    assert!(all.iter().all(|s| s.notes.attempts <= 2));
    assert!(all.iter().all(|s| s.notes.endpoint != Some(dead)));
}

#[tokio::test]
async fn a_stream_is_never_retried() {
    let mesh = Plan::routes(ROUTES).start().await;
    let route = |s: &llmesh::metrics::Summary| s.notes.route.clone().unwrap().route.to_string();
    let (reply, summary) = mesh.tell(stream(&[("x-mock-status", "503")])).await;
    assert_eq!((reply.status, summary.notes.attempts), (503, 1));
    assert_eq!(
        (&*route(&summary), &*summary.notes.flags()),
        ("streaming-route", "-")
    );
    assert_eq!(mesh.requests_v1(), 1);
    // Without the header that names a stream it is no stream: two retries.
    let (reply, summary) = mesh
        .tell(ask("/api/llm/stream", &[("x-mock-status", "503")]))
        .await;
    assert_eq!((reply.status, summary.notes.attempts), (503, 3));
    assert_eq!(
        (&*route(&summary), &*summary.notes.flags()),
        ("default-route", "URX")
    );
    for upstream in &mesh.v1 {
        upstream.kill().await;
    }
    let (reply, summary) = mesh.tell(stream(&[])).await;
    assert_eq!((reply.status, summary.notes.attempts), (503, 1));
    assert_eq!(summary.notes.flags(), "UF");
    assert_eq!(
        reply.body,
        "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
    );
}

/// Reads a stream of `n` events that are sent 25 ms apart: each must come as it was sent and when.
async fn events_come_one_by_one(mesh: &Mesh, request: http::Request<llmesh::body::Body>) {
    let sent: Vec<String> = (0..6)
        .map(|i| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"t{i}\"}}}}]}}\n\n"))
        .collect();
    let script = Answer::events(sent.clone()).with_chunk_delay(ms(25));
    mesh.v1.iter().for_each(|u| u.set_script(script.clone()));
    let mut caller = Caller::http1(mesh.addr()).await;
    let begin = Instant::now();
    let response = caller.open(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut times = Vec::new();
    for event in &sent {
        assert_eq!(chunk(&mut body).await.unwrap().unwrap(), event);
        times.push(begin.elapsed());
    }
    assert!(chunk(&mut body).await.is_none());
    for (i, at) in (1..).zip(&times) {
        assert!(
            *at >= ms(25) * i && *at < ms(25) * i + ms(400),
            "{i}: {times:?}"
        );
    }
    assert!(times[5] - times[0] >= ms(100), "{times:?}");
}

#[tokio::test]
async fn events_of_a_stream_come_one_by_one() {
    let mesh = Plan::routes(ROUTES).start().await;
    events_come_one_by_one(&mesh, stream(&[])).await;
    // On a route with retries too: the first content ends all holding back.
    let mut chat = stream(&[]);
    *chat.uri_mut() = CHAT.parse().unwrap();
    events_come_one_by_one(&mesh, chat).await;
}

#[tokio::test]
async fn without_spans_of_ours_attempts_carry_the_callers_trace_as_it_came() {
    let mesh = Plan::routes(ROUTES).start().await;
    let header = |seen: &llmesh::testing::upstream::SeenRequest, name: &str| {
        let value = seen.headers.get(name).map(|v| v.to_str().unwrap());
        value.unwrap_or_default().to_owned()
    };
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let parent = format!("00-{trace}-{span}-01");
    let headers = [("traceparent", &*parent), ("x-request-id", "r-1")];
    let with = |key, headers: &[(&'static str, &str)]| {
        let mut request = play(CHAT, "503,200", key);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    };
    // W3C.
    assert!(mesh.send(with("w3c", &headers)).await.is_ok());
    let seen = mesh.seen("x-mock-key", "w3c");
    let parents: Vec<_> = seen.iter().map(|(_, s)| header(s, "traceparent")).collect();
    assert_eq!(parents, [&*parent, &*parent]);
    assert!(seen.iter().all(|(_, s)| header(s, "x-request-id") == "r-1"));
    // B3, several headers.
    let b3 = [
        ("x-b3-traceid", trace),
        ("x-b3-spanid", span),
        ("x-b3-sampled", "1"),
    ];
    assert!(mesh.send(with("b3", &b3)).await.is_ok());
    let seen = mesh.seen("x-mock-key", "b3");
    assert!(seen.iter().all(|(_, s)| header(s, "x-b3-traceid") == trace));
    assert!(seen.iter().all(|(_, s)| header(s, "x-b3-sampled") == "1"));
    assert!(seen.iter().all(|(_, s)| header(s, "x-b3-spanid") == span));
    assert!(
        seen.iter()
            .all(|(_, s)| header(s, "traceparent").is_empty())
    );
    // None: nobody would know its spans. Requests are numbered all the same.
    assert!(mesh.send(with("none", &[])).await.is_ok());
    let seen = mesh.seen("x-mock-key", "none");
    let ids: Vec<_> = seen
        .iter()
        .map(|(_, s)| header(s, "x-request-id"))
        .collect();
    assert_eq!((ids[0].len(), &ids[0]), (36, &ids[1]));
    for name in ["traceparent", "b3", "x-b3-traceid"] {
        assert!(
            seen.iter().all(|(_, s)| header(s, name).is_empty()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn upstreams_are_told_what_is_left_and_callers_may_only_shorten_it() {
    let mesh = Plan::routes(&quick_routes()).start().await;
    let left = |key: &str| -> Vec<u64> {
        let seen = mesh.seen("x-mock-key", key);
        let left = seen
            .iter()
            .map(|(_, s)| &s.headers["x-envoy-expected-rq-timeout-ms"]);
        left.map(|v| v.to_str().unwrap().parse().unwrap()).collect()
    };
    let with = |key, value: &'static str| {
        let mut request = play(CHAT, "503,200", key);
        let value = http::HeaderValue::from_static(value);
        request
            .headers_mut()
            .insert("x-envoy-expected-rq-timeout-ms", value);
        request
    };
    for (key, request) in [
        ("none", play(CHAT, "503,200", "none")),
        ("longer", with("longer", "60000")),
        ("nonsense", with("nonsense", "soon")),
    ] {
        assert!(mesh.send(request).await.is_ok());
        let left = left(key);
        assert_eq!(left.len(), 2);
        assert!(
            left.iter().all(|l| (250..=300).contains(l)),
            "{key}: {left:?}"
        );
    }
    assert!(mesh.send(with("shorter", "120")).await.is_ok());
    let left = left("shorter");
    assert!(
        left.len() == 2 && left[0] <= 120 && left[1] <= left[0],
        "{left:?}"
    );
    // And it is kept: nobody waits for longer than the caller.
    let headers = [
        ("x-mock-fault", "hang"),
        ("x-envoy-expected-rq-timeout-ms", "60"),
    ];
    let (reply, summary) = mesh.tell(ask(CHAT, &headers)).await;
    assert_eq!((reply.status, summary.notes.attempts), (504, 1));
    assert!(
        reply.took >= ms(55) && reply.took < ms(250),
        "{:?}",
        reply.took
    );
}
