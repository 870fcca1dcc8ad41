//! Validated numbers that layer parameters are built from.

use crate::base::rng::SharedRng;

/// A share between 0 and 1, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ratio(f64);

/// So many of one thing for each of another: between 0 and 1000, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

/// A number outside the range its type allows.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{value} is not between {min} and {max}")]
pub struct OutOfRange {
    value: f64,
    min: f64,
    max: f64,
}

// === impl Ratio ===

impl Ratio {
    /// Never.
    pub const ZERO: Self = Self(0.0);
    /// Always.
    pub const ONE: Self = Self(1.0);

    /// A ratio from a share.
    ///
    /// # Errors
    /// If `value` is not a number between 0 and 1.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(OutOfRange {
                value,
                min: 0.0,
                max: 1.0,
            })
        }
    }

    /// A ratio from percent.
    ///
    /// # Errors
    /// If `percent` is not a number between 0 and 100.
    pub fn from_percent(percent: f64) -> Result<Self, OutOfRange> {
        if (0.0..=100.0).contains(&percent) {
            Ok(Self(percent / 100.0))
        } else {
            Err(OutOfRange {
                value: percent,
                min: 0.0,
                max: 100.0,
            })
        }
    }

    /// The share, between 0 and 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The share in percent.
    #[must_use]
    pub fn percent(self) -> f64 {
        self.0 * 100.0
    }

    /// True with this probability.
    #[must_use]
    pub fn draw(self, rng: &SharedRng) -> bool {
        self.0 > 0.0 && rng.unit() < self.0
    }
}

// === impl Share ===

impl Share {
    /// One for each five.
    pub const FIFTH: Self = Self(0.2);

    /// A share from a number.
    ///
    /// # Errors
    /// If `value` is not a number between 0 and 1000.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        if (0.0..=1000.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(OutOfRange {
                value,
                min: 0.0,
                max: 1000.0,
            })
        }
    }

    /// The number, between 0 and 1000.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl From<Ratio> for Share {
    fn from(ratio: Ratio) -> Self {
        Self(ratio.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_share() {
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Ratio::new(bad).is_err(), "{bad}");
        }
        for bad in [-0.1, 1000.1, f64::NAN, f64::INFINITY] {
            assert!(Share::new(bad).is_err(), "{bad}");
        }
        assert_eq!(Share::new(2.5).unwrap().get(), 2.5);
        assert_eq!(Ratio::from_percent(25.0).unwrap().get(), 0.25);
        assert!(Ratio::from_percent(100.1).is_err());
        assert_eq!(
            Ratio::from_percent(101.0).unwrap_err().to_string(),
            "101 is not between 0 and 100"
        );
    }

    #[test]
    fn zero_never_and_one_always() {
        let rng = SharedRng::seeded(1);
        assert!((0..1000).all(|_| !Ratio::ZERO.draw(&rng) && Ratio::ONE.draw(&rng)));
    }
}
