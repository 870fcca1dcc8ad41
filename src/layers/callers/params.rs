//! Parameters of the callers layer.

use std::{fmt, str::FromStr, sync::Arc};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{layers::fallback::params::Credential, llm::glob::Glob};

/// Who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// What it is called in limits, metrics and logs.
    pub name: Arc<str>,
    /// What it is known by; each is enough.
    pub keys: Vec<CallerKey>,
    /// The models that it may use, by the names that it writes. Empty: all.
    pub models: Vec<Glob>,
}

/// What a caller is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerKey {
    /// The hash of its key.
    Sha256(Digest),
    /// Where its key is read from.
    Stored(Credential),
}

/// The SHA-256 of a key. Printing it prints none of it: of a short key it would tell too much.
#[derive(Clone, Copy, Eq)]
pub struct Digest([u8; 32]);

/// A text that is no SHA-256. It is not in it: it may be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDigest {
    /// It is not 64 hexadecimal digits.
    #[error("this is no SHA-256 of a key: 64 hexadecimal digits")]
    Malformed,
    /// It is the hash of no text, or of a line's end alone.
    #[error("this is the SHA-256 of an empty text, which is no key")]
    OfNothing,
}

// === impl Caller ===

impl Caller {
    /// A caller without a key, who may use all models.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            keys: Vec::new(),
            models: Vec::new(),
        }
    }

    /// Adds a key by its hash.
    #[must_use]
    pub fn with_sha256(mut self, digest: Digest) -> Self {
        self.keys.push(CallerKey::Sha256(digest));
        self
    }

    /// Adds a model, or a pattern of models.
    #[must_use]
    pub fn with_model(mut self, pattern: &str) -> Self {
        self.models.push(Glob::new(pattern));
        self
    }
}

// === impl Digest ===

impl Digest {
    /// The one of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Takes as long whatever the two have in common.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    /// 64 hexadecimal digits, alone or behind `sha256:`.
    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let text = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.iter().all(u8::is_ascii_hexdigit) {
            return Err(BadDigest::Malformed);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| BadDigest::Malformed)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| BadDigest::Malformed)?;
        }
        let digest = Self(bytes);
        if [&b""[..], b"\n", b"\r\n"]
            .iter()
            .any(|nothing| Self::of(nothing) == digest)
        {
            return Err(BadDigest::OfNothing);
        }
        Ok(digest)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hexadecimal_digits_of_a_text() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let upper = abc.to_ascii_uppercase();
        for text in [abc, &upper, &format!("sha256:{abc}")] {
            assert_eq!(text.parse(), Ok(Digest::of(b"abc")), "{text}");
        }
        for text in [
            "",
            "abc",
            &abc[1..],
            &format!("{abc}0"),
            &format!(" {abc}"),
            &"é".repeat(32),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(BadDigest::Malformed), "{text}");
        }
        for text in [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b",
        ] {
            assert_eq!(text.parse::<Digest>(), Err(BadDigest::OfNothing), "{text}");
        }
        assert_ne!(Digest::of(b"abc"), Digest::of(b"abd"));
        assert_eq!(format!("{:?}", Digest::of(b"abc")), "Digest(…)");
    }
}
