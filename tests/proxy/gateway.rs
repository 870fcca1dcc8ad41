//! Providers by their names, over TLS: `llmesh run --provider`, and the gateway of the examples, with stand-ins in the providers'
//! place. The files are those that come with the binary; only who is dialled differs (`--resolve`).

use std::{fs, path::Path, process::Stdio};

use http::Request;
use llmesh::{body::Body, testing::upstream::Upstream};
use tokio::process::Command;

use crate::{
    binary::{Running, llmesh},
    kit::{Caller, Folder},
    sdk,
    stand_in::{Authority, StandIn},
};

/// `llmesh run` with these arguments, these stand-ins and an authority to trust.
async fn run(authority: &Authority, stand_ins: &[&StandIn], args: &[&str]) -> Running {
    run_with(authority, stand_ins, args, &[]).await
}

async fn run_with(
    authority: &Authority,
    stand_ins: &[&StandIn],
    args: &[&str],
    env: &[(&str, &str)],
) -> Running {
    let mut command = llmesh(&["run", "--outbound", "0", "--admin", "0"]);
    command.args(args).env("SSL_CERT_FILE", authority.file());
    command.envs(env.iter().copied());
    for stand_in in stand_ins {
        command.arg("--resolve").arg(stand_in.pin());
    }
    Running::of(command).await
}

fn chat(path: &str, key: &str, model: &str) -> Request<Body> {
    let body =
        format!(r#"{{"model": "{model}", "messages": [{{"role": "user", "content": "hi"}}]}}"#);
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {key}"));
    request
        .header("host", "localhost")
        .body(Body::from(body))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_reached_over_tls_by_its_own_name_with_the_callers_key() {
    let authority = Authority::new();
    let openai = authority.stand_in("api.openai.com").await;
    let running = run(&authority, &[&openai], &["--provider", "openai"]).await;
    let mut caller = Caller::http1(running.outbound).await;
    let reply = caller
        .send(chat("/v1/chat/completions", "sk-own", "m"))
        .await;
    assert_eq!(reply.status, 200, "{}\n{}", reply.body, running.log());
    let seen = openai.last();
    assert_eq!(seen.headers["authorization"], "Bearer sk-own");
    assert_eq!(seen.path, "/v1/chat/completions");
    let host = seen
        .headers
        .get("host")
        .map_or("api.openai.com", |h| h.to_str().unwrap());
    assert_eq!(host, "api.openai.com");
}

/// The name is dialled elsewhere, and still it is its certificate that is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_name_is_still_verified() {
    let authority = Authority::new();
    let other = authority.stand_in("api.groq.com").await;
    let pin = other.pin().replacen("api.groq.com", "api.openai.com", 1);
    let args = ["--provider", "openai", "--resolve", &pin];
    let running = run(&authority, &[], &args).await;
    let mut caller = Caller::http1(running.outbound).await;
    let reply = caller
        .send(chat("/v1/chat/completions", "sk-own", "m"))
        .await;
    assert_eq!(reply.status, 503, "{}", reply.body);
    assert_eq!(other.upstream.requests(), 0);
}

/// Each provider, its host, and the path of its calls.
const PROVIDERS: [(&str, &str, &str); 13] = [
    ("openai", "api.openai.com", "/v1/chat/completions"),
    (
        "azure-openai=contoso",
        "contoso.openai.azure.com",
        "/openai/deployments/d/chat/completions?api-version=1",
    ),
    ("anthropic", "api.anthropic.com", "/v1/messages"),
    (
        "gemini",
        "generativelanguage.googleapis.com",
        "/v1beta/models/m:generateContent",
    ),
    (
        "vertex=europe-west4",
        "europe-west4-aiplatform.googleapis.com",
        "/v1/projects/p/locations/europe-west4/publishers/google/models/m:generateContent",
    ),
    (
        "bedrock=eu-west-1",
        "bedrock-runtime.eu-west-1.amazonaws.com",
        "/model/m/converse",
    ),
    ("mistral", "api.mistral.ai", "/v1/chat/completions"),
    ("groq", "api.groq.com", "/openai/v1/chat/completions"),
    ("together", "api.together.xyz", "/v1/chat/completions"),
    ("openrouter", "openrouter.ai", "/api/v1/chat/completions"),
    ("deepseek", "api.deepseek.com", "/chat/completions"),
    ("xai", "api.x.ai", "/v1/chat/completions"),
    ("cohere", "api.cohere.com", "/v2/chat"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_provider_of_several_has_its_prefix_and_no_key_goes_astray() {
    let authority = Authority::new();
    let mut all = Vec::new();
    for (_, host, _) in PROVIDERS {
        all.push(authority.stand_in(host).await);
    }
    let stand_ins: Vec<_> = all.iter().collect();
    let names = PROVIDERS.map(|(name, ..)| name).join(",");
    let running = run(&authority, &stand_ins, &["--provider", &names]).await;
    let mut caller = Caller::http1(running.outbound).await;
    for ((name, host, path), stand_in) in PROVIDERS.into_iter().zip(&all) {
        let prefix = name.split('=').next().unwrap();
        let key = format!("key-of-{prefix}");
        let reply = caller
            .send(chat(&format!("/{prefix}{path}"), &key, "m"))
            .await;
        assert!(
            reply.status < 500,
            "{name}: {} {}",
            reply.status,
            reply.body
        );
        let seen = stand_in.last();
        assert_eq!(seen.path, path, "{name}");
        assert_eq!(
            seen.headers["authorization"],
            format!("Bearer {key}"),
            "{name}"
        );
        if let Some(named) = seen.headers.get("host") {
            assert_eq!(named, host, "{name}");
        }
    }
    // Without a prefix nobody is meant, though it is a path of several.
    let reply = caller.send(chat("/v1/chat/completions", "key", "m")).await;
    assert_eq!(reply.status, 404, "{}", reply.body);
    assert!(all.iter().all(|one| one.upstream.requests() == 1));
}

/// A file of the user's goes before what is built in: here the address of a server of models, which is told that it is localhost.
#[tokio::test(flavor = "multi_thread")]
async fn a_local_server_may_be_moved_by_a_file() {
    let authority = Authority::new();
    let mock = Upstream::start().await.unwrap();
    let folder = Folder::new();
    let port = mock.addr().port();
    folder.write(
        "ollama.yaml",
        &include_str!("../../examples/providers/ollama.yaml").replace(
            "{address: 127.0.0.1}",
            &format!("{{address: 127.0.0.1, ports: {{http: {port}}}}}"),
        ),
    );
    let files = folder.0.to_str().unwrap();
    let running = run(&authority, &[], &["--provider", "ollama", files]).await;
    let mut caller = Caller::http1(running.outbound).await;
    for path in ["/api/chat", "/v1/chat/completions", "/ollama/api/chat"] {
        let reply = caller.send(chat(path, "none", "m")).await;
        assert_eq!(
            reply.status,
            200,
            "{path}: {}\n{}",
            reply.body,
            running.log()
        );
    }
    let seen = mock.seen();
    assert_eq!(seen[2].path, "/api/chat");
    assert!(
        seen.iter()
            .all(|seen| seen.headers["host"] == "localhost:11434")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_for_python_through_providers() {
    let Some(python) = sdk::python().await else {
        return;
    };
    let authority = Authority::new();
    for (name, host, client, what) in [
        (
            "openai",
            "api.openai.com",
            "openai_client.py",
            &[
                "chat",
                "stream",
                "tools",
                "responses",
                sdk::WAITED,
                sdk::FINAL,
                sdk::CUT,
            ][..],
        ),
        (
            "anthropic",
            "api.anthropic.com",
            "anthropic_client.py",
            &["chat", "stream", "tools", sdk::WAITED, sdk::FINAL, sdk::CUT],
        ),
        (
            "gemini",
            "generativelanguage.googleapis.com",
            "google_client.py",
            &["chat", "stream", "tools", sdk::WAITED, "errors"],
        ),
    ] {
        let provider = authority.stand_in(host).await;
        let running = run(&authority, &[&provider], &["--provider", name]).await;
        let base = format!("http://{}", running.outbound);
        let mut command = Command::new(&python);
        command.arg(sdk::script(client)).arg(&base);
        let said = sdk::run(&mut command).await;
        sdk::held(
            &said.unwrap_or_else(|e| panic!("{name}: {e}\n{}", running.log())),
            what,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_for_node_through_a_provider() {
    let Some(client) = sdk::node("openai_client.mjs").await else {
        return;
    };
    let authority = Authority::new();
    let provider = authority.stand_in("api.openai.com").await;
    let running = run(&authority, &[&provider], &["--provider", "openai"]).await;
    let base = format!("http://{}", running.outbound);
    let said = sdk::run(Command::new("node").arg(&client).arg(&base)).await;
    sdk::held(
        &said.unwrap(),
        &["chat", "stream", "tools", sdk::WAITED, sdk::FINAL, sdk::CUT],
    );
}

/// What is in a text between lines of three backquotes, of one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    let rest = text.split(begin.as_str()).skip(1);
    rest.map(|rest| rest.split("```").next().unwrap()).collect()
}

const GUIDE: &str = include_str!("../../examples/gateway/README.md");
const KEYS: [(&str, &str); 4] = [
    ("OPENAI_API_KEY", "sk-openai"),
    ("GROQ_API_KEY", "gsk-groq"),
    ("WEB_KEY", "web-secret"),
    ("BATCH_KEY", "batch-secret"),
];

/// The two providers of the example, and its gateway.
async fn gateway(authority: &Authority) -> (StandIn, StandIn, Running) {
    let openai = authority.stand_in("api.openai.com").await;
    let groq = authority.stand_in("api.groq.com").await;
    let args = [
        "--provider",
        "openai,groq",
        "--default-host",
        "api.openai.com",
        "examples/gateway/",
    ];
    let running = run_with(authority, &[&openai, &groq], &args, &KEYS).await;
    (openai, groq, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_of_the_examples_keeps_keys_apart_and_falls_back() {
    let authority = Authority::new();
    let (openai, groq, running) = gateway(&authority).await;
    let mut caller = Caller::http1(running.outbound).await;
    let path = "/v1/chat/completions";

    let reply = caller.send(chat(path, "web-secret", "fast")).await;
    assert_eq!(reply.status, 200, "{}\n{}", reply.body, running.log());
    let seen = openai.last();
    assert_eq!(seen.headers["authorization"], "Bearer sk-openai");
    assert!(String::from_utf8_lossy(&seen.body).contains("\"gpt-4o-mini\""));

    let reply = caller.send(chat(path, "batch-secret", "gpt-4o@503")).await;
    assert_eq!(reply.status, 200, "{}\n{}", reply.body, running.log());
    let seen = groq.last();
    assert_eq!(seen.path, "/openai/v1/chat/completions");
    assert_eq!(seen.headers["authorization"], "Bearer gsk-groq");
    assert!(String::from_utf8_lossy(&seen.body).contains("\"llama-3.3-70b-versatile\""));

    let before = (openai.upstream.requests(), groq.upstream.requests());
    assert_eq!(caller.send(chat(path, "a guess", "fast")).await.status, 401);
    assert_eq!(
        caller.send(chat(path, "web-secret", "o3")).await.status,
        403
    );
    assert_eq!(
        (openai.upstream.requests(), groq.upstream.requests()),
        before
    );
    for key in KEYS.map(|(_, key)| key) {
        assert!(!running.log().contains(key), "{key} is in the log");
    }
    let own = ["web-secret", "batch-secret"];
    let seen = [openai.upstream.seen(), groq.upstream.seen()].concat();
    for value in seen.iter().flat_map(|seen| seen.headers.values()) {
        let text = String::from_utf8_lossy(value.as_bytes());
        assert!(
            !own.iter().any(|key| text.contains(key)),
            "a caller's key went on"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_for_python_through_the_gateway_of_the_examples() {
    let Some(python) = sdk::python().await else {
        return;
    };
    let authority = Authority::new();
    let (_openai, _groq, running) = gateway(&authority).await;
    let base = format!("http://{}", running.outbound);
    let mut command = Command::new(&python);
    command.arg(sdk::script("gateway_client.py"));
    let said = sdk::run(command.args([&base, "web-secret", "batch-secret"])).await;
    sdk::held(
        &said.unwrap_or_else(|e| panic!("{e}\n{}", running.log())),
        &GATEWAY,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_for_node_through_the_gateway_of_the_examples() {
    let Some(client) = sdk::node("gateway_client.mjs").await else {
        return;
    };
    let authority = Authority::new();
    let (_openai, _groq, running) = gateway(&authority).await;
    let base = format!("http://{}", running.outbound);
    let mut command = Command::new("node");
    let said = command
        .arg(client)
        .args([&base, "web-secret", "batch-secret"]);
    let said = sdk::run(said).await;
    sdk::held(
        &said.unwrap_or_else(|e| panic!("{e}\n{}", running.log())),
        &GATEWAY,
    );
}

/// The same gateway in the words of other providers, which fall back to a second host that speaks them.
#[tokio::test(flavor = "multi_thread")]
async fn clients_of_other_providers_through_a_gateway() {
    let Some(python) = sdk::python().await else {
        return;
    };
    let authority = Authority::new();
    for (provider, host, client) in [
        ("anthropic", "api.anthropic.com", "gateway_anthropic.py"),
        (
            "gemini",
            "generativelanguage.googleapis.com",
            "gateway_google.py",
        ),
    ] {
        let first = authority.stand_in(host).await;
        let second = authority.stand_in("second.example").await;
        let folder = Folder::new();
        folder.write("gateway.yaml", &gateway_of(provider, host));
        let files = folder.0.display().to_string();
        let args = ["--provider", provider, "--default-host", host, &files];
        let running = run_with(&authority, &[&first, &second], &args, &KEYS).await;
        let base = format!("http://{}", running.outbound);
        let mut command = Command::new(&python);
        command.arg(sdk::script(client));
        let said = sdk::run(command.args([&base, "web-secret", "batch-secret"])).await;
        sdk::held(
            &said.unwrap_or_else(|e| panic!("{provider}: {e}\n{}", running.log())),
            &GATEWAY,
        );
        for (stand_in, key) in [(&first, "sk-openai"), (&second, "gsk-groq")] {
            for seen in stand_in.upstream.seen() {
                let values = seen
                    .headers
                    .values()
                    .map(|v| String::from_utf8_lossy(v.as_bytes()));
                let all = values.collect::<Vec<_>>().join("\n") + &seen.path;
                assert!(all.contains(key), "{provider}: {all}");
                assert!(!all.contains("-secret"), "{provider}: {all}");
            }
        }
        assert!(!second.upstream.seen().is_empty(), "{provider}");
    }
}

fn gateway_of(dialect: &str, host: &str) -> String {
    format!(
        "\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: second}}
spec:
  hosts: [second.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{number: 443, name: https, protocol: HTTPS}}]
---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {{name: gateway}}
spec:
  hosts: [{host}]
  dialect: {dialect}
  callers:
  - {{name: web, env: WEB_KEY, models: [fast, small*]}}
  - {{name: batch, env: BATCH_KEY}}
  credential: {{env: OPENAI_API_KEY}}
  models: {{fast: small-1}}
  listModels: true
  fallback:
  - {{host: second.example, model: second, credential: {{env: GROQ_API_KEY}}}}
"
    )
}

/// What a client holds a gateway to.
const GATEWAY: [&str; 4] = [
    "chat and stream by an alias",
    "callers' keys and models",
    "models list",
    "fallback",
];

/// Every command of the guide is run as it stands: what is typed in the first terminal, and then in the second. Beside the ports
/// only who is dialled differs.
#[tokio::test(flavor = "multi_thread")]
async fn the_guide_of_the_gateway_is_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = fs::read_to_string(root.join("examples/gateway/gateway.yaml")).unwrap();
    let yaml = blocks(GUIDE, "yaml")[0];
    let bare: String = file
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| format!("{l}\n"))
        .collect();
    assert_eq!(yaml, bare);
    assert!(yaml.lines().count() <= 20);
    let [serve, ask] = blocks(GUIDE, "sh").try_into().unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    for block in [yaml, serve, ask] {
        assert!(readme.contains(block), "README.md has another {block}");
    }

    let Some(python) = sdk::python().await else {
        return;
    };
    let authority = Authority::new();
    let openai = authority.stand_in("api.openai.com").await;
    let groq = authority.stand_in("api.groq.com").await;
    let bin = Folder::new();
    let shim = format!(
        "#!/bin/sh\ncase $1 in\nrun) shift; exec {0} run --log-format json --outbound 0 --admin 0 --resolve {1} --resolve {2} \"$@\";;\n*) exec {0} \"$@\";;\nesac\n",
        env!("CARGO_BIN_EXE_llmesh"),
        openai.pin(),
        groq.pin()
    );
    bin.write("llmesh", &shim);
    let shim = bin.0.join("llmesh");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(shim, mode).unwrap();
    let path = format!(
        "{}:{}:{}",
        bin.0.display(),
        python.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let shell = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("set -euo pipefail\n{script}")]);
        command
            .env("PATH", &path)
            .current_dir(root)
            .stdin(Stdio::null());
        command
    };

    // So that it is this process that ends with the test.
    let mut first = shell(&serve.replace("\nllmesh run", "\nexec llmesh run"));
    first.env("SSL_CERT_FILE", authority.file());
    let running = Running::of(first).await;
    let second = ask.replace("127.0.0.1:15001", &running.outbound.to_string());
    assert_ne!(second, ask);
    let said = sdk::run(&mut shell(&second)).await;
    let said = said.unwrap_or_else(|e| panic!("{e}\n{}", running.log()));
    assert!(said.contains("\"fast\""), "{said}");
    assert!(said.contains("The quick brown fox"), "{said}");
    assert_eq!(openai.last().headers["authorization"], "Bearer sk-...");
}
