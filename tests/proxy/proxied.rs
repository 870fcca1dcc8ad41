//! Upstream connections by way of an HTTP proxy, over real sockets: scripted ones, and tinyproxy where it is installed.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use http::{Request, StatusCode};
use llmesh::{
    base::{
        Kind,
        error::{ConnectFailure, find},
    },
    body::Body,
    config::Source,
    mesh::{Mesh, UpstreamProxy},
    metrics::access_log::{AccessLog, Encoding},
    proxy::{Input, Options, Proxy},
    testing::upstream::Upstream,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    kit::{Caller, Folder},
    support::{Raw, bind, soon, text},
};

/// A name that no name server knows.
const HOST: &str = "api.llm.invalid";

const MESH: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: llm, namespace: default}
spec:
  hosts: [api.llm.invalid]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
";

/// A proxy that opens every tunnel to one upstream, or answers with `refusal`.
struct Corporate {
    scheme: &'static str,
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl Corporate {
    async fn start(upstream: SocketAddr, refusal: Option<&'static str>) -> Self {
        Self::over(None, upstream, refusal).await
    }

    /// One that is spoken to over TLS, if there is any.
    async fn over(
        tls: Option<TlsAcceptor>,
        upstream: SocketAddr,
        refusal: Option<&'static str>,
    ) -> Self {
        let (listener, address) = bind().await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        let scheme = if tls.is_some() { "https" } else { "http" };
        task.spawn(serve(listener, tls, upstream, Arc::clone(&asked), refusal));
        Self {
            scheme,
            address,
            asked,
            _task: task,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn url(&self) -> UpstreamProxy {
        let url = format!("{}://me:s3cret@{}", self.scheme, self.address);
        url.parse().unwrap()
    }
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    upstream: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    refusal: Option<&'static str>,
) {
    let mut tunnels = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (asked, tls) = (Arc::clone(&asked), tls.clone());
        tunnels.spawn(async move {
            match tls {
                None => tunnel(Raw(stream), upstream, &asked, refusal).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        tunnel(Raw(stream), upstream, &asked, refusal).await;
                    }
                }
            }
        });
    }
}

async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    mut raw: Raw<S>,
    upstream: SocketAddr,
    asked: &Mutex<Vec<String>>,
    refusal: Option<&'static str>,
) {
    let head = raw.head().await;
    asked.lock().unwrap().push(head);
    if let Some(refusal) = refusal {
        return raw.write(refusal).await;
    }
    raw.write("HTTP/1.1 200 Connection established\r\n\r\n")
        .await;
    let mut up = TcpStream::connect(upstream).await.unwrap();
    let _ = copy_bidirectional(&mut raw.0, &mut up).await;
}

async fn proxy(through: Option<UpstreamProxy>) -> Proxy {
    logged(through, Arc::default()).await
}

/// The same; lines of its access log come to `lines`.
async fn logged(through: Option<UpstreamProxy>, lines: Arc<Mutex<Vec<String>>>) -> Proxy {
    let access = AccessLog::new(Encoding::Json, move |line| {
        lines.lock().unwrap().push(line.to_owned());
    });
    let mut options = Options::new(Input::inline(vec![Source::new("mesh.yaml", MESH)]));
    options.outbound = ([127, 0, 0, 1], 0).into();
    options.admin = Some(([127, 0, 0, 1], 0).into());
    options.upstream_proxy = through;
    options.reports = vec![Arc::new(access)];
    Proxy::start(options).await.unwrap()
}

/// What a caller of the proxy gets.
async fn ask(proxy: &Proxy) -> String {
    ask_at(proxy.outbound()).await
}

async fn ask_at(outbound: SocketAddr) -> String {
    let mut caller = Raw::connect(outbound).await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    caller.write(&(head + body)).await;
    caller.rest().await
}

#[tokio::test]
async fn a_name_that_nobody_here_can_resolve_is_reached_through_the_proxy() {
    let upstream = Upstream::start().await.unwrap();
    let corporate = Corporate::start(upstream.addr(), None).await;
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let proxy = logged(Some(corporate.url()), Arc::clone(&lines)).await;
    for _ in 0..3 {
        let answer = ask(&proxy).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    // People are told the name, wherever they look.
    soon(async {
        while lines.lock().unwrap().len() < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    for line in lines.lock().unwrap().iter() {
        let told = format!("\"upstream_host\":\"{HOST}:80\"");
        assert!(line.contains(&told), "{line}");
    }
    for page in ["/clusters", "/clusters?format=json"] {
        let mut caller = Caller::http1(proxy.admin().unwrap()).await;
        let request = Request::get(page).header("host", "admin");
        let request = request.body(Body::empty()).unwrap();
        let page = caller.send(request).await.body;
        assert!(page.contains(HOST) && !page.contains("100::"), "{page}");
    }
    // One tunnel, kept as any connection is.
    let asked = corporate.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let connect = format!("CONNECT {HOST}:80 HTTP/1.1\r\n");
    assert!(asked[0].starts_with(&connect), "{asked:?}");
    let basic = "proxy-authorization: Basic bWU6czNjcmV0\r\n";
    assert!(asked[0].contains(basic), "{asked:?}");
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen[0].headers.get("proxy-authorization").is_none());
}

#[tokio::test]
async fn a_refusal_is_a_failed_connection_and_the_callers_503() {
    let upstream = Upstream::start().await.unwrap();
    let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\ns3cret";
    let corporate = Corporate::start(upstream.addr(), Some(refusal)).await;
    let proxy = proxy(Some(corporate.url())).await;
    let answer = ask(&proxy).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(!answer.contains("s3cret"), "{answer}");
    assert!(upstream.seen().is_empty());
    // The default retries, each on a tunnel of its own.
    assert_eq!(corporate.asked().len(), 3);
}

#[tokio::test]
async fn the_mesh_client_reaches_hosts_of_the_files_and_others_through_it() {
    let upstream = Upstream::start().await.unwrap();
    let corporate = Corporate::start(upstream.addr(), None).await;
    let mesh = Mesh::builder()
        .inline(Source::new("mesh.yaml", MESH))
        .upstream_proxy(corporate.url().except("past.invalid"))
        .start()
        .await
        .unwrap();
    for host in [HOST, "elsewhere.invalid:8080"] {
        let request = Request::post(format!("http://{host}/v1/chat/completions"));
        let request = request.body(Body::from(r#"{"model":"m","messages":[]}"#));
        let response = soon(mesh.client().send(request.unwrap())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{host}");
        text(response).await;
    }
    let request = Request::get("http://a.past.invalid/").body(Body::empty());
    soon(mesh.client().send(request.unwrap()))
        .await
        .unwrap_err();
    let lines: Vec<_> = corporate.asked();
    let lines: Vec<_> = lines
        .iter()
        .filter_map(|head| head.lines().next())
        .collect();
    assert_eq!(
        lines,
        [
            "CONNECT api.llm.invalid:80 HTTP/1.1",
            "CONNECT elsewhere.invalid:8080 HTTP/1.1"
        ]
    );
}

/// TLS for an address of this machine, and the authority that it is from, in PEM.
fn certified() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &ca).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = config.with_single_cert(vec![leaf.der().clone()], key);
    (TlsAcceptor::from(Arc::new(config.unwrap())), ca.pem())
}

#[tokio::test]
async fn a_proxy_that_speaks_tls_is_told_nothing_unless_it_is_trusted() {
    let upstream = Upstream::start().await.unwrap();
    let (tls, ca) = certified();
    let corporate = Corporate::over(Some(tls), upstream.addr(), None).await;
    for (roots, trusted) in [(ca, true), (certified().1, false)] {
        let mesh = Mesh::builder()
            .inline(Source::new("mesh.yaml", MESH))
            .upstream_proxy(corporate.url())
            .tls_roots(roots)
            .start()
            .await
            .unwrap();
        let request = Request::post(format!("http://{HOST}/v1/chat/completions"));
        let request = request.body(Body::from(r#"{"model":"m","messages":[]}"#));
        let answered = soon(mesh.client().send(request.unwrap())).await;
        if trusted {
            let response = answered.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            text(response).await;
        } else {
            let error = answered.unwrap_err();
            let kind = find(&*error).map(|error| error.kind());
            assert_eq!(kind, Some(Kind::Connect(ConnectFailure::Tls)), "{error:?}");
        }
    }
    let asked = corporate.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let basic = "proxy-authorization: Basic bWU6czNjcmV0\r\n";
    assert!(asked[0].contains(basic), "{asked:?}");
    assert_eq!(upstream.seen().len(), 1);
}

/// The program, whose system has one authority: in the file that `SSL_CERT_FILE` names.
#[tokio::test]
async fn the_program_checks_a_proxy_that_speaks_tls_against_the_systems_authorities() {
    let upstream = Upstream::start().await.unwrap();
    let (tls, ca) = certified();
    let corporate = Corporate::over(Some(tls), upstream.addr(), None).await;
    let folder = Folder::new();
    folder.write("ca.pem", &ca);
    folder.write("mesh.yaml", MESH);
    let (listener, outbound) = bind().await;
    drop(listener);
    let child = Command::new(env!("CARGO_BIN_EXE_llmesh"))
        .args(["run", "--admin", "127.0.0.1:0", "--upstream-proxy", "env"])
        .args(["--outbound", &outbound.to_string(), "-f"])
        .arg(folder.0.join("mesh.yaml"))
        .env("HTTP_PROXY", format!("https://{}", corporate.address))
        .env("SSL_CERT_FILE", folder.0.join("ca.pem"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut running = Running(child.unwrap());
    soon(async {
        while TcpStream::connect(outbound).await.is_err() {
            assert!(running.0.try_wait().unwrap().is_none(), "it ended");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    let answer = ask_at(outbound).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(corporate.asked().len(), 1);
}

/// Ends it at the end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A tinyproxy, gone at the end.
struct Tinyproxy {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Tinyproxy {
    /// `None` where it is not installed, which is loud; an error if `LLMESH_TINYPROXY=required` is set.
    async fn start(next: SocketAddr) -> Option<Self> {
        let (listener, address) = bind().await;
        drop(listener);
        let folder = std::env::temp_dir().join(format!("llmesh-tinyproxy-{}", address.port()));
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("tinyproxy.conf");
        let text = format!(
            "Port {}\nListen 127.0.0.1\nTimeout 10\nMaxClients 20\nBasicAuth me s3cret\nConnectPort 80\nUpstream http {next} \".invalid\"\n",
            address.port()
        );
        fs::write(&config, text).unwrap();
        let spawned = Command::new("tinyproxy")
            .args(["-d", "-c"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(why) => {
                let text = format!("NOT RUN: tinyproxy cannot be started: {why}");
                let required = std::env::var("LLMESH_TINYPROXY").as_deref() == Ok("required");
                assert!(!required, "{text}");
                eprintln!("{text}");
                let _ = fs::remove_dir_all(&folder);
                return None;
            }
        };
        let started = Self {
            child,
            folder,
            address,
        };
        soon(async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
        Some(started)
    }
}

#[tokio::test]
async fn tinyproxy_opens_tunnels_for_those_that_it_knows() {
    let upstream = Upstream::start().await.unwrap();
    // It passes names of .invalid on to this one, as no name server knows them.
    let next = Corporate::start(upstream.addr(), None).await;
    let Some(tinyproxy) = Tinyproxy::start(next.address).await else {
        return;
    };
    let url = |user: &str| format!("http://{user}{}", tinyproxy.address);
    let known = proxy(Some(url("me:s3cret@").parse().unwrap())).await;
    let answer = ask(&known).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(upstream.seen().len(), 1);
    assert!(next.asked()[0].starts_with("CONNECT api.llm.invalid:80 "));
    for user in ["", "me:wrong@"] {
        let stranger = proxy(Some(url(user).parse().unwrap())).await;
        let answer = ask(&stranger).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    assert_eq!(upstream.seen().len(), 1);
}
