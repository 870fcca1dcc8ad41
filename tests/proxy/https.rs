//! The mesh inside a process and hosts that speak TLS: what a URL's scheme asks for, and what the files make of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::client::legacy::connect::HttpConnector;
use llmesh::{
    base::{BoxError, Error, Kind, error},
    body::Body,
    client::{hyper::HyperClient, reqwest::ReqwestClient},
    config::Source,
    mesh::{
        Builder, LoadError, Mesh,
        connect::{BoxIo, Connect, Dial},
    },
    proxy::BoxFuture,
    stack,
    testing::upstream::{Answer, ErrorKind, Fault, Script, Upstream},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio::{io::copy_bidirectional, net::TcpStream, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::{ServiceBuilder, ServiceExt};

use crate::{
    kit::{Folder, Log},
    support::{bind, soon, text},
};

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

/// An authority, with what its servers and clients need.
struct Ca(CertifiedIssuer<'static, KeyPair>);

/// An LLM provider behind TLS.
struct Provider {
    upstream: Upstream,
    addr: SocketAddr,
    /// What names were asked for in handshakes that came to an end.
    names: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

// === impl Ca ===

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "test");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// A certificate for this name: as a server holds it, and in PEM.
    fn leaf(&self, name: &str) -> (CertificateDer<'static>, KeyPair, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key, certificate.pem())
    }

    /// A server of this name; for clients that this authority knows alone, if it is so.
    fn server(&self, name: &str, known_clients: bool) -> ServerConfig {
        let (certificate, key, _) = self.leaf(name);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let roots = Arc::new(self.roots());
        let builder = if known_clients {
            let clients = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(clients.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        builder.with_single_cert(vec![certificate], key).unwrap()
    }

    /// What other clients than the mesh are given to trust it.
    fn client(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }
}

// === impl Provider ===

impl Provider {
    async fn start(tls: ServerConfig) -> Self {
        let upstream = Upstream::start().await.unwrap();
        let (listener, addr) = bind().await;
        let (behind, names) = (upstream.addr(), Arc::<Mutex<Vec<String>>>::default());
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let heard = Arc::clone(&names);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, heard) = (acceptor.clone(), Arc::clone(&heard));
                open.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let name = stream.get_ref().1.server_name().unwrap_or("-").to_owned();
                    heard.lock().unwrap().push(name);
                    let mut behind = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut behind).await;
                });
            }
        });
        Self {
            upstream,
            addr,
            names,
            _task: task,
        }
    }

    fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }
}

// === the files ===

/// A service of one address: `ports` by number and protocol, all led to this address.
fn service(host: &str, ports: &[(u16, &str)], more: &str, to: SocketAddr) -> String {
    let listed = ports.iter().map(|(number, protocol)| {
        format!(
            "{{number: {number}, name: p{number}, protocol: {protocol}, targetPort: {}}}",
            to.port()
        )
    });
    let listed: Vec<_> = listed.collect();
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: n}}\n\
         spec:\n  hosts: [{host}]\n  resolution: STATIC\n  {more}\n  ports: [{}]\n  endpoints: [{{address: {}}}]\n",
        listed.join(", "),
        to.ip(),
        name = host.replace('.', "-"),
    )
}

fn routes(host: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r, namespace: n}}\nspec:\n  \
         hosts: [{host}]\n  http: [{{route: [{{destination: {{host: {host}}}}}]{rest}}}]\n"
    )
}

fn builder(files: &str) -> Builder {
    Mesh::builder()
        .inline(Source::new("mesh.yaml", files))
        .namespace("n")
        .seed(1)
}

fn chat(url: &str) -> Request<Body> {
    Request::post(url).body(Body::from(CHAT)).unwrap()
}

fn kind(error: &BoxError) -> Option<Kind> {
    error::find(&**error).map(Error::kind)
}

fn plain() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

const URL: &str = "https://api.llm.example/v1/chat/completions";

#[tokio::test]
async fn both_schemes_reach_a_host_that_speaks_tls() {
    let ca = Ca::new();
    let provider = Provider::start(ca.server("api.llm.example", false)).await;
    let files = service("api.llm.example", &[(443, "HTTPS")], "", provider.addr);
    let mesh = builder(&files).tls_roots(ca.pem()).start().await.unwrap();
    let client = mesh.reqwest(plain());
    for scheme in ["https", "http"] {
        let url = format!("{scheme}://api.llm.example/v1/chat/completions");
        let response = soon(client.post(&url).body(CHAT).send()).await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        assert_eq!(response.url().as_str(), url);
        soon(response.text()).await.unwrap();
        let answer = soon(mesh.client().send(chat(&url))).await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        text(answer).await;
    }
    let seen = provider.upstream.seen();
    assert_eq!(seen.len(), 4);
    for request in seen {
        assert_eq!(request.headers["host"], "api.llm.example");
    }
    let mut names = provider.names();
    names.dedup();
    assert_eq!(names, ["api.llm.example"]);
}

#[tokio::test]
async fn the_scheme_picks_the_port_where_the_host_has_both() {
    let ca = Ca::new();
    let secure = Provider::start(ca.server("api.llm.example", false)).await;
    let open = Upstream::start().await.unwrap();
    let ports = [(80, open.addr()), (443, secure.addr)];
    let endpoints = ports.map(|(number, to)| format!("p{number}: {}", to.port()));
    let files = service(
        "api.llm.example",
        &[(80, "HTTP"), (443, "HTTPS")],
        "",
        secure.addr,
    )
    .replace(
        "{address: 127.0.0.1}",
        &format!(
            "{{address: 127.0.0.1, ports: {{{}}}}}",
            endpoints.join(", ")
        ),
    );
    let mesh = builder(&files).tls_roots(ca.pem()).start().await.unwrap();
    for (url, of_secure, of_open) in [
        ("https://api.llm.example/v1/chat/completions", 1, 0),
        ("http://api.llm.example/v1/chat/completions", 1, 1),
        ("http://api.llm.example:443/v1/chat/completions", 2, 1),
        ("https://api.llm.example:9999/v1/chat/completions", 3, 1),
    ] {
        let response = soon(mesh.client().send(chat(url))).await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        assert_eq!(secure.upstream.requests(), of_secure, "{url}");
        assert_eq!(open.requests(), of_open, "{url}");
    }
}

#[tokio::test]
async fn retries_clocks_fallback_and_token_counts_are_as_over_plain_http() {
    let ca = Ca::new();
    let own = Provider::start(ca.server("api.llm.example", false)).await;
    let backup = Provider::start(ca.server("backup.llm.example", false)).await;
    let policy = "---\napiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {name: p, namespace: n}\nspec:\n  \
                  hosts: [api.llm.example]\n  timeouts: {headers: 400ms}\n  fallback: [{host: backup.llm.example}]\n";
    let files = [
        service("api.llm.example", &[(443, "HTTPS")], "", own.addr),
        service("backup.llm.example", &[(443, "HTTPS")], "", backup.addr),
        routes(
            "api.llm.example",
            ", timeout: 5s, retries: {attempts: 1, retryOn: '5xx,reset,connect-failure', perTryTimeout: 4s}",
        ),
        policy.to_owned(),
    ]
    .concat();
    let log = Arc::new(Log::default());
    let mesh = builder(&files)
        .tls_roots(ca.pem())
        .report(Arc::clone(&log) as _)
        .start()
        .await
        .unwrap();
    let client = mesh.reqwest(plain());
    let ask = async || {
        let response = soon(client.post(URL).body(CHAT).send()).await.unwrap();
        let status = response.status();
        let body = soon(response.text()).await.unwrap();
        (status, body)
    };
    let good = Answer::ok().with_tokens(7);

    // A failure is repeated on the same host, and tokens are counted.
    let bad = Answer::error(ErrorKind::ServerError);
    own.upstream
        .set_script(Script::sequence([bad.clone(), good.clone()]));
    let (status, body) = ask().await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        (own.upstream.requests(), backup.upstream.requests()),
        (2, 0)
    );
    let spent = log.nth(0).await.spent();
    let output: u64 = spent.iter().map(|attempt| attempt.usage.output).sum();
    assert_eq!(output, 7, "{spent:?}");

    // A host that goes on failing is left for the other.
    own.upstream.set_script(Script::always(bad));
    backup.upstream.set_script(Script::always(good.clone()));
    let (status, body) = ask().await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        (own.upstream.requests(), backup.upstream.requests()),
        (4, 1)
    );

    // One that says nothing is left when its clock is over.
    own.upstream
        .set_script(Script::always(Answer::fault(Fault::Hang)));
    let (status, body) = ask().await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(backup.upstream.requests(), 2);
    assert_eq!(backup.names(), ["backup.llm.example"]);
}

/// A network with nobody in it, that knows how often it was asked.
#[derive(Clone, Default)]
struct Nobody(Arc<AtomicUsize>);

impl Connect for Nobody {
    fn connect(&self, _: SocketAddr, _: Dial) -> BoxFuture<'_, Result<BoxIo, Error>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let error = Error::new(Kind::Connect(error::ConnectFailure::Refused));
        Box::pin(std::future::ready(Err(error)))
    }
}

#[tokio::test]
async fn https_goes_on_in_plain_text_only_where_the_files_mean_it() {
    let far: SocketAddr = ([192, 0, 2, 1], 8080).into();
    let disable = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d, namespace: n}\n\
                   spec: {host: api.llm.example, trafficPolicy: {tls: {mode: DISABLE}}}\n";
    let external = service("api.llm.example", &[(80, "HTTP")], "", far);
    let internal = service(
        "api.llm.example",
        &[(80, "HTTP")],
        "location: MESH_INTERNAL",
        far,
    );
    let by_grpc = service("api.llm.example", &[(8080, "GRPC")], "", far);
    for (files, dialled) in [
        (external.clone(), false),
        (by_grpc, false),
        (external.clone() + &routes("api.llm.example", ""), false),
        (external + disable, true),
        (internal, true),
    ] {
        let network = Nobody::default();
        let mesh = builder(&files).connect(network.clone());
        let client = mesh.start().await.unwrap().client();
        let error = soon(client.send(chat(URL))).await.unwrap_err();
        let asked = network.0.swap(0, Ordering::SeqCst);
        assert_eq!(asked > 0, dialled, "{files}: {error}");
        if !dialled {
            assert_eq!(kind(&error), Some(Kind::BadRequest), "{files}");
            let text = error::find(&*error).unwrap().to_string();
            for part in ["api.llm.example", "8080", "HTTPS", "DISABLE"] {
                assert!(text.contains(part), "{text}");
            }
            let response = soon(client.responding().oneshot(chat(URL))).await.unwrap();
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
            assert_eq!(network.0.load(Ordering::SeqCst), 0);
        }
        let open = URL.replace("https", "http");
        soon(client.send(chat(&open))).await.unwrap_err();
        assert!(network.0.load(Ordering::SeqCst) > 0, "{files}");
    }
}

#[tokio::test]
async fn https_to_a_plain_text_endpoint_of_this_host_is_served() {
    let upstream = Upstream::start().await.unwrap();
    let files = service("api.llm.example", &[(80, "HTTP")], "", upstream.addr());
    let client = builder(&files).start().await.unwrap().client();
    let response = soon(client.send(chat(URL))).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn certificates_are_those_that_the_program_gave() {
    let ca = Ca::new();
    let provider = Provider::start(ca.server("api.llm.example", true)).await;
    let files = service("api.llm.example", &[(443, "HTTPS")], "", provider.addr);
    let (_, key, chain) = ca.leaf("client.example");
    let known = builder(&files)
        .tls_roots(ca.pem())
        .client_identity(chain, key.serialize_pem());
    let client = known.start().await.unwrap().client();
    let response = soon(client.send(chat(URL))).await.unwrap();
    assert_eq!(response.status(), 200);
    text(response).await;
    assert_eq!(provider.upstream.requests(), 1);

    let strangers = [
        // Shows none; trusts another; trusts the system's.
        builder(&files).tls_roots(ca.pem()),
        builder(&files).tls_roots(Ca::new().pem()),
        builder(&files),
    ];
    for stranger in strangers {
        let client = stranger.start().await.unwrap().client();
        let error = soon(client.send(chat(URL))).await.unwrap_err();
        assert!(matches!(kind(&error), Some(Kind::Connect(_))), "{error:?}");
    }
    assert_eq!(provider.upstream.requests(), 1);
}

#[tokio::test]
async fn certificates_come_from_files_too_and_bad_ones_stop_the_start() {
    let ca = Ca::new();
    let provider = Provider::start(ca.server("api.llm.example", false)).await;
    let files = service("api.llm.example", &[(443, "HTTPS")], "", provider.addr);
    let folder = Folder::new();
    folder.write("ca.pem", &ca.pem());
    let mesh = builder(&files).tls_roots(folder.0.join("ca.pem"));
    let client = mesh.start().await.unwrap().client();
    let response = soon(client.send(chat(URL))).await.unwrap();
    assert_eq!(response.status(), 200);

    let (_, key, chain) = ca.leaf("client.example");
    let key = key.serialize_pem();
    let other = KeyPair::generate().unwrap().serialize_pem();
    for (bad, part) in [
        (builder(&files).tls_roots("no PEM"), "tls_roots"),
        (builder(&files).tls_roots(&ca.pem()[..200]), "tls_roots"),
        (
            builder(&files).tls_roots(folder.0.join("none.pem")),
            "none.pem",
        ),
        (
            builder(&files).client_identity(&*chain, &*chain),
            "client_identity",
        ),
        (
            builder(&files).client_identity(&*key, &*key),
            "client_identity",
        ),
        (
            builder(&files).client_identity(&*chain, &*other),
            "client_identity",
        ),
    ] {
        let error: LoadError = bad.start().await.err().unwrap();
        let text = error.to_string();
        assert!(text.contains(part), "{text}");
        let of_key = key.lines().nth(1).unwrap();
        assert!(!text.contains(of_key), "{text}");
    }
}

#[tokio::test]
async fn hosts_outside_the_files_are_the_callers_own_clients_business() {
    let ca = Ca::new();
    let outside = Provider::start(ca.server("localhost", false)).await;
    let mesh = builder("").start().await.unwrap();
    let url = format!(
        "https://localhost:{}/v1/chat/completions",
        outside.addr.port()
    );
    let own = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(ca.client())
        .build()
        .unwrap();
    let client = mesh.reqwest(own.clone());
    let response = soon(client.post(&url).body(CHAT).send()).await.unwrap();
    assert_eq!(response.status(), 200);
    let response = soon(client.mesh().send(chat(&url))).await.unwrap();
    assert_eq!(response.status(), 200);

    // The adapters alone, under any layers.
    let response = soon(ReqwestClient::new(own).oneshot(chat(&url)))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(ca.client())
        .https_or_http()
        .enable_http1()
        .build();
    let hyper: HyperClient<hyper_rustls::HttpsConnector<HttpConnector>> =
        HyperClient::new(connector);
    let request = Request::get(&url).body(Empty::<Bytes>::new()).unwrap();
    let response = soon(hyper.clone().oneshot(request)).await.unwrap();
    assert!(response.status().is_client_error() || response.status().is_success());
    let through = ServiceBuilder::new()
        .map_response(|response: http::Response<_>| response.map(Body::new))
        .service(hyper);
    let client = mesh.client().with_passthrough(stack::Boxed::new(through));
    let response = soon(client.send(chat(&url))).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(outside.upstream.requests(), 5);

    // A failed handshake has a name, whoever made it.
    let strict = ReqwestClient::new(plain());
    let error = soon(strict.oneshot(chat(&url))).await.unwrap_err();
    assert!(matches!(kind(&error), Some(Kind::Connect(_))), "{error:?}");
    // The mesh's own plain way speaks no TLS, and no plain text instead.
    let error = soon(mesh.client().send(chat(&url))).await.unwrap_err();
    let tls = Kind::Connect(error::ConnectFailure::Tls);
    assert_eq!(kind(&error), Some(tls));
    assert_eq!(outside.upstream.requests(), 5);
}

#[tokio::test]
async fn a_key_goes_to_a_tls_upstream_as_it_was_sent() {
    let ca = Ca::new();
    let provider = Provider::start(ca.server("api.llm.example", false)).await;
    let files = service("api.llm.example", &[(443, "HTTPS")], "", provider.addr);
    let mesh = builder(&files).tls_roots(ca.pem()).start().await.unwrap();
    let client = mesh.reqwest(plain());
    let request = client
        .post(URL)
        .bearer_auth("k")
        .timeout(Duration::from_secs(4));
    let response = soon(request.body(CHAT).send()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        provider.upstream.seen()[0].headers["authorization"],
        "Bearer k"
    );
}
