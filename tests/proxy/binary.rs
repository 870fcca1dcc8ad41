//! The binary itself, as a user starts it.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::support::Raw;

/// A running `llmesh run`; it ends with its owner.
pub struct Running {
    _child: Child,
    pub outbound: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<Vec<Value>>>,
}

/// The binary with these arguments.
pub fn llmesh(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmesh"));
    command.args(args).kill_on_drop(true).stdin(Stdio::null());
    command
}

// === impl Running ===

impl Running {
    /// `llmesh run` with these arguments, on free ports.
    pub async fn start(args: &[&str]) -> Self {
        let mut command = llmesh(&["run", "--outbound", "0", "--admin", "localhost:0"]);
        command.args(args);
        Self::of(command).await
    }

    /// A command that is `llmesh run`, once it serves.
    pub async fn of(mut command: Command) -> Self {
        command.args(["--log-format", "json"]).kill_on_drop(true);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::<Value>::new()));
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.lock().unwrap().push(line);
            }
        });
        let mut running = Self {
            _child: child,
            outbound: SocketAddr::from(([0, 0, 0, 0], 0)),
            admin: SocketAddr::from(([0, 0, 0, 0], 0)),
            log,
        };
        let serving = running.logged("serving").await;
        let address = |name: &str| serving[name].as_str().unwrap().parse().unwrap();
        (running.outbound, running.admin) = (address("outbound"), address("admin"));
        running
    }

    /// The first line of the log with these words, once it is there.
    pub async fn logged(&self, words: &str) -> Value {
        let find = || {
            let log = self.log.lock().unwrap();
            log.iter()
                .find(|line| line.to_string().contains(words))
                .cloned()
        };
        let found = timeout(Duration::from_secs(20), async {
            loop {
                if let Some(line) = find() {
                    return line;
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("no {words:?} in {:#?}", self.log.lock().unwrap()))
    }

    /// All of the log.
    pub fn log(&self) -> String {
        let log = self.log.lock().unwrap();
        log.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[tokio::test]
async fn what_is_no_request_is_told_the_way_out() {
    let running = Running::start(&["--provider", "openai"]).await;
    let mut tunnel = Raw::connect(running.outbound).await;
    tunnel
        .write("CONNECT api.openai.com:443 HTTP/1.1\r\nhost: api.openai.com:443\r\n\r\n")
        .await;
    let answer = tunnel.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 405") && answer.contains("http_proxy"),
        "{answer}"
    );
    running.logged("asked for a tunnel").await;

    let mut nameless = Raw::connect(running.outbound).await;
    nameless.write("GET /v1/models HTTP/1.1\r\n\r\n").await;
    let answer = nameless.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("-H 'Host: "),
        "{answer}"
    );

    // A ClientHello's beginning.
    let mut tls = Raw::connect(running.outbound).await;
    tls.write("\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03")
        .await;
    // In clear text, so that clients say so themselves.
    let answer = tls.rest().await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
    running.logged("spoke TLS").await;
    let told = running.log().matches("asked for a tunnel").count();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn base_urls_are_told_at_the_start() {
    let args = [
        "--provider",
        "openai,anthropic",
        "--default-host",
        "nowhere.example",
    ];
    let running = Running::start(&args).await;
    let url = format!(
        "https://api.anthropic.com is http://{}/anthropic",
        running.outbound
    );
    running.logged(&url).await;
    running
        .logged("--default-host nowhere.example is not known")
        .await;
}

#[tokio::test]
async fn bad_flags_name_the_way_out() {
    for (args, says) in [
        (
            &["run", "--provider", "azure-openai"][..],
            "azure-openai=contoso",
        ),
        (&["run", "--provider", "gpt"], "openrouter"),
        (
            &["run", "--provider", "openai", "--outbound", "localhost"],
            "localhost:15001",
        ),
        (
            &[
                "run",
                "--provider",
                "openai",
                "--outbound",
                "http://localhost:1",
            ],
            "HOST:PORT",
        ),
    ] {
        let mut command = llmesh(args);
        let out = command
            .env_remove("AZURE_OPENAI_ENDPOINT")
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn a_dash_is_standard_input() {
    let good = "spec: {hosts: [a.example], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}";
    for (args, spec, code, says) in [
        (&["check", "-f", "-"][..], good, 0, "0 errors, 0 warnings"),
        (&["check", "-"], good, 0, "0 errors, 0 warnings"),
        (
            &["check", "-f", "-"],
            "spec: {hosts: [a.example], wrong: 1}",
            2,
            "standard input:4:28: error[unknown-field]",
        ),
    ] {
        let mut child = llmesh(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let head = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\n";
        let mut input = child.stdin.take().unwrap();
        input
            .write_all(format!("{head}{spec}\n").as_bytes())
            .await
            .unwrap();
        drop(input);
        let done = child.wait_with_output().await.unwrap();
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(done.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
}
