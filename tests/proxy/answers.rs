//! Answers of many makes through a whole proxy: what is good passes once, byte for byte; what is cut never looks whole;
//! what is refused is final, and goes elsewhere where that helps.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Request;
use llmesh::{
    base::{SharedRng, time::Instant},
    body::Body,
    config::Source,
    proxy::{Input, Options, Proxy},
};
use tokio::io::AsyncReadExt;

use crate::{
    kit::{Caller, Folder, Reply, ms},
    support::{Raw, bind},
};

const CHATS: &str = "/v1/chat/completions";
const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"stream":true,"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const WHOLE: &str = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
const ROLE: &str = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const TEXT: &str = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}]}\n\n";
const STOP: &str = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const GEMINI: &str = "/v1beta/models/g:streamGenerateContent?alt=sse";
const GEMINI_TEXT: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}],\"role\":\"model\"},\"index\":0}]}\n\n";

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";
const SSE: &str = "text/event-stream";

/// Hosts without a policy.
const OPENAI: &str = "api.openai.com";
const VERTEX: &str = "europe-west4-aiplatform.googleapis.com";
const GOOGLE: &str = "generativelanguage.googleapis.com";
const ROUTER: &str = "openrouter.ai";
/// A host with a policy that names a dialect and a path of the team's own, and one with a policy that names none.
const FIXED: &str = "fixed.test";
const AUTO: &str = "auto.test";
/// A host of which the mesh asks usage, and one with a target to fall back to.
const ASKING: &str = "asking.test";
const PAIR: &str = "pair.test";
const BACKUP: &str = "backup.test";

/// What an upstream writes, each piece after its wait; then it closes.
type Answer = Vec<(Duration, Vec<u8>)>;
type Play = Box<dyn Fn(usize, &str) -> Answer + Send>;

/// An upstream that plays what it is told, and what it was asked.
#[derive(Clone, Default)]
struct Peer {
    play: Arc<Mutex<Option<Play>>>,
    seen: Arc<Mutex<Vec<(Instant, String)>>>,
}

struct Mesh {
    proxy: Proxy,
    first: Peer,
    backup: Peer,
    _keys: Folder,
}

/// A good answer: where, what is asked, what is answered, and its body.
struct Good(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Answer,
    String,
);

// === impl Peer ===

impl Peer {
    async fn start() -> (Self, SocketAddr) {
        let (listener, address) = bind().await;
        let peer = Self::default();
        let all = peer.clone();
        tokio::spawn(async move {
            loop {
                let raw = Raw::accept(&listener).await;
                tokio::spawn(all.clone().serve(raw));
            }
        });
        (peer, address)
    }

    async fn serve(self, mut raw: Raw) {
        let mut text = raw.head().await;
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        raw.0.read_exact(&mut body).await.unwrap();
        text.push_str(std::str::from_utf8(&body).unwrap());
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.push((Instant::now(), text.clone()));
            seen.len()
        };
        let answer = self.play.lock().unwrap().as_ref().unwrap()(number, &text);
        for (wait, bytes) in answer {
            tokio::time::sleep(wait).await;
            // A caller that has what it wants may be gone.
            if tokio::io::AsyncWriteExt::write_all(&mut raw.0, &bytes)
                .await
                .is_err()
            {
                return;
            }
        }
    }

    fn plays(&self, play: impl Fn(usize, &str) -> Answer + Send + 'static) {
        *self.play.lock().unwrap() = Some(Box::new(play));
        self.seen.lock().unwrap().clear();
    }

    fn sends(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

// === impl Mesh ===

impl Mesh {
    async fn start() -> Self {
        let (first, at) = Peer::start().await;
        let (backup, backup_at) = Peer::start().await;
        let keys = Folder::new();
        keys.write("key", "sk-of-the-backup\n");
        let policy = |host: &str, spec: &str| {
            let name = host.replace('.', "-");
            format!(
                "---\napiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: {name}, namespace: ai}}\nspec: {{hosts: [{host}], {spec}}}\n"
            )
        };
        let mut text = String::new();
        for host in [
            OPENAI, VERTEX, GOOGLE, ROUTER, FIXED, AUTO, ASKING, PAIR, BACKUP,
        ] {
            let (name, at) = (
                host.replace('.', "-"),
                if host == BACKUP { backup_at } else { at },
            );
            text += &format!(
                "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: ai}}\nspec:\n  \
                 hosts: [{host}]\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
                 endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]\n---\n\
                 apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: ai}}\nspec:\n  \
                 hosts: [{host}]\n  http:\n  - retries: {{attempts: 1, retryOn: \"503,reset,connect-failure,retriable-4xx\"}}\n    \
                 route: [{{destination: {{host: {host}}}}}]\n",
                at.port()
            );
        }
        text += &policy(FIXED, "dialect: openai, paths: [/ask]");
        text += &policy(AUTO, "dialect: auto");
        text += &policy(ASKING, "usage: {inject: true}");
        let key = keys.0.join("key");
        let target = format!(
            "fallback: [{{host: {BACKUP}, model: big, larger: true, credential: {{file: {}}}}}]",
            key.display()
        );
        text += &policy(PAIR, &target);
        let mut options = Options::new(Input::inline(vec![Source::new("mesh.yaml", text)]));
        options.outbound = ([127, 0, 0, 1], 0).into();
        options.admin = None;
        options.rng = SharedRng::seeded(5);
        let proxy = Proxy::start(options).await.map_err(|e| e.to_string());
        Self {
            proxy: proxy.unwrap(),
            first,
            backup,
            _keys: keys,
        }
    }

    /// Sends a request; without a body it is a GET.
    async fn ask(&self, host: &str, path: &str, body: &str, more: &[(&str, &str)]) -> Reply {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in [("host", host), ("content-type", JSON)].iter().chain(more) {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(bytes::Bytes::from(body.to_owned())));
        let mut caller = Caller::http1(self.proxy.outbound()).await;
        caller.send(request.unwrap()).await
    }
}

// === answers ===

fn now(bytes: impl Into<Vec<u8>>) -> Answer {
    vec![(Duration::ZERO, bytes.into())]
}

fn whole(status: u16, label: &str, body: &str) -> Answer {
    let length = body.len();
    now(format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {label}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

fn gzipped(status: u16, label: &str, body: &str) -> Answer {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(body.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {label}\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        packed.len()
    );
    now([head.into_bytes(), packed].concat())
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// A chunked answer, each chunk after this wait, with its last chunk.
fn chunked(label: &str, wait: Duration, chunks: &[&str]) -> Answer {
    let mut answer = now(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {label}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    ));
    answer.extend(chunks.iter().map(|text| (wait, chunk(text))));
    answer.push((Duration::ZERO, b"0\r\n\r\n".to_vec()));
    answer
}

fn events(label: &str, chunks: &[&str]) -> Answer {
    chunked(label, ms(5), chunks)
}

/// The same without its last chunk.
fn unended(mut answer: Answer) -> Answer {
    answer.pop();
    answer
}

impl Good {
    fn whole(
        host: &'static str,
        path: &'static str,
        ask: &'static str,
        label: &'static str,
        body: &str,
    ) -> Self {
        Self(
            label,
            host,
            path,
            ask,
            whole(200, label, body),
            body.to_owned(),
        )
    }

    fn stream(
        host: &'static str,
        path: &'static str,
        label: &'static str,
        chunks: &[&str],
    ) -> Self {
        Self(
            label,
            host,
            path,
            STREAM,
            events(label, chunks),
            chunks.concat(),
        )
    }
}

/// Good answers of models.
fn answers() -> Vec<Good> {
    const MISTRAL: &str =
        "/v1/projects/p/locations/europe-west4/publishers/mistralai/models/m:streamRawPredict";
    const MISTRAL_WHOLE: &str =
        "/v1/projects/p/locations/europe-west4/publishers/mistralai/models/m:rawPredict";
    let large = WHOLE.replacen("hello", &"A".repeat(2_900_000), 1);
    let large_event = TEXT.replacen("Hello", &"A".repeat(2_900_000), 1);
    let spaced = format!(" {WHOLE}");
    let one = format!("data:{WHOLE}\n\n");
    let crlf = [TEXT, STOP].concat().replace('\n', "\r\n") + "data:  [DONE] \r\n\r\n";
    let http10 = format!("HTTP/1.0 200 OK\r\ncontent-type: {SSE}\r\n\r\n{crlf}");
    let comment = ": PROCESSING\n\n";
    let mut all = vec![
        Good::stream(VERTEX, MISTRAL, SSE, &[ROLE, TEXT, STOP, DONE]),
        Good::whole(VERTEX, MISTRAL_WHOLE, CHAT, JSON, WHOLE),
        Good::whole(OPENAI, CHATS, CHAT, JSON, &spaced),
        Good::whole(OPENAI, CHATS, CHAT, JSON, &large),
        Good::stream(OPENAI, CHATS, SSE, &[&large_event, STOP, DONE]),
        Good::stream(OPENAI, CHATS, SSE, &[&one]),
        Good::stream(ROUTER, CHATS, SSE, &[comment, comment, TEXT, STOP, DONE]),
        // The last line has no end.
        Good::stream(OPENAI, CHATS, SSE, &[ROLE, TEXT, STOP.trim_end()]),
        // The finish marker is there, the last chunk is not.
        Good(
            "unended",
            OPENAI,
            CHATS,
            STREAM,
            unended(events(SSE, &[ROLE, TEXT, STOP, DONE])),
            [ROLE, TEXT, STOP, DONE].concat(),
        ),
        Good("HTTP/1.0", OPENAI, CHATS, STREAM, now(http10), crlf),
        Good::stream(
            GOOGLE,
            GEMINI,
            SSE,
            &[
                GEMINI_TEXT,
                "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{}}\n\n",
            ],
        ),
    ];
    for host in [OPENAI, AUTO, FIXED] {
        for label in [PLAIN, "application/octet-stream", JSON] {
            all.push(Good::whole(host, CHATS, CHAT, label, WHOLE));
            all.push(Good::stream(host, CHATS, label, &[ROLE, TEXT, STOP, DONE]));
        }
    }
    all
}

/// Answers to what is no call of a model; what they hold is nobody's business.
fn others() -> Vec<Good> {
    const BODY: &str = r#"{"model":"m","input":"x","stream":true}"#;
    const RPC: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
    const RPC_ERROR: &str =
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#;
    const RPC_BATCH: &str =
        r#"[{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}]"#;
    const RPC_FAILURE: &[&str] =
        &["data: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\"message\":\"x\"}}\n\n"];
    const FAILED: &str =
        r#"{"id":"j","status":"failed","error":{"code":"server_error","message":"Overloaded"}}"#;
    const ORDER: &str = r#"{"error":"out of stock","reference":17}"#;
    const PAGE: &str = "<!DOCTYPE html><title>Sign in</title>";
    const RPC_STREAM: &[&str] =
        &["event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n"];
    const SPEECH: &[&str] = &[
        "event: speech.audio.delta\ndata: {\"type\":\"speech.audio.delta\",\"audio\":\"AA==\"}\n\n",
        "event: speech.audio.done\ndata: {\"type\":\"speech.audio.done\"}\n\n",
    ];
    const IMAGES: &[&str] = &[
        "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA==\"}\n\n",
        "event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"AA==\"}\n\n",
    ];
    const RESPONSES: &[&str] = &[
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"status\":\"in_progress\"}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":\"completed\"}}\n\n",
    ];
    const MESSAGES: &[&str] = &[
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ];
    let mut all = Vec::new();
    for host in [OPENAI, AUTO, FIXED] {
        all.extend([
            Good::whole(host, "/v1/audio/speech", BODY, "audio/mpeg", "ID3\0\u{1}"),
            Good::stream(host, "/v1/audio/speech", SSE, SPEECH),
            Good::whole(host, "/v1/audio/transcriptions", BODY, PLAIN, "hello"),
            Good::stream(host, "/v1/images/generations", SSE, IMAGES),
            Good::whole(
                host,
                "/v1/files",
                BODY,
                JSON,
                r#"{"id":"f","object":"file","error":{}}"#,
            ),
            Good::whole(host, "/v1/embeddings", BODY, JSON, FAILED),
            Good::whole(host, "/v1/fine_tuning/jobs/j", "", JSON, FAILED),
            Good::whole(host, "/v1/responses/r", "", JSON, FAILED),
            Good::whole(host, CHATS, "", "text/html", PAGE),
            Good::whole(host, "/mcp", RPC, JSON, RPC_ERROR),
            Good::whole(host, CHATS, CHAT, JSON, RPC_ERROR),
            Good::whole(host, CHATS, CHAT, JSON, RPC_BATCH),
            Good::stream(host, CHATS, SSE, RPC_FAILURE),
            Good::stream(host, "/mcp", SSE, RPC_STREAM),
            Good::whole(host, "/order", CHAT, JSON, ORDER),
            Good::whole(host, "/order", CHAT, "text/html", PAGE),
            // Calls of another dialect than the policy's.
            Good::stream(host, "/v1/responses", SSE, RESPONSES),
            Good::stream(host, "/v1/messages", SSE, MESSAGES),
        ]);
    }
    all
}

#[tokio::test]
async fn good_answers_and_other_answers_pass_after_one_send() {
    let mesh = Mesh::start().await;
    for Good(what, host, path, ask, answer, body) in answers().into_iter().chain(others()) {
        mesh.first.plays(move |_, _| answer.clone());
        let reply = mesh.ask(host, path, ask, &[]).await;
        let told = (reply.status, reply.broken, mesh.first.sends());
        assert_eq!(told, (200, false, 1), "{what} {host} {path}");
        assert!(
            reply.body == body,
            "{what} {host} {path}: {:.300}",
            reply.body
        );
    }
}

#[tokio::test]
async fn what_is_no_call_is_sent_again_only_as_the_route_says() {
    let mesh = Mesh::start().await;
    for (host, path, body) in [
        (FIXED, CHATS, ""),
        (FIXED, "/v1/embeddings", CHAT),
        (FIXED, "/v1/fine_tuning/jobs/j", ""),
        (
            FIXED,
            "/mcp",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
        ),
        (AUTO, "/order", CHAT),
    ] {
        // `503` is in the route's list. 500, 502 and 529 are not, though a model's would be repeated.
        for (status, sends) in [(503, 2), (500, 1), (502, 1), (529, 1), (404, 1)] {
            mesh.first
                .plays(move |_, _| whole(status, JSON, r#"{"error":{"type":"overloaded_error"}}"#));
            let reply = mesh.ask(host, path, body, &[]).await;
            let told = (reply.status, mesh.first.sends());
            assert_eq!(told, (status, sends), "{host} {path}");
        }
    }
}

#[tokio::test]
async fn a_path_that_the_policy_names_is_a_call() {
    let mesh = Mesh::start().await;
    let error = r#"{"error":{"code":503,"message":"overloaded"}}"#;
    for (path, sends) in [
        ("/ask", 2),
        ("/ask/v2?x=1", 2),
        ("/asking", 1),
        ("/ask/v1/files", 1),
    ] {
        mesh.first
            .plays(move |n, _| whole(200, JSON, if n == 1 { error } else { WHOLE }));
        let reply = mesh.ask(FIXED, path, CHAT, &[]).await;
        assert_eq!((reply.status, mesh.first.sends()), (200, sends), "{path}");
        let shown = if sends == 1 { error } else { WHOLE };
        assert_eq!(reply.body, shown, "{path}");
    }
    // A stream there is followed.
    mesh.first
        .plays(|_, _| chunked(SSE, ms(50), &[ROLE, TEXT, TEXT]));
    let reply = mesh.ask(FIXED, "/ask", STREAM, &[]).await;
    assert_eq!((reply.status, reply.broken), (200, true), "{reply:?}");
}

#[tokio::test]
async fn a_cut_stream_never_ends_well_whatever_its_label() {
    let mesh = Mesh::start().await;
    for (host, path, label, chunks) in [
        (OPENAI, CHATS, SSE, [ROLE, TEXT, TEXT]),
        (OPENAI, CHATS, JSON, [ROLE, TEXT, TEXT]),
        (OPENAI, CHATS, PLAIN, [ROLE, TEXT, TEXT]),
        (
            OPENAI,
            CHATS,
            "application/octet-stream",
            [ROLE, TEXT, TEXT],
        ),
        (FIXED, CHATS, JSON, [ROLE, TEXT, TEXT]),
        (FIXED, CHATS, PLAIN, [ROLE, TEXT, TEXT]),
        (GOOGLE, GEMINI, SSE, [GEMINI_TEXT; 3]),
        (GOOGLE, GEMINI, PLAIN, [GEMINI_TEXT; 3]),
    ] {
        mesh.first
            .plays(move |_, _| chunked(label, ms(150), &chunks));
        let reply = mesh.ask(host, path, STREAM, &[]).await;
        let told = (reply.status, reply.broken, mesh.first.sends());
        assert_eq!(told, (200, true, 1), "{host} {label} {reply:?}");
    }
}

#[tokio::test]
async fn an_error_after_seconds_of_blanks_is_that_error() {
    let mesh = Mesh::start().await;
    for label in [JSON, PLAIN] {
        mesh.first.plays(move |n, _| {
            if n > 1 {
                return whole(200, JSON, WHOLE);
            }
            let mut chunks = vec![" "; 12];
            chunks.push(r#"{"error":{"code":503,"message":"Provider returned error"}}"#);
            chunked(label, ms(100), &chunks)
        });
        let reply = mesh.ask(AUTO, "/api/v1/chat/completions", CHAT, &[]).await;
        assert_eq!((reply.status, mesh.first.sends()), (200, 2), "{label}");
        assert_eq!(reply.body, WHOLE, "{label}");
    }
}

#[tokio::test]
async fn a_refusal_inside_a_stream_is_final() {
    const BEGUN: &str = "event: interaction.created\ndata: {\"interaction\":{\"id\":\"i\",\"status\":\"in_progress\"},\"event_type\":\"interaction.created\"}\n\n";
    const BLOCKED: &str =
        r#"{"error":{"message":"The request was blocked.","code":"prohibited_content"}}"#;
    let mesh = Mesh::start().await;
    let mut rows = vec![
        (
            GOOGLE,
            "/v1beta/interactions",
            "prohibited_content",
            events(SSE, &[BEGUN, &format!("event: error\ndata: {BLOCKED}\n\n")]),
        ),
        (
            GOOGLE,
            "/v1beta/interactions",
            "prohibited_content",
            events(SSE, &[BEGUN, &format!("{BLOCKED}\n")]),
        ),
        (
            GOOGLE,
            "/v1beta/interactions",
            "prohibited_content",
            whole(400, JSON, BLOCKED),
        ),
    ];
    for (code, message) in [
        ("invalid_base64_image", "The image data is not valid."),
        ("image_parse_error", "The image could not be read."),
        (
            "unsupported_image_media_type",
            "This type is not supported.",
        ),
        (
            "rate_limit_exceeded",
            "Request too large for m on tokens per min (TPM): Limit 30000, Requested 48211.",
        ),
        ("invalid_prompt", "Not this one."),
    ] {
        let failed = format!(
            "data: {{\"type\":\"response.failed\",\"response\":{{\"id\":\"r\",\"status\":\"failed\",\"error\":{{\"code\":\"{code}\",\"message\":\"{message}\"}}}}}}\n\n"
        );
        let created = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"status\":\"in_progress\"}}\n\n";
        rows.push((
            OPENAI,
            "/v1/responses",
            code,
            events(SSE, &[created, &failed]),
        ));
    }
    for (host, path, code, answer) in rows {
        mesh.first.plays(move |_, _| answer.clone());
        let reply = mesh.ask(host, path, STREAM, &[]).await;
        let told = (reply.status / 100, mesh.first.sends());
        assert_eq!(told, (4, 1), "{code} {reply:?}");
        assert!(reply.body.contains(code), "{code} {}", reply.body);
    }
}

#[tokio::test]
async fn an_empty_account_and_a_long_prompt_go_elsewhere_at_once() {
    const QUOTA: &str = r#"{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    const KIMI: &str = r#"{"error":{"message":"suspended due to insufficient balance","type":"exceeded_current_quota_error"}}"#;
    const LONG: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 214301 tokens > 200000 maximum"}}"#;
    const SUM: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000"}}"#;
    const SGLANG: &str = r#"{"object":"error","message":"The input (9000 tokens) is longer than the model's context length (8192 tokens).","type":"BadRequestError","code":400}"#;
    const LLAMA: &str = r#"{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}"#;
    const BROKEN: &str = r#"{"error":{"code":503,"message":"x"}}"#;
    const PAGE: &str = "<html>sign in</html>";
    // What is said, and how often it may be asked for.
    for (what, answer, most) in [
        ("quota", whole(429, JSON, QUOTA), 1),
        ("quota in gzip", gzipped(429, JSON, QUOTA), 1),
        ("kimi 429", whole(429, JSON, KIMI), 1),
        ("kimi 403", whole(403, JSON, KIMI), 1),
        ("too long in gzip", gzipped(400, JSON, LONG), 1),
        ("input and output", whole(400, JSON, SUM), 1),
        ("sglang", whole(400, JSON, SGLANG), 1),
        ("llama.cpp", whole(500, JSON, LLAMA), 1),
        ("error under 200 in gzip", gzipped(200, JSON, BROKEN), 2),
        ("page under 200 in gzip", gzipped(200, "text/html", PAGE), 2),
    ] {
        // An empty account is remembered: a mesh of its own for each.
        let mesh = Mesh::start().await;
        mesh.first.plays(move |_, _| answer.clone());
        mesh.backup.plays(|_, _| whole(200, JSON, WHOLE));
        let gzip = [("accept-encoding", "gzip, deflate")];
        let reply = mesh.ask(PAIR, CHATS, CHAT, &gzip).await;
        assert_eq!((reply.status, mesh.backup.sends()), (200, 1), "{what}");
        assert!((1..=most).contains(&mesh.first.sends()), "{what}");
        assert_eq!(reply.body, WHOLE, "{what}");
    }
}

#[tokio::test]
async fn a_wait_in_words_is_waited_for() {
    let mesh = Mesh::start().await;
    for text in [
        "request reached max request: 3, please try again after 1 seconds",
        "Rate limit reached for m. Please try again in 1s.",
    ] {
        let body =
            format!(r#"{{"error":{{"message":"{text}","type":"rate_limit_reached_error"}}}}"#);
        mesh.first.plays(move |n, _| {
            if n == 1 {
                whole(429, JSON, &body)
            } else {
                whole(200, JSON, WHOLE)
            }
        });
        let reply = mesh.ask(OPENAI, CHATS, CHAT, &[]).await;
        assert_eq!((reply.status, mesh.first.sends()), (200, 2), "{text}");
        let seen = mesh.first.seen.lock().unwrap();
        let waited = seen[1].0 - seen[0].0;
        assert!(waited >= ms(990), "{text}: {waited:?}");
    }
}

#[tokio::test]
async fn a_field_that_the_mesh_added_fails_no_call() {
    for (status, refusal) in [
        (
            400,
            r#"{"error":{"message":"Unknown parameter: 'stream_options'.","type":"invalid_request_error","param":"stream_options","code":"unknown_parameter"}}"#,
        ),
        (
            400,
            r#"{"error":{"message":"property 'stream_options' is unsupported, did you mean 'stream'?","type":"invalid_request_error"}}"#,
        ),
        (
            422,
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#,
        ),
    ] {
        let mesh = Mesh::start().await;
        mesh.first.plays(move |_, asked| {
            if asked.contains("stream_options") {
                whole(status, JSON, refusal)
            } else {
                events(SSE, &[ROLE, TEXT, STOP, DONE])
            }
        });
        // It is remembered.
        for sends in [2, 3] {
            let reply = mesh.ask(ASKING, CHATS, STREAM, &[]).await;
            let told = (reply.status, reply.broken, mesh.first.sends());
            assert_eq!(told, (200, false, sends), "{refusal}");
            assert_eq!(reply.body, [ROLE, TEXT, STOP, DONE].concat());
        }
    }
}

/// Labels, cuts and mixtures that no server is known to send: what is not positively an error passes, and only once.
#[tokio::test]
async fn answers_that_nobody_wrote_pass_once_as_they_are() {
    let mesh = Mesh::start().await;
    let good = [ROLE, TEXT, STOP, DONE].concat();
    let length = |headers: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        now([head.as_bytes(), body].concat())
    };
    let typed = |label: &str, body: &[u8]| length(&format!("content-type: {label}\r\n"), body);
    let ndjson = good
        .replace("data: ", "")
        .replace("\n\n", "\n")
        .replace("[DONE]\n", "");
    let wide: Vec<u8> = WHOLE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let trailing = format!("{WHOLE}\n\u{1}\u{2}");
    let two = format!("{{\"error\":null}}\n{WHOLE}");
    let bom = format!("\u{feff}{good}");
    let nul = good.replace("Hello", "He\0llo");
    let lone = good.replace("\n\n", "\r\r");
    let blank = WHOLE.replacen('{', "{\"error\":\"\",", 1);
    let empty = WHOLE.replacen('{', "{\"error\":{},", 1);
    let no = WHOLE.replacen('{', "{\"error\":false,", 1);
    let nested = format!("[{WHOLE}]");
    let text = "\"error: 503 overloaded\"";
    let deep = "[".repeat(5000) + &"]".repeat(5000);
    let trailers = {
        let mut answer = events(SSE, &[ROLE, TEXT, STOP, DONE]);
        answer.pop();
        answer.push((Duration::ZERO, b"0\r\nx-error: 503\r\n\r\n".to_vec()));
        answer
    };
    let hints = {
        let mut answer = now(
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nretry-after: 9\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
        );
        answer.extend(whole(200, JSON, WHOLE));
        answer
    };
    let rows: Vec<(&str, &str, Answer, &[u8])> = vec![
        (
            "a coding that it has not",
            CHAT,
            length(
                "content-type: application/json\r\ncontent-encoding: gzip\r\n",
                WHOLE.as_bytes(),
            ),
            WHOLE.as_bytes(),
        ),
        (
            "a stream in a coding that it has not",
            STREAM,
            length(
                "content-type: text/event-stream\r\ncontent-encoding: br\r\n",
                good.as_bytes(),
            ),
            good.as_bytes(),
        ),
        (
            "a coding of nobody's",
            STREAM,
            length("content-encoding: x-own\r\n", b"\x01\x02\x03"),
            b"\x01\x02\x03",
        ),
        (
            "two labels",
            STREAM,
            length(
                "content-type: text/html\r\ncontent-type: text/event-stream\r\n",
                good.as_bytes(),
            ),
            good.as_bytes(),
        ),
        (
            "a label in pieces",
            STREAM,
            typed("text/event-stream;;; charset=\"", good.as_bytes()),
            good.as_bytes(),
        ),
        (
            "a label that is none",
            CHAT,
            typed("\u{1f600}", WHOLE.as_bytes()),
            WHOLE.as_bytes(),
        ),
        (
            "lines of JSON under the label of events",
            STREAM,
            typed(SSE, ndjson.as_bytes()),
            ndjson.as_bytes(),
        ),
        (
            "events behind a byte order mark",
            STREAM,
            typed(JSON, bom.as_bytes()),
            bom.as_bytes(),
        ),
        (
            "NUL in an event",
            STREAM,
            typed(SSE, nul.as_bytes()),
            nul.as_bytes(),
        ),
        (
            "lines that end in CR alone",
            STREAM,
            typed(SSE, lone.as_bytes()),
            lone.as_bytes(),
        ),
        ("JSON in UTF-16", CHAT, typed(JSON, &wide), &wide),
        (
            "bytes behind the JSON",
            CHAT,
            typed(JSON, trailing.as_bytes()),
            trailing.as_bytes(),
        ),
        (
            "two documents",
            CHAT,
            typed(JSON, two.as_bytes()),
            two.as_bytes(),
        ),
        (
            "a list of one answer",
            CHAT,
            typed(JSON, nested.as_bytes()),
            nested.as_bytes(),
        ),
        (
            "an empty error beside an answer",
            CHAT,
            typed(JSON, empty.as_bytes()),
            empty.as_bytes(),
        ),
        (
            "an error of no words beside an answer",
            CHAT,
            typed(JSON, blank.as_bytes()),
            blank.as_bytes(),
        ),
        (
            "an error that is false",
            CHAT,
            typed(JSON, no.as_bytes()),
            no.as_bytes(),
        ),
        (
            "words about an error, as JSON",
            CHAT,
            typed(JSON, text.as_bytes()),
            text.as_bytes(),
        ),
        (
            "deeper than anybody reads",
            CHAT,
            typed(JSON, deep.as_bytes()),
            deep.as_bytes(),
        ),
        (
            "half a document of nobody's",
            CHAT,
            typed(JSON, b"{\"items\":[{"),
            b"{\"items\":[{",
        ),
        (
            "trailers that nobody asked for",
            STREAM,
            trailers,
            good.as_bytes(),
        ),
        ("interim responses", CHAT, hints, WHOLE.as_bytes()),
    ];
    let mut wrong = Vec::new();
    for (what, ask, answer, body) in rows {
        for host in [OPENAI, AUTO, FIXED, PAIR] {
            let answer = answer.clone();
            mesh.first.plays(move |_, _| answer.clone());
            mesh.backup.plays(|_, _| whole(200, JSON, WHOLE));
            let reply = mesh.ask(host, CHATS, ask, &[]).await;
            let told = (
                reply.status,
                reply.broken,
                mesh.first.sends(),
                mesh.backup.sends(),
            );
            let same = reply.body == String::from_utf8_lossy(body);
            if told != (200, false, 1, 0) || !same {
                wrong.push(format!("{what} {host}: {told:?} {:.200}", reply.body));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is cut in the middle of a compressed stream is as cut as any other.
#[tokio::test]
async fn half_a_compressed_stream_never_ends_well() {
    let mesh = Mesh::start().await;
    let long = TEXT.replacen("Hello", &"Hello ".repeat(2000), 1);
    for host in [OPENAI, AUTO, FIXED] {
        let pieces = [ROLE, &long, STOP, DONE].concat();
        let whole = gzipped(200, SSE, &pieces);
        mesh.first.plays(move |_, _| whole.clone());
        let reply = mesh.ask(host, CHATS, STREAM, &[]).await;
        assert_eq!((reply.status, reply.broken), (200, false));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all([ROLE, &long].concat().as_bytes()).unwrap();
        packed.flush().unwrap();
        let packed = packed.get_ref().clone();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {SSE}\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{:x}\r\n",
            packed.len()
        );
        // Its last chunk comes in due form.
        let cut = now([head.as_bytes(), &packed, b"\r\n0\r\n\r\n"].concat());
        mesh.first.plays(move |_, _| cut.clone());
        let reply = mesh.ask(host, CHATS, STREAM, &[]).await;
        assert_eq!(
            (reply.status, reply.broken, mesh.first.sends()),
            (200, true, 1),
            "{host}"
        );
    }
}

/// A switch that nobody asked for is no answer, whatever stands behind it: a reset to the route's `retryOn`, as in Envoy.
#[tokio::test]
async fn a_switch_in_answer_to_a_call_is_an_error() {
    let mesh = Mesh::start().await;
    for host in [OPENAI, AUTO] {
        mesh.first.plays(|_, _| {
            let switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
            now(format!("{switch}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"))
        });
        let reply = mesh.ask(host, CHATS, CHAT, &[]).await;
        assert_eq!((reply.status, mesh.first.sends()), (502, 2), "{host}");
    }
}
