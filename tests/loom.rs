//! Models of what tasks share without a common lock, run in every order of their steps (loom).
//!
//! ```text
//! RUSTFLAGS="--cfg llmesh_loom" cargo test --test loom --no-default-features --target-dir target/loom
//! ```
//!
//! About a second; `--release` is not worth its build. Without that cfg this binary is empty. Orders with more than three
//! preemptions are left out.
#![cfg(llmesh_loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use llmesh::{
    base::{Ceiling, Fingerprint, Share, time::Instant},
    breaker::{self, Handle, Outcome, Permit, State},
    limit::{
        keyed::Keyed,
        window::{Cell, Rate},
    },
    outlier::{self, Detector, Host, Member, Observation},
    retry::{
        budget::{Price, RetryBudget},
        params::Budget,
    },
};
use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Runs both, one on a thread of its own.
fn both<A, B, R>(a: A, b: B) -> (R, R)
where
    A: FnOnce() -> R + 'static,
    B: FnOnce() -> R,
    R: 'static,
{
    let a = thread::spawn(a);
    let b = b();
    (a.join().expect("a model's thread does not panic"), b)
}

// --- ceiling ---

#[test]
fn ceiling_never_has_more_out_than_its_lid() {
    explore(|| {
        let ceiling = Ceiling::new(1);
        let inside = Arc::new(AtomicUsize::new(0));
        let visit = {
            let (ceiling, inside) = (ceiling.clone(), Arc::clone(&inside));
            move || {
                let permit = ceiling.try_acquire();
                if permit.is_some() {
                    assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0, "two inside");
                    inside.fetch_sub(1, Ordering::AcqRel);
                }
                u64::from(permit.is_some())
            }
        };
        let (a, b) = both(visit.clone(), visit);
        assert!(a + b >= 1, "one of two always gets in");
        assert_eq!(a + b + ceiling.refused(), 2);
        assert_eq!(ceiling.used(), 0, "all given back");
    });
}

#[test]
fn ceiling_lowered_while_a_permit_is_out_gives_it_back_all_the_same() {
    explore(|| {
        let ceiling = Ceiling::new(2);
        let permit = ceiling.try_acquire().expect("two are free");
        let other = ceiling.clone();
        both(
            move || drop(permit),
            move || {
                other.set_limit(0);
                assert!(other.try_acquire().is_none());
            },
        );
        assert_eq!(ceiling.used(), 0);
    });
}

// --- limits ---

const MINUTE: Rate = Rate {
    amount: 10,
    per: Duration::from_secs(60),
};

#[test]
fn a_limit_reserves_no_more_than_it_has() {
    explore(|| {
        let (cell, now) = (Arc::new(Cell::default()), Instant::now());
        let reserve = {
            let cell = Arc::clone(&cell);
            move || Cell::reserve(&cell, MINUTE, 6, now).ok()
        };
        let (a, b) = both(reserve.clone(), reserve);
        assert!(a.is_some() ^ b.is_some(), "10 are enough for one of 6");
        assert_eq!(cell.state(MINUTE, now).0, 4);
        drop((a, b));
        assert_eq!(cell.state(MINUTE, now).0, 10);
    });
}

#[test]
fn a_limit_is_settled_once_whoever_reserves_meanwhile() {
    explore(|| {
        let (cell, now) = (Arc::new(Cell::default()), Instant::now());
        let held = Cell::reserve(&cell, MINUTE, 6, now).expect("it is empty");
        let other = Arc::clone(&cell);
        let (_, late) = both(
            move || {
                held.settle(2, now);
                None
            },
            || Cell::reserve(&other, MINUTE, 8, now).ok(),
        );
        let left = if late.is_some() { 0 } else { 8 };
        assert_eq!(cell.state(MINUTE, now).0, left);
    });
}

/// A sweep of a table does not take away a state that another task has just been given.
#[test]
fn a_swept_table_keeps_what_is_held() {
    explore(|| {
        let (table, now) = (Arc::new(Keyed::<Cell>::new(1)), Instant::now());
        let (mine, other) = (Fingerprint::of(b"mine"), Fingerprint::of(b"other"));
        let idle = move |cell: &Cell| cell.is_empty(MINUTE.per, now);
        let sweeper = Arc::clone(&table);
        let (_, held) = both(
            move || {
                drop(sweeper.get(other, now, idle));
                None
            },
            || {
                let cell = table.get(mine, now, idle)?;
                let held = Cell::reserve(&cell, MINUTE, 6, now).ok();
                let again = table.get(mine, now, idle).expect("it is known");
                assert_eq!(again.state(MINUTE, now).0, 4, "the same state");
                held
            },
        );
        drop(held);
    });
}

// --- retry budget ---

fn bucket(capacity: u32) -> Budget {
    Budget::TokenBucket {
        capacity,
        fault_cost: 10,
        throttle_cost: 5,
        timeout_cost: 10,
    }
}

const TTL: Duration = Duration::from_secs(10);

fn percent(min_per_second: u32) -> Budget {
    Budget::Percent {
        share: Share::new(1.0).unwrap(),
        min_per_second,
        ttl: TTL,
    }
}

#[test]
fn bucket_is_never_overdrawn() {
    explore(|| {
        let budget = Arc::new(RetryBudget::new(bucket(15)));
        let now = Instant::now();
        let pay = {
            let budget = Arc::clone(&budget);
            move || budget.withdraw(Price::Fault, now).is_some()
        };
        let (a, b) = both(pay.clone(), pay);
        assert!(a ^ b, "15 tokens pay for one fault");
        assert_eq!(budget.left(now), 5);
    });
}

#[test]
fn bucket_gets_back_what_was_paid_and_no_more() {
    explore(|| {
        let budget = Arc::new(RetryBudget::new(bucket(20)));
        let now = Instant::now();
        let retry = {
            let budget = Arc::clone(&budget);
            move || {
                let paid = budget.withdraw(Price::Fault, now);
                assert!(paid.is_some(), "there is enough for both");
                budget.succeeded(paid);
            }
        };
        both(retry.clone(), retry);
        assert_eq!(budget.left(now), 20);
    });
}

#[test]
fn percent_pays_for_one_retry_once() {
    explore(|| {
        let budget = Arc::new(RetryBudget::new(percent(0)));
        let now = Instant::now();
        budget.deposit(now);
        let pay = {
            let budget = Arc::clone(&budget);
            move || budget.withdraw(Price::Fault, now).is_some()
        };
        let (a, b) = both(pay.clone(), pay);
        assert!(a ^ b, "one deposit pays for one retry");
        assert_eq!(budget.left(now), 0);
    });
}

/// A deposit that expires in one task while another uses the same slot: nothing stays behind, neither a credit nor a
/// debt.
#[test]
fn percent_forgets_everything_after_its_life() {
    explore(|| {
        let budget = Arc::new(RetryBudget::new(percent(1)));
        let start = Instant::now();
        budget.deposit(start);
        let other = Arc::clone(&budget);
        let (_, late) = both(
            move || other.withdraw(Price::Fault, start).is_some(),
            || {
                budget.deposit(start + TTL);
                budget.withdraw(Price::Fault, start + TTL).is_some()
            },
        );
        assert!(late, "its own deposit and the floor are there");
        let floor = TTL.as_secs();
        assert_eq!(budget.left(start + TTL * 3), floor);
        assert_eq!(budget.left(start + TTL * 6), floor);
    });
}

#[test]
fn percent_expires_a_deposit_once() {
    explore(|| {
        let budget = Arc::new(RetryBudget::new(percent(1)));
        let start = Instant::now();
        budget.deposit(start);
        let floor = TTL.as_secs();
        let look = {
            let budget = Arc::clone(&budget);
            move || budget.left(start + TTL)
        };
        let (a, b) = both(look.clone(), look);
        for left in [a, b] {
            // One that looks while the other is expiring may still see the old balance; never less than the floor.
            assert!((floor..=floor + 1).contains(&left), "{left}");
        }
        assert_eq!(budget.left(start + TTL), floor);
    });
}

// --- breaker ---

fn tripped(params: breaker::Params) -> Handle {
    let handle = Handle::new(params);
    let permit = handle.try_acquire().expect("closed");
    permit.finish(Outcome::Failure);
    handle
}

/// Open for no time, so that the next call is a probe and no clock decides.
fn probing(probes: u32) -> breaker::Params {
    breaker::Params::default()
        .with_consecutive(Some(1))
        .with_open_for(Duration::ZERO, Duration::ZERO)
        .with_probes(probes)
}

fn held(permits: &[&Option<Permit>]) -> usize {
    permits.iter().filter(|p| p.is_some()).count()
}

#[test]
fn breaker_admits_exactly_its_probes() {
    for probes in 1..=2 {
        explore(move || {
            let handle = tripped(probing(probes));
            let probe = {
                let handle = handle.clone();
                move || handle.try_acquire().ok()
            };
            let third = thread::spawn(probe.clone());
            let (a, b) = both(probe.clone(), probe);
            let c = third.join().unwrap();
            assert_eq!(held(&[&a, &b, &c]), probes as usize);
        });
    }
}

#[test]
fn breaker_is_not_stuck_when_probes_are_dropped() {
    explore(|| {
        let handle = tripped(probing(1));
        let drop_one = {
            let handle = handle.clone();
            move || drop(handle.try_acquire())
        };
        both(drop_one.clone(), drop_one);
        let probe = handle.try_acquire().expect("the dropped permits are back");
        probe.finish(Outcome::Success);
        assert_eq!(handle.state(), State::Closed);
    });
}

#[test]
fn breaker_closes_though_another_probe_is_dropped() {
    explore(|| {
        let handle = tripped(probing(1));
        let (ours, other) = (handle.clone(), handle.clone());
        both(
            move || drop(other.try_acquire()),
            move || {
                if let Ok(probe) = ours.try_acquire() {
                    probe.finish(Outcome::Success);
                }
            },
        );
        // Whichever came first: a probe is admitted, and its success closes it.
        let last = handle.try_acquire().expect("no permit is lost");
        last.finish(Outcome::Success);
        assert_eq!(handle.state(), State::Closed);
        assert_eq!(handle.opened(), 1);
    });
}

#[test]
fn breaker_ignores_the_outcome_of_an_earlier_period() {
    explore(|| {
        let handle = Handle::new(probing(1));
        let stale = handle.try_acquire().expect("closed");
        handle
            .try_acquire()
            .expect("closed")
            .finish(Outcome::Failure);
        let probing = handle.clone();
        both(
            move || stale.finish(Outcome::Failure),
            move || {
                let probe = probing.try_acquire().expect("one probe");
                probe.finish(Outcome::Success);
            },
        );
        assert_eq!(handle.state(), State::Closed);
        assert_eq!(handle.opened(), 1, "the late failure did not open it again");
    });
}

/// The word beside the lock says what the state behind it is, whoever wrote last.
#[test]
fn breaker_gate_agrees_with_the_state() {
    explore(|| {
        let hour = Duration::from_secs(3600);
        let handle = Handle::new(probing(1).with_open_for(hour, hour));
        let permit = handle.try_acquire().expect("closed");
        let admin = handle.clone();
        both(
            move || permit.finish(Outcome::Failure),
            move || admin.close(),
        );
        let admitted = handle.try_acquire().is_ok();
        assert_eq!(admitted, handle.state() == State::Closed);
    });
}

/// A probe that closes it beside a call that fails at once: the word must not say closed of an open circuit.
#[test]
fn breaker_gate_never_lets_calls_into_an_open_circuit() {
    explore(|| {
        let handle = tripped(probing(1));
        let probe = handle.try_acquire().expect("one probe");
        let hour = Duration::from_secs(3600);
        handle.set_params(probing(1).with_open_for(hour, hour));
        let failing = handle.clone();
        both(
            move || probe.finish(Outcome::Success),
            move || {
                if let Ok(call) = failing.try_acquire() {
                    call.finish(Outcome::Failure);
                }
            },
        );
        let admitted = handle.try_acquire().is_ok();
        assert_eq!(admitted, handle.state() == State::Closed);
    });
}

/// A success that finds the circuit clean takes no lock; one that does not must end the row of failures.
#[test]
fn breaker_counts_a_row_of_failures_exactly() {
    explore(|| {
        let hour = Duration::from_secs(3600);
        let params = breaker::Params::default()
            .with_consecutive(Some(2))
            .with_open_for(hour, hour);
        let handle = Handle::new(params);
        let fail = {
            let handle = handle.clone();
            move || handle.try_acquire().unwrap().finish(Outcome::Failure)
        };
        both(fail.clone(), fail);
        assert_eq!(handle.state(), State::Open, "no failure is lost");
        assert_eq!(handle.opened(), 1);
    });
}

// --- outlier detection ---

fn hosts(n: usize) -> Vec<std::sync::Arc<Host>> {
    (0..n).map(|_| Default::default()).collect()
}

fn outliers(max_percent: u32) -> outlier::Params {
    outlier::Params::default()
        .with_consecutive_5xx(2)
        .with_max_ejection_percent(max_percent)
}

#[test]
fn outlier_ejects_a_host_once() {
    explore(|| {
        let now = Instant::now();
        let params = outliers(100);
        let detector = Arc::new(Detector::new(&params, now));
        let hosts = hosts(1);
        let fail = {
            let (detector, hosts) = (Arc::clone(&detector), hosts.clone());
            move || {
                let seen = Observation::Status(500);
                (0..2)
                    .filter(|_| {
                        detector
                            .record(&params, &hosts, hosts[0].host(), seen, now)
                            .is_some()
                    })
                    .count()
            }
        };
        let (a, b) = both(fail.clone(), fail);
        assert_eq!(a + b, 1);
        assert!(hosts[0].is_ejected());
        assert_eq!(detector.stats().ejections_total.get(), 1);
    });
}

#[test]
fn outlier_keeps_its_greatest_share() {
    explore(|| {
        let now = Instant::now();
        let params = outliers(50).with_consecutive_5xx(1);
        let detector = Arc::new(Detector::new(&params, now));
        let hosts = hosts(2);
        let fail = |i: usize| {
            let (detector, hosts, params) = (Arc::clone(&detector), hosts.clone(), params.clone());
            move || {
                let seen = Observation::Status(500);
                let ejected = detector.record(&params, &hosts, hosts[i].host(), seen, now);
                usize::from(ejected.is_some())
            }
        };
        let (a, b) = both(fail(0), fail(1));
        assert_eq!(a + b, 1, "half of two is one");
        assert_eq!(outlier::detector::active(&hosts), 1);
        assert_eq!(detector.stats().ejections_overflow.get(), 1);
    });
}

#[test]
fn outlier_lets_a_host_back_once() {
    explore(|| {
        let start = Instant::now();
        let params = outliers(100).with_consecutive_5xx(1);
        let detector = Arc::new(Detector::new(&params, start));
        let hosts = hosts(1);
        let seen = Observation::Status(500);
        let ejected = detector
            .record(&params, &hosts, hosts[0].host(), seen, start)
            .expect("one is enough");
        let later = start + ejected.lasts + params.interval;
        let sweep = {
            let (detector, hosts, params) = (Arc::clone(&detector), hosts.clone(), params.clone());
            move || detector.tick(&params, &hosts, later).len()
        };
        let (a, b) = both(sweep.clone(), sweep);
        assert_eq!(a + b, 1);
        assert!(!hosts[0].is_ejected());
    });
}

#[test]
fn outlier_applies_a_sweep_once() {
    explore(|| {
        let start = Instant::now();
        let at = move |seconds| start + Duration::from_secs(seconds);
        let params = outliers(100).with_consecutive_5xx(1);
        let detector = Arc::new(Detector::new(&params, start));
        let hosts = hosts(1);
        let eject = |now| {
            let seen = Observation::Status(500);
            let ejected = detector.record(&params, &hosts, hosts[0].host(), seen, now);
            ejected.expect("one is enough").lasts
        };
        assert_eq!(eject(start), Duration::from_secs(30));
        assert_eq!(detector.tick(&params, &hosts, at(30)), [0]);
        assert_eq!(eject(at(31)), Duration::from_secs(60));
        assert_eq!(detector.tick(&params, &hosts, at(100)), [0]);
        let sweep = {
            let (detector, hosts, params) = (Arc::clone(&detector), hosts.clone(), params.clone());
            move || detector.tick(&params, &hosts, at(110)).len()
        };
        both(sweep.clone(), sweep);
        // One healthy sweep took one off the multiplier, and this ejection put it back.
        assert_eq!(eject(at(111)), Duration::from_secs(60));
    });
}
