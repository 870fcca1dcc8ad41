//! Whose key goes where: those of targets, those of callers, and none over the network in plain text.

use std::{net::SocketAddr, sync::Arc};

use http::{Request, StatusCode};
use llmesh::{
    base::Error,
    body::Body,
    config::Source,
    mesh::{
        BoxFuture,
        connect::{BoxIo, Connect, Dial, Tcp},
    },
    metrics::access_log::{AccessLog, Encoding},
    proxy::{Input, Options, Proxy},
    testing::upstream::{Answer, SeenRequest, Upstream},
};

use crate::kit::{Caller, Folder, Log, Reply};

/// Two hosts on this machine and one on another, which is this one all the same.
const HOST: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: NAME, namespace: ai}
spec:
  hosts: [NAME.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: ADDRESS, ports: {http: PORT}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: NAME, namespace: ai}
spec:
  hosts: [NAME.example]
  http:
  - route: [{destination: {host: NAME.example}}]
    timeout: 10s
    retries: {attempts: 2, retryOn: '5xx,connect-failure'}
---
";

const FAR: &str = "10.9.9.9";

struct Gate {
    near: Upstream,
    other: Upstream,
    far: Upstream,
    log: Arc<Log>,
    proxy: Proxy,
    keys: Folder,
}

/// Every address is one of this machine.
#[derive(Clone, Copy)]
struct Here;

impl Connect for Here {
    fn connect(&self, address: SocketAddr, dial: Dial) -> BoxFuture<'_, Result<BoxIo, Error>> {
        Tcp.connect(SocketAddr::from(([127, 0, 0, 1], address.port())), dial)
    }
}

impl Gate {
    /// Under a policy whose `KEYS` is the folder of keys.
    async fn new(spec: &str) -> Self {
        let start = async |label: &str| {
            let upstream = Upstream::builder().label(label);
            upstream.start().await.unwrap()
        };
        let (near, other, far) = (
            start("near").await,
            start("other").await,
            start("far").await,
        );
        let host = |name: &str, address: &str, upstream: &Upstream| {
            HOST.replace("NAME", name)
                .replace("ADDRESS", address)
                .replace("PORT", &upstream.addr().port().to_string())
        };
        let keys = Folder::new();
        let policy = format!(
            "apiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: gate, namespace: ai}}\nspec: {spec}\n"
        );
        let policy = policy.replace("KEYS", &keys.0.display().to_string());
        let text = [
            host("near", "127.0.0.1", &near),
            host("other", "127.0.0.1", &other),
            host("far", FAR, &far),
            policy,
        ];
        let log = Arc::new(Log::default());
        let input = Input::inline(vec![Source::new("mesh.yaml", text.concat())]);
        let mut options = Options::new(input);
        options.outbound = SocketAddr::from(([127, 0, 0, 1], 0));
        options.admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        options.connect = Arc::new(Here);
        options.reports = vec![Arc::clone(&log) as _];
        Self {
            near,
            other,
            far,
            log,
            proxy: Proxy::start(options).await.unwrap(),
            keys,
        }
    }

    async fn send(&self, host: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in [("host", host)].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let mut caller = Caller::http1(self.proxy.outbound()).await;
        caller.send(request).await
    }

    async fn chat(&self, host: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(host, CHAT, headers, PROMPT).await
    }

    /// The access log's line of the last request.
    async fn line(&self) -> String {
        let summary = self.log.nth(self.log.len() - 1).await;
        AccessLog::new(Encoding::Json, |_| {}).line(&summary)
    }

    async fn page(&self, path: &str) -> String {
        let request = Request::get(path)
            .header("host", "admin")
            .body(Body::empty());
        let mut caller = Caller::http1(self.proxy.admin().unwrap()).await;
        caller.send(request.unwrap()).await.body
    }
}

const CHAT: &str = "/v1/chat/completions";
const PROMPT: &str = r#"{"model":"small","messages":[{"role":"user","content":"Hi"}]}"#;

/// All that a request showed of keys, by name.
fn shown(seen: &SeenRequest) -> Vec<String> {
    let names = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
    let headers = names.iter().filter_map(|name| {
        let value = seen.headers.get(*name)?.to_str().unwrap();
        Some(format!("{name}: {value}"))
    });
    let query = seen.path.split_once('?').map(|(_, query)| query.to_owned());
    headers.chain(query).collect()
}

#[tokio::test]
async fn the_own_targets_key_goes_out_in_place_of_the_callers() {
    let gate = Gate::new("{hosts: [near.example], credential: {file: KEYS/own}}").await;
    gate.keys.write("own", "\u{feff}ours \r\n");
    assert!(gate.proxy.reloader().reload().await);
    for (path, headers, expected) in [
        (CHAT, &[][..], &["authorization: Bearer ours"][..]),
        (
            CHAT,
            &[("authorization", "bearer theirs"), ("cookie", "s=1")],
            &["authorization: Bearer ours"],
        ),
        (
            "/v1/messages?key=theirs&beta=true",
            &[("authorization", "Basic dGhlaXJz")],
            &["authorization: Bearer ours", "beta=true"],
        ),
        ("/v1/messages", &[], &["x-api-key: ours"]),
        (
            "/v1beta/models/m:generateContent?%6bey=theirs",
            &[],
            &["x-goog-api-key: ours"],
        ),
        (
            CHAT,
            &[("x-api-key", "theirs"), ("authorization", "Bearer theirs")],
            &["x-api-key: ours"],
        ),
        (CHAT, &[("api-key", "theirs")], &["api-key: ours"]),
    ] {
        gate.send("near.example", path, headers, PROMPT).await;
        let seen = gate.near.seen().pop().unwrap();
        assert_eq!(shown(&seen), expected, "{path} {headers:?}");
        let all = format!("{:?} {}", seen.headers, seen.path);
        assert!(
            !all.contains("theirs") && !all.contains("dGhlaXJz"),
            "{all}"
        );
        let cookie = headers.iter().find(|(name, _)| *name == "cookie");
        assert_eq!(seen.headers.contains_key("cookie"), cookie.is_some());
    }
    // Also what is no call.
    gate.send("near.example", "/v1/models", &[("x-api-key", "theirs")], "")
        .await;
    let seen = gate.near.seen().pop().unwrap();
    assert_eq!(shown(&seen), ["x-api-key: ours"]);
}

#[tokio::test]
async fn a_key_that_passes_through_is_the_callers_and_ours_stands_in() {
    let spec = "{hosts: [near.example], credential: {file: KEYS/own, header: api-key, passthrough: true}, fallback: [{host: other.example}]}";
    let gate = Gate::new(spec).await;
    let theirs = [("authorization", "Bearer theirs")];
    // Without a key here those who bring theirs are served all the same.
    assert_eq!(gate.chat("near.example", &theirs).await.status, 200);
    gate.keys.write("own", "ours");
    assert!(gate.proxy.reloader().reload().await);
    for (path, headers, expected) in [
        (CHAT, &theirs[..], &["authorization: Bearer theirs"][..]),
        ("/v1/messages?key=theirs", &[], &["key=theirs"]),
        (CHAT, &[], &["api-key: ours"]),
        (CHAT, &[("authorization", "Bearer ")], &["api-key: ours"]),
    ] {
        gate.send("near.example", path, headers, PROMPT).await;
        let seen = gate.near.seen().pop().unwrap();
        assert_eq!(shown(&seen), expected, "{path} {headers:?}");
    }
    // Neither goes to another host.
    gate.near
        .set_script(Answer::status(StatusCode::SERVICE_UNAVAILABLE));
    for headers in [&theirs[..], &[]] {
        assert_eq!(gate.chat("near.example", headers).await.status, 200);
        assert_eq!(shown(&gate.other.seen().pop().unwrap()), [""; 0]);
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_read_stops_its_target_alone() {
    let gate = Gate::new("{hosts: ['near.example'], credential: {file: KEYS/own}}").await;
    let theirs = [("authorization", "Bearer theirs")];
    let words = "cannot be read on the side of the mesh";
    for bad in [
        None,
        Some(""),
        Some("a\nb"),
        Some("k\u{e9}y"),
        Some("Bearer x"),
    ] {
        if let Some(text) = bad {
            gate.keys.write("own", text);
            gate.proxy.reloader().reload().await;
        }
        let reply = gate.chat("near.example", &theirs).await;
        assert_eq!(reply.status, 503, "{bad:?}");
        assert!(reply.body.contains(words), "{}", reply.body);
        assert_eq!(reply.header("x-should-retry"), "false");
        assert!(gate.line().await.contains("\"credential_missing\""));
    }
    assert_eq!(gate.near.requests(), 0);
    assert_eq!(gate.chat("other.example", &theirs).await.status, 200);
    gate.keys.write("own", "ours");
    assert!(gate.proxy.reloader().reload().await);
    assert_eq!(gate.chat("near.example", &theirs).await.status, 200);
    let seen = gate.near.seen().pop().unwrap();
    assert_eq!(shown(&seen), ["authorization: Bearer ours"]);
}

#[tokio::test]
async fn where_the_own_key_is_missing_the_next_target_serves() {
    let spec = "{hosts: [near.example], credential: {file: KEYS/none}, fallback: [{host: near.example, model: m}, {host: other.example, credential: {file: KEYS/other, header: x-api-key}}]}";
    let gate = Gate::new(spec).await;
    gate.keys.write("other", "others");
    assert!(gate.proxy.reloader().reload().await);
    let reply = gate
        .chat("near.example", &[("authorization", "Bearer theirs")])
        .await;
    assert_eq!((reply.status, gate.near.requests()), (200, 0));
    let seen = gate.other.seen().pop().unwrap();
    assert_eq!(shown(&seen), ["x-api-key: others"]);
}

#[tokio::test]
async fn no_key_of_the_mesh_goes_over_the_network_in_plain_text() {
    let spec = "{hosts: [far.example], credential: {file: KEYS/own, passthrough: true}}";
    let gate = Gate::new(spec).await;
    gate.keys.write("own", "ours");
    assert!(gate.proxy.reloader().reload().await);
    for _ in 0..8 {
        let reply = gate.chat("far.example", &[]).await;
        assert_eq!(reply.status, 503);
        assert!(reply.body.contains("without TLS"), "{}", reply.body);
        assert_eq!(reply.header("x-should-retry"), "false");
        let line = gate.line().await;
        assert!(
            line.contains("\"credential_without_tls\"") && !line.contains("\"attempts\":"),
            "{line}"
        );
    }
    assert_eq!((gate.far.requests(), gate.far.accepted()), (0, 0));
    // A caller's own key is the caller's to send.
    let theirs = gate
        .chat("far.example", &[("authorization", "Bearer theirs")])
        .await;
    assert_eq!((theirs.status, gate.far.requests()), (200, 1));
}

#[tokio::test]
async fn plain_text_that_is_allowed_is_sent() {
    let spec =
        "{hosts: [far.example], credential: {file: KEYS/own}, credentials: {plaintext: true}}";
    let gate = Gate::new(spec).await;
    gate.keys.write("own", "ours");
    assert!(gate.proxy.reloader().reload().await);
    assert_eq!(gate.chat("far.example", &[]).await.status, 200);
    assert_eq!(
        shown(&gate.far.seen().pop().unwrap()),
        ["authorization: Bearer ours"]
    );
}

#[tokio::test]
async fn a_target_that_would_be_asked_in_plain_text_is_passed_over() {
    let spec = "{hosts: [near.example], fallback: [{host: far.example, credential: {file: KEYS/own}}, {host: other.example, credential: {file: KEYS/own}}]}";
    let gate = Gate::new(spec).await;
    gate.keys.write("own", "ours");
    assert!(gate.proxy.reloader().reload().await);
    gate.near
        .set_script(Answer::status(StatusCode::SERVICE_UNAVAILABLE));
    let reply = gate
        .chat("near.example", &[("authorization", "Bearer theirs")])
        .await;
    assert_eq!((reply.status, gate.far.accepted()), (200, 0));
    assert_eq!(
        shown(&gate.other.seen().pop().unwrap()),
        ["authorization: Bearer ours"]
    );
}

/// `printf %s web-key | sha256sum`.
const WEB: &str = "fe372517ad18bd4ef08c931b6f58a73a1e10ad754cc729a8ccd705be55c47fbd";

/// With callers, and what else the policy says.
async fn guarded(more: &str) -> Gate {
    let callers = format!(
        "[{{name: web, sha256: {WEB}, models: [small, gpt-4o*], limits: [{{requestsPerMinute: 40}}]}}, \
         {{name: batch, file: KEYS/batch, limits: [{{requestsPerMinute: 2}}]}}, {{name: gone, file: KEYS/none}}]"
    );
    let gate = Gate::new(&format!(
        "{{hosts: [near.example], callers: {callers}{more}}}"
    ))
    .await;
    gate.keys.write("batch", "batch-key\n");
    gate.keys.write("own", "ours");
    gate.proxy.reloader().reload().await;
    gate
}

#[tokio::test]
async fn only_callers_come_in_and_their_keys_end_here() {
    let gate = guarded(", credential: {file: KEYS/own}").await;
    let get = ("/v1/models", "");
    let post = (CHAT, PROMPT);
    for ((path, body), headers, caller) in [
        (post, &[("authorization", "Bearer web-key")][..], "web"),
        (post, &[("authorization", "bearer   web-key ")], "web"),
        (post, &[("x-api-key", "web-key")], "web"),
        (post, &[("api-key", "web-key")], "web"),
        (post, &[("x-goog-api-key", "web-key")], "web"),
        (("/v1/chat/completions?key=web%2Dkey", PROMPT), &[], "web"),
        (
            post,
            &[
                ("x-api-key", "web-key"),
                ("authorization", "Bearer web-key"),
            ],
            "web",
        ),
        (
            post,
            &[("x-api-key", "junk"), ("authorization", "Bearer web-key")],
            "web",
        ),
        (get, &[("x-api-key", "web-key")], "web"),
        (get, &[("x-api-key", "batch-key")], "batch"),
    ] {
        let before = gate.near.requests();
        gate.send("near.example", path, headers, body).await;
        assert_eq!(gate.near.requests(), before + 1, "{path} {headers:?}");
        let seen = gate.near.seen().pop().unwrap();
        assert_eq!(shown(&seen).len(), 1, "{:?}", shown(&seen));
        assert!(shown(&seen)[0].ends_with("ours"), "{:?}", shown(&seen));
        let line = gate.line().await;
        assert!(
            line.contains(&format!("\"llm_caller\":\"{caller}\"")),
            "{line}"
        );
        assert!(
            !line.contains("web-key") && !line.contains("web%2D"),
            "{line}"
        );
    }
    let before = gate.near.requests();
    for ((path, body), headers, details) in [
        (post, &[][..], "missing_api_key"),
        (get, &[], "missing_api_key"),
        (post, &[("authorization", "Bearer ")], "missing_api_key"),
        (
            post,
            &[("authorization", "Bearer web-ke")],
            "unknown_api_key",
        ),
        (
            post,
            &[("authorization", "Basic d2ViLWtleQ==")],
            "unknown_api_key",
        ),
        (post, &[("cookie", "web-key")], "missing_api_key"),
        (("/v1/models?KEY=web-key", ""), &[], "missing_api_key"),
        (
            post,
            &[("authorization", "Bearer Web-Key")],
            "unknown_api_key",
        ),
        // The hash is no key.
        (post, &[("x-api-key", WEB)], "unknown_api_key"),
        (
            post,
            &[
                ("x-api-key", "web-key"),
                ("authorization", "Bearer batch-key"),
            ],
            "several_api_keys",
        ),
    ] {
        let reply = gate.send("near.example", path, headers, body).await;
        assert_eq!(reply.status, 401, "{path} {headers:?}");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        assert_eq!(reply.header("content-type"), "application/json");
        let error: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(error["error"]["code"], "invalid_api_key", "{error}");
        let line = gate.line().await;
        assert!(
            line.contains(details) && !line.contains("llm_caller"),
            "{line}"
        );
    }
    assert_eq!(gate.near.requests(), before);
    // Hosts beside it are as open as ever.
    assert_eq!(gate.chat("other.example", &[]).await.status, 200);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_api() {
    let gate = guarded("").await;
    for (path, headers, at, word) in [
        (
            "/v1/messages",
            &[][..],
            "/error/type",
            "authentication_error",
        ),
        (
            "/v1/models",
            &[("anthropic-version", "2023-06-01")],
            "/error/type",
            "authentication_error",
        ),
        (
            "/v1beta/models/m:generateContent",
            &[],
            "/error/status",
            "UNAUTHENTICATED",
        ),
        (
            "/v1beta/models",
            &[("x-goog-api-key", "k")],
            "/error/status",
            "UNAUTHENTICATED",
        ),
        (CHAT, &[], "/error/code", "invalid_api_key"),
        ("/v1/files", &[], "/error/code", "invalid_api_key"),
    ] {
        let reply = gate.send("near.example", path, headers, "{}").await;
        assert_eq!(reply.status, 401, "{path}");
        let error: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(error.pointer(at).unwrap(), word, "{error}");
        assert!(!reply.body.contains("\"k\""));
    }
    let grpc = [("content-type", "application/grpc")];
    let reply = gate.send("near.example", "/a.B/C", &grpc, "x").await;
    assert_eq!((reply.status, reply.header("grpc-status")), (200, "16"));
    assert_eq!(gate.near.requests(), 0);
}

#[tokio::test]
async fn without_a_key_of_the_mesh_the_upstream_gets_none_unless_it_passes_through() {
    let web = [("authorization", "Bearer web-key"), ("x-api-key", "junk")];
    for (more, expected) in [
        ("", &[][..]),
        (
            ", credential: {passthrough: true}",
            &["authorization: Bearer web-key", "x-api-key: junk"],
        ),
    ] {
        let gate = guarded(more).await;
        assert_eq!(gate.chat("near.example", &web).await.status, 200);
        assert_eq!(shown(&gate.near.seen().pop().unwrap()), expected);
    }
}

#[tokio::test]
async fn each_caller_has_limits_of_its_own() {
    let gate = guarded(", limits: [{key: {caller: true}, requestsPerMinute: 3}]").await;
    let ask = async |key: &str| {
        let reply = gate.chat("near.example", &[("x-api-key", key)]).await;
        (reply.status, reply.body)
    };
    for (key, statuses, name) in [
        ("batch-key", [200, 200, 429, 429], "ai/gate/batch/route"),
        ("web-key", [200, 200, 200, 429], "ai/gate/caller"),
    ] {
        let mut last = String::new();
        for status in statuses {
            let (got, body) = ask(key).await;
            assert_eq!(got, status, "{key} {body}");
            last = body;
        }
        assert!(last.contains(name) && !last.contains(key), "{last}");
    }
    // Who is not let in uses up nobody's.
    assert_eq!(ask("guess").await.0, 401);
    let stats = gate.page("/stats").await;
    assert!(
        stats.contains("ai/gate/batch/route") || stats.contains("batch"),
        "{stats}"
    );
    assert!(!stats.contains("batch-key"));
}

#[tokio::test]
async fn callers_follow_their_key_files() {
    let gate = guarded("").await;
    let ask = async |key: &str| {
        gate.chat("near.example", &[("x-api-key", key)])
            .await
            .status
    };
    assert_eq!((ask("batch-key").await, ask("new-key").await), (200, 401));
    gate.keys.write("batch", "new-key");
    assert!(gate.proxy.reloader().reload().await);
    assert_eq!((ask("batch-key").await, ask("new-key").await), (401, 200));
    // Two with one key: it is the first one's.
    gate.keys.write("none", "new-key");
    assert!(gate.proxy.reloader().reload().await);
    assert_eq!(ask("new-key").await, 429);
    assert!(gate.line().await.contains("\"llm_caller\":\"batch\""));
}

#[tokio::test]
async fn what_an_upstream_says_of_a_key_of_ours_is_not_told() {
    for (dialect, path, body) in [
        ("auto", CHAT, PROMPT),
        ("auto", "/v1/files", PROMPT),
        ("auto", "/v1/models", ""),
        ("status-only", CHAT, PROMPT),
        ("openai", "/v1/models", ""),
    ] {
        let spec = format!(
            "{{hosts: [near.example], dialect: {dialect}, credential: {{file: KEYS/own, passthrough: true}}}}"
        );
        let gate = Gate::new(&spec).await;
        gate.keys.write("own", "ours");
        gate.proxy.reloader().reload().await;
        let refuses = Answer::json("{\"error\": \"no such key: ours\"}");
        gate.near
            .set_script(refuses.with_status(StatusCode::UNAUTHORIZED));
        let reply = gate.send("near.example", path, &[], body).await;
        assert_eq!(reply.status, 502, "{dialect} {path}");
        assert!(!reply.body.contains("ours"), "{}", reply.body);
        // What is said of the caller's own key is for the caller.
        let theirs = [("x-api-key", "theirs")];
        let reply = gate.send("near.example", path, &theirs, body).await;
        assert_eq!(reply.status, 401, "{dialect} {path}");
        assert!(reply.body.contains("no such key"), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_caller_uses_its_models_and_no_others() {
    let gate = guarded(", credential: {file: KEYS/own}, models: {fast: gpt-5}").await;
    let chat = |model: &str| format!(r#"{{"messages":[],"model":"{model}"}}"#);
    let long = |model: &str| {
        let filler = "x".repeat(2 << 20);
        format!(r#"{{"messages":[{{"role":"user","content":"{filler}"}}],"model":"{model}"}}"#)
    };
    let form = |model: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--b--\r\n")
    };
    let json = [("content-type", "application/json")];
    let multipart = [("content-type", "multipart/form-data; boundary=b")];
    let gzip = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    let (model, unread) = ("client_not_allowed", "model_not_readable");
    for (path, headers, body, refused) in [
        (CHAT, &json[..], chat("small"), None),
        (CHAT, &json, chat("gpt-4o-mini"), None),
        (CHAT, &json, chat("gpt-4"), Some(model)),
        (CHAT, &json, chat("SMALL"), Some(model)),
        (CHAT, &json, chat(""), Some(unread)),
        // The name that the caller writes counts, not what it stands for.
        (CHAT, &json, chat("fast"), Some(model)),
        (CHAT, &json, r#"{"messages":[]}"#.to_owned(), Some(unread)),
        (
            CHAT,
            &json,
            r#"{"model":"small","messages":[],"model":"gpt-4"}"#.to_owned(),
            Some(unread),
        ),
        (
            CHAT,
            &json,
            r#"{"model":"small","messages":[],"Model":"gpt-4"}"#.to_owned(),
            Some(unread),
        ),
        (
            CHAT,
            &json,
            r#"{"model":["small"]}"#.to_owned(),
            Some(unread),
        ),
        (CHAT, &json, "no JSON".to_owned(), Some(unread)),
        (CHAT, &gzip, chat("small"), Some(unread)),
        (CHAT, &json, long("small"), None),
        (CHAT, &json, long("gpt-4"), Some(model)),
        ("/v1/messages", &json, chat("gpt-4"), Some(model)),
        ("/v1/responses", &json, chat("gpt-4"), Some(model)),
        ("/v1/embeddings", &json, chat("gpt-4"), Some(model)),
        ("/v1/images/generations", &json, chat("gpt-4"), Some(model)),
        ("/v1/images/generations", &json, chat("small"), None),
        ("/v1/audio/transcriptions", &multipart, form("small"), None),
        (
            "/v1/audio/transcriptions",
            &multipart,
            form("gpt-4"),
            Some(model),
        ),
        (
            "/v1/files",
            &multipart,
            "--b--\r\n".to_owned(),
            Some(unread),
        ),
        (
            "/v1beta/models/small:generateContent",
            &json,
            "{}".to_owned(),
            None,
        ),
        (
            "/v1beta/models/gpt-4:generateContent",
            &json,
            "{}".to_owned(),
            Some(model),
        ),
        (
            "/v1beta/models/gpt%2D4:generateContent",
            &json,
            chat("small"),
            Some(model),
        ),
        (
            "/openai/deployments/gpt-4/chat/completions",
            &json,
            chat("small"),
            Some(model),
        ),
        ("/v1/models", &[], String::new(), None),
    ] {
        let before = gate.near.requests();
        let mut headers = headers.to_vec();
        headers.push(("x-api-key", "web-key"));
        let reply = gate.send("near.example", path, &headers, &body).await;
        let what = format!("{path} {}", &body[..body.len().min(80)]);
        let passed = gate.near.requests() - before;
        assert_eq!(
            passed,
            u64::from(refused.is_none()),
            "{what} {}",
            reply.body
        );
        let Some(refused) = refused else { continue };
        assert_eq!(reply.status, 403, "{what}");
        let error: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert!(error["error"].is_object(), "{error}");
        let line = gate.line().await;
        assert!(
            line.contains(refused) && line.contains("\"llm_caller\":\"web\""),
            "{what} {line}"
        );
    }
    // Who is not restricted is not read at all.
    for body in [chat("gpt-4"), "no JSON".to_owned()] {
        let before = gate.near.requests();
        gate.send("near.example", CHAT, &[("x-api-key", "batch-key")], &body)
            .await;
        assert_eq!(gate.near.requests(), before + 1);
    }
}

#[tokio::test]
async fn a_refused_caller_is_told_without_waiting_for_its_body() {
    let gate = guarded("").await;
    let mut caller = crate::support::Raw::connect(gate.proxy.outbound()).await;
    caller
        .write("POST /v1/chat/completions HTTP/1.1\r\nhost: near.example\r\nx-api-key: junk\r\ncontent-length: 1000000\r\n\r\n{")
        .await;
    let head = caller.head().await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    assert_eq!(gate.near.requests(), 0);
}
