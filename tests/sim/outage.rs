//! Total outage under callers that repeat by themselves, as the providers' SDKs do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use llmesh::base::{SharedRng, time::sleep};

use crate::{
    caller::{Caller, Seen, statuses},
    mesh::{HOST, mesh},
    sim::{Sim, with_seed},
    storm::ratio,
    upstream::{Behaviour, Upstream},
};

/// Two subsets of one endpoint each, and no word about budgets.
const SUBSETS: &str =
    "subsets: [{name: a, labels: {version: v1}}, {name: b, labels: {version: v2}}]";

const FALLBACK: &str = "fallback: [{subset: b}]";

/// How many times an SDK repeats.
const RETRIES: u32 = 2;

/// What a run came to.
#[derive(Debug)]
struct Found {
    /// Attempts that upstreams saw for each request of a user.
    attempts: f64,
    /// Requests of the SDK for each request of a user.
    sent: f64,
}

/// A mesh of two targets, of which the second is a fallback if the policy says so.
fn outage_mesh(upstreams: &[Upstream], policy: &str) -> String {
    let addresses: Vec<_> = upstreams.iter().map(|u| u.address).collect();
    let route = format!(
        "- route: [{{destination: {{host: {HOST}, subset: a}}}}]\n  timeout: 10s\n  retries: {{attempts: 2, retryOn: \"5xx\"}}"
    );
    let policy = format!(
        "---\napiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: llm, namespace: sim}}\nspec:\n  hosts: [{HOST}]\n  {policy}\n"
    );
    mesh(&addresses, SUBSETS, &route) + &policy
}

/// One request of a user by the rule of the SDKs of OpenAI and Anthropic (`_should_retry`,
/// `_calculate_retry_timeout`). Each sending calls `tries`.
async fn sdk(caller: Caller, rng: SharedRng, tries: impl Fn()) -> Seen {
    let mut retries = 0;
    loop {
        tries();
        let seen = caller.ask(retries).await;
        if retries == RETRIES || !repeats(&seen) {
            return seen;
        }
        sleep(pause(&seen, retries, &rng)).await;
        retries += 1;
    }
}

fn repeats(seen: &Seen) -> bool {
    match seen.header("x-should-retry") {
        "true" => true,
        "false" => false,
        _ => matches!(seen.status, 0 | 408 | 409 | 429 | 500..),
    }
}

/// What the answer asks for, within a minute; else half a second, doubled, less up to a quarter.
fn pause(seen: &Seen, retries: u32, rng: &SharedRng) -> Duration {
    let told = seen.header("retry-after-ms").parse().ok();
    let told = told.map(Duration::from_millis);
    let within = told.filter(|d| !d.is_zero() && *d <= Duration::from_secs(60));
    within.unwrap_or_else(|| {
        let most = Duration::from_millis(500 << retries).min(Duration::from_secs(8));
        most.mul_f64(1.0 - 0.25 * rng.unit())
    })
}

/// Two hundred users a second for so long, after 5 s that are not counted: all that upstreams answer is `status`.
async fn outage(sim: Sim, policy: &str, status: u16, seconds: u64) -> Found {
    const RATE: u32 = 200;
    let upstreams: Vec<_> = (1..=2).map(|n| sim.upstream(n)).collect();
    for upstream in &upstreams {
        upstream.set(Behaviour::Answer(status, (1, 5)));
    }
    let (_proxy, caller) = sim.proxy(1, &outage_mesh(&upstreams, policy)).await;
    let (sent, rng) = (Arc::new(AtomicUsize::new(0)), sim.rng.clone());
    let act = |caller: Caller| {
        let (sent, rng) = (Arc::clone(&sent), SharedRng::seeded(rng.next()));
        sdk(caller, rng, move || {
            sent.fetch_add(1, Relaxed);
        })
    };
    let calls = || upstreams.iter().map(Upstream::calls).sum::<u64>();
    let warm = Duration::from_secs(5);
    caller.traffic_of(&sim.rng, RATE, warm, act).await;
    let (before, sent_before) = (calls(), sent.load(Relaxed));
    let time = Duration::from_secs(seconds);
    let seen = caller.traffic_of(&sim.rng, RATE, time, act).await;
    assert!(
        seen.iter().all(|s| s.status >= 429),
        "nobody is answered well: {:?}",
        statuses(&seen)
    );
    let sent = u64::try_from(sent.load(Relaxed) - sent_before).unwrap();
    Found {
        attempts: ratio(calls() - before, seen.len()),
        sent: ratio(sent, seen.len()),
    }
}

fn amplification(policy: &'static str, status: u16, seconds: u64) -> Found {
    let found = with_seed(0, |sim| outage(sim, policy, status, seconds));
    let Found { attempts, sent } = found;
    println!("{policy}, all {status}: {attempts:.3} attempts, {sent:.3} sent for each of a user");
    found
}

#[test]
fn an_sdk_that_repeats_twice_does_not_multiply() {
    let found = amplification("timeouts: {headers: 5s}", 503, 20);
    assert!((1.2..=1.23).contains(&found.attempts), "{found:?}");
    assert!(found.sent <= 1.001, "the SDK is told to stop: {found:?}");
}

#[test]
fn nor_with_a_fallback_that_is_down_too() {
    let found = amplification(FALLBACK, 503, 20);
    assert!((1.0..=1.25).contains(&found.attempts), "{found:?}");
    assert!(found.sent <= 1.001, "the SDK is told to stop: {found:?}");
}

#[test]
fn nor_where_everybody_asks_for_patience() {
    let found = amplification(FALLBACK, 429, 20);
    assert!((1.2..=1.25).contains(&found.attempts), "{found:?}");
    assert!(found.sent <= 1.001, "the SDK is told to stop: {found:?}");
}

/// What is not told for an LLM's answer is repeated by the SDK, each time as a request of its own.
#[test]
fn an_sdk_that_is_not_told_does() {
    let found = amplification("dialect: status-only", 503, 3);
    assert!(found.sent >= 2.9 && found.attempts >= 3.0, "{found:?}");
}
