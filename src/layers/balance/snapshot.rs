//! What a pick reads: the endpoints, those that may be used, and what the policy needs prepared. Immutable.

use std::{cmp::Ordering, sync::Arc};

use super::{
    endpoint::Endpoint,
    hash::{Table, gcd},
    params::{HashTable, Params, Policy},
};
use crate::layers::outlier;

/// The state of a set between two changes.
#[derive(Debug)]
pub struct Snapshot {
    /// How one is picked.
    pub params: Params,
    /// When one is ejected.
    pub outlier: Option<outlier::Params>,
    /// All endpoints.
    pub all: Vec<Arc<Endpoint>>,
    /// Positions in `all` of those that may be used.
    pub usable: Vec<usize>,
    /// Whether ejections are ignored because too few are left.
    pub panicking: bool,
    /// Whether all usable endpoints weigh the same.
    pub equal_weights: bool,
    /// Round robin: positions in `all`, each as often as its weight says, spread out.
    pub schedule: Vec<usize>,
    /// Consistent hashing: the table over `all`.
    pub table: Option<Arc<HashIndex>>,
}

/// A hash table and what it was made from.
#[derive(Debug)]
pub struct HashIndex {
    /// The table.
    pub table: Table,
    kind: HashTable,
    members: Vec<(String, u32)>,
}

/// The longest schedule is this, or four times the number of endpoints. Weights that need more are rounded.
const MAX_SCHEDULE: u64 = 4096;

// === impl Snapshot ===

impl Snapshot {
    /// A snapshot of these endpoints as they are now. A hash table is taken over from `before` if it still fits.
    #[must_use]
    pub fn new(
        params: Params,
        outlier: Option<outlier::Params>,
        all: Vec<Arc<Endpoint>>,
        before: Option<&Self>,
    ) -> Self {
        let is_out = |i: usize| outlier.is_some() && all[i].is_ejected();
        let usable = (0..all.len()).filter(|&i| !is_out(i)).collect();
        Self::of_usable(params, outlier, all, usable, before)
    }

    /// The same set with more endpoints out: those at the positions that `is_out` names.
    #[must_use]
    pub fn without(&self, is_out: impl Fn(usize) -> bool) -> Self {
        let is_ejected = |i: usize| self.all.get(i).is_some_and(|e| e.is_ejected());
        let usable = (0..self.all.len())
            .filter(|&i| !is_ejected(i) && !is_out(i))
            .collect();
        Self::of_usable(
            self.params.clone(),
            self.outlier.clone(),
            self.all.clone(),
            usable,
            Some(self),
        )
    }

    fn of_usable(
        params: Params,
        outlier: Option<outlier::Params>,
        all: Vec<Arc<Endpoint>>,
        mut usable: Vec<usize>,
        before: Option<&Self>,
    ) -> Self {
        let panicking = usable.len() < all.len()
            && 100 * usable.len() < params.panic_threshold as usize * all.len();
        if panicking {
            usable = (0..all.len()).collect();
        }
        let weights: Vec<_> = usable.iter().map(|&i| all[i].weight()).collect();
        let schedule = match params.policy {
            Policy::RoundRobin => schedule(&usable, &weights),
            _ => Vec::new(),
        };
        let table = match params.policy {
            Policy::ConsistentHash { table, .. } => Some(hash_index(
                table,
                &all,
                before.and_then(|b| b.table.as_ref()),
            )),
            _ => None,
        };
        Self {
            equal_weights: weights.windows(2).all(|w| w[0] == w[1]),
            params,
            outlier,
            all,
            usable,
            panicking,
            schedule,
            table,
        }
    }
}

fn hash_index(
    kind: HashTable,
    all: &[Arc<Endpoint>],
    before: Option<&Arc<HashIndex>>,
) -> Arc<HashIndex> {
    let members: Vec<_> = all
        .iter()
        .map(|e| (e.address().to_string(), e.weight()))
        .collect();
    if let Some(before) = before.filter(|b| b.kind == kind && b.members == members) {
        return Arc::clone(before);
    }
    Arc::new(HashIndex {
        table: Table::new(kind, &members),
        kind,
        members,
    })
}

/// Earliest deadline first: the k-th turn of an endpoint of weight w is due at (k + ½)/w.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts below the schedule's length"
)]
fn schedule(usable: &[usize], weights: &[u32]) -> Vec<usize> {
    let common = weights.iter().fold(0, |g, w| gcd(g, u64::from(*w))).max(1);
    let total: u64 = weights.iter().map(|w| u64::from(*w) / common).sum();
    let longest = MAX_SCHEDULE.max(4 * usable.len() as u64);
    let mut turns = Vec::new();
    for (&member, &weight) in usable.iter().zip(weights) {
        let units = u64::from(weight) / common;
        let count = if total <= longest {
            units
        } else {
            (units * longest / total).max(1)
        };
        turns.extend((0..count).map(|k| ((k as f64 + 0.5) / count as f64, member)));
    }
    turns.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal));
    turns.into_iter().map(|(_, member)| member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_exact_and_spread_out() {
        assert_eq!(schedule(&[0, 1, 2], &[1, 1, 1]), [0, 1, 2]);
        assert_eq!(schedule(&[4, 7], &[100, 300]), [7, 4, 7, 7]);
        assert!(schedule(&[], &[]).is_empty());
    }

    #[test]
    fn weights_beyond_the_longest_schedule_are_rounded_but_never_to_nothing() {
        let turns = schedule(&[0, 1], &[1, 1_000_003]);
        let rare = turns.iter().filter(|&&m| m == 0).count();
        assert_eq!(rare, 1);
        assert!((4000..=4097).contains(&turns.len()));
    }
}
