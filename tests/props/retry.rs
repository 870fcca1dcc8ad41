//! Retry budget, back-off and retry-on terms.

use std::{collections::VecDeque, time::Duration};

use llmesh::{
    base::{Share, SharedRng, time::Instant},
    retry::{
        RetryBudget, RetryOn,
        budget::Price,
        params::{Backoff, Budget},
        retry_on::TOKENS,
    },
};
use proptest::prelude::*;

/// What happens to a budget.
#[derive(Clone, Copy, Debug)]
enum Event {
    Request,
    Retry,
    Pass(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => Just(Event::Request),
        4 => Just(Event::Retry),
        1 => (0_u64..4000).prop_map(Event::Pass),
    ];
    proptest::collection::vec(event, 1..400)
}

proptest! {
    /// Within any `ttl`, retries are at most the share of requests plus the floor.
    #[test]
    fn a_budget_is_never_overdrawn(share in 0.0..3.0_f64, floor in 0_u32..5, ttl in 1_u64..20, events in events()) {
        let life = Duration::from_secs(ttl);
        let budget = RetryBudget::new(Budget::Percent { share: Share::new(share).unwrap(), min_per_second: floor, ttl: life });
        let mut now = Instant::now();
        let (mut requests, mut retries) = (VecDeque::new(), VecDeque::new());
        for event in events {
            match event {
                Event::Pass(ms) => now += Duration::from_millis(ms),
                Event::Request => {
                    budget.deposit(now);
                    requests.push_back(now);
                }
                Event::Retry if budget.withdraw(Price::Fault, now).is_some() => {
                    retries.push_back(now);
                }
                Event::Retry => {}
            }
            if retries.back() != Some(&now) {
                continue;
            }
            // A slot of ttl/32 is forgotten as a whole, so a retry may be forgotten that much before its life is over.
            let retry_life = life - life / 32;
            requests.retain(|at| now - *at <= life);
            retries.retain(|at| now - *at < retry_life);
            let allowed = share * f64::from(u32::try_from(requests.len()).unwrap())
                + f64::from(floor) * life.as_secs_f64();
            let taken = f64::from(u32::try_from(retries.len()).unwrap());
            prop_assert!(taken <= allowed + 0.01, "{taken} of {allowed}");
        }
    }

    /// With time standing still, what may be taken is the share of requests, to within one.
    #[test]
    fn a_budget_is_exact(share in 0.0..3.0_f64, requests in 1_u32..10_000) {
        let now = Instant::now();
        let budget = RetryBudget::new(Budget::Percent {
            share: Share::new(share).unwrap(),
            min_per_second: 0,
            ttl: Duration::from_secs(10),
        });
        for _ in 0..requests {
            budget.deposit(now);
        }
        let mut taken = 0_u32;
        while budget.withdraw(Price::Fault, now).is_some() {
            taken += 1;
        }
        let expected = share * f64::from(requests);
        prop_assert!((f64::from(taken) - expected).abs() <= 1.001, "{taken} of {expected}");
    }

    /// A token bucket is never below zero nor above its capacity.
    #[test]
    fn a_bucket_stays_within_its_capacity(capacity in 0_u32..100, events in events()) {
        let now = Instant::now();
        let budget = RetryBudget::new(Budget::TokenBucket {
            capacity,
            fault_cost: 14,
            throttle_cost: 5,
            timeout_cost: 20,
        });
        let mut paid = None;
        for event in events {
            let before = budget.left(now);
            match event {
                Event::Request => budget.succeeded(paid.take()),
                Event::Retry => {
                    let got = budget.withdraw(Price::Fault, now);
                    prop_assert_eq!(got.is_some(), before >= 14);
                    paid = got.or(paid);
                }
                Event::Pass(_) => {
                    let got = budget.withdraw(Price::Throttle, now);
                    prop_assert_eq!(got.is_some(), before >= 5);
                    paid = got.or(paid);
                }
            }
            prop_assert!(budget.left(now) <= u64::from(capacity));
        }
    }

    /// `[0, min(base·2^(n−1), max))`.
    #[test]
    fn a_wait_is_below_its_bound(base in 0_u64..100_000, max in 0_u64..1_000_000, n in 1_u32..80, seed: u64) {
        let (base, max) = (Duration::from_micros(base), Duration::from_micros(max));
        let backoff = Backoff::from_base(base).with_max(max);
        let wait = backoff.wait(n, false, &SharedRng::seeded(seed));
        let bound = (0..n - 1).fold(base, |bound, _| (bound * 2).min(max)).min(max);
        prop_assert!(wait < bound || (bound.is_zero() && wait.is_zero()), "{wait:?} {bound:?}");
    }

    /// What is read is written back, and the parser takes any text.
    #[test]
    fn terms_round_trip(picks in proptest::collection::vec(0..TOKENS.len(), 1..8), status in 200_u16..600) {
        let mut list = picks.iter().map(|i| TOKENS[*i]).collect::<Vec<_>>().join(",");
        if http::StatusCode::from_u16(status).unwrap().canonical_reason().is_some() {
            list = format!("{list},{status}");
        }
        let on = RetryOn::envoy(&list).unwrap();
        if !on.is_empty() {
            prop_assert_eq!(RetryOn::envoy(&on.to_string()), Ok(on));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,40}") {
        if let Ok(on) = RetryOn::envoy(&text) {
            prop_assert!(!text.contains(' '));
            prop_assert!(on.is_empty() || RetryOn::envoy(&on.to_string()).is_ok());
        }
    }
}
