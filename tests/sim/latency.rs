//! Slow first bytes: limits are kept to the millisecond.

use std::time::Duration;

use crate::{
    mesh::{mesh, route},
    sim::{Sim, each_seed},
    upstream::Behaviour,
};

/// What the network, the timers and the back-off (up to 25 ms before the first retry, 50 ms before the second) add.
fn slack(retries: u64) -> Duration {
    Duration::from_millis(10 + 25 * retries + 25 * retries.saturating_sub(1))
}

/// One of three endpoints takes five seconds for its first byte.
async fn one_is_slow(sim: Sim) {
    let upstreams: Vec<_> = (1..=3).map(|n| sim.upstream(n)).collect();
    let (slow, well) = upstreams.split_first().unwrap();
    slow.set(Behaviour::Answer(200, (5000, 5000)));
    for upstream in well {
        upstream.set(Behaviour::Answer(200, (1, 10)));
    }
    let limit = sim.millis(50, 300);
    let fields = format!(
        "timeout: 2s\nretries: {{attempts: 2, perTryTimeout: {}ms, retryOn: \"5xx\"}}",
        limit.as_millis()
    );
    let addresses: Vec<_> = upstreams.iter().map(|u| u.address).collect();
    // A third of all requests is repeated.
    let policy =
        "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}, retryBudget: {percent: 100}}";
    let (_proxy, caller) = sim
        .proxy(1, &mesh(&addresses, policy, &route(&fields)))
        .await;
    let seen = caller.traffic(&sim.rng, 20, Duration::from_secs(5)).await;
    let waited = seen.iter().filter(|s| s.took >= limit).count();
    for s in &seen {
        assert_eq!(s.status, 200, "{s:?}");
        // Retries go elsewhere: nobody meets the slow one twice.
        assert!(
            s.took <= limit + slack(1) + Duration::from_millis(14),
            "{limit:?} {:?}",
            s.took
        );
    }
    // A third of the requests came to it first, or up to a half: retries take a turn too.
    assert!((20..=60).contains(&waited), "{waited}");
}

/// All are silent, and the route's deadline is the only limit, or comes sooner than the attempts allow.
async fn all_are_silent(sim: Sim) {
    let upstreams: Vec<_> = (1..=2).map(|n| sim.upstream(n)).collect();
    for upstream in &upstreams {
        upstream.set(Behaviour::Hang);
    }
    let addresses: Vec<_> = upstreams.iter().map(|u| u.address).collect();
    let deadline = sim.millis(100, 900);
    let retries = match sim.seed % 3 {
        0 => "{attempts: 0}".to_owned(),
        1 => "{attempts: 3, perTryTimeout: 2s, retryOn: \"5xx\"}".to_owned(),
        _ => {
            let limit = deadline / 2;
            format!(
                "{{attempts: 3, perTryTimeout: {}ms, retryOn: \"5xx\"}}",
                limit.as_millis()
            )
        }
    };
    let fields = format!("timeout: {}ms\nretries: {retries}", deadline.as_millis());
    let policy = "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}";
    let (_proxy, caller) = sim
        .proxy(1, &mesh(&addresses, policy, &route(&fields)))
        .await;
    let seen = caller.traffic(&sim.rng, 10, Duration::from_secs(3)).await;
    for s in &seen {
        assert_eq!(s.status, 504, "{s:?}");
        let late = s.took.abs_diff(deadline);
        assert!(
            late <= Duration::from_millis(1),
            "{retries} {deadline:?} {:?}",
            s.took
        );
    }
    let active: u64 = upstreams.iter().map(|u| u.active()).sum();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let after: u64 = upstreams.iter().map(|u| u.active()).sum();
    assert_eq!(after, 0, "{active} were being worked on, and still are");
}

#[test]
fn a_slow_first_byte_costs_the_per_try_timeout_and_no_more() {
    each_seed(20, one_is_slow);
}

#[test]
fn the_route_timeout_is_kept_to_the_millisecond() {
    each_seed(30, all_are_silent);
}
