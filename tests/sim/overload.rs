//! Overload that keeps itself up: an upstream stalls for a moment, and retries may not let it come back.
//!
//! The upstream can do 100 requests a second, is asked for 70, and works also for callers that are gone. While it
//! stalls, work piles up; with four attempts of a second each, 280 requests a second would then come in, all of them
//! too old when it gets to them (Bronson et al.: "Metastable failures in distributed systems", HotOS 2021).

use std::time::Duration;

use crate::{
    caller::{Seen, good},
    mesh::{mesh, route},
    sim::{Sim, each_seed},
    storm::{STANDARD, UNBOUNDED},
    upstream::Behaviour,
};

const RATE: u32 = 70;
const STALL_AT: u64 = 2;
const STALL_ENDS: u64 = 7;

const IMPATIENT: &str =
    "timeout: 10s\nretries: {attempts: 3, perTryTimeout: 1s, retryOn: \"5xx,reset\"}";

/// The standard budget, and a ceiling far above the one or two requests that are usually in flight.
const BOUNDED: &str = "trafficPolicy: {connectionPool: {http: {http2MaxRequests: 40}}}";

/// The share of good answers among requests sent in these seconds after the stall.
struct Recovery(Vec<Seen>);

impl Recovery {
    fn goodput(&self, from: u64, to: u64) -> f64 {
        let seconds = |n| Duration::from_secs(STALL_ENDS + n);
        let sent = self.0.iter();
        let window: Vec<_> = sent
            .filter(|s| (seconds(from)..seconds(to)).contains(&s.at))
            .cloned()
            .collect();
        good(&window)
    }

    /// Seconds until all goes well again and stays so for the seconds watched, if it does.
    fn recovered(&self, until: u64) -> Option<u64> {
        let well = |n| self.goodput(n, n + 1) >= 0.95;
        let last_bad = (0..until).rev().find(|n| !well(*n));
        let first_good = last_bad.map_or(0, |n| n + 1);
        (first_good < until).then_some(first_good)
    }
}

/// What callers see of a stall and of so many seconds after it.
async fn stalled(sim: Sim, policy: &str, after: u64) -> Recovery {
    let upstream = sim.upstream(1);
    upstream.set(Behaviour::Queue(Duration::from_millis(10)));
    let text = mesh(&[upstream.address], policy, &route(IMPATIENT));
    let (_proxy, caller) = sim.proxy(1, &text).await;
    let stall = async {
        tokio::time::sleep(Duration::from_secs(STALL_AT)).await;
        upstream.stall(Duration::from_secs(STALL_ENDS - STALL_AT));
    };
    let time = Duration::from_secs(STALL_ENDS + after);
    let (seen, ()) = tokio::join!(caller.traffic(&sim.rng, RATE, time), stall);
    let before: Vec<_> = seen
        .iter()
        .filter(|s| s.at.as_secs() < STALL_AT - 1)
        .cloned()
        .collect();
    assert!(
        good(&before) > 0.99,
        "it was well before: {}",
        good(&before)
    );
    Recovery(seen)
}

#[test]
fn a_stall_is_over_when_it_is_over() {
    let found = each_seed(5, async |sim| {
        let recovery = stalled(sim, BOUNDED, 12).await;
        (recovery.goodput(10, 12), recovery.recovered(12))
    });
    println!("budget and ceiling, 10 s after the stall: {found:.3?}");
    assert!(
        found.iter().all(|(goodput, _)| *goodput >= 0.95),
        "{found:.3?}"
    );
}

#[test]
fn a_budget_alone_lets_an_upstream_come_back() {
    let found = each_seed(1, async |sim| {
        stalled(sim, STANDARD, 32).await.recovered(32)
    });
    println!("budget alone, seconds to recover: {found:?}");
    assert!(found.iter().all(Option::is_some), "{found:?}");
}

#[test]
fn without_bounds_a_stall_never_ends() {
    let found = each_seed(1, async |sim| {
        let recovery = stalled(sim, UNBOUNDED, 30).await;
        (recovery.goodput(0, 30), recovery.goodput(25, 30))
    });
    println!("without a budget, in the 30 s after the stall and the last 5 of them: {found:.3?}");
    assert!(
        found.iter().all(|(all, last)| *all < 0.5 && *last < 0.5),
        "{found:.3?}"
    );
}
