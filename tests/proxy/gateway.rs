//! Providers by their names, over TLS: `llmesh run --provider`, and the gateway of the examples, with stand-ins in the providers'
//! place. The files are those that come with the binary; only who is dialled differs (`--resolve`).

use http::Request;
use llmesh::body::Body;
use tokio::process::Command;

use crate::{
    binary::{Running, llmesh},
    kit::Caller,
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

#[tokio::test(flavor = "multi_thread")]
async fn each_provider_of_several_has_its_prefix_and_no_key_goes_astray() {
    let authority = Authority::new();
    let hosts = ["api.openai.com", "api.groq.com", "api.anthropic.com"];
    let mut all = Vec::new();
    for host in hosts {
        all.push(authority.stand_in(host).await);
    }
    let stand_ins: Vec<_> = all.iter().collect();
    let args = ["--provider", "openai,groq", "--provider", "anthropic"];
    let running = run(&authority, &stand_ins, &args).await;
    let mut caller = Caller::http1(running.outbound).await;
    for (at, (path, there)) in [
        ("/openai/v1/chat/completions", "/v1/chat/completions"),
        (
            "/groq/openai/v1/chat/completions",
            "/openai/v1/chat/completions",
        ),
        ("/anthropic/v1/messages", "/v1/messages"),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("key-{at}");
        let reply = caller.send(chat(path, &key, "m")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        let seen = all[at].last();
        assert_eq!(
            (
                seen.path.as_str(),
                seen.headers["authorization"].to_str().unwrap()
            ),
            (there, &*format!("Bearer {key}"))
        );
    }
    let reply = caller.send(chat("/v1/chat/completions", "key", "m")).await;
    assert_eq!(reply.status, 404, "{}", reply.body);
    assert!(all.iter().all(|one| one.upstream.requests() == 1));
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
    let Some(client) = sdk::node().await else {
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
