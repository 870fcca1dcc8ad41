//! A service that calls an LLM provider over HTTPS, on a mesh: its URLs stay as they are, and the provider's failures are
//! repeated, timed and led to another provider as the files say.
//!
//! `cargo run --example https_client --features mesh,reqwest,test-util`

use std::{net::SocketAddr, sync::Arc};

use llmesh::{
    base::BoxError,
    config::Source,
    mesh::Mesh,
    testing::upstream::{Answer, ErrorKind, Script, Upstream},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// Two providers, and what is done when the first one fails. With real ones `endpoints` and STATIC are left out.
const FILES: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: first, namespace: ai}
spec:
  hosts: [api.first.example]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {https: FIRST}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: second, namespace: ai}
spec:
  hosts: [api.second.example]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {https: SECOND}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: first, namespace: ai}
spec:
  hosts: [api.first.example]
  http:
  - route: [{destination: {host: api.first.example}}]
    timeout: 20s
    retries: {attempts: 1, retryOn: '5xx,reset,connect-failure', perTryTimeout: 8s}
---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: first, namespace: ai}
spec:
  hosts: [api.first.example]
  fallback: [{host: api.second.example}]
";

/// The whole of it. With the public providers `tls_roots` is not needed: the system's authorities hold.
async fn program(files: String, authority: &str) -> Result<(), BoxError> {
    let mesh = Mesh::builder()
        .inline(Source::new("mesh.yaml", files))
        .tls_roots(authority)
        .start()
        .await?;
    let client = mesh.reqwest(reqwest::Client::new());

    let chat = client
        .post("https://api.first.example/v1/chat/completions")
        .bearer_auth("a key")
        .body(r#"{"model": "m", "messages": [{"role": "user", "content": "hi"}]}"#);
    let answer = chat.send().await?.error_for_status()?.text().await?;
    println!("the answer: {answer}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    // The first provider is down, as providers are at times.
    let (first, second) = (Upstream::start().await?, Upstream::start().await?);
    first.set_script(Script::always(Answer::error(ErrorKind::Overloaded)));
    let at_first = over_tls("api.first.example", &authority, first.addr()).await?;
    let at_second = over_tls("api.second.example", &authority, second.addr()).await?;
    let files = FILES.replace("FIRST", &at_first.port().to_string());
    let files = files.replace("SECOND", &at_second.port().to_string());

    program(files, &authority.pem()).await?;
    println!(
        "the first provider was asked {} times, and the program saw nothing of it",
        first.requests()
    );
    Ok(())
}

/// A server of this name that speaks TLS, in front of `behind`.
async fn over_tls(
    name: &str,
    authority: &CertifiedIssuer<'static, KeyPair>,
    behind: SocketAddr,
) -> Result<SocketAddr, BoxError> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, authority)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut behind = TcpStream::connect(behind).await?;
                copy_bidirectional(&mut stream, &mut behind).await
            });
        }
    });
    Ok(address)
}
