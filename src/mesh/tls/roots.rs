//! Certificates, keys and authorities, from files and secrets.
//!
//! Whatever is read is judged whole: a file that is half written, a key that does not fit its certificate or a secret without
//! what it is asked for is an [`Unusable`] by name, and never "as good as nothing".

use std::{collections::BTreeMap, fmt, io::Read as _, path::Path, sync::Arc, sync::OnceLock};

use arc_swap::ArcSwap;
use rustls::{
    Error, InconsistentKeys, RootCertStore,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use x509_parser::{prelude::FromDer as _, prelude::X509Certificate};
use zeroize::Zeroizing;

use super::{
    given::{Defaults, InForce},
    provider::provider,
};
use crate::{
    base::fingerprint::Fingerprint,
    model::tls::{Identity, Revoked, Roots, Secret, Tls, Verify},
};

/// What is said of a key that cannot be opened.
const ENCRYPTED: &str = "the private key is encrypted, and there is no passphrase: write it as it is (openssl pkey -in ENCRYPTED -out KEY)";

/// No file of certificates is longer.
const MAX_BYTES: u64 = 4 << 20;

/// Why TLS cannot be spoken with what the files hold. Says what and where, never a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) String);

/// What all clusters' TLS is made from, besides their own settings.
#[derive(Default)]
pub(crate) struct Store {
    secrets: ArcSwap<BTreeMap<String, Secret>>,
    system: OnceLock<Arc<RootCertStore>>,
    defaults: Defaults,
}

/// The bytes of everything that a cluster's TLS needs, read at one moment.
pub(super) struct Materials {
    roots: Option<Piece>,
    revoked: Option<Piece>,
    certificate: Option<Piece>,
    key: Option<Piece>,
}

/// Bytes, and where they came from.
struct Piece {
    bytes: Zeroizing<Vec<u8>>,
    origin: String,
}

// === impl Store ===

impl Store {
    /// With these in place of the system's authorities and of no certificate.
    pub(crate) fn new(defaults: Defaults) -> Self {
        Self {
            defaults,
            ..Self::default()
        }
    }

    /// Puts the secrets of a configuration in force.
    pub(crate) fn set_secrets(&self, secrets: &BTreeMap<String, Secret>) {
        self.secrets.store(Arc::new(secrets.clone()));
    }

    /// Reads everything that `tls` names.
    pub(super) fn read(&self, tls: &Tls) -> Result<Materials, Unusable> {
        if let Some(why) = &tls.unmet {
            return Err(Unusable(why.clone()));
        }
        let (mut roots, mut revoked) = (None, None);
        if let Verify::Chain {
            roots: wanted,
            revoked: list,
            ..
        } = &tls.verify
        {
            roots = match wanted {
                Roots::System => self.defaults.roots.as_deref().map(Piece::given),
                Roots::File(path) => Some(Piece::file(path)?),
                Roots::Secret(name) => Some(self.secret(name, &["cacert", "ca.crt"])?),
            };
            revoked = match list {
                Some(Revoked::File(path)) => Some(Piece::file(path)?),
                Some(Revoked::Secret(name)) => Some(self.secret(name, &["crl", "ca.crl"])?),
                None => None,
            };
        }
        let (certificate, key) = match &tls.identity {
            Some(Identity::Files { certificate, key }) => {
                (Some(Piece::file(certificate)?), Some(Piece::file(key)?))
            }
            Some(Identity::Secret(name)) => (
                Some(self.secret(name, &["cert", "tls.crt"])?),
                Some(self.secret(name, &["key", "tls.key"])?),
            ),
            None => match &self.defaults.identity {
                Some((chain, key)) => (Some(Piece::given(chain)), Some(Piece::given(key))),
                None => (None, None),
            },
        };
        Ok(Materials {
            roots,
            revoked,
            certificate,
            key,
        })
    }

    fn secret(&self, name: &str, keys: &[&str]) -> Result<Piece, Unusable> {
        let secrets = self.secrets.load();
        let secret = secrets.get(name);
        let secret = secret.ok_or_else(|| Unusable(format!("there is no secret {name}")))?;
        let found = keys.iter().find_map(|key| Some((key, secret.0.get(*key)?)));
        let Some((key, bytes)) = found else {
            let keys = keys.join("` or `");
            return Err(Unusable(format!("secret {name} has no `{keys}`")));
        };
        Ok(Piece {
            bytes: bytes.as_ref().clone(),
            origin: format!("secret {name}, `{key}`"),
        })
    }

    /// The system's authorities, read once; the built-in ones where it has none.
    fn system(&self) -> Arc<RootCertStore> {
        let read = || {
            let native = rustls_native_certs::load_native_certs();
            for error in &native.errors {
                tracing::warn!(%error, "a certificate authority of the system cannot be read");
            }
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(native.certs);
            if store.is_empty() {
                tracing::info!("the system has no certificate authorities: the built-in ones hold");
                store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
            Arc::new(store)
        };
        Arc::clone(self.system.get_or_init(read))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Defaults {
    /// Whether they can be used, and why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (certificate, key) = self.identity.as_ref().map_or((None, None), |(chain, key)| {
            (Some(Piece::given(chain)), Some(Piece::given(key)))
        });
        let given = Materials {
            roots: self.roots.as_deref().map(Piece::given),
            revoked: None,
            certificate,
            key,
        };
        let checked = given.roots(&Store::default()).and_then(|_| {
            given.identity()?;
            Ok(())
        });
        checked.map_err(|why| why.0)
    }
}

// === impl Unusable ===

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Materials ===

impl Materials {
    /// Equal for equal bytes.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let all = [&self.roots, &self.revoked, &self.certificate, &self.key];
        Fingerprint::of_all(all.map(|piece| piece.as_ref().map_or(&[][..], |p| &p.bytes)))
    }

    /// The authorities.
    pub(super) fn roots(&self, store: &Store) -> Result<Arc<RootCertStore>, Unusable> {
        let Some(piece) = &self.roots else {
            return Ok(store.system());
        };
        // A bundle may hold some that no chain can end at; the others are trusted all the same.
        let mut roots = RootCertStore::empty();
        let (usable, odd) = roots.add_parsable_certificates(piece.certificates()?);
        if usable == 0 {
            return Err(piece.bad(&"no authority in it that can be used"));
        }
        if odd > 0 {
            tracing::warn!(
                origin = piece.origin,
                odd,
                "certificates that cannot be used"
            );
        }
        Ok(Arc::new(roots))
    }

    /// The authorities as they are given; none where the system's hold.
    pub(super) fn given(&self) -> Result<Vec<CertificateDer<'static>>, Unusable> {
        let given = self.roots.as_ref().map(Piece::certificates);
        given.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// The lists of certificates that were taken back.
    pub(super) fn revoked(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, Unusable> {
        let Some(piece) = &self.revoked else {
            return Ok(Vec::new());
        };
        let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(piece.pem())
            .collect::<Result<_, _>>()
            .map_err(|e| piece.broken(&e))?;
        if lists.is_empty() {
            return Err(piece.bad(&"no revocation list in it"));
        }
        Ok(lists)
    }

    /// The chain and key that are shown: they fit each other. A certificate that webpki cannot read (of version 1, as
    /// `openssl x509 -req` makes them) is for the server to judge.
    pub(super) fn identity(&self) -> Result<Option<CertifiedKey>, Unusable> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(None);
        };
        let chain = certificate.certificates()?;
        let key = PrivateKeyDer::from_pem_slice(key.pem()).map_err(|error| match error {
            _ if key.is_encrypted() => key.bad(&ENCRYPTED),
            pem::Error::NoItemsFound => key.bad(&"no private key in it"),
            error => key.broken(&error),
        })?;
        let key = provider().key_provider.load_private_key(key);
        let certified = CertifiedKey::new(chain, key.map_err(|error| self.mismatch(&error))?);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Some(certified)),
            Err(Error::InvalidCertificate(_)) if is_for(&certified) => Ok(Some(certified)),
            Err(error) => Err(self.mismatch(&error)),
        }
    }

    /// A key that does not fit, by the names of both.
    fn mismatch(&self, error: &Error) -> Unusable {
        let name = |piece: &Option<Piece>| {
            let origin = piece.as_ref().map(|piece| piece.origin.clone());
            origin.unwrap_or_default()
        };
        let (certificate, key) = (name(&self.certificate), name(&self.key));
        Unusable(match error {
            Error::InconsistentKeys(_) => {
                format!("the key ({key}) does not fit the certificate ({certificate})")
            }
            Error::InvalidCertificate(error) => format!(
                "the certificate ({certificate}) cannot be read, or is not that of the key ({key}): {error}"
            ),
            error => format!("the key ({key}) cannot be used: {error}"),
        })
    }

    /// The certificates in force; what cannot be read is none.
    pub(super) fn in_force(&self) -> Vec<InForce> {
        let pieces = [(&self.certificate, true), (&self.roots, false)];
        let named = pieces
            .into_iter()
            .filter_map(|(piece, own)| Some((piece.as_ref()?, own)));
        let shown = named.flat_map(|(piece, own)| {
            let all = piece.certificates().unwrap_or_default();
            all.into_iter().map(move |der| InForce {
                own,
                origin: piece.origin.clone(),
                der: der.as_ref().into(),
            })
        });
        shown.collect()
    }
}

// === impl Piece ===

impl Piece {
    fn given(bytes: &[u8]) -> Self {
        Self {
            bytes: Zeroizing::new(bytes.to_vec()),
            origin: "given by the program".to_owned(),
        }
    }

    fn file(path: &Path) -> Result<Self, Unusable> {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        let origin = path.display().to_string();
        match read {
            Err(error) => Err(Unusable(format!("{origin} cannot be read: {error}"))),
            Ok(_) if bytes.len() as u64 > MAX_BYTES => {
                Err(Unusable(format!("{origin} is longer than 4 MiB")))
            }
            Ok(_) => Ok(Self { bytes, origin }),
        }
    }

    /// Its text: some editors put a mark before it.
    fn pem(&self) -> &[u8] {
        self.bytes
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.bytes)
    }

    /// Whether it holds a key that only a passphrase opens: either form has the word.
    fn is_encrypted(&self) -> bool {
        memchr::memmem::find(self.pem(), b"ENCRYPTED").is_some()
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Unusable> {
        let all: Vec<_> = CertificateDer::pem_slice_iter(self.pem())
            .collect::<Result<_, _>>()
            .map_err(|e| self.broken(&e))?;
        if all.is_empty() {
            return Err(self.bad(&"no certificate in it"));
        }
        Ok(all)
    }

    fn bad(&self, why: &dyn fmt::Display) -> Unusable {
        Unusable(format!("{}: {why}", self.origin))
    }

    /// What is wrong with its PEM: without the text itself, which may be a key.
    fn broken(&self, error: &pem::Error) -> Unusable {
        let why = match error {
            pem::Error::MissingSectionEnd { .. } => "cut short: a section has no end",
            pem::Error::IllegalSectionStart { .. } => "no PEM: a section's first line is wrong",
            pem::Error::Base64Decode(_) => "no PEM: its base64 is wrong",
            pem::Error::NoItemsFound => "nothing of what is wanted is in it",
            _ => "no PEM",
        };
        self.bad(&why)
    }
}

// === free functions ===

/// Whether the certificate has the key's public half.
fn is_for(certified: &CertifiedKey) -> bool {
    let parsed = certified
        .end_entity_cert()
        .map(|der| X509Certificate::from_der(der));
    match (parsed, certified.key.public_key()) {
        (Ok(Ok((_, parsed))), Some(public)) => parsed.public_key().raw == public.as_ref(),
        _ => false,
    }
}

/// The files that `tls` is read from.
pub(super) fn files(tls: &Tls) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    if let Verify::Chain { roots, revoked, .. } = &tls.verify {
        if let Roots::File(path) = roots {
            all.push(path.clone());
        }
        if let Some(Revoked::File(path)) = revoked {
            all.push(path.clone());
        }
    }
    if let Some(Identity::Files { certificate, key }) = &tls.identity {
        all.extend([certificate.clone(), key.clone()]);
    }
    all
}
