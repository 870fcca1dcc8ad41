//! Certificates and keys that a program gives, besides those that its files name.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::Zeroizing;

use super::{reload::LoadError, tls};

/// Certificates, or a key, in PEM: a text, or a file that holds one.
///
/// Strings and bytes are texts, paths are files. A file is read once, at the start.
#[derive(Clone)]
pub struct Pem(Source);

#[derive(Clone)]
enum Source {
    Text(Zeroizing<Vec<u8>>),
    File(PathBuf),
}

/// What a program has given.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) roots: Option<Pem>,
    /// A chain and its key.
    pub(super) identity: Option<(Pem, Pem)>,
}

// === impl Pem ===

impl Pem {
    fn read(&self, what: &str) -> Result<Zeroizing<Vec<u8>>, LoadError> {
        match &self.0 {
            Source::Text(text) => Ok(text.clone()),
            Source::File(path) => match std::fs::read(path) {
                Ok(bytes) => Ok(Zeroizing::new(bytes)),
                Err(error) => Err(LoadError::Certificates(format!(
                    "{what}: {} cannot be read: {error}",
                    path.display()
                ))),
            },
        }
    }
}

impl From<String> for Pem {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Pem {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<Vec<u8>> for Pem {
    fn from(text: Vec<u8>) -> Self {
        Self(Source::Text(Zeroizing::new(text)))
    }
}

impl From<&[u8]> for Pem {
    fn from(text: &[u8]) -> Self {
        text.to_vec().into()
    }
}

impl From<PathBuf> for Pem {
    fn from(file: PathBuf) -> Self {
        Self(Source::File(file))
    }
}

impl From<&Path> for Pem {
    fn from(file: &Path) -> Self {
        file.to_path_buf().into()
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Text(_) => f.write_str("Pem"),
            Source::File(path) => f.debug_tuple("Pem").field(path).finish(),
        }
    }
}

// === impl Given ===

impl Given {
    /// Reads it, and refuses what cannot be used.
    pub(super) fn read(&self) -> Result<tls::Defaults, LoadError> {
        let (roots, identity) = ("tls_roots", "client_identity");
        let mut defaults = tls::Defaults::default();
        if let Some(pem) = &self.roots {
            defaults.roots = Some(Arc::from(pem.read(roots)?.as_slice()));
            check(&defaults, roots)?;
        }
        if let Some((chain, key)) = &self.identity {
            let chain = Arc::from(chain.read(identity)?.as_slice());
            defaults.identity = Some((chain, Arc::new(key.read(identity)?)));
            check(&defaults, identity)?;
        }
        Ok(defaults)
    }
}

fn check(defaults: &tls::Defaults, what: &str) -> Result<(), LoadError> {
    let checked = defaults.check();
    checked.map_err(|why| LoadError::Certificates(format!("{what}: {why}")))
}
