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
        /// A file of certificates that were taken back (`caCrl`).
        revoked: Option<PathBuf>,
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

/// The values of a Secret, by its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub BTreeMap<String, Arc<Zeroizing<Vec<u8>>>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
