//! Keys: in which header they go, and what takes a caller's out.
//!
//! A [`Key`] holds its text in memory that is overwritten when the last copy is gone, headers of requests among the copies.
//! What goes over a connection is written there in the clear, as any header is.

mod error;
mod header;
mod own;
mod strip;

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, header::AUTHORIZATION, request::Parts};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use self::{error::KeyError, own::OwnKeyed};
pub(super) use self::{
    own::NoKey,
    strip::{keys, secrets},
};
use super::params::KeyHeader;
use crate::base::Fingerprint;

/// A key. Printing it prints none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// As it stands in a header, without a scheme.
    plain: HeaderValue,
    /// With one.
    bearer: HeaderValue,
    hash: Fingerprint,
}

// === impl Key ===

impl Key {
    /// A key; blanks around it, and a byte order mark before it, are left out.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn new(key: &str) -> Result<Self, KeyError> {
        let key = key.strip_prefix('\u{feff}').unwrap_or(key).trim();
        if let Some(why) = fault(key) {
            return Err(KeyError::Malformed(why));
        }
        Ok(Self {
            plain: value(&["", key])?,
            bearer: value(&["Bearer ", key])?,
            hash: Fingerprint::of(key.as_bytes()),
        })
    }

    /// Its fingerprint.
    #[must_use]
    pub fn hash(&self) -> Fingerprint {
        self.hash
    }

    /// Its SHA-256, by which callers' keys are known.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.plain.as_bytes()).into()
    }

    /// Puts it into a head from which the caller's was taken, in this header.
    pub(super) fn put(&self, head: &mut Parts, header: KeyHeader) {
        let value = if header == KeyHeader::Authorization {
            debug_assert_eq!(header.name(), AUTHORIZATION);
            &self.bearer
        } else {
            &self.plain
        };
        head.headers.insert(header.name(), value.clone());
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

// === free functions ===

/// What is wrong with a key, in words without it.
fn fault(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        Some("it is empty")
    } else if key.contains(['\n', '\r']) {
        Some("it has several lines, where the key alone is expected")
    } else if !key.is_ascii() {
        Some("it has characters that are not ASCII, which no header can carry")
    } else if key.contains([' ', '\t']) {
        Some("it has blanks in it: write the key alone, without `Bearer` and without a name")
    } else if key.contains(|c: char| c.is_ascii_control()) {
        Some("it has control characters, which no header can carry")
    } else {
        None
    }
}

/// A header's value in memory that is overwritten when nobody holds it any more.
fn value(parts: &[&str; 2]) -> Result<HeaderValue, KeyError> {
    let mut text = Zeroizing::new(Vec::with_capacity(parts.iter().map(|p| p.len()).sum()));
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))
        .map_err(|_| KeyError::Malformed("it has characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
