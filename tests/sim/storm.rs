//! Total outage: how many attempts retries make of one request.

use std::time::Duration;

use crate::{
    caller::{Caller, statuses},
    mesh::{mesh, route},
    sim::{Sim, each_seed, proxy},
    upstream::Behaviour,
};

/// No word about budgets.
pub(crate) const STANDARD: &str = "trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}";

/// The standard share without a floor.
const SHARE_ONLY: &str = "trafficPolicy: {retryBudget: {minRetryConcurrency: 0}}";

/// Effectively no budget.
pub(crate) const UNBOUNDED: &str = "trafficPolicy: {retryBudget: {minRetryConcurrency: 1000000}}";

const FOUR_ATTEMPTS: &str = "timeout: 10s\nretries: {attempts: 3, retryOn: \"5xx\"}";

/// Attempts that three endpoints see for each request while all they say is 503.
async fn amplification(sim: Sim, policy: &str, seconds: u64) -> f64 {
    let upstreams: Vec<_> = (1..=3).map(|n| sim.upstream(n)).collect();
    for upstream in &upstreams {
        upstream.set(Behaviour::Answer(503, (1, 5)));
    }
    let addresses: Vec<_> = upstreams.iter().map(|u| u.address).collect();
    let (_proxy, caller) = sim
        .proxy(1, &mesh(&addresses, policy, &route(FOUR_ATTEMPTS)))
        .await;
    let seen = caller
        .traffic(&sim.rng, 200, Duration::from_secs(seconds))
        .await;
    assert!(
        seen.iter().all(|s| s.status == 503),
        "{:?}",
        statuses(&seen)
    );
    let calls: u64 = upstreams.iter().map(|u| u.calls()).sum();
    ratio(calls, seen.len())
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
pub(crate) fn ratio(calls: u64, requests: usize) -> f64 {
    calls as f64 / requests as f64
}

fn spread(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    (least, most)
}

#[test]
fn an_outage_is_not_made_worse() {
    let found = each_seed(1, |sim| amplification(sim, STANDARD, 20));
    let (least, most) = spread(&found);
    println!("attempts for a request in an outage: {least:.3} to {most:.3}");
    assert!(most <= 1.23, "{found:?}");
    assert!(least >= 1.20, "the budget is used: {found:?}");
}

#[test]
fn without_a_budget_an_outage_is_made_four_times_worse() {
    let found = each_seed(1, |sim| amplification(sim, UNBOUNDED, 5));
    let (least, most) = spread(&found);
    println!("without a budget: {least:.3} to {most:.3}");
    assert!(least >= 3.9, "{found:?}");
}

/// What is sent through the hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Traffic {
    Ordinary,
    Llm,
    /// Ordinary, and between the hops the marks by which they know of each other are lost.
    Unmarked,
}

/// Calls that the last of three hops sees for each request, each hop with four attempts.
async fn chain(sim: Sim, policy: &str, rate: u32, seconds: u64, traffic: Traffic) -> f64 {
    let last = sim.upstream(1);
    last.set(Behaviour::Answer(503, (1, 5)));
    let routes = route(FOUR_ATTEMPTS);
    let way = |n| {
        if traffic == Traffic::Unmarked {
            sim.relay(n, proxy(n))
        } else {
            proxy(n)
        }
    };
    let third = sim.proxy(3, &mesh(&[last.address], policy, &routes)).await;
    let second = sim.proxy(2, &mesh(&[way(3)], policy, &routes)).await;
    let (first, caller) = sim.proxy(1, &mesh(&[way(2)], policy, &routes)).await;
    let act = move |caller: Caller| async move {
        match traffic {
            Traffic::Llm => caller.ask(0).await,
            Traffic::Ordinary | Traffic::Unmarked => caller.get("/").await,
        }
    };
    let seen = caller
        .traffic_of(&sim.rng, rate, Duration::from_secs(seconds), act)
        .await;
    assert!(
        seen.iter().all(|s| s.status == 503),
        "{:?}",
        statuses(&seen)
    );
    // Whoever is no hop is told nothing of theirs.
    assert!(seen.iter().all(|s| s.header("x-llmesh-final").is_empty()));
    drop((first, second, third));
    ratio(last.calls(), seen.len())
}

/// What the last hop gave up on says so, and the hops above obey: only the last hop repeats.
#[test]
fn three_hops_retry_at_one() {
    for traffic in [Traffic::Ordinary, Traffic::Llm] {
        let found = each_seed(1, |sim| chain(sim, SHARE_ONLY, 60, 10, traffic));
        println!("{traffic:?} calls on the last of three hops, by the share alone: {found:.3?}");
        assert!(found.iter().all(|n| *n <= 1.21), "{found:?}");
        let found = each_seed(1, |sim| chain(sim, STANDARD, 200, 5, traffic));
        println!("with the floor too, at 200 requests a second: {found:.3?}");
        // The floor of ten seconds, spent in five: 1.2 + 30/1000.
        assert!(found.iter().all(|n| (1.2..=1.25).contains(n)), "{found:?}");
        let found = each_seed(1, |sim| chain(sim, UNBOUNDED, 10, 3, traffic));
        println!("without a budget: {found:?}");
        assert_eq!(found, [4.0]);
    }
}

#[test]
fn hops_that_do_not_know_of_each_other_multiply() {
    let found = each_seed(1, |sim| chain(sim, STANDARD, 200, 5, Traffic::Unmarked));
    println!("calls on the last of three hops without marks: {found:.3?}");
    // The floor of ten seconds, spent in five: (1.2 + 30/1000) · (1.2 + 30/1230) · (1.2 + 30/1506).
    assert!(found.iter().all(|n| (1.5..=1.84).contains(n)), "{found:?}");
    let found = each_seed(1, |sim| chain(sim, UNBOUNDED, 10, 3, Traffic::Unmarked));
    println!("and without a budget: {found:?}");
    assert_eq!(found, [64.0]);
}
