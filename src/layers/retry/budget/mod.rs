//! A bound on retries over many requests.
//!
//! The number of retries per request bounds one request; when an upstream is down, all requests fail at once and
//! every one of them uses its full number. A budget bounds the sum: retries may add a small share to the load and no
//! more, so that they cannot keep an upstream down. Share one [`RetryBudget`] among all routes to a cluster.
//!
//! Fallbacks are counted in the same budget, at a lower price ([`Price::Fallback`]): who falls over much retries less. But
//! retries never take what fallbacks need, since asking somebody else is what helps when a target is down: whether a fallback
//! is refused is decided by an account of the same size in which fallbacks alone stand. So with the standard budget
//! every request may fall over once.

mod bucket;
mod percent;
mod price;
#[cfg(test)]
mod tests;
mod words;

use std::sync::OnceLock;

pub use self::price::Price;
pub(super) use self::price::throttled;
use self::{bucket::Bucket, percent::Percent, words::Words};
use super::params::Budget;
use crate::base::time::Instant;

/// The state of a [`Budget`]. All operations are lock-free.
#[derive(Debug)]
pub struct RetryBudget {
    params: Words,
    state: State,
    /// What fallbacks took, of as much.
    fallbacks: OnceLock<State>,
}

#[derive(Debug)]
enum State {
    Percent(Box<Percent>),
    Bucket(Bucket),
}

/// What a retry took out of a token bucket, to be given back on success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "hand it to `succeeded` if the retry succeeds"]
pub struct Paid(u32);

// === impl RetryBudget ===

impl RetryBudget {
    /// A fresh budget: a percent budget holds its floor, a token bucket is full.
    #[must_use]
    pub fn new(params: Budget) -> Self {
        Self {
            state: State::new(&params),
            params: Words::new(params),
            fallbacks: OnceLock::new(),
        }
    }

    /// Keeps the account of fallbacks from now on. Without this the first fallback opens it, and knows of no request
    /// before.
    pub fn keep_fallbacks(&self) {
        self.fallbacks.get_or_init(|| State::new(&self.params()));
    }

    /// The parameters in force.
    #[must_use]
    pub fn params(&self) -> Budget {
        self.params.get()
    }

    /// Puts other parameters in force from the next decision on, and keeps the state. Returns `false`, and changes
    /// nothing, if the state cannot serve them: another kind of budget or another life of deposits.
    #[must_use]
    pub fn set_params(&self, params: Budget) -> bool {
        self.params.set(params)
    }

    /// Whether it is a token bucket. That never changes.
    pub(super) const fn is_bucket(&self) -> bool {
        matches!(self.params, Words::Bucket(_))
    }

    /// A request came in (its first attempt).
    pub fn deposit(&self, now: Instant) {
        let Words::Percent(params) = &self.params else {
            return;
        };
        for state in [Some(&self.state), self.fallbacks.get()] {
            if let Some(State::Percent(state)) = state {
                state.deposit(params.units(), now);
            }
        }
    }

    /// Pays for a retry or a fallback. `None`: there is nothing left.
    #[must_use]
    pub fn withdraw(&self, price: Price, now: Instant) -> Option<Paid> {
        let params = &self.params;
        if price != Price::Fallback {
            return self.state.withdraw(params, price, now);
        }
        self.keep_fallbacks();
        let paid = self.fallbacks.get()?.withdraw(params, price, now)?;
        self.state.charge(params, price, now);
        Some(paid)
    }

    /// A request succeeded; `paid` is what its last retry cost.
    pub fn succeeded(&self, paid: Option<Paid>) {
        let Words::Bucket(params) = &self.params else {
            return;
        };
        for state in [Some(&self.state), self.fallbacks.get()] {
            if let Some(State::Bucket(state)) = state {
                state.put(paid.map_or(1, |paid| paid.0), params.capacity());
            }
        }
    }

    /// What is left: whole retries of a percent budget, tokens of a bucket.
    #[must_use]
    pub fn left(&self, now: Instant) -> u64 {
        match (&self.state, &self.params) {
            (State::Percent(state), Words::Percent(params)) => {
                state.available(params.reserve(), now)
            }
            (State::Percent(state), Words::Bucket(_)) => state.available(0, now),
            (State::Bucket(state), _) => u64::from(state.tokens()),
        }
    }
}

// === impl State ===

impl State {
    fn new(params: &Budget) -> Self {
        match params {
            Budget::Percent { ttl, .. } => Self::Percent(Box::new(Percent::new(*ttl))),
            Budget::TokenBucket { capacity, .. } => Self::Bucket(Bucket::new(*capacity)),
        }
    }

    fn withdraw(&self, params: &Words, price: Price, now: Instant) -> Option<Paid> {
        match (self, params) {
            (Self::Percent(state), Words::Percent(params)) => state
                .withdraw(price.units(), params.reserve(), now)
                .then_some(Paid(0)),
            (Self::Bucket(state), Words::Bucket(params)) => {
                let cost = params.cost(price);
                state.withdraw(cost).then_some(Paid(cost))
            }
            // Not reachable: a budget's kind never changes.
            _ => None,
        }
    }

    /// Takes a price that was paid elsewhere, as far as there is something.
    fn charge(&self, params: &Words, price: Price, now: Instant) {
        match (self, params) {
            (Self::Percent(state), _) => state.charge(price.units(), now),
            (Self::Bucket(state), Words::Bucket(params)) => {
                // An empty bucket has nothing to give, and nothing to protect.
                let _ = state.withdraw(params.cost(price));
            }
            (Self::Bucket(_), Words::Percent(_)) => {}
        }
    }
}

/// For tower's own retry policies: a deposit is a request (a token bucket takes it as a success), a withdrawal is the
/// price of a fault.
impl tower::retry::budget::Budget for RetryBudget {
    fn deposit(&self) {
        Self::deposit(self, Instant::now());
        self.succeeded(None);
    }

    fn withdraw(&self) -> bool {
        Self::withdraw(self, Price::Fault, Instant::now()).is_some()
    }
}
