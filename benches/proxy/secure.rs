//! TLS of the benches' upstreams: a certificate, and what takes the encryption off.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, NamedGroup, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::PrivatePkcs8KeyDer,
    server::NoServerSessionStorage,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub(crate) type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The name of the upstreams.
pub(crate) const HOST: &str = "llm.example";

/// A certificate that signs itself, in a file that goes with this.
pub(crate) struct Authority {
    key: KeyPair,
    certificate: rcgen::Certificate,
    file: PathBuf,
}

fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    let hybrid = NamedGroup::X25519MLKEM768;
    provider.kx_groups.sort_by_key(|g| g.name() != hybrid);
    Arc::new(provider)
}

/// TLS before the upstream.
pub(crate) async fn terminate(tls: ServerConfig, to: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                stream.set_nodelay(true)?;
                let mut stream = acceptor.accept(stream).await?;
                let mut to = TcpStream::connect(to).await?;
                to.set_nodelay(true)?;
                copy_bidirectional(&mut stream, &mut to).await
            });
        }
    });
    Ok(address)
}

// === impl Authority ===

impl Authority {
    /// It is for [`HOST`].
    pub(crate) fn new() -> Fallible<Self> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec![HOST.to_owned()])?;
        let certificate = params.self_signed(&key)?;
        let file = std::env::temp_dir().join(format!("llmesh-bench-{}.pem", std::process::id()));
        std::fs::write(&file, certificate.pem())?;
        Ok(Self {
            key,
            certificate,
            file,
        })
    }

    /// Where its certificate is.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// What serves with it.
    pub(crate) fn server(&self, sessions: bool) -> Fallible<ServerConfig> {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key.into())?;
        if !sessions {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }

    /// What trusts it, and remembers no session.
    pub(crate) fn client(&self) -> Fallible<TlsConnector> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone())?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // A file left behind in the temporary folder is no matter.
        let _ = std::fs::remove_file(&self.file);
    }
}
