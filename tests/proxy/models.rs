//! Routes by model, aliases, lists of models and targets that hang elsewhere, over sockets.

use std::{sync::Arc, time::Duration};

use http::Request;
use llmesh::{
    base::SharedRng,
    body::Body,
    config::Source,
    metrics::access_log::{AccessLog, Encoding},
    proxy::{Input, Options, Proxy},
};
use serde_json::Value;

use crate::{
    kit::{Caller, Log, Reply},
    recorder::{Recorder, Seen, Wire},
    support::{bind, channel_body, soon, until},
};

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"the-providers-own","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// Two upstreams, which are subsets of `llm.test` and the hosts `a.test` and `b.test`, behind a proxy.
struct Mesh {
    a: Recorder,
    b: Recorder,
    proxy: Proxy,
    log: Arc<Log>,
}

impl Mesh {
    async fn start(rest: &str) -> Self {
        let (a, b) = (Recorder::default(), Recorder::default());
        let mut ports = Vec::new();
        for recorder in [&a, &b] {
            let (listener, address) = bind().await;
            tokio::spawn(recorder.clone().serve(listener));
            ports.push(address.port());
        }
        let entry = |host: &str, endpoints: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {host}, namespace: ai}}\nspec:\n  \
                 hosts: [{host}]\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
                 endpoints: [{endpoints}]\n---\n"
            )
        };
        let at = |port: u16, version: &str| {
            format!(
                "{{address: 127.0.0.1, ports: {{http: {port}}}, labels: {{version: {version}}}}}"
            )
        };
        let (first, second) = (at(ports[0], "a"), at(ports[1], "b"));
        let text = [
            entry("llm.test", &format!("{first}, {second}")),
            entry("a.test", &first),
            entry("b.test", &second),
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: llm, namespace: ai}\nspec: {host: llm.test, subsets: [{name: a, labels: {version: a}}, {name: b, labels: {version: b}}]}\n---\n".to_owned(),
            rest.to_owned(),
        ]
        .concat();
        let log = Arc::new(Log::default());
        let mut options = Options::new(Input::inline(vec![Source::new("llm.yaml", text)]));
        options.outbound = ([127, 0, 0, 1], 0).into();
        options.admin = None;
        options.rng = SharedRng::seeded(7);
        options.reports = vec![Arc::clone(&log) as _];
        let proxy = Proxy::start(options).await.map_err(|e| e.to_string());
        let mesh = Self {
            a,
            b,
            proxy: proxy.unwrap(),
            log,
        };
        for path in ["/v1/chat/completions", "/openai/v1/chat/completions"] {
            mesh.answer(path, ANSWER);
        }
        mesh
    }

    fn answer(&self, path: &str, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.a.answer(path, answer.as_bytes(), false);
        self.b.answer(path, answer.as_bytes(), false);
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        Caller::http1(self.proxy.outbound())
            .await
            .send(request)
            .await
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send(post(path, headers, body)).await
    }

    /// The one request that came, and to whom.
    fn one(&self) -> (char, Seen) {
        let (mut a, mut b) = (self.a.take(), self.b.take());
        assert_eq!(a.len() + b.len(), 1, "{a:?} {b:?}");
        match a.pop() {
            Some(seen) => ('a', seen),
            None => ('b', b.pop().unwrap()),
        }
    }
}

fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Request<Body> {
    let mut request = Request::post(path).header("host", "llm.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_vec())).unwrap()
}

const CHAT: &str = "/v1/chat/completions";
const HEADER: &str = "x-gateway-model-name";
const JSON: (&str, &str) = ("content-type", "application/json");

fn routes(http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: llm, namespace: ai}}\nspec:\n  hosts: [llm.test]\n  http:\n{http}\n"
    )
}

fn policy(spec: &str) -> String {
    format!(
        "---\napiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: llm, namespace: ai}}\nspec: {{hosts: [llm.test], {spec}}}\n"
    )
}

/// `big` goes to b; what names no model is told so; all else goes to a.
fn by_model() -> String {
    routes(
        r#"  - {name: big, match: [{headers: {x-gateway-model-name: {exact: big}}}], route: [{destination: {host: llm.test, subset: b}}]}
  - {name: none, match: [{withoutHeaders: {x-gateway-model-name: {}}}], route: [{destination: {host: llm.test, subset: a}}], headers: {request: {set: {x-none: "1"}}}}
  - {name: rest, route: [{destination: {host: llm.test, subset: a}}]}"#,
    )
}

#[tokio::test]
async fn the_model_of_any_api_is_a_header_for_routes_and_the_body_stays_as_it_is() {
    let mesh = Mesh::start(&by_model()).await;
    let form = "--xx\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--xx\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nbig\r\n--xx--\r\n";
    let late = format!(
        r#"{{"messages":[{{"content":"{}"}}],"model":"big"}}"#,
        "word ".repeat(400_000)
    );
    let too_late = format!(
        r#"{{"messages":["{}"],"model":"big"}}"#,
        "x".repeat(5 << 20)
    );
    let padded = format!("{}{{\"model\":\"big\"}}", " \n".repeat(50_000));
    let deep = format!(
        r#"{{"x":{}{},"model":"big"}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    for (path, headers, body, model) in [
        (
            CHAT,
            &[JSON][..],
            r#"{"model":"big","messages":[]}"#,
            Some("big"),
        ),
        (CHAT, &[], r#"{"model":"big"}"#, Some("big")),
        (
            CHAT,
            &[("content-type", "application/x-www-form-urlencoded")],
            r#"{"model":"big"}"#,
            Some("big"),
        ),
        (
            CHAT,
            &[JSON],
            r#"{"model":"small","messages":[{"model":"big"}]}"#,
            Some("small"),
        ),
        (
            CHAT,
            &[JSON],
            r#" { "messages" : [ "}\"" ] , "model" : "big" } "#,
            Some("big"),
        ),
        (CHAT, &[JSON], r#"{"\u006dodel":"b\u0069g"}"#, Some("big")),
        (CHAT, &[JSON], "\u{feff}{\"model\":\"big\"}", Some("big")),
        (
            CHAT,
            &[JSON],
            r#"{"model":"big","model":"big"}"#,
            Some("big"),
        ),
        (CHAT, &[JSON], &late, Some("big")),
        (CHAT, &[JSON], &padded, Some("big")),
        (CHAT, &[JSON], &deep, Some("big")),
        (CHAT, &[JSON], r#"{"model":"grün"}"#, Some("grün")),
        (
            "/v1/messages",
            &[JSON],
            r#"{"max_tokens":1,"messages":[],"model":"big"}"#,
            Some("big"),
        ),
        (
            "/v1/responses",
            &[JSON],
            r#"{"input":"x","model":"big"}"#,
            Some("big"),
        ),
        ("/v2/chat", &[JSON], r#"{"model":"big"}"#, Some("big")),
        ("/api/chat", &[JSON], r#"{"model":"big"}"#, Some("big")),
        (
            "/v1/embeddings",
            &[JSON],
            r#"{"input":["x"],"model":"big"}"#,
            Some("big"),
        ),
        (
            "/v1/images/generations",
            &[JSON],
            r#"{"prompt":"x","model":"big"}"#,
            Some("big"),
        ),
        (
            "/v1beta/models/big:generateContent",
            &[JSON],
            r#"{"contents":[],"model":"other"}"#,
            Some("big"),
        ),
        (
            "/v1/projects/p/locations/l/publishers/google/models/big:streamGenerateContent?alt=sse",
            &[JSON],
            "{}",
            Some("big"),
        ),
        ("/model/big/invoke", &[JSON], "{}", Some("big")),
        ("/model/a%3Ab%2Fc/converse", &[JSON], "{}", Some("a:b/c")),
        (
            "/openai/deployments/big/chat/completions?api-version=1",
            &[JSON],
            r#"{"model":"other"}"#,
            Some("big"),
        ),
        (
            "/v1/audio/transcriptions",
            &[("content-type", "multipart/form-data; boundary=xx")],
            form,
            Some("big"),
        ),
        // None that is known.
        (CHAT, &[JSON], &too_late, None),
        (
            CHAT,
            &[JSON, ("content-encoding", "gzip")],
            r#"{"model":"big"}"#,
            None,
        ),
        (CHAT, &[JSON], r#"{"model":7}"#, None),
        (CHAT, &[JSON], r#"{"model":null}"#, None),
        (CHAT, &[JSON], r#"{"model":""}"#, None),
        (CHAT, &[JSON], r#"{"model":"a\u0000b"}"#, None),
        (CHAT, &[JSON], r#"{"x":{"model":"big"}}"#, None),
        (CHAT, &[JSON], r#"[{"model":"big"}]"#, None),
        (CHAT, &[JSON], r#"{"model":"big"#, None),
        (CHAT, &[JSON], "no JSON", None),
        (CHAT, &[JSON], "", None),
        (
            "/upload",
            &[("content-type", "application/octet-stream")],
            r#"{"model":"big"}"#,
            None,
        ),
        (
            "/v1/audio/transcriptions",
            &[("content-type", "multipart/form-data")],
            form,
            None,
        ),
    ] {
        // What the caller says of it itself counts for nothing, in no spelling.
        let lies = [
            (HEADER, "big"),
            ("X_Gateway_Model-Name", "big"),
            (HEADER, "bigger"),
        ];
        for lies in [&[][..], &lies] {
            let reply = mesh
                .post(path, &[headers, lies].concat(), body.as_bytes())
                .await;
            let what = format!("{path} {:.60}", body);
            assert_eq!(reply.status, 200, "{what}");
            let (to, seen) = mesh.one();
            assert_eq!(seen.body, body, "{what}");
            assert_eq!(seen.values(HEADER), Vec::from_iter(model), "{what}");
            assert!(seen.values("x_gateway_model-name").is_empty());
            assert_eq!(to, if model == Some("big") { 'b' } else { 'a' }, "{what}");
            assert_eq!(!seen.values("x-none").is_empty(), model.is_none(), "{what}");
            let length = body.len().to_string();
            if !body.is_empty() {
                assert_eq!(seen.values("content-length"), [&*length], "{what}");
            }
        }
    }
    // No POST has none.
    let get = Request::get("/v1/models")
        .header("host", "llm.test")
        .header(HEADER, "big");
    mesh.send(get.body(Body::empty()).unwrap()).await;
    assert!(mesh.one().1.values(HEADER).is_empty());
}

#[tokio::test]
async fn prefixes_regular_expressions_weights_answers_and_timeouts_are_those_of_the_model() {
    let http = r#"  - {match: [{headers: {x-gateway-model-name: {prefix: gpt-4}}}], route: [{destination: {host: llm.test, subset: a}, weight: 80}, {destination: {host: llm.test, subset: b}, weight: 20}]}
  - {match: [{headers: {x-gateway-model-name: {regex: "claude-.*-v[0-9]"}}}], route: [{destination: {host: llm.test, subset: b}}]}
  - {match: [{headers: {x-gateway-model-name: {exact: slow}}}], timeout: 150ms, retries: {attempts: 0}, route: [{destination: {host: void.test}}]}
  - {match: [{headers: {x-gateway-model-name: {exact: old}}}], directResponse: {status: 410, body: {string: gone}}}
  - {match: [{withoutHeaders: {x-gateway-model-name: {regex: "gpt-.*"}}}], directResponse: {status: 403}}
  - {route: [{destination: {host: llm.test, subset: b}}]}"#;
    let (listener, void) = bind().await;
    let hold = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let entry = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: void, namespace: ai}}\nspec: {{hosts: [void.test], resolution: STATIC, ports: [{{number: 80, name: http, protocol: HTTP}}], endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]}}\n",
        void.port()
    );
    let mesh = Mesh::start(&(routes(http) + &entry)).await;
    let ask = async |model: &str| {
        let body = format!(r#"{{"messages":[],"model":"{model}"}}"#);
        mesh.post(CHAT, &[JSON], body.as_bytes()).await
    };
    for _ in 0..50 {
        assert_eq!(ask("gpt-4o").await.status, 200);
    }
    let (a, b) = (mesh.a.take().len(), mesh.b.take().len());
    assert!((30..50).contains(&a) && a + b == 50, "{a} {b}");
    for (model, status, to) in [
        ("claude-x-v2", 200, Some('b')),
        ("gpt-3", 200, Some('b')),
        ("old", 410, None),
        ("claude-x-v22", 403, None),
        ("slow", 504, None),
    ] {
        assert_eq!(ask(model).await.status, status, "{model}");
        if let Some(to) = to {
            assert_eq!(mesh.one().0, to, "{model}");
        }
    }
    // What has no model has none that begins so.
    assert_eq!(mesh.post(CHAT, &[JSON], b"{}").await.status, 403);
    hold.abort();
}

#[tokio::test]
async fn a_body_streams_on_from_where_it_names_its_model() {
    // In chunks, over either version.
    for http2 in [false, true] {
        let mesh = Mesh::start(&by_model()).await;
        let reached = || mesh.b.accepted() > 0;
        let (sender, body) = channel_body();
        let request = Request::post(CHAT)
            .header("host", "llm.test")
            .header("content-type", "application/json");
        let uri = if http2 {
            "http://llm.test/v1/chat/completions"
        } else {
            CHAT
        };
        let request = request.uri(uri).body(body).unwrap();
        let mut caller = match http2 {
            true => Caller::http2(mesh.proxy.outbound()).await,
            false => Caller::http1(mesh.proxy.outbound()).await,
        };
        let reply = tokio::spawn(async move { caller.send(request).await });
        for piece in ["{\"messages\":[\"", "x\\", "\"\"],\"mo", "del\":\"b"] {
            sender.send(Ok(piece.into())).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!reached(), "sent on before the model was known");
        sender.send(Ok("ig\",".into())).await.unwrap();
        until(reached).await;
        sender.send(Ok("\"n\":1}".into())).await.unwrap();
        drop(sender);
        assert_eq!(soon(reply).await.unwrap().status, 200);
        let (to, seen) = mesh.one();
        assert_eq!(
            (to, &*seen.body),
            ('b', r#"{"messages":["x\""],"model":"big","n":1}"#)
        );
    }
}

#[tokio::test]
async fn a_caller_that_waits_to_be_asked_for_its_body_is_asked() {
    let mesh = Mesh::start(&by_model()).await;
    let body = r#"{"model":"big"}"#;
    let mut wire = Wire::connect(mesh.proxy.outbound()).await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: llm.test\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    wire.write(head.as_bytes()).await;
    assert_eq!(wire.answer().await.unwrap().status, 100);
    wire.write(body.as_bytes()).await;
    assert_eq!(wire.answer().await.unwrap().status, 200);
    assert_eq!(mesh.one().0, 'b');
}

#[tokio::test]
async fn a_body_that_names_two_models_is_refused_however_it_comes() {
    let mesh =
        Mesh::start(&(by_model() + &policy("dialect: openai, fallback: [{subset: b}]"))).await;
    let plain = Mesh::start(&by_model()).await;
    for (first, rest) in [
        (r#"{"model":"small","#, r#""model":"big"}"#),
        (r#"{"model":"small","#, r#""\u006dodel":"big"}"#),
        (r#"{"model":"small","#, r#""Model":"big"}"#),
        (r#"{"model":null,"#, r#""model":"big"}"#),
    ] {
        for mesh in [&mesh, &plain] {
            let whole = mesh
                .post(CHAT, &[JSON], [first, rest].concat().as_bytes())
                .await;
            assert_eq!(whole.status, 400, "{first}{rest}");
            assert!(
                whole.body.contains("names its model twice"),
                "{}",
                whole.body
            );
            let mut wire = Wire::connect(mesh.proxy.outbound()).await;
            let head = format!(
                "POST {CHAT} HTTP/1.1\r\nhost: llm.test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{first}",
                first.len() + rest.len()
            );
            wire.write(head.as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            wire.write(rest.as_bytes()).await;
            let answer = wire.answer().await.unwrap();
            assert_eq!(answer.status, 400, "{first}{rest} {answer:?}");
            // Nobody got it whole.
            assert!(mesh.a.take().is_empty() && mesh.b.take().is_empty());
        }
    }
}

#[tokio::test]
async fn hosts_whose_routes_do_not_ask_are_as_before() {
    let other = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: b, namespace: ai}\nspec: {hosts: [b.test], http: [{match: [{headers: {x-other: {exact: big}}}], directResponse: {status: 418}}, {route: [{destination: {host: b.test}}]}]}\n";
    let mesh = Mesh::start(&(by_model() + other)).await;
    let body = r#"{"model":"a","model":"b"}"#;
    for host in ["a.test", "b.test"] {
        let request = Request::post(CHAT)
            .header("host", host)
            .header(HEADER, "as sent")
            .body(Body::from(body));
        assert_eq!(mesh.send(request.unwrap()).await.status, 200);
        let (_, seen) = mesh.one();
        assert_eq!((seen.values(HEADER), &*seen.body), (vec!["as sent"], body));
    }
}

#[tokio::test]
async fn an_alias_is_asked_for_by_its_meaning_and_routes_see_what_callers_say() {
    let http = r#"  - {match: [{headers: {x-gateway-model-name: {exact: fast}}}], route: [{destination: {host: llm.test, subset: b}}]}
  - {route: [{destination: {host: llm.test, subset: a}}]}"#;
    let mesh = Mesh::start(
        &(routes(http)
            + &policy(
                r#"models: {fast: gpt-4o-mini, "gpt-4*": "gpt-\"4o\"", gpt-4o-mini: again}"#,
            )),
    )
    .await;
    for path in [
        "/v1/messages",
        "/v1/images/generations",
        "/v1beta/models/gpt-4o-mini:generateContent",
    ] {
        mesh.answer(path, "{}");
    }
    let files = "x".repeat(1_500_000);
    let (long, long_out) = (
        format!(r#"{{"messages":["{files}"], "model" : "fast" ,"n":1}}"#),
        format!(r#"{{"messages":["{files}"], "model" : "gpt-4o-mini" ,"n":1}}"#),
    );
    let form = "--xx\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nfast\r\n--xx--\r\n";
    for (path, kind, body, to, path_out, body_out) in [
        (
            CHAT,
            JSON.1,
            r#"{"messages":[],  "model":"fast"}"#,
            'b',
            CHAT,
            r#"{"messages":[],  "model":"gpt-4o-mini"}"#,
        ),
        (
            CHAT,
            JSON.1,
            r#"{"model":"f\u0061st"}"#,
            'b',
            CHAT,
            r#"{"model":"gpt-4o-mini"}"#,
        ),
        (
            CHAT,
            JSON.1,
            r#"{"model":"gpt-4.1"}"#,
            'a',
            CHAT,
            r#"{"model":"gpt-\"4o\""}"#,
        ),
        (
            CHAT,
            JSON.1,
            r#"{"model" : "own"}"#,
            'a',
            CHAT,
            r#"{"model" : "own"}"#,
        ),
        (
            CHAT,
            JSON.1,
            r#"{"x":{"model":"fast"}}"#,
            'a',
            CHAT,
            r#"{"x":{"model":"fast"}}"#,
        ),
        (CHAT, JSON.1, &long, 'b', CHAT, &long_out),
        (
            "/v1/messages",
            JSON.1,
            r#"{"model":"fast","max_tokens":1}"#,
            'b',
            "/v1/messages",
            r#"{"model":"gpt-4o-mini","max_tokens":1}"#,
        ),
        (
            "/v1/images/generations",
            JSON.1,
            r#"{"prompt":"x","model":"fast"}"#,
            'b',
            "/v1/images/generations",
            r#"{"prompt":"x","model":"gpt-4o-mini"}"#,
        ),
        (
            "/v1beta/models/fast:generateContent?x=1",
            JSON.1,
            r#"{"contents":[]}"#,
            'b',
            "/v1beta/models/gpt-4o-mini:generateContent?x=1",
            r#"{"contents":[]}"#,
        ),
        (
            "/v1beta/models/fast:countTokens",
            JSON.1,
            "{}",
            'b',
            "/v1beta/models/gpt-4o-mini:countTokens",
            "{}",
        ),
        (
            "/v1/audio/transcriptions",
            "multipart/form-data; boundary=xx",
            form,
            'b',
            "/v1/audio/transcriptions",
            form,
        ),
    ] {
        let reply = mesh
            .post(
                path,
                &[("content-type", kind), ("content-digest", "sha-256=:x:")],
                body.as_bytes(),
            )
            .await;
        let what = format!("{path} {body:.60}");
        assert_eq!(reply.status, 200, "{what} {}", reply.body);
        let (at, seen) = mesh.one();
        assert_eq!((at, seen.path()), (to, path_out), "{what}");
        assert!(seen.body == body_out, "{what}: {:.200}", seen.body);
        assert_eq!(
            seen.values("content-length"),
            [&*body_out.len().to_string()],
            "{what}"
        );
        // The sum of a body is of that body.
        assert_eq!(
            seen.values("content-digest").is_empty(),
            body != body_out,
            "{what}"
        );
    }
    let before = mesh.log.len();
    let reply = mesh.post(CHAT, &[JSON], br#"{"model":"fast"}"#).await;
    assert!(reply.body.contains("the-providers-own"));
    let summary = mesh.log.nth(before).await;
    let line = AccessLog::new(Encoding::Json, |_| {}).line(&summary);
    assert!(
        line.contains(r#""llm_model_asked":"fast","llm_model":"the-providers-own""#),
        "{line}"
    );
    let (_, seen) = mesh.one();
    assert_eq!(seen.values(HEADER), ["gpt-4o-mini"]);
}

#[tokio::test]
async fn a_long_body_that_names_its_alias_twice_is_refused() {
    let mesh = Mesh::start(
        &(routes("  - {route: [{destination: {host: llm.test, subset: a}}]}")
            + &policy("models: {fast: slow}")),
    )
    .await;
    let body = format!(
        r#"{{"model":"fast","messages":["{}"],"model":"fast"}}"#,
        "x".repeat(2_000_000)
    );
    assert_eq!(mesh.post(CHAT, &[JSON], body.as_bytes()).await.status, 400);
    assert!(mesh.a.take().is_empty());
}

#[tokio::test]
async fn lists_of_models_are_answered_where_that_is_asked_for() {
    let http = r#"  - {match: [{headers: {x-gateway-model-name: {exact: exact-one}}}], route: [{destination: {host: llm.test, subset: b}}]}
  - {match: [{headers: {x-gateway-model-name: {exact: refused}}}], directResponse: {status: 403}}
  - {match: [{headers: {x-gateway-model-name: {prefix: some-}}}], route: [{destination: {host: llm.test, subset: b}}]}
  - {route: [{destination: {host: llm.test, subset: a}}]}"#;
    let listed = r#"models: {fast: gpt-4o-mini, "any-*": gpt-4o}"#;
    let mesh = Mesh::start(&(routes(http) + &policy(&format!("listModels: true, {listed}")))).await;
    let get = |path: &str| Request::get(path).header("host", "llm.test");
    let list = async |request: http::request::Builder| {
        let reply = mesh.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, "application/json")
        );
        serde_json::from_str::<Value>(&reply.body).unwrap()
    };
    let openai = list(get("/v1/models")).await;
    assert_eq!(openai["object"], "list");
    let ids: Vec<_> = openai["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["fast", "exact-one"]);
    assert_eq!(list(get("/openai/v1/models")).await, openai);
    assert_eq!(list(get("/v1/models/fast")).await["id"], "fast");
    let anthropic =
        list(get("/v1/models?limit=20").header("anthropic-version", "2023-06-01")).await;
    assert_eq!(
        (
            &anthropic["data"][0]["type"],
            &anthropic["has_more"],
            &anthropic["last_id"]
        ),
        (&"model".into(), &false.into(), &"exact-one".into())
    );
    let gemini = list(get("/v1beta/models?pageSize=50")).await;
    assert_eq!(gemini["models"][0]["name"], "models/fast");
    assert!(mesh.a.take().is_empty() && mesh.b.take().is_empty());
    // What is no list, or of a model that is not listed, passes.
    for request in [
        get("/v1/models/gpt-4o"),
        get("/v1/files"),
        Request::post("/v1/models").header("host", "llm.test"),
    ] {
        mesh.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(mesh.one().0, 'a');
    }
    let silent = Mesh::start(&(routes(http) + &policy(listed))).await;
    silent
        .send(get("/v1/models").body(Body::empty()).unwrap())
        .await;
    assert_eq!(silent.one().0, 'a');
    let nothing = routes("  - {route: [{destination: {host: llm.test, subset: a}}]}")
        + &policy("listModels: true");
    let nothing = Mesh::start(&nothing).await;
    nothing
        .send(get("/v1/models").body(Body::empty()).unwrap())
        .await;
    assert_eq!(nothing.one().0, 'a');
}

#[tokio::test]
async fn a_fallback_hangs_where_its_base_url_says() {
    let http = "  - {retries: {attempts: 0}, route: [{destination: {host: a.test}}]}";
    let targets = "fallback: [{host: b.test, path: /openai/v1, model: other}]";
    let mesh = Mesh::start(&(routes(http) + &policy(targets))).await;
    let down = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    mesh.a.answer(CHAT, down, false);
    mesh.a.answer("/v1/embeddings", down, false);
    for (path, moved) in [
        (CHAT, "/openai/v1/chat/completions"),
        ("/v1/embeddings", "/openai/v1/embeddings"),
    ] {
        mesh.answer(moved, ANSWER);
        mesh.post(path, &[JSON], br#"{"input":"x","model":"m"}"#)
            .await;
        let (a, b) = (mesh.a.take(), mesh.b.take());
        assert_eq!(a[0].path(), path);
        if path == CHAT {
            assert_eq!(
                (b[0].path(), &*b[0].body),
                (moved, r#"{"input":"x","model":"other"}"#)
            );
            assert_eq!(b[0].values("host"), ["b.test"]);
        }
    }
}
