//! The TLS of one cluster: what its connections are made with now.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, HandshakeKind,
    client::{Resumption, danger::ServerCertVerifier},
    pki_types::ServerName,
    sign::SingleCertAndKey,
};
use tokio_rustls::TlsConnector;

use super::{
    failure::{Failure, What},
    given::InForce,
    offer::{Offer, Secured},
    provider::{Clock, provider},
    roots::{self, Materials, Store, Unusable},
    stream::Stream,
    verify::{Anything, Verifier},
};
use crate::{
    base::fingerprint::Fingerprint,
    mesh::{connect::BoxIo, exposed},
    model::tls::{Identity, Tls, Verify},
};

/// Sessions of one cluster that are kept to be resumed.
const SESSIONS: usize = 256;

/// The TLS of one cluster. What it was made from is read again at each [`refresh`](Self::refresh).
pub(crate) struct Client {
    wanted: Tls,
    state: ArcSwap<State>,
}

#[derive(Clone)]
struct State {
    /// Of what was read last, or why it could not be.
    seen: Result<Fingerprint, Unusable>,
    /// What is in force: the last that was good.
    ready: Result<Arc<Ready>, Unusable>,
}

struct Ready {
    http1: TlsConnector,
    http2: TlsConnector,
    both: TlsConnector,
    name: Option<ServerName<'static>>,
    certificates: Vec<InForce>,
}

// === impl Client ===

impl Client {
    /// Reads what it needs. What cannot be read or used is logged, and fails each handshake until it can.
    pub(crate) fn new(wanted: Tls, store: &Store, cluster: &str) -> Self {
        if wanted.verify == Verify::Nothing {
            tracing::warn!(
                cluster,
                "insecureSkipVerify: no certificate of this cluster's servers is verified"
            );
        }
        let unread = Unusable("nothing was read yet".to_owned());
        let client = Self {
            wanted,
            state: ArcSwap::from_pointee(State {
                seen: Err(unread.clone()),
                ready: Err(unread),
            }),
        };
        client.refresh(store, cluster);
        client
    }

    /// The files that it is read from.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        roots::files(&self.wanted)
    }

    /// The certificates in force.
    pub(crate) fn certificates(&self) -> Vec<InForce> {
        let state = self.state.load();
        let ready = state.ready.as_ref().ok();
        ready.map_or_else(Vec::new, |ready| ready.certificates.clone())
    }

    /// Reads everything again. What is new and good is in force for new connections; what is not changes nothing and is
    /// logged, once. Returns whether anything changed.
    pub(crate) fn refresh(&self, store: &Store, cluster: &str) -> bool {
        let before = self.state.load_full();
        let read = store.read(&self.wanted);
        let seen = read
            .as_ref()
            .map(Materials::fingerprint)
            .map_err(Clone::clone);
        if seen == before.seen {
            return false;
        }
        let ready = read.and_then(|read| Ready::new(&self.wanted, &read, store));
        let changed = ready.is_ok();
        let ready = match (ready, &before.ready) {
            (Ok(ready), _) => {
                if let Some(Identity::Files { key, .. }) = &self.wanted.identity {
                    exposed::warn_of(key);
                }
                if before.ready.is_ok() {
                    tracing::info!(cluster, "new certificates in force");
                }
                Ok(Arc::new(ready))
            }
            (Err(why), Ok(old)) => {
                tracing::error!(
                    cluster,
                    "changed certificates are refused, those before stay in force: {why}"
                );
                Ok(Arc::clone(old))
            }
            (Err(why), Err(_)) => {
                tracing::error!(cluster, "no TLS to this cluster, its requests fail: {why}");
                Err(why)
            }
        };
        self.state.store(Arc::new(State { seen, ready }));
        changed
    }

    /// Whether there is anything to speak TLS with: if not, no connection need be made.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.ready().map(drop)
    }

    fn ready(&self) -> Result<Arc<Ready>, Failure> {
        let ready = self.state.load().ready.clone();
        ready.map_err(|why| Failure::new(What::Unusable, why.0))
    }

    /// Makes a TLS connection of one to `address`. Unbounded: the caller has the clock.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn handshake(
        &self,
        io: BoxIo,
        address: SocketAddr,
        offer: Offer,
    ) -> Result<Secured, Failure> {
        let ready = self.ready()?;
        let connector = match offer {
            Offer::Http1 => &ready.http1,
            Offer::Http2 => &ready.http2,
            Offer::Both => &ready.both,
        };
        // Without a name none is sent, and the certificate must be the address's.
        let name = ready.name.clone();
        let name = name.unwrap_or_else(|| ServerName::from(address.ip()));
        let made = connector.connect(name, io).await;
        let stream = made.map_err(|error| Failure::of_handshake(&error))?;
        let (_, session) = stream.get_ref();
        let http2 = session.alpn_protocol() == Some(H2);
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        if offer == Offer::Http2 && !http2 {
            let reason = "no shared protocol: the server does not agree to HTTP/2 (ALPN)";
            return Err(Failure::new(What::Protocol, reason));
        }
        let (io, refused) = Stream::new(stream);
        Ok(Secured {
            io: Box::new(io),
            http2,
            resumed,
            refused,
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("wanted", &self.wanted)
            .field("unusable", &self.state.load().ready.as_ref().err())
            .finish_non_exhaustive()
    }
}

// === impl Ready ===

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

impl Ready {
    fn new(wanted: &Tls, read: &Materials, store: &Store) -> Result<Self, Unusable> {
        let name = wanted.server_name.as_deref().map(server_name).transpose()?;
        let verifier: Arc<dyn ServerCertVerifier> = match &wanted.verify {
            Verify::Nothing => Arc::new(Anything),
            Verify::Chain { names, .. } => {
                let (roots, given) = (read.roots(store)?, read.given()?);
                let verifier = Verifier::new(roots, given, read.revoked()?, names.clone());
                Arc::new(verifier.map_err(Unusable)?)
            }
        };
        let builder = ClientConfig::builder_with_details(provider(), Arc::new(Clock))
            .with_safe_default_protocol_versions()
            .map_err(|error| Unusable(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match read.identity()? {
            Some(certified) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        };
        // Shared by the clones below. A session made with other certificates is in another store, and not resumed.
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        Ok(Self {
            http1: offering(&[HTTP1]),
            http2: offering(&[H2]),
            both: offering(&[H2, HTTP1]),
            name,
            certificates: read.in_force(),
        })
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, Unusable> {
    let bad = |_| Unusable(format!("{name:?} is no name that TLS can send (sni)"));
    ServerName::try_from(name.to_owned()).map_err(bad)
}

#[cfg(test)]
mod tests;
