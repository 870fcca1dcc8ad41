//! A bound on retries over many requests.
//!
//! The number of retries per request bounds one request; when an upstream is down, all requests fail at once and
//! every one of them uses its full number. A budget bounds the sum: retries may add a small share to the load and no
//! more, so that they cannot keep an upstream down. Share one [`RetryBudget`] among all routes to a cluster.

mod bucket;
mod percent;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;

use self::{bucket::Bucket, percent::Percent};
use super::{params::Budget, policy::throttled};
use crate::{
    base::{Kind, time::Instant},
    classify::{Class, Outcome, Signal},
};

/// The state of a [`Budget`]. All operations are lock-free.
#[derive(Debug)]
pub struct RetryBudget {
    params: ArcSwap<Budget>,
    state: State,
}

#[derive(Debug)]
enum State {
    Percent(Box<Percent>),
    Bucket(Bucket),
}

/// What is paid for: the AWS bucket has a price for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// The upstream failed.
    Fault,
    /// The upstream asked to slow down.
    Throttle,
    /// The attempt timed out.
    Timeout,
    /// Another target is asked instead: it is not the one in trouble, so this is cheaper than a
    /// retry: a fifth of one in a percent budget, half the price of throttling in a bucket.
    Fallback,
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
        let state = match &params {
            Budget::Percent { ttl, .. } => State::Percent(Box::new(Percent::new(*ttl))),
            Budget::TokenBucket { capacity, .. } => State::Bucket(Bucket::new(*capacity)),
        };
        Self {
            params: ArcSwap::from_pointee(params),
            state,
        }
    }

    /// The parameters in force.
    #[must_use]
    pub fn params(&self) -> Budget {
        **self.params.load()
    }

    /// Puts other parameters in force from the next decision on, and keeps the state. Returns `false`, and changes
    /// nothing, if the state cannot serve them: another kind of budget or another life of deposits.
    #[must_use]
    pub fn set_params(&self, params: Budget) -> bool {
        let fits = match (self.params(), params) {
            (Budget::Percent { ttl: old, .. }, Budget::Percent { ttl: new, .. }) => old == new,
            (Budget::TokenBucket { .. }, Budget::TokenBucket { .. }) => true,
            _ => false,
        };
        if fits {
            self.params.store(Arc::new(params));
        }
        fits
    }

    /// A request came in (its first attempt).
    pub fn deposit(&self, now: Instant) {
        if let (State::Percent(state), Budget::Percent { share, .. }) = (&self.state, self.params())
        {
            state.deposit(share, now);
        }
    }

    /// Pays for a retry. `None`: there is nothing left.
    #[must_use]
    pub fn withdraw(&self, price: Price, now: Instant) -> Option<Paid> {
        match (&self.state, self.params()) {
            (
                State::Percent(state),
                Budget::Percent {
                    min_per_second,
                    ttl,
                    ..
                },
            ) => state
                .withdraw(price.units(), percent::reserve(min_per_second, ttl), now)
                .then_some(Paid(0)),
            (State::Bucket(state), params @ Budget::TokenBucket { .. }) => {
                let cost = params.cost(price);
                state.withdraw(cost).then_some(Paid(cost))
            }
            // Not reachable: `set_params` keeps the kinds together.
            _ => None,
        }
    }

    /// A request succeeded; `paid` is what its last retry cost.
    pub fn succeeded(&self, paid: Option<Paid>) {
        if let (State::Bucket(state), Budget::TokenBucket { capacity, .. }) =
            (&self.state, self.params())
        {
            state.put(paid.map_or(1, |paid| paid.0), capacity);
        }
    }

    /// What is left: whole retries of a percent budget, tokens of a bucket.
    #[must_use]
    pub fn left(&self, now: Instant) -> u64 {
        match (&self.state, self.params()) {
            (
                State::Percent(state),
                Budget::Percent {
                    min_per_second,
                    ttl,
                    ..
                },
            ) => state.available(percent::reserve(min_per_second, ttl), now),
            (State::Percent(state), _) => state.available(0, now),
            (State::Bucket(state), _) => u64::from(state.tokens()),
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

// === impl Budget ===

impl Budget {
    fn cost(self, price: Price) -> u32 {
        match self {
            Self::Percent { .. } => 0,
            Self::TokenBucket {
                fault_cost,
                throttle_cost,
                timeout_cost,
                ..
            } => match price {
                Price::Fault => fault_cost,
                Price::Throttle => throttle_cost,
                Price::Timeout => timeout_cost,
                Price::Fallback => (throttle_cost / 2).max(1),
            },
        }
    }
}

// === impl Price ===

impl Price {
    /// What a retry after this costs.
    #[must_use]
    pub fn of(class: &Class) -> Self {
        match (class.signal, class.outcome) {
            (Signal::Error(Kind::AttemptTimeout), _) | (_, Outcome::Timeout) => Self::Timeout,
            _ if throttled(class) => Self::Throttle,
            _ => Self::Fault,
        }
    }

    /// Its units in a percent budget. A fallback is a fifth of a retry, so that the standard budget (20 %) lets every request fall
    /// over once when nothing else is spent.
    fn units(self) -> i64 {
        match self {
            Self::Fault | Self::Throttle | Self::Timeout => percent::UNIT,
            Self::Fallback => percent::UNIT / 5,
        }
    }
}
