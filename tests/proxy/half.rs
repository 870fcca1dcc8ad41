//! Callers that send no more: those that wait are answered, those that have gone are given up.

use std::{task::Poll, time::Duration};

use llmesh::proxy::server::Params;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::sleep,
};

use crate::{
    early::{head, play},
    recorder::{Front, HOST, Wire, proxy_before},
    support::{bind, soon},
};

const EVENTS: usize = 6;

/// Answers late, and in pieces where a stream is asked for.
async fn slow(mut stream: TcpStream) {
    loop {
        let mut seen = head(&mut stream).await;
        if seen.is_empty() {
            return;
        }
        while (seen.contains("content-length: 5") && !seen.ends_with("hello"))
            || (seen.contains("transfer-encoding") && !seen.ends_with("0\r\n\r\n"))
        {
            let mut more = [0; 16];
            let n = stream.read(&mut more).await.unwrap();
            seen.push_str(std::str::from_utf8(&more[..n]).unwrap());
        }
        sleep(Duration::from_millis(150)).await;
        if !seen.contains("/stream") {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            continue;
        }
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        for n in 0..EVENTS {
            sleep(Duration::from_millis(40)).await;
            let event = format!("data: {n}\n\n");
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            stream.write_all(chunk.as_bytes()).await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    }
}

fn request(method: &str, path: &str, version: &str, rest: &str) -> String {
    format!("{method} {path} HTTP/{version}\r\nHost: {HOST}\r\n{rest}")
}

#[tokio::test]
async fn a_caller_that_sends_no_more_gets_its_answer() {
    let (listener, address) = bind().await;
    play(listener, slow);
    let (proxy, _) = proxy_before(address, "http", Params::default()).await;
    let stream: String = (0..EVENTS).map(|n| format!("data: {n}\n\n")).collect();
    let body = "content-length: 5\r\n\r\nhello";
    let chunks = "transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let rows = [
        (request("GET", "/a", "1.1", "\r\n"), vec!["ok"]),
        (request("GET", "/a", "1.0", "\r\n"), vec!["ok"]),
        (request("POST", "/a", "1.1", body), vec!["ok"]),
        (request("POST", "/a", "1.1", chunks), vec!["ok"]),
        (request("GET", "/stream", "1.1", "\r\n"), vec![&*stream]),
        (request("GET", "/stream", "1.0", "\r\n"), vec![&*stream]),
        (request("POST", "/stream", "1.1", body), vec![&*stream]),
        (
            request("GET", "/a", "1.1", "\r\n") + &request("GET", "/stream", "1.1", "\r\n"),
            vec!["ok", &*stream],
        ),
    ];
    // The end may come with the request, before the answer and in the middle of it.
    let all = rows
        .iter()
        .flat_map(|row| [0, 60, 220].map(|after| (row, after)));
    let asked = all.map(|((text, answers), after)| {
        let proxy = &proxy;
        async move {
            let mut wire = Wire::connect(proxy.outbound()).await;
            wire.write(text.as_bytes()).await;
            sleep(Duration::from_millis(after)).await;
            wire.finish().await;
            for wanted in answers {
                let answer = wire.answer().await.unwrap_or_else(|| panic!("{text}"));
                assert!(answer.head.starts_with("HTTP/1."), "{}", answer.head);
                assert_eq!((answer.status, answer.whole), (200, true), "{text}");
                assert_eq!(answer.body, *wanted, "{after} {text}");
            }
            assert!(wire.is_closed().await, "{text}");
        }
    });
    together(asked).await;
}

/// All of them at once.
async fn together(all: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        match all.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// The end comes while the body is being handed on: the sooner, the more often.
#[tokio::test]
async fn a_body_is_whole_however_soon_the_end_comes_behind_it() {
    let front = Front::start(Params::default()).await;
    let post = |path, rest: &str| request("POST", path, "1.1", rest);
    let sized = |n: usize| format!("content-length: {n}\r\n\r\n{}", "a".repeat(n));
    let chunk = format!("{:x}\r\n{}\r\n", 30_000, "a".repeat(30_000));
    let chunks = |n: usize| {
        let all = chunk.repeat(n);
        format!("transfer-encoding: chunked\r\n\r\n2\r\naa\r\n{all}0\r\nx-t: 1\r\n\r\n")
    };
    let expect = format!("expect: 100-continue\r\n{}", sized(2));
    for (name, text, bodies) in [
        ("short", post("/a", &sized(2)), vec![2]),
        ("expected", post("/a", &expect), vec![2]),
        ("chunks", post("/a", &chunks(0)), vec![2]),
        ("long", post("/a", &sized(20_000)), vec![20_000]),
        ("long chunks", post("/a", &chunks(3)), vec![90_002]),
        ("huge", post("/a", &sized(2_000_000)), vec![2_000_000]),
        (
            "two",
            post("/a", &sized(5)) + &post("/b", &chunks(1)),
            vec![5, 30_002],
        ),
    ] {
        for turn in 0..20 {
            let mut wire = front.wire().await;
            wire.write(text.as_bytes()).await;
            wire.finish().await;
            let mut statuses = Vec::new();
            while let Some(answer) = wire.answer().await {
                statuses.extend((answer.status != 100).then_some(answer.status));
            }
            let seen = front.upstream.take();
            let came: Vec<_> = seen.iter().map(|s| s.body.matches('a').count()).collect();
            assert_eq!(came, bodies, "{name} {turn}");
            assert_eq!(statuses, vec![200; bodies.len()], "{name} {turn}");
        }
    }
}

/// A request that is not all there is none.
#[tokio::test]
async fn a_request_cut_short_is_not_waited_for() {
    let (listener, address) = bind().await;
    play(listener, slow);
    let (proxy, _) = proxy_before(address, "http", Params::default()).await;
    for text in [
        request("POST", "/a", "1.1", "content-length: 5\r\n\r\nhel"),
        request(
            "POST",
            "/a",
            "1.1",
            "transfer-encoding: chunked\r\n\r\n5\r\nhel",
        ),
        "GET /a HTTP/1.1\r\nHost: a\r\n".to_owned(),
    ] {
        let mut wire = Wire::connect(proxy.outbound()).await;
        wire.write(text.as_bytes()).await;
        wire.finish().await;
        let answer = wire.answer().await;
        assert!(answer.is_none_or(|a| a.status != 200), "{text}");
    }
}

/// The upstream learns at once that nobody waits any more: before an answer, and in the silence of one.
#[tokio::test]
async fn a_caller_that_has_gone_is_given_up() {
    for begun in [false, true] {
        let (listener, address) = bind().await;
        let (told, mut events) = mpsc::unbounded_channel();
        play(listener, move |mut stream: TcpStream| {
            let told = told.clone();
            async move {
                head(&mut stream).await;
                if begun {
                    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n";
                    stream.write_all(head).await.unwrap();
                }
                told.send("came").unwrap();
                let _ = stream.read(&mut [0; 16]).await;
                told.send("left").unwrap();
            }
        });
        let (proxy, _) = proxy_before(address, "http", Params::default()).await;
        for pause in [0, 100] {
            let mut wire = Wire::connect(proxy.outbound()).await;
            wire.get("/").await;
            assert_eq!(soon(events.recv()).await, Some("came"));
            sleep(Duration::from_millis(pause)).await;
            drop(wire);
            let left = tokio::time::timeout(Duration::from_secs(1), events.recv()).await;
            assert_eq!(left, Ok(Some("left")), "{begun} {pause}");
        }
    }
}
