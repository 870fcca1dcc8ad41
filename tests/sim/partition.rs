//! Endpoints that are cut off, or come and go.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use llmesh::{
    base::time::{Instant, sleep},
    proxy::Proxy,
};
use tokio::task::JoinSet;

use crate::{
    caller::{Caller, Seen, good, statuses},
    mesh::{CLUSTER, mesh, route},
    sim::{Sim, each_seed, with_seed},
    upstream::{Behaviour, Upstream},
};

const RATE: u32 = 40;
const DEADLINE: Duration = Duration::from_secs(3);
const ROUTE: &str = "timeout: 3s\nretries: {attempts: 3, perTryTimeout: 400ms, retryOn: \"5xx,reset,connect-failure\"}";

const POLICY: &str = "trafficPolicy:\n  connectionPool: {tcp: {connectTimeout: 300ms}}\n  outlierDetection: {consecutive5xxErrors: 3, interval: 500ms, baseEjectionTime: 2s, maxEjectionPercent: 50}";

fn upstreams(sim: &Sim, count: u8) -> Vec<Upstream> {
    let all: Vec<_> = (1..=count).map(|n| sim.upstream(n)).collect();
    for upstream in &all {
        upstream.set(Behaviour::Answer(200, (2, 20)));
    }
    all
}

async fn start(sim: &Sim, upstreams: &[Upstream], policy: &str) -> (Proxy, Caller) {
    let addresses: Vec<_> = upstreams.iter().map(|u| u.address).collect();
    let text = mesh(&addresses, &format!("{POLICY}{policy}"), &route(ROUTE));
    sim.proxy(1, &text).await
}

/// How many endpoints are ejected, every 10 ms.
#[derive(Clone, Default)]
struct Ejections(Arc<Mutex<Vec<(Duration, usize)>>>);

impl Ejections {
    async fn watch(self, proxy: &Proxy) {
        let begin = Instant::now();
        let snapshot = proxy.reloader().snapshot();
        let cluster = &snapshot.clusters[CLUSTER];
        loop {
            let sample = (begin.elapsed(), cluster.ejected().len());
            self.0.lock().unwrap().push(sample);
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn between(&self, from: Duration, to: Duration) -> Vec<usize> {
        let samples = self.0.lock().unwrap();
        let within = samples.iter().filter(|(at, _)| (from..to).contains(at));
        within.map(|(_, ejected)| *ejected).collect()
    }
}

/// One of three endpoints is cut off for five seconds.
async fn partition(sim: Sim) {
    let upstreams = upstreams(&sim, 3);
    let (proxy, caller) = start(&sim, &upstreams, "").await;
    let victim = &upstreams[usize::try_from(sim.rng.below(3)).unwrap()];
    let cut_at = sim.millis(2000, 3000);
    let healed_at = cut_at + Duration::from_secs(5);
    let weather = async {
        sleep(cut_at).await;
        victim.host.cut_off();
        sleep(healed_at - cut_at).await;
        victim.host.heal();
        // The second ejection lasts twice as long as the first.
        sleep(Duration::from_secs(6)).await;
        victim.calls()
    };
    let ejections = Ejections::default();
    let traffic = caller.traffic(&sim.rng, RATE, Duration::from_secs(16));
    let (seen, calls_then) = tokio::select! {
        biased;
        both = async { tokio::join!(traffic, weather) } => both,
        () = ejections.clone().watch(&proxy) => unreachable!("it watches for ever"),
    };
    // All was answered, and well.
    assert_eq!(good(&seen), 1.0, "{:?}", statuses(&seen));
    let slowest = seen.iter().map(|s| s.took).max().unwrap();
    assert!(slowest <= DEADLINE, "{slowest:?}");
    // Three attempts to the victim come to their ends within two seconds at the latest.
    let early = ejections.between(Duration::ZERO, cut_at);
    assert!(early.iter().all(|n| *n == 0), "{early:?}");
    let soon = ejections.between(cut_at, cut_at + Duration::from_secs(2));
    assert!(soon.contains(&1), "it is not ejected");
    let late = ejections.between(healed_at + Duration::from_secs(6), Duration::MAX);
    assert!(late.iter().all(|n| *n == 0) && !late.is_empty(), "{late:?}");
    assert!(victim.calls() > calls_then + 5, "it does not serve again");
}

#[test]
fn an_endpoint_cut_off_costs_no_request() {
    each_seed(8, partition);
}

/// Some of four endpoints go down for two seconds and come up for two, each in its own time. At most half may be
/// ejected.
async fn flap(sim: Sim, flapping: usize, policy: &str) -> Vec<Seen> {
    let upstreams = upstreams(&sim, 4);
    let (proxy, caller) = start(&sim, &upstreams, policy).await;
    let mut weather = JoinSet::new();
    for upstream in upstreams.iter().take(flapping) {
        let (host, offset) = (Arc::clone(&upstream.host), sim.millis(0, 4000));
        weather.spawn(async move {
            sleep(offset).await;
            loop {
                host.go_down();
                sleep(Duration::from_secs(2)).await;
                host.come_up();
                sleep(Duration::from_secs(2)).await;
            }
        });
    }
    let ejections = Ejections::default();
    let traffic = caller.traffic(&sim.rng, RATE, Duration::from_secs(14));
    let seen = tokio::select! {
        biased;
        seen = traffic => seen,
        () = ejections.clone().watch(&proxy) => unreachable!("it watches for ever"),
    };
    assert!(good(&seen) >= 0.99, "{} {:?}", good(&seen), statuses(&seen));
    let sampled = ejections.between(Duration::ZERO, Duration::MAX);
    assert_eq!(
        sampled.iter().max(),
        Some(&2),
        "of {} samples",
        sampled.len()
    );
    seen
}

#[test]
fn flapping_endpoints_are_hardly_seen() {
    each_seed(8, |sim| flap(sim, 2, ""));
}

#[test]
fn no_more_endpoints_are_ejected_than_may_be() {
    // Of the third, each request that comes to it has to be repeated: more than the standard budget allows.
    each_seed(4, |sim| flap(sim, 3, "\n  retryBudget: {percent: 100}"));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let trace = |seed| {
        let seen = with_seed(seed, |sim| flap(sim, 2, ""));
        let line = |s: &Seen| (s.at, s.took, s.status, s.header("x-backend").to_owned());
        seen.iter().map(line).collect::<Vec<_>>()
    };
    let (first, second, other) = (trace(5), trace(5), trace(6));
    let differ = first.iter().zip(&second).find(|(a, b)| a != b);
    assert_eq!(differ, None);
    assert_ne!(first, other);
}
