use std::{sync::Barrier, time::Duration};

use http::StatusCode;

use super::*;
use crate::{
    base::{Kind, Ratio, Share, SharedRng},
    classify::{Class, Hint, Outcome, Signal},
    layers::retry::{
        Params, RetryOn,
        params::Backoff,
        policy::{self, Attempt, Decision},
    },
};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn percent(share: f64, min_per_second: u32, ttl: Duration) -> RetryBudget {
    RetryBudget::new(Budget::Percent {
        share: Share::new(share).unwrap(),
        min_per_second,
        ttl,
    })
}

// --- percent ---

/// Finagle's own table, `RetryBudgetTest.testPercentRetries`.
#[test]
fn exact_for_every_share() {
    let now = Instant::now();
    for share in [
        0.0, 0.0001, 0.05, 0.1, 0.3, 0.33, 0.4, 0.5, 0.6, 0.75, 0.9, 0.99, 0.999, 0.9999, 2.0,
    ] {
        let budget = percent(share, 0, secs(10));
        let mut retries = 0_u32;
        for _ in 0..10_000 {
            budget.deposit(now);
            while budget.withdraw(Price::Fault, now).is_some() {
                retries += 1;
            }
        }
        let expected = share * 10_000.0;
        assert!(
            (f64::from(retries) - expected).abs() <= 1.0,
            "{share}: {retries}"
        );
    }
}

#[test]
fn deposits_expire_after_their_life() {
    let start = Instant::now();
    let budget = percent(1.0, 0, secs(60));
    budget.deposit(start);
    assert_eq!(budget.left(start + secs(58)), 1);
    assert_eq!(budget.left(start + secs(60)), 0);
    assert!(budget.withdraw(Price::Fault, start + secs(60)).is_none());
    budget.deposit(start + secs(60));
    assert!(budget.withdraw(Price::Fault, start + secs(61)).is_some());
}

#[test]
fn a_long_silence_leaves_nothing_behind() {
    let start = Instant::now();
    let budget = percent(1.0, 0, secs(10));
    for _ in 0..100 {
        budget.deposit(start);
    }
    let later = start + secs(100_000);
    assert_eq!(budget.left(later), 0);
    budget.deposit(later);
    assert_eq!(budget.left(later), 1);
}

#[test]
fn the_floor_refills_as_withdrawals_expire() {
    let start = Instant::now();
    let budget = percent(0.0, 3, secs(10));
    let drain = |now| {
        (0..100)
            .filter(|_| budget.withdraw(Price::Fault, now).is_some())
            .count()
    };
    assert_eq!(drain(start), 30);
    assert_eq!(drain(start + secs(9)), 0);
    assert_eq!(drain(start + secs(10)), 30);
}

#[test]
fn new_parameters_keep_the_state() {
    let now = Instant::now();
    let budget = percent(0.5, 0, secs(10));
    for _ in 0..10 {
        budget.deposit(now);
    }
    let with = |share: f64| Budget::percent(Ratio::new(share).unwrap(), 0, secs(10));
    assert!(budget.set_params(with(1.0)));
    assert_eq!(budget.left(now), 5);
    budget.deposit(now);
    assert_eq!(budget.left(now), 6);
    assert!(!budget.set_params(Budget::aws()));
    assert!(!budget.set_params(Budget::percent(Ratio::ONE, 0, secs(9))));
    assert_eq!(budget.params(), with(1.0));
}

#[test]
fn many_threads_do_not_overdraw() {
    let now = Instant::now();
    let budget = percent(0.25, 0, secs(10));
    let barrier = Barrier::new(4);
    let taken: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    (0..20_000)
                        .filter(|_| {
                            budget.deposit(now);
                            budget.withdraw(Price::Fault, now).is_some()
                        })
                        .count()
                })
            })
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    });
    let left = usize::try_from(budget.left(now)).unwrap();
    assert_eq!(taken + left, 20_000);
    assert!(left <= 1, "{left}");
}

/// Expiry on several threads at once undoes every slot exactly once.
#[test]
fn many_threads_expire_once() {
    let start = Instant::now();
    let budget = percent(1.0, 0, secs(1));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..20_000 {
                    let now = start + Duration::from_micros(i * 500);
                    budget.deposit(now);
                    let _ = budget.withdraw(Price::Fault, now);
                }
            });
        }
    });
    assert_eq!(budget.left(start + secs(30)), 0);
    budget.deposit(start + secs(30));
    assert_eq!(budget.left(start + secs(30)), 1);
}

#[test]
fn serves_tower_policies() {
    fn generic(budget: &impl tower::retry::budget::Budget) -> bool {
        budget.withdraw()
    }
    let budget = percent(1.0, 0, secs(10));
    assert!(!generic(&budget));
    tower::retry::budget::Budget::deposit(&budget);
    assert!(generic(&budget) && !generic(&budget));
    let bucket = RetryBudget::new(Budget::aws());
    assert!(generic(&bucket));
    tower::retry::budget::Budget::deposit(&bucket);
    assert_eq!(bucket.left(Instant::now()), 487);
}

// --- AWS standard mode: the vectors of smithy's retry specification ---

#[derive(Clone, Copy)]
enum Seen {
    /// A retryable server error.
    S,
    /// A server error with a server's wish, in milliseconds.
    Hint(u64),
    /// Throttling.
    T,
    Ok,
}
use Seen::{Hint as H, Ok as OK, S, T};

#[derive(Debug, PartialEq)]
enum Then {
    /// Wait so many milliseconds; so many tokens are left.
    Wait(u64, u64),
    Done(u64),
    Stop(u64),
}
use Then::{Done, Stop, Wait};

struct Vector {
    params: Params,
    budget: RetryBudget,
}

fn aws(attempts: u32, capacity: u32) -> Vector {
    let Budget::TokenBucket {
        fault_cost,
        throttle_cost,
        timeout_cost,
        ..
    } = Budget::aws()
    else {
        unreachable!()
    };
    with_bucket(
        attempts,
        Budget::TokenBucket {
            capacity,
            fault_cost,
            throttle_cost,
            timeout_cost,
        },
        Backoff::aws(),
    )
}

fn with_bucket(attempts: u32, bucket: Budget, backoff: Backoff) -> Vector {
    Vector {
        params: Params::default()
            .with_retries(attempts - 1)
            .with_retry_on(RetryOn::envoy("5xx,429").unwrap())
            .with_backoff(backoff.with_jitter(false))
            .with_budget(bucket),
        budget: RetryBudget::new(bucket),
    }
}

impl Vector {
    fn run(&self, sequence: &[Seen]) -> Vec<Then> {
        let (now, rng) = (Instant::now(), SharedRng::seeded(1));
        let mut paid = None;
        let mut seen = Vec::new();
        for (number, event) in (1..).zip(sequence) {
            let class = class(*event);
            let attempt = Attempt {
                number,
                left: None,
                replayable: true,
                elsewhere: false,
                again: false,
                given_up: false,
                named: false,
                bucket: self.budget.is_bucket(),
            };
            let then = match policy::decide(&self.params, &attempt, &class, &rng) {
                Decision::Retry { after, .. } => {
                    match self.budget.withdraw(Price::of(&class), now) {
                        None => Stop(self.budget.left(now)),
                        Some(cost) => {
                            paid = Some(cost);
                            Wait(
                                u64::try_from(after.as_millis()).unwrap(),
                                self.budget.left(now),
                            )
                        }
                    }
                }
                Decision::Stop(_) if class.is_success() => {
                    self.budget.succeeded(paid);
                    Done(self.budget.left(now))
                }
                Decision::Stop(_) => Stop(self.budget.left(now)),
            };
            seen.push(then);
        }
        seen
    }
}

fn class(event: Seen) -> Class {
    let (status, outcome) = match event {
        S | H(_) => (500, Outcome::ServerError),
        T => (429, Outcome::RateLimited),
        OK => (200, Outcome::Success),
    };
    let mut class = Class::new(
        outcome,
        Signal::Response {
            status: StatusCode::from_u16(status).unwrap(),
            grpc_status: None,
            ratelimited: false,
        },
    );
    if let H(ms) = event {
        class.hint = Some(Hint {
            wait: Duration::from_millis(ms),
            source: "x-amz-retry-after",
        });
    }
    class
}

#[test]
fn v1_to_v7_quota() {
    let v1 = aws(3, 500).run(&[S, S, OK]);
    assert_eq!(v1, [Wait(50, 486), Wait(100, 472), Done(486)]);
    let v2 = aws(3, 500).run(&[S, S, S]);
    assert_eq!(v2, [Wait(50, 486), Wait(100, 472), Stop(472)]);
    assert_eq!(aws(5, 14).run(&[S, S]), [Wait(50, 0), Stop(0)]);
    assert_eq!(aws(3, 0).run(&[S]), [Stop(0)]);
    assert_eq!(aws(5, 20).run(&[S, S]), [Wait(50, 6), Stop(6)]);
    let v6 = aws(3, 30);
    let first = v6.run(&[S, S, OK]);
    assert_eq!(first, [Wait(50, 16), Wait(100, 2), Done(16)]);
    assert_eq!(v6.run(&[S, OK]), [Wait(50, 2), Done(16)]);
    assert_eq!(aws(3, 500).run(&[T, OK]), [Wait(1000, 495), Done(500)]);
}

#[test]
fn v8_to_v12_waits() {
    let mut v8 = aws(5, 500);
    v8.params.backoff.max = Duration::from_millis(200);
    assert_eq!(
        v8.run(&[S; 5]),
        [
            Wait(50, 486),
            Wait(100, 472),
            Wait(200, 458),
            Wait(200, 444),
            Stop(444)
        ]
    );
    assert_eq!(aws(3, 500).run(&[H(3000)]), [Wait(3000, 486)]);
    assert_eq!(aws(3, 500).run(&[H(10)]), [Wait(50, 486)]);
    assert_eq!(aws(3, 500).run(&[H(10_000)]), [Wait(5050, 486)]);
    let old = Budget::TokenBucket {
        capacity: 500,
        fault_cost: 5,
        throttle_cost: 5,
        timeout_cost: 10,
    };
    let v12 = with_bucket(5, old, Backoff::from_base(secs(1)).with_max(secs(20)));
    assert_eq!(
        v12.run(&[S; 5]),
        [
            Wait(1000, 495),
            Wait(2000, 490),
            Wait(4000, 485),
            Wait(8000, 480),
            Stop(480)
        ]
    );
}

#[test]
fn success_without_a_retry_gives_one_token_up_to_the_capacity() {
    let v = aws(3, 20);
    assert_eq!(v.run(&[S, S]), [Wait(50, 6), Stop(6)]);
    assert_eq!(v.run(&[OK]), [Done(7)]);
    for _ in 0..50 {
        v.run(&[OK]);
    }
    assert_eq!(v.run(&[OK]), [Done(20)]);
}

#[test]
fn timeouts_have_a_price_of_their_own() {
    let timeout = Class::new(Outcome::Timeout, Signal::Error(Kind::AttemptTimeout));
    assert_eq!(Price::of(&timeout), Price::Timeout);
    let budget = RetryBudget::new(Budget::TokenBucket {
        capacity: 100,
        fault_cost: 5,
        throttle_cost: 1,
        timeout_cost: 10,
    });
    let now = Instant::now();
    assert!(budget.withdraw(Price::Timeout, now).is_some());
    assert_eq!(budget.left(now), 90);
}

#[test]
fn a_fallback_is_a_fifth_of_a_retry_and_counts_as_one() {
    let now = Instant::now();
    let budget = RetryBudget::new(Budget::percent(Ratio::new(0.2).unwrap(), 1, secs(10)));
    budget.keep_fallbacks();
    let paid = |price| budget.withdraw(price, now).is_some();
    for _ in 0..5 {
        assert!(paid(Price::Fallback));
    }
    assert_eq!(budget.left(now), 9);
    for _ in 0..9 {
        assert!(paid(Price::Fault));
    }
    assert!(!paid(Price::Fault));
    // Retries did not take what fallbacks need.
    for _ in 0..45 {
        assert!(paid(Price::Fallback));
    }
    assert!(!paid(Price::Fallback));
    // Every request may fall over once.
    for _ in 0..100 {
        budget.deposit(now);
        assert!(paid(Price::Fallback));
    }
    assert!(!paid(Price::Fallback));
    assert!(!paid(Price::Fault));
    // All is forgotten in time.
    assert_eq!(budget.left(now + secs(11)), 10);
    let bucket = RetryBudget::new(Budget::aws());
    assert!(bucket.withdraw(Price::Fallback, now).is_some());
    assert_eq!(bucket.left(now), 498);
}
