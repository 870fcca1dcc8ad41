//! Secrets and callers' values as keys of tables, without keeping them.
//!
//! A table of what a credential may do must not hold the credential, and a caller who chooses keys must not be able to
//! choose where in a table they fall. A [`Fingerprint`] is a SipHash under a key that is drawn when the process starts: it
//! means nothing outside this process and cannot be aimed at. The key is the standard library's and not one of
//! [`rng`](super::rng), of which nothing secret may be made; no decision depends on it but where in a table something stands.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::OnceLock,
};

/// The hash of some bytes, under the key of this process. Equal bytes have equal fingerprints; unequal ones collide once in
/// 2⁶⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u64);

// === impl Fingerprint ===

impl Fingerprint {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_all([bytes])
    }

    /// Of several strings of bytes. Where one ends and the next begins makes a difference.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a key of this process alone; see above"
    )]
    pub fn of_all<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        static KEY: OnceLock<RandomState> = OnceLock::new();
        let mut hasher = KEY.get_or_init(RandomState::new).build_hasher();
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        Self(hasher.finish())
    }

    /// As a number, evenly spread.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_equal_and_boundaries_count() {
        assert_eq!(Fingerprint::of(b"key"), Fingerprint::of(b"key"));
        assert_ne!(Fingerprint::of(b"key"), Fingerprint::of(b"kez"));
        let parts = |a: &'static [u8], b: &'static [u8]| Fingerprint::of_all([a, b]);
        assert_ne!(parts(b"ab", b"c"), parts(b"a", b"bc"));
    }
}
