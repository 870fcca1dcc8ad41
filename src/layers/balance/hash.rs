//! Tables that map hashes to endpoints: a ring and Maglev.
//!
//! Both are made over all endpoints, ejected or not; a look-up walks on from an endpoint that may not be used. Places
//! depend on addresses and weights alone, so the same key finds the same endpoint after a restart.

use xxhash_rust::xxh64::xxh64;

use super::params::HashTable;

/// A table over endpoints `0..n`.
#[derive(Clone, Debug)]
pub enum Table {
    /// Sorted by hash; a key belongs to the first entry at or after its own hash.
    Ring(Vec<(u64, u32)>),
    /// A key belongs to the slot of its hash modulo the length.
    Maglev(Vec<u32>),
}

/// Envoy's greatest ring.
const MAX_RING: u64 = 8 << 20;
/// Fewer entries than this for an average endpoint make uneven shares.
const MIN_PER_ENDPOINT: u64 = 128;
/// The greatest table of Envoy's Maglev.
const MAX_MAGLEV: u64 = 5_000_011;
const NONE: u32 = u32::MAX;

// === impl Table ===

impl Table {
    /// A table over these names and weights (at least 1).
    #[must_use]
    pub fn new(kind: HashTable, members: &[(String, u32)]) -> Self {
        match kind {
            HashTable::Ring { min_size } => Self::Ring(ring(min_size, members)),
            HashTable::Maglev { size } => Self::Maglev(maglev(size, members)),
        }
    }

    /// The member that `hash` belongs to, or the next one on its way that `usable` allows.
    #[must_use]
    pub fn find(&self, hash: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        match self {
            Self::Ring(entries) => {
                let start = entries.partition_point(|&(at, _)| at < hash);
                let (before, after) = entries.split_at(start);
                first(
                    after.iter().chain(before).map(|&(_, member)| member),
                    usable,
                )
            }
            Self::Maglev(slots) => {
                let start = usize::try_from(hash.checked_rem(slots.len() as u64)?).ok()?;
                let (before, after) = slots.split_at(start);
                first(after.iter().chain(before).copied(), usable)
            }
        }
    }
}

fn first(members: impl Iterator<Item = u32>, usable: impl Fn(usize) -> bool) -> Option<usize> {
    members
        .filter(|&member| member != NONE)
        .map(|member| member as usize)
        .find(|&member| usable(member))
}

/// Entries in proportion to weight. The number per unit of weight is a power of two, so that adding or removing an
/// endpoint seldom changes how many the others have, which would move keys between them. Weights that would need many
/// more entries than asked for are rounded.
fn ring(min_size: u64, members: &[(String, u32)]) -> Vec<(u64, u32)> {
    let units = units(members);
    let total: u64 = units.iter().sum();
    if total == 0 {
        return Vec::new();
    }
    let least = min_size
        .max(MIN_PER_ENDPOINT * members.len() as u64)
        .min(MAX_RING);
    let most = (16 * least).min(MAX_RING);
    let per_unit = least.div_ceil(total).next_power_of_two();
    let count = |units: u64| {
        if per_unit.saturating_mul(total) <= most {
            units * per_unit
        } else {
            (units.saturating_mul(most) / total).max(1)
        }
    };
    let mut entries = Vec::new();
    for (member, ((name, _), &units)) in (0_u32..).zip(members.iter().zip(&units)) {
        entries.extend(
            (0..count(units)).map(|i| (xxh64(format!("{name}_{i}").as_bytes(), 0), member)),
        );
    }
    entries.sort_unstable();
    entries
}

/// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4; weights as in
/// Envoy: a member takes its turn as often as its weight's share of the greatest one.
fn maglev(size: u64, members: &[(String, u32)]) -> Vec<u32> {
    if members.is_empty() {
        return Vec::new();
    }
    let size = prime_from(size.clamp(2, MAX_MAGLEV));
    let greatest = members.iter().map(|(_, w)| *w).max().unwrap_or(1).max(1);
    let mut turns: Vec<_> = members
        .iter()
        .map(|(name, weight)| Turn {
            next: xxh64(name.as_bytes(), 0) % size,
            skip: xxh64(name.as_bytes(), 1) % (size - 1) + 1,
            weight: u64::from((*weight).max(1)),
            credit: 0,
        })
        .collect();
    let mut slots = vec![NONE; usize::try_from(size).unwrap_or(0)];
    let mut free = slots.len();
    while free > 0 {
        for (member, turn) in (0_u32..).zip(&mut turns) {
            turn.credit += turn.weight;
            if turn.credit < u64::from(greatest) || free == 0 {
                continue;
            }
            turn.credit -= u64::from(greatest);
            // `size` is prime, so the steps visit every slot; one is free.
            while let Some(slot) = slots.get_mut(turn.step(size)) {
                if *slot == NONE {
                    *slot = member;
                    free -= 1;
                    break;
                }
            }
        }
    }
    slots
}

/// One member's way through its permutation of the slots.
struct Turn {
    next: u64,
    skip: u64,
    weight: u64,
    credit: u64,
}

impl Turn {
    #[expect(clippy::cast_possible_truncation, reason = "below the table's size")]
    fn step(&mut self, size: u64) -> usize {
        let at = self.next;
        self.next = (at + self.skip) % size;
        at as usize
    }
}

/// Weights divided by what they have in common.
pub(super) fn units(members: &[(String, u32)]) -> Vec<u64> {
    let weight = |w: u32| u64::from(w.max(1));
    let common = members
        .iter()
        .fold(0, |g, (_, w)| gcd(g, weight(*w)))
        .max(1);
    members.iter().map(|(_, w)| weight(*w) / common).collect()
}

pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The least prime from `n` on.
fn prime_from(n: u64) -> u64 {
    let is_prime = |n: u64| {
        n >= 2
            && (2..)
                .take_while(|d| d * d <= n)
                .all(|d| !n.is_multiple_of(d))
    };
    (n..).find(|&n| is_prime(n)).unwrap_or(n)
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
