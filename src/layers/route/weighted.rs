//! One draw among weighted destinations.
//!
//! Shares are `weight / sum`; the sum need not be 100. The sums are added up once, so a draw is one random number and a
//! binary search.

use super::params::Destination;
use crate::base::SharedRng;

/// The cumulative weights of a route's destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weighted {
    cumulative: Vec<u64>,
}

// === impl Weighted ===

impl Weighted {
    /// Adds up the weights. A lone destination gets everything, whatever its weight.
    #[must_use]
    pub fn new(destinations: &[Destination]) -> Self {
        let mut sum = 0_u64;
        let cumulative = destinations
            .iter()
            .map(|d| {
                sum += match destinations.len() {
                    1 => 1,
                    _ => u64::from(d.weight),
                };
                sum
            })
            .collect();
        Self { cumulative }
    }

    /// The position of a destination, with a probability of its share. `None` if there is none, or all weights are 0.
    #[must_use]
    pub fn draw(&self, rng: &SharedRng) -> Option<usize> {
        let sum = *self.cumulative.last()?;
        match sum {
            0 => None,
            _ if self.cumulative.len() == 1 => Some(0),
            _ => {
                let point = rng.below(sum);
                Some(self.cumulative.partition_point(|upper| *upper <= point))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighted(weights: &[u32]) -> Weighted {
        Weighted::new(
            &weights
                .iter()
                .map(|w| Destination::new("c", *w))
                .collect::<Vec<_>>(),
        )
    }

    fn counts(weights: &[u32], draws: u32) -> Vec<u32> {
        let (weighted, rng) = (weighted(weights), SharedRng::seeded(42));
        let mut counts = vec![0; weights.len()];
        for _ in 0..draws {
            counts[weighted.draw(&rng).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn converges_on_the_shares() {
        // 95/5 over 20,000: the standard deviation is sqrt(20,000 · 0.95 · 0.05) ≈ 30.8.
        let counts = counts(&[95, 5], 20_000);
        assert!((908..=1092).contains(&counts[1]), "{counts:?}");
        assert_eq!(counts[0] + counts[1], 20_000);
    }

    #[test]
    fn the_sum_need_not_be_a_hundred() {
        let counts = counts(&[1, 3], 20_000);
        // 3 sigma: sqrt(20,000 · 0.25 · 0.75) ≈ 61.2.
        assert!((4_816..=5_184).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn zero_weight_is_never_drawn() {
        let counts = counts(&[0, 7, 0, 1, 0], 5_000);
        assert_eq!((counts[0], counts[2], counts[4]), (0, 0, 0));
        assert!(counts[1] > counts[3] && counts[3] > 0);
    }

    #[test]
    fn a_lone_destination_takes_all_whatever_its_weight() {
        let rng = SharedRng::seeded(1);
        assert_eq!(weighted(&[0]).draw(&rng), Some(0));
        assert_eq!(weighted(&[100]).draw(&rng), Some(0));
    }

    #[test]
    fn nothing_to_draw_from() {
        let rng = SharedRng::seeded(1);
        assert_eq!(weighted(&[]).draw(&rng), None);
        assert_eq!(weighted(&[0, 0]).draw(&rng), None);
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let counts = counts(&[u32::MAX, u32::MAX, u32::MAX], 300);
        assert!(counts.iter().all(|c| *c > 50), "{counts:?}");
    }
}
