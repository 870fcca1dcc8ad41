//! TLS to upstreams over real sockets: what callers see, what the log says, what is counted.

mod guarded;
mod makes;
mod protocols;
mod rotation;
mod rows;
mod shown;
mod sink;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use llmesh::{
    body::Body,
    config::Source,
    metrics::{
        Summary,
        access_log::{AccessLog, Encoding},
    },
    proxy::{Input, Options, Proxy},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::{
    kit::{Caller, Folder, Log, Reply, number},
    support::{bind, soon},
};

const HOST: &str = "llm.example";
const CLUSTER: &str = "outbound|443||llm.example";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// An authority.
struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate of a server or a client.
struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    pem: String,
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params, KeyPair::generate().unwrap())
}

// === impl Ca ===

impl Ca {
    fn new(name: &str) -> Self {
        let (params, key) = authority(name);
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// One below it.
    fn intermediate(&self, name: &str) -> Self {
        let (params, key) = authority(name);
        Self(CertifiedIssuer::signed_by(params, key, &self.0).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn leaf(&self, names: &[&str]) -> Leaf {
        self.leaf_with(names, |_| ())
    }

    fn leaf_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf {
            chain: vec![certificate.der().clone()],
            pem: certificate.pem(),
            key,
        }
    }
}

// === impl Leaf ===

impl Leaf {
    fn self_signed() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            chain: vec![certificate.der().clone()],
            pem: certificate.pem(),
            key,
        }
    }

    fn der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// A server that shows it and takes these protocols.
    fn server(&self, alpn: &[&str]) -> ServerConfig {
        self.server_for(alpn, None)
    }

    /// The same, for clients of this authority alone, if any.
    fn server_for(&self, alpn: &[&str], clients: Option<&Ca>) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca.0.der().clone()).unwrap();
                let roots = Arc::new(roots);
                let clients = WebPkiClientVerifier::builder_with_provider(roots, provider());
                builder.with_client_cert_verifier(clients.build().unwrap())
            }
        };
        let mut config = builder
            .with_single_cert(self.chain.clone(), self.der())
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        config
    }
}

/// An HTTP server over TLS. Its answer is the version that it was asked in.
struct Server {
    addr: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    tls: Mutex<Arc<ServerConfig>>,
    /// Connections that are open.
    open: Mutex<JoinSet<()>>,
    connections: AtomicU64,
    requests: AtomicU64,
}

// === impl Server ===

impl Server {
    async fn start(tls: ServerConfig) -> Self {
        let (listener, addr) = bind().await;
        let state = Arc::new(State {
            tls: Mutex::new(Arc::new(tls)),
            open: Mutex::default(),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&state)));
        Self {
            addr,
            state,
            _tasks: tasks,
        }
    }

    /// From now on, for new connections.
    fn set(&self, tls: ServerConfig) {
        *self.state.tls.lock().unwrap() = Arc::new(tls);
    }

    /// Breaks all connections off.
    fn disconnect(&self) {
        self.state.open.lock().unwrap().abort_all();
    }

    fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }

    fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(&state.tls.lock().unwrap()));
        let of_connection = Arc::clone(&state);
        state.open.lock().unwrap().spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            of_connection.connections.fetch_add(1, Ordering::SeqCst);
            let answer = service_fn(move |request: Request<Incoming>| {
                of_connection.requests.fetch_add(1, Ordering::SeqCst);
                answer(request)
            });
            let server = auto::Builder::new(TokioExecutor::new());
            let io = TokioIo::new(stream);
            let _ = server.serve_connection_with_upgrades(io, answer).await;
        });
    }
}

/// Says back what it hears, where it is asked to leave HTTP.
async fn answer(mut request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    if request.headers().contains_key("upgrade") {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut input, mut output) = tokio::io::split(TokioIo::new(upgraded.await.unwrap()));
            let _ = tokio::io::copy(&mut input, &mut output).await;
            let _ = output.shutdown().await;
        });
        let mut switch = Response::new(Full::default());
        *switch.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        for name in ["upgrade", "connection"] {
            let value = request.headers()[name].clone();
            switch.headers_mut().insert(name, value);
        }
        return Ok(switch);
    }
    let (head, body) = request.into_parts();
    let sent = body.collect().await?.to_bytes().len();
    let scheme = head.uri.scheme_str().unwrap_or("-");
    let text = format!("{:?} {scheme} {sent}", head.version);
    Ok(Response::new(text.into()))
}

/// A proxy to one host.
struct Gate {
    proxy: Proxy,
    log: Arc<Log>,
    /// Lines of the access log.
    lines: Arc<Mutex<Vec<String>>>,
}

/// Istio's resources for [`HOST`] on a port: `port` is the port's fields but for its number, `policy` what stands under
/// `trafficPolicy`.
fn mesh(endpoints: &[SocketAddr], port: &str, policy: &str) -> String {
    // A port of that number waits for TLS, whatever it is called.
    let number = if port == "protocol: HTTPS" { 443 } else { 80 };
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|a| format!("{{address: {}, ports: {{it: {}}}}}", a.ip(), a.port()))
        .collect();
    format!(
        r"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: llm, namespace: n}}
spec:
  hosts: [{HOST}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: {number}, name: it, {port}}}]
  endpoints: [{}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: llm, namespace: n}}
spec:
  host: {HOST}
  trafficPolicy: {{{policy}}}
",
        endpoints.join(", ")
    )
}

/// A policy: this `tls`, and connections within 300 ms.
fn policy(tls: &str) -> String {
    format!("connectionPool: {{tcp: {{connectTimeout: 300ms}}}}, tls: {{{tls}}}")
}

// === impl Gate ===

impl Gate {
    async fn new(mesh: &str) -> Self {
        Self::of(Input::inline(vec![Source::new("mesh.yaml", mesh)])).await
    }

    async fn of(input: Input) -> Self {
        let log = Arc::new(Log::default());
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let sink = Arc::clone(&lines);
        let access = AccessLog::new(Encoding::Json, move |line| {
            sink.lock().unwrap().push(line.to_owned());
        });
        let mut options = Options::new(input);
        options.watch = true;
        options.outbound = ([127, 0, 0, 1], 0).into();
        options.admin = Some(([127, 0, 0, 1], 0).into());
        options.reports = vec![Arc::new(access), Arc::clone(&log) as _];
        let proxy = Proxy::start(options).await.map_err(|e| e.to_string());
        Self {
            proxy: proxy.unwrap(),
            log,
            lines,
        }
    }

    /// To one server that shows a certificate of this authority.
    async fn to(server: &Server, ca: &Ca, folder: &Folder) -> Self {
        folder.write("ca.pem", &ca.pem());
        Self::new(&mesh(
            &[server.addr],
            "protocol: HTTPS",
            &policy(&simple(folder)),
        ))
        .await
    }

    async fn caller(&self) -> Caller {
        Caller::http1(self.proxy.outbound()).await
    }

    /// Asks on a connection of its own. Only for callers that are alone.
    async fn ask(&self) -> (Reply, Summary) {
        let before = self.log.len();
        let reply = self.caller().await.send(request()).await;
        (reply, self.log.nth(before).await)
    }

    /// One number of the cluster.
    async fn stat(&self, cluster: &str, name: &str) -> u64 {
        let page = self.page("/stats").await;
        number(&page, &format!("cluster.{cluster}.{name}"))
    }

    async fn page(&self, path: &str) -> String {
        let request = Request::get(path).header("host", "admin");
        let mut caller = Caller::http1(self.proxy.admin().unwrap()).await;
        caller.send(request.body(Body::empty()).unwrap()).await.body
    }

    /// The last line's field.
    fn logged(&self, field: &str) -> String {
        let lines = self.lines.lock().unwrap();
        let line: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        line[field].as_str().unwrap_or_default().to_owned()
    }
}

fn request() -> Request<Body> {
    let request = Request::post("/v1/chat").header("host", HOST);
    request.body(Body::from("hello")).unwrap()
}

/// `SIMPLE`, with the folder's authority.
fn simple(folder: &Folder) -> String {
    format!(
        "mode: SIMPLE, caCertificates: {}",
        path(folder, "ca.pem").display()
    )
}

/// `MUTUAL`, with the folder's files.
fn mutual(folder: &Folder) -> String {
    let [ca, certificate, key] =
        ["ca.pem", "c.pem", "k.pem"].map(|name| path(folder, name).display().to_string());
    format!(
        "mode: MUTUAL, caCertificates: {ca}, clientCertificate: {certificate}, privateKey: {key}"
    )
}

fn path(folder: &Folder, name: &str) -> PathBuf {
    folder.0.join(name)
}

/// Until it holds, for a while.
async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    soon(async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
