//! The one source of random numbers: seedable, shared by reference, lock-free.
//!
//! SplitMix64 over an atomic counter (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA
//! 2014): one `fetch_add` a draw, so any number of tasks can share it and a seeded run on one thread repeats exactly.
//! It is for jitter, sampling and balancing; nothing secret may be made from it.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A shared generator. Cloning shares the state.
#[derive(Clone, Debug)]
pub struct SharedRng(Arc<AtomicU64>);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

// === impl SharedRng ===

impl SharedRng {
    /// A generator with this seed: the same seed gives the same numbers.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// A generator seeded by the operating system, by way of the standard library: its hash maps are keyed with what the
    /// system gives, and the hash of nothing under such a key is as good a seed.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that draws entropy"
    )]
    pub fn from_entropy() -> Self {
        Self::seeded(RandomState::new().build_hasher().finish())
    }

    /// Uniform over all of `u64`.
    #[must_use]
    pub fn next(&self) -> u64 {
        let mut z = self
            .0
            .fetch_add(GOLDEN, Ordering::Relaxed)
            .wrapping_add(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub fn unit(&self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `0..bound`; 0 if `bound` is 0. (Lemire's multiply-shift; the bias is below 2⁻⁶⁴·bound.)
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform index into a collection of `len` items; `None` if it is empty.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "below len, which is a usize"
    )]
    pub fn index(&self, len: usize) -> Option<usize> {
        (len > 0).then(|| self.below(len as u64) as usize)
    }
}

impl Default for SharedRng {
    fn default() -> Self {
        Self::from_entropy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (a, b) = (SharedRng::seeded(7), SharedRng::seeded(7));
        assert!((0..100).all(|_| a.next() == b.next()));
    }

    #[test]
    fn draws_cover_their_range_evenly() {
        let rng = SharedRng::seeded(1);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[rng.index(10).unwrap()] += 1;
            assert!((0.0..1.0).contains(&rng.unit()));
        }
        assert!(
            counts.iter().all(|c| (9_500..10_500).contains(c)),
            "{counts:?}"
        );
        assert_eq!(rng.index(0), None);
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn generators_from_entropy_differ() {
        let first: std::collections::BTreeSet<_> =
            (0..100).map(|_| SharedRng::from_entropy().next()).collect();
        assert_eq!(first.len(), 100);
    }
}
