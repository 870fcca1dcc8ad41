//! No key is written anywhere: logs of every level, the access log, metrics, pages, error bodies, what `check` says.
//!
//! Every key has a mark in it, and everything that the program writes is searched for it.

use std::{
    io::Read,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use http::{HeaderName, HeaderValue, Request, StatusCode};
use llmesh::{
    body::Body,
    testing::upstream::{Answer, Upstream},
};

use crate::{
    kit::{Caller, Folder},
    support::soon,
};

/// In every key.
const MARK: &str = "qqMARKqq";

/// The same as it is written in Basic authentication, from each place where it can begin.
const ENCODED: [&str; 3] = ["cXFNQVJLcX", "FxTUFSS3Fx", "xcU1BUktx"];

const MESH: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: near, namespace: default}
spec:
  hosts: [near.example]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: NEAR}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: other, namespace: default}
spec:
  hosts: [other.example]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP2}]
  endpoints: [{address: 127.0.0.1, ports: {http: OTHER}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: near, namespace: default}
spec:
  hosts: [near.example]
  http:
  - name: rewritten
    match: [{uri: {prefix: /old/}}]
    rewrite: {uri: /}
    route: [{destination: {host: near.example}}]
  - name: all
    route: [{destination: {host: near.example}}]
    retries: {attempts: 1, retryOn: 5xx}
---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: near, namespace: default}
spec:
  hosts: [near.example]
  credential: {env: OWN_KEY}
  fallback: [{host: other.example, credential: {file: KEYS/other}}]
  callers:
  - {name: web, env: WEB_KEY, models: [small]}
  - {name: batch, file: KEYS/batch}
  - {name: gone, file: KEYS/bad}
---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: other, namespace: default}
spec:
  hosts: [other.example]
  credential: {file: KEYS/other, passthrough: true}
"#;

/// Kills the process on drop.
struct Running {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Running {
    fn start(files: &Path) -> Self {
        let mut child = llmesh()
            .args(["run", "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--log", "trace", "--access-log", "json", "-f"])
            .arg(files)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for mut stream in streams {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut piece) {
                    said.lock().unwrap().extend_from_slice(&piece[..read]);
                }
            });
        }
        Self { child, said }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// The addresses that it listens on: for callers, and for people.
    async fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let find = |name: &str| {
            let said = self.said();
            let (_, rest) = said.split_once(&format!("{name}="))?;
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')?;
            rest[..end].parse().ok()
        };
        soon(async {
            loop {
                if let (Some(outbound), Some(admin)) = (find("outbound"), find("admin")) {
                    return (outbound, admin);
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, with keys in its environment.
fn llmesh() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmesh"));
    command
        .env("OWN_KEY", format!("own-{MARK}"))
        .env("WEB_KEY", format!("web-{MARK}"))
        .env("NO_COLOR", "1");
    command
}

#[track_caller]
fn clean(what: &str, text: &str) {
    let marks = ENCODED.iter().chain([&MARK]);
    for mark in marks {
        if let Some(at) = text.find(mark) {
            let begin = text[..at].rfind('\n').unwrap_or_default();
            let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
            panic!("a key in {what}: {}", &text[begin..end]);
        }
    }
}

/// Requests with keys in every place, good and bad.
fn requests() -> Vec<Request<Body>> {
    let web = format!("web-{MARK}");
    let batch = format!("batch-{MARK}");
    let wrong = format!("wrong-{MARK}");
    let model =
        |model: &str| format!(r#"{{"model":"{model}","api_key":"body-{MARK}","messages":[]}}"#);
    let mut all = Vec::new();
    let mut add = |path: &str, headers: &[(&str, &str)], body: String| {
        for host in ["near.example", "other.example", "nowhere.example"] {
            let mut request = Request::post(path).header("host", host);
            for (name, value) in headers {
                request = request.header(
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::try_from(*value).unwrap(),
                );
            }
            all.push(request.body(Body::from(body.clone())).unwrap());
        }
    };
    let chat = "/v1/chat/completions";
    for key in [&web, &batch, &wrong] {
        let bearer = format!("bearer {key}");
        add(chat, &[("authorization", &bearer)], model("small"));
        add("/v1/messages", &[("x-api-key", key)], model("large"));
        add(
            chat,
            &[("api-key", key), ("x-api-key", &web)],
            model("small"),
        );
        add(
            "/v1beta/models/m:generateContent",
            &[("x-goog-api-key", key)],
            model("m"),
        );
        add(&format!("{chat}?key={key}&a=b"), &[], model("small"));
        add(
            &format!("/old/v1/models?key={key}"),
            &[("referer", &format!("/x?key={key}"))],
            String::new(),
        );
    }
    let basic = format!("Basic {}", ENCODED[0]);
    add(chat, &[("authorization", &basic)], model("small"));
    add(
        chat,
        &[("cookie", &format!("session={web}"))],
        "no JSON".to_owned(),
    );
    add(
        chat,
        &[("proxy-authorization", &format!("Bearer {web}"))],
        model("small"),
    );
    add(chat, &[], model("small"));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_holds_no_key() {
    let (near, other) = (
        Upstream::start().await.unwrap(),
        Upstream::start().await.unwrap(),
    );
    let (files, keys) = (Folder::new(), Folder::new());
    keys.write("other", &format!("other-{MARK}\n"));
    keys.write("batch", &format!("batch-{MARK}"));
    keys.write("bad", &format!("two-{MARK}\nlines-{MARK}"));
    let mesh = MESH
        .replace("NEAR", &near.addr().port().to_string())
        .replace("OTHER", &other.addr().port().to_string())
        .replace("KEYS", &keys.0.display().to_string());
    files.write("mesh.yaml", &mesh);
    let running = Running::start(&files.0);
    let (outbound, admin) = running.addresses().await;

    let mut served = 0;
    // The provider repeats the key that it refuses, and then fails altogether.
    let scripts = [
        None,
        Some(Answer::json(format!(r#"{{"error":{{"message":"Incorrect API key provided: own-{MARK}","code":"invalid_api_key"}}}}"#)).with_status(StatusCode::UNAUTHORIZED)),
        Some(Answer::status(StatusCode::BAD_GATEWAY)),
    ];
    for script in scripts {
        if let Some(script) = script {
            near.set_script(script);
        }
        let (one, two) = (Caller::http1(outbound).await, Caller::http2(outbound).await);
        for mut caller in [one, two] {
            for mut request in requests() {
                if matches!(caller, Caller::Http2(_)) {
                    let host = request.headers_mut().remove("host").unwrap();
                    let uri = format!("http://{}{}", host.to_str().unwrap(), request.uri());
                    *request.uri_mut() = uri.parse().unwrap();
                }
                let reply = caller.send(request).await;
                served += u32::from(reply.status == 200);
                clean("an answer", &format!("{} {:?}", reply.body, reply.headers));
            }
        }
    }
    assert!(served > 20, "{served}");
    assert!(near.requests() > 20 && other.requests() > 20);
    // Keys that change, and files that break.
    keys.write("other", &format!("new-{MARK} {MARK}"));
    files.write("bad.yaml", &format!("apiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: bad}}\nspec: {{credential: sk-{MARK}}}\n"));
    soon(async {
        while !running.said().contains("is refused, the last good one") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    let pages = [
        "/",
        "/stats",
        "/stats/prometheus",
        "/clusters",
        "/clusters?format=json",
        "/config_dump",
        "/server_info",
        "/listeners",
        "/ready",
    ];
    let mut caller = Caller::http1(admin).await;
    for page in pages {
        let request = Request::get(page)
            .header("host", "admin")
            .body(Body::empty());
        let page_text = caller.send(request.unwrap()).await.body;
        clean(page, &page_text);
        if page == "/stats/prometheus" {
            assert!(
                page_text.contains("caller=\"web\"") && page_text.contains("caller=\"unknown\""),
                "{page_text}"
            );
        }
    }
    let (files, admin) = (files.0.to_str().unwrap(), admin.to_string());
    for args in [
        &["check", "-f", files][..],
        &["check", "-o", "json", "-f", files],
        &["proxy-config", "all", "--admin", &admin],
        &["proxy-config", "all", "-o", "json", "--admin", &admin],
    ] {
        let done = llmesh().args(args).output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.len() > 200, "{args:?} {said}");
        clean(&format!("{args:?}"), &said);
    }
    let said = running.said();
    assert!(
        said.contains("\"llm_caller\":\"web\"") && said.contains("TRACE"),
        "{said}"
    );
    clean("logs", &said);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_others_may_read_is_named() {
    use std::os::unix::fs::PermissionsExt as _;

    let rights = |folder: &Folder, name: &str, rights: u32| {
        let file = folder.0.join(name);
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(rights)).unwrap();
    };
    let (files, keys) = (Folder::new(), Folder::new());
    let made = rcgen::generate_simple_self_signed(vec!["near.example".to_owned()]).unwrap();
    keys.write("c.pem", &made.cert.pem());
    for name in ["open.key", "own.key"] {
        keys.write(name, &made.signing_key.serialize_pem());
    }
    for name in ["other", "batch", "bad"] {
        keys.write(name, &format!("{name}-{MARK}"));
    }
    for (name, mode) in [
        ("c.pem", 0o644),
        ("open.key", 0o640),
        ("own.key", 0o600),
        ("other", 0o604),
        ("batch", 0o600),
        ("bad", 0o600),
    ] {
        rights(&keys, name, mode);
    }
    let rule = |host: &str, key: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {host}, namespace: default}}\n\
             spec: {{host: {host}.example, trafficPolicy: {{tls: {{mode: MUTUAL, caCertificates: KEYS/c.pem, clientCertificate: KEYS/c.pem, privateKey: KEYS/{key}}}}}}}\n"
        )
    };
    let mesh = format!(
        "{MESH}{}{}",
        rule("near", "open.key"),
        rule("other", "own.key")
    );
    let mesh = mesh
        .replace("NEAR", "1")
        .replace("OTHER", "1")
        .replace("KEYS", &keys.0.display().to_string());
    files.write("mesh.yaml", &mesh);
    let running = Running::start(&files.0);
    running.addresses().await;
    let said = running.said();
    let mut named: Vec<_> = said
        .lines()
        .filter(|line| line.contains("others than its owner may read this key file"))
        .filter_map(|line| line.split_once("file=")?.1.split_whitespace().next())
        .map(|file| file.rsplit_once('/').unwrap().1)
        .collect();
    named.sort_unstable();
    assert_eq!(named, ["open.key", "other"], "{said}");
    clean("logs", &said);
}
