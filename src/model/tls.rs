//! TLS towards a cluster's endpoints: Istio's `tls` of a DestinationRule, or a port that is declared as one.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use zeroize::Zeroizing;

/// How TLS is spoken to the endpoints of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tls {
    /// The name that is sent (SNI), and verified where no names are listed. `None` sends none.
    pub server_name: Option<String>,
    /// What of the server's certificate is verified.
    pub verify: Verify,
    /// The certificate that is shown to the server (`MUTUAL`).
    pub identity: Option<Identity>,
    /// Why TLS cannot be spoken at all: something that it needs is not there. No connection is made then, least of all one
    /// in plain text; requests fail with this reason, for people.
    pub unmet: Option<String>,
}

/// What of a server's certificate is verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verify {
    /// Nothing (`insecureSkipVerify`).
    Nothing,
    /// Its chain and its name.
    Chain {
        /// Whom its chain leads to.
        roots: Roots,
        /// The names of which it must have one (`subjectAltNames`); empty is the server name.
        names: Vec<NameMatch>,
        /// Certificates that were taken back.
        revoked: Option<Revoked>,
    },
}

/// Authorities that are trusted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Roots {
    /// The system's, or the ones that are built in where it has none.
    System,
    /// A PEM file (`caCertificates`).
    File(PathBuf),
    /// Of a secret (`namespace/name`): its `ca.crt`, or `cacert`.
    Secret(String),
}

/// A list of certificates that were taken back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// A PEM file (`caCrl`).
    File(PathBuf),
    /// Of a secret (`namespace/name`): its `ca.crl`, or `crl`.
    Secret(String),
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// PEM files: `clientCertificate` (a chain) and `privateKey`.
    Files {
        /// The chain, the leaf first.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// Of a secret (`namespace/name`): `tls.crt` and `tls.key`, or `cert` and `key`.
    Secret(String),
}

/// An alternative name of a certificate, as Istio matches them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NameMatch {
    /// It is this.
    Exact(String),
    /// It begins so (`spiffe://cluster.local/*`).
    Prefix(String),
    /// It ends so (`*.example.com`).
    Suffix(String),
}

// === impl Tls ===

impl Tls {
    /// `SIMPLE` towards a name: verified against the system's authorities, with no certificate of our own.
    #[must_use]
    pub fn simple(server_name: Option<String>) -> Self {
        Self {
            server_name,
            verify: Verify::Chain {
                roots: Roots::System,
                names: Vec::new(),
                revoked: None,
            },
            identity: None,
            unmet: None,
        }
    }
}

// === impl NameMatch ===

impl NameMatch {
    /// From Istio's notation: `x*` is a prefix, `*x` a suffix, all else exact.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match (text.strip_suffix('*'), text.strip_prefix('*')) {
            (Some(start), _) => Self::Prefix(start.to_owned()),
            (None, Some(end)) => Self::Suffix(end.to_owned()),
            (None, None) => Self::Exact(text.to_owned()),
        }
    }
}

impl fmt::Display for NameMatch {
    /// In Istio's notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(start) => write!(f, "{start}*"),
            Self::Suffix(end) => write!(f, "*{end}"),
        }
    }
}

/// The values of a Secret, by its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub BTreeMap<String, Arc<Zeroizing<Vec<u8>>>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
