//! From a place to the text of a key.

use std::{env, fs, io::Read as _, path::Path};

use zeroize::Zeroizing;

use crate::layers::fallback::params::Credential;

/// The longest key, in bytes: no server takes longer headers.
const MAX: usize = 16 * 1024;

/// A key that cannot be used. The key is not in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The environment variable is not set.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("the key file {path} cannot be read: {source}")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// What stands there is no key.
    #[error("{of} holds no key: {why}")]
    Unusable {
        /// Where it stands.
        of: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is no key.
    #[error("the key cannot be used: {0}")]
    Malformed(&'static str),
}

/// The text at a place, as it stands there.
pub(super) fn text(from: &Credential) -> Result<Zeroizing<String>, KeyError> {
    let unusable = |why| KeyError::Unusable {
        of: from.to_string(),
        why,
    };
    let bytes = match from {
        Credential::Env(name) => {
            let value = env::var_os(name).ok_or_else(|| KeyError::Unset(name.clone()))?;
            Zeroizing::new(value.into_encoded_bytes())
        }
        Credential::File(path) => {
            let unreadable = |source| KeyError::Unreadable {
                path: path.display().to_string(),
                source,
            };
            // Asked first, since to open a pipe would wait.
            if !fs::metadata(path).map_err(unreadable)?.is_file() {
                return Err(unusable("it is no file but a folder, a pipe or a device"));
            }
            contents(path).map_err(unreadable)?
        }
    };
    if bytes.len() > MAX {
        return Err(unusable("it is longer than 16 KiB"));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(unusable(
            "it has characters that are not ASCII, which no header can carry",
        )),
    }
}

/// The beginning of a file, by one byte more than a key can have. It is read into one place, which is overwritten.
fn contents(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; MAX + 1]);
    let mut file = fs::File::open(path)?;
    let mut read = 0;
    while let Some(room) = bytes.get_mut(read..).filter(|room| !room.is_empty()) {
        match file.read(room)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}
