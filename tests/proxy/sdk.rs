//! The providers' own clients through the proxy: what they read, and that they stop retrying when the decision is final.
//!
//! They are installed from their registries, pinned, into the build folder, once. Where that cannot be done the test
//! says so and passes, unless `LLMESH_SDKS=required` is set.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use llmesh::{
    config::Source,
    proxy::{Input, Options, Proxy},
    testing::upstream::Upstream,
};
use tokio::{process::Command, sync::Mutex, time::timeout};

const PYTHON: [&str; 3] = ["openai==3.54.0", "anthropic==2.12.0", "google-genai==3.6.1"];
const NODE: &str = "openai@6.49.0";

/// The clients' base URL says where they go: the service has the address that they call.
const MESH: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: llm, namespace: default}
spec:
  hosts: [llm.example]
  addresses: [127.0.0.1]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: PORT}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: llm, namespace: default}
spec:
  hosts: [llm.example]
  http:
  - route: [{destination: {host: llm.example}}]
    timeout: 30s
    retries: {attempts: 2, retryOn: '5xx,retriable-4xx,connect-failure'}
"#;

/// Every program's share of the time that a cold registry may take.
const PATIENCE: Duration = Duration::from_secs(480);

async fn proxy() -> (Upstream, Proxy, String) {
    let upstream = Upstream::start().await.unwrap();
    let mesh = MESH.replace("PORT", &upstream.addr().port().to_string());
    let mut options = Options::new(Input::inline(vec![Source::new("mesh", mesh)]));
    options.outbound = ([127, 0, 0, 1], 0).into();
    options.admin = None;
    let proxy = Proxy::start(options).await.unwrap();
    let base = format!("http://127.0.0.1:{}", proxy.outbound().port());
    (upstream, proxy, base)
}

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/proxy/sdk")
        .join(name)
}

/// What a program said, or why it failed.
pub(crate) async fn run(command: &mut Command) -> Result<String, String> {
    let child = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match timeout(PATIENCE, child).await {
        Err(_) => Err(format!("not done within {PATIENCE:?}")),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(done)) => {
            let said = String::from_utf8_lossy(&done.stdout).into_owned();
            if done.status.success() {
                Ok(said)
            } else {
                Err(said + &String::from_utf8_lossy(&done.stderr))
            }
        }
    }
}

/// Whether to go on without; loud either way.
pub(crate) fn missing(what: &str, why: &str) {
    let text = format!("NOT RUN: {what} could not be installed: {why}");
    assert!(
        std::env::var("LLMESH_SDKS").as_deref() != Ok("required"),
        "{text}"
    );
    eprintln!("{text}");
}

/// Held while something is installed: several tests need it.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A Python with the clients, made once; the folder's name has the versions.
pub(crate) async fn python() -> Option<PathBuf> {
    let _alone = ALONE.lock().await;
    let home = folder(&format!("sdk-{}", PYTHON.join("-").replace('=', "")));
    let python = home.join("bin/python");
    if !home.join("done").exists() {
        let made = run(Command::new("python3").args(["-m", "venv"]).arg(&home)).await;
        let installed = match made {
            Ok(_) => {
                let pip = [
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ];
                run(Command::new(&python).args(pip).args(PYTHON)).await
            }
            failed => failed,
        };
        if let Err(why) = installed {
            missing("the Python clients (python3, its venv module, PyPI)", &why);
            return None;
        }
        fs::write(home.join("done"), "").unwrap();
    }
    Some(python)
}

pub(crate) fn held(said: &str, what: &[&str]) {
    let lines: Vec<&str> = said
        .lines()
        .filter_map(|l| l.strip_prefix("held: "))
        .collect();
    assert_eq!(lines, what);
}

pub(crate) const FINAL: &str = "no retries of its own once the decision is final";
pub(crate) const WAITED: &str = "a wait is taken for the caller";
pub(crate) const CUT: &str = "a cut stream is an error";

#[tokio::test(flavor = "multi_thread")]
async fn clients_for_python() {
    let Some(python) = python().await else { return };
    let (_upstream, _proxy, base) = proxy().await;
    let ask = |name| {
        let mut command = Command::new(&python);
        command.arg(script(name)).arg(&base);
        command
    };
    let openai = run(&mut ask("openai_client.py")).await.unwrap();
    held(
        &openai,
        &["chat", "stream", "tools", "responses", WAITED, FINAL, CUT],
    );
    let anthropic = run(&mut ask("anthropic_client.py")).await.unwrap();
    held(&anthropic, &["chat", "stream", "tools", WAITED, FINAL, CUT]);
}

/// All that the clients offer, against a service of another make: they cannot tell that a proxy is there, nor can it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes on a busy machine; .ci/run runs it alone"]
async fn every_call_of_a_client_is_the_same_through_the_proxy() {
    let Some(python) = python().await else { return };
    let walk = |sdk| {
        let mut command = Command::new(&python);
        command.arg(script("same_as_direct.py"));
        command.args([env!("CARGO_BIN_EXE_llmesh"), sdk]);
        async move { run(&mut command).await }
    };
    let (google, openai, anthropic) =
        tokio::join!(walk("google"), walk("openai"), walk("anthropic"));
    for (sdk, said) in [
        ("google", google),
        ("openai", openai),
        ("anthropic", anthropic),
    ] {
        let said = said.unwrap_or_else(|e| panic!("{sdk}: {e}"));
        println!("{sdk}: {said}");
        assert!(said.contains("the same through the proxy"), "{said}");
    }
}

/// A script for the Node client beside its packages, which are installed once.
pub(crate) async fn node(name: &str) -> Option<PathBuf> {
    let _alone = ALONE.lock().await;
    let home = folder(&format!("sdk-node-{}", NODE.replace('@', "-")));
    if !home.join("done").exists() {
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("package.json"), "{\"private\": true}").unwrap();
        let npm = ["install", "--silent", "--no-fund", "--no-audit", NODE];
        if let Err(why) = run(Command::new("npm").args(npm).current_dir(&home)).await {
            missing("the Node client (node 20, npm, the npm registry)", &why);
            return None;
        }
        fs::write(home.join("done"), "").unwrap();
    }
    // A module finds its packages from where it stands.
    let client = home.join(name);
    fs::copy(script(name), &client).unwrap();
    Some(client)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_client_for_node() {
    let Some(client) = node("openai_client.mjs").await else {
        return;
    };
    let (_upstream, _proxy, base) = proxy().await;
    let said = run(Command::new("node").arg(&client).arg(&base))
        .await
        .unwrap();
    held(&said, &["chat", "stream", "tools", WAITED, FINAL, CUT]);
}
