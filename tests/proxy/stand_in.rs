//! Stand-ins for providers: mocks behind TLS, with certificates of the test's own authority.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use llmesh::testing::upstream::{SeenRequest, Upstream};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{kit::Folder, support::bind};

/// An authority. Its certificate is a file, for `SSL_CERT_FILE`.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Folder,
}

/// A provider's stand-in.
pub struct StandIn {
    pub upstream: Upstream,
    host: String,
    addr: SocketAddr,
    _tasks: JoinSet<()>,
}

// === impl Authority ===

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = Folder::new();
        folder.write("ca.pem", &issuer.pem());
        Self { issuer, folder }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.0.join("ca.pem")
    }

    /// A mock that shows a certificate of this host.
    pub async fn stand_in(&self, host: &str) -> StandIn {
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let upstream = Upstream::start().await.unwrap();
        let (listener, addr) = bind().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(tls)),
            upstream.addr(),
        ));
        StandIn {
            upstream,
            host: host.to_owned(),
            addr,
            _tasks: tasks,
        }
    }
}

/// Hands what comes in TLS on to the mock in plain text.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, mock: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            let Ok(mut outside) = acceptor.accept(stream).await else {
                return;
            };
            let mut inside = TcpStream::connect(mock).await.unwrap();
            inside.set_nodelay(true).unwrap();
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}

// === impl StandIn ===

impl StandIn {
    /// For `--resolve`.
    pub fn pin(&self) -> String {
        format!("{}:443:{}", self.host, self.addr)
    }

    /// The last request that it saw.
    pub fn last(&self) -> SeenRequest {
        self.upstream.seen().last().cloned().unwrap()
    }
}
