//! A listener in plain text where TLS is waited for: whatever the files say, it never sees a request.

use std::io::Read;

use super::*;

/// The key that callers show.
const KEY: &str = "sk-marked-of-the-caller";
/// The key of the mesh itself.
const OWN: &str = "sk-marked-of-the-mesh";

/// Keeps all that comes in, and hangs up once something has.
struct Sink {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
    _task: JoinSet<()>,
}

// === impl Sink ===

impl Sink {
    async fn start() -> Self {
        let (listener, addr) = bind().await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        let kept = Arc::clone(&seen);
        task.spawn_blocking(move || {
            let listener = listener.into_std().unwrap();
            listener.set_nonblocking(false).unwrap();
            // Ends with the process: the last accept is never answered.
            while let Ok((mut stream, _)) = listener.accept() {
                let mut bytes = [0; 4096];
                let n = stream.read(&mut bytes).unwrap_or_default();
                if &bytes[..n] == b"stop" {
                    return;
                }
                kept.lock().unwrap().extend(&bytes[..n]);
            }
        });
        Self {
            addr,
            seen,
            _task: task,
        }
    }

    /// Whether anything of a request came. The hello of a handshake is none.
    fn saw_request(&self) -> bool {
        let seen = self.seen.lock().unwrap();
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        let marks = [
            "post /",
            " http/1.1\r\n",
            "pri *",
            "host:",
            "authorization",
            "sk-marked",
            "/v1/chat",
        ];
        marks.iter().any(|mark| text.contains(mark))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        use std::io::Write;
        if let Ok(mut stream) = std::net::TcpStream::connect(self.addr) {
            let _ = stream.write_all(b"stop");
        }
    }
}

/// A ServiceEntry of the host whose endpoint is the sink.
fn entry(sink: &Sink, port: &str, resolution: &str, address: &str) -> String {
    let number = sink.addr.port();
    let (_, name) = port.split_once("name: ").unwrap();
    let name = name.split(',').next().unwrap();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: llm, namespace: n}}\nspec:\n  hosts: [{HOST}]\n  resolution: {resolution}\n  ports: [{{{port}}}]\n  endpoints: [{{address: {address}, labels: {{v: a}}, ports: {{{name}: {number}}}}}]\n"
    )
}

/// A DestinationRule.
fn rule(host: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r, namespace: n}}\nspec: {{host: '{host}', {spec}}}\n"
    )
}

/// Routes of the host, to this destination.
fn routes(destination: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: n}}\nspec: {{hosts: [{HOST}], http: [{{route: [{{destination: {{host: {HOST}, {destination}}}}}]}}]}}\n"
    )
}

async fn start(sources: Vec<Source>) -> Proxy {
    let mut input = Input::inline(sources);
    input.options.lenient = true;
    let mut options = Options::new(input);
    options.outbound = ([127, 0, 0, 1], 0).into();
    options.admin = None;
    Proxy::start(options)
        .await
        .map_err(|e| e.to_string())
        .unwrap()
}

async fn call(proxy: &Proxy) -> u16 {
    let request = Request::post("/v1/chat/completions")
        .header("host", HOST)
        .header("authorization", format!("Bearer {KEY}"))
        .body(Body::from("{\"model\":\"m\",\"messages\":[]}"));
    let caller = Caller::http1(proxy.outbound()).await;
    let mut caller = caller;
    caller.send(request.unwrap()).await.status
}

/// An entry, and a second file.
async fn refused(entry: &str, rest: &str, sink: &Sink) {
    let proxy = start(vec![
        Source::new("mesh.yaml", entry),
        Source::new("rest.yaml", rest),
    ])
    .await;
    let status = call(&proxy).await;
    assert!(!sink.saw_request(), "{entry}{rest}");
    assert_eq!(status, 503, "{entry}{rest}");
}

const HTTPS: &str = "number: 443, name: https, protocol: HTTPS";

#[tokio::test]
async fn ports_by_declaration_name_or_number() {
    for port in [
        HTTPS,
        "number: 443, name: it, protocol: HTTPS",
        "number: 8443, name: it, protocol: TLS",
        "number: 8443, name: https",
        "number: 8443, name: https, protocol: TCP",
        "number: 8443, name: https, protocol: HTTP",
        "number: 443, name: http, protocol: HTTP",
        "number: 443, name: it",
        "number: 443, name: it, protocol: GRPC",
        "number: 443, name: it, protocol: HTTP2",
        "number: 80, name: http, protocol: HTTP, targetPort: 443",
    ] {
        for (resolution, address) in [("STATIC", "127.0.0.1"), ("DNS", "localhost")] {
            let sink = Sink::start().await;
            refused(&entry(&sink, port, resolution, address), "", &sink).await;
        }
    }
}

#[tokio::test]
async fn rules_of_every_shape() {
    let other = "loadBalancer: {simple: RANDOM}";
    let subset = |policy: &str| {
        let subset = format!("subsets: [{{name: a, labels: {{v: a}}{policy}}}]");
        rule(HOST, &subset) + &routes("subset: a")
    };
    let disabled_elsewhere =
        "trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}";
    for rest in [
        rule(HOST, &format!("trafficPolicy: {{{other}}}")),
        rule(HOST, "trafficPolicy: {tls: {mode: SIMPLE}}"),
        rule(
            HOST,
            "trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true}}",
        ),
        rule(
            HOST,
            "trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /nowhere.pem}}",
        ),
        rule(
            HOST,
            "trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k}}",
        ),
        rule(
            HOST,
            "trafficPolicy: {tls: {mode: MUTUAL, credentialName: nowhere}}",
        ),
        rule(HOST, "trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}"),
        rule(HOST, "trafficPolicy: {tls: {sni: x}}"),
        rule(HOST, disabled_elsewhere),
        rule("*.example", "trafficPolicy: {tls: {mode: SIMPLE}}"),
        rule("*.example", &format!("trafficPolicy: {{{other}}}")),
        rule(
            HOST,
            "trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}",
        ),
        rule(
            HOST,
            "trafficPolicy: {connectionPool: {http: {useClientProtocol: true}}}",
        ),
        subset(""),
        subset(&format!(", trafficPolicy: {{{other}}}")),
        subset(", trafficPolicy: {tls: {mode: SIMPLE}}"),
        // Wrong, and left out.
        rule(HOST, "trafficPolicy: {tls: {mode: simple}}"),
        rule(
            HOST,
            "trafficPolicy: {tls: {mode: SIMPLE}, loadBalancer: {simple: FOO}}",
        ),
        rule(HOST, "trafficPolicy: {tls: {mode: SIMPLE"),
        rule("{{ .Values.host }}", "trafficPolicy: {tls: {mode: SIMPLE}}"),
        routes("port: {number: 443}"),
    ] {
        let sink = Sink::start().await;
        refused(&entry(&sink, HTTPS, "STATIC", "127.0.0.1"), &rest, &sink).await;
    }
    // On a port that does not tell, by rules alone.
    let http = "number: 8080, name: http, protocol: HTTP";
    for rest in [
        rule(HOST, "trafficPolicy: {tls: {mode: SIMPLE}}"),
        rule(HOST, "trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}"),
        rule(HOST, "trafficPolicy: {tls: {mode: simple}}"),
        rule(
            HOST,
            "trafficPolicy: {portLevelSettings: [{port: {number: 8080}, tls: {mode: SIMPLE}}]}",
        ),
        rule("*.example", "trafficPolicy: {tls: {mode: SIMPLE}}"),
        subset(", trafficPolicy: {tls: {mode: SIMPLE}}"),
    ] {
        let sink = Sink::start().await;
        refused(&entry(&sink, http, "STATIC", "127.0.0.1"), &rest, &sink).await;
    }
}

/// What these tests look for is there to be found.
#[tokio::test]
async fn a_sink_sees_what_is_sent_in_plain_text() {
    let sink = Sink::start().await;
    let disable = rule(HOST, "trafficPolicy: {tls: {mode: DISABLE}}");
    let mesh = entry(&sink, HTTPS, "STATIC", "127.0.0.1") + &disable;
    let proxy = start(vec![Source::new("mesh.yaml", mesh)]).await;
    call(&proxy).await;
    assert!(sink.saw_request());
}

#[tokio::test]
async fn overlays_and_reloads() {
    let sink = Sink::start().await;
    let base = entry(&sink, HTTPS, "STATIC", "127.0.0.1");
    let simple = rule(HOST, "trafficPolicy: {tls: {mode: SIMPLE}}");
    let none = rule(HOST, "trafficPolicy: {loadBalancer: {simple: RANDOM}}");
    let proxy = start(vec![
        Source::new("mesh.yaml", base.clone() + &simple),
        Source::new("overlay.yaml", &*none).as_overlay(),
    ])
    .await;
    assert_eq!((call(&proxy).await, sink.saw_request()), (503, false));
    for rest in [none, String::new(), simple] {
        let next = vec![Source::new("mesh.yaml", base.clone() + &rest)];
        proxy.reloader().replace_inline(next).await;
        assert_eq!(
            (call(&proxy).await, sink.saw_request()),
            (503, false),
            "{rest}"
        );
    }
    // From plain text, with connections that are open, to TLS.
    let plain = rule(HOST, "trafficPolicy: {tls: {mode: DISABLE}}");
    let next = vec![Source::new("mesh.yaml", base.clone() + &plain)];
    assert!(proxy.reloader().replace_inline(next).await);
    call(&proxy).await;
    assert!(sink.saw_request());
    sink.seen.lock().unwrap().clear();
    let next = vec![Source::new("mesh.yaml", base)];
    assert!(proxy.reloader().replace_inline(next).await);
    assert_eq!((call(&proxy).await, sink.saw_request()), (503, false));
}

#[tokio::test]
async fn targets_of_a_fallback() {
    let folder = Folder::new();
    folder.write("key", OWN);
    let key = folder.0.join("key").display().to_string();
    for port in [HTTPS, "number: 443, name: http, protocol: HTTP"] {
        let sink = Sink::start().await;
        let second = entry(&sink, port, "STATIC", "127.0.0.1")
            .replace(HOST, "second.example")
            .replace("name: llm", "name: second");
        // Nobody listens there.
        let (_, closed) = bind().await;
        let first = format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: llm, namespace: n}}\nspec:\n  hosts: [{HOST}]\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]\n",
            closed.port()
        );
        let policy = format!(
            "---\napiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: p, namespace: n}}\nspec: {{hosts: [{HOST}], fallback: [{{host: second.example, credential: {{file: {key}}}}}]}}\n"
        );
        let mesh = second + &first + &policy;
        let proxy = start(vec![Source::new("mesh.yaml", &*mesh)]).await;
        let status = call(&proxy).await;
        assert!(!sink.saw_request(), "{mesh}");
        assert!(status >= 502, "{status}");
        assert!(
            !sink.seen.lock().unwrap().is_empty(),
            "the target was tried, in TLS"
        );
    }
}
