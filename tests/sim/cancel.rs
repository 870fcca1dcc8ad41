//! Callers that go away at any moment leave nothing behind.

use std::time::Duration;

use llmesh::{base::time::sleep, proxy::registry::Upstream as Cluster};
use tokio::task::JoinSet;

use crate::{
    mesh::{CLUSTER, mesh, route},
    sim::{Sim, each_seed},
    upstream::Behaviour,
};

const POLICY: &str = "trafficPolicy:\n  connectionPool:\n    tcp: {maxConnections: 8}\n    http: {http1MaxPendingRequests: 30, http2MaxRequests: 50, maxRetries: 5}";
const ROUTE: &str = "timeout: 1s\nretries: {attempts: 2, perTryTimeout: 100ms, retryOn: \"5xx,reset,connect-failure\"}";

/// Everything that counts what is under way.
fn gauges(cluster: &Cluster) -> Vec<(String, u64)> {
    let state = &cluster.state;
    let mut all = vec![
        ("requests".to_owned(), state.requests.used()),
        ("retries".to_owned(), state.retries.used()),
    ];
    for endpoint in state.endpoints.endpoints() {
        all.push((
            format!("in flight {}", endpoint.address()),
            endpoint.in_flight(),
        ));
    }
    for (name, value) in cluster.limits().stats().iter() {
        // Connections may stay.
        if name.ends_with("_active") && name != "upstream_cx_active" {
            all.push((name.to_owned(), value));
        }
    }
    all
}

async fn cancels(sim: Sim) -> usize {
    let upstreams: Vec<_> = (1..=3).map(|n| sim.upstream(n)).collect();
    for upstream in &upstreams {
        upstream.set(Behaviour::Moody);
    }
    let addresses: Vec<_> = upstreams.iter().map(|u| u.address).collect();
    let (proxy, caller) = sim.proxy(1, &mesh(&addresses, POLICY, &route(ROUTE))).await;
    let snapshot = proxy.reloader().snapshot();
    let cluster = &snapshot.clusters[CLUSTER];
    let mut callers = JoinSet::new();
    for _ in 0..250 {
        sleep(sim.millis(0, 4)).await;
        let (caller, patience) = (caller.clone(), sim.millis(0, 120));
        callers.spawn(async move {
            tokio::time::timeout(patience, caller.get("/"))
                .await
                .is_err()
        });
    }
    let busiest = gauges(cluster);
    assert!(busiest.iter().any(|(_, value)| *value > 0), "{busiest:?}");
    let gone = callers
        .join_all()
        .await
        .iter()
        .filter(|gone| **gone)
        .count();
    sleep(Duration::from_secs(2)).await;
    let left = gauges(cluster);
    assert_eq!(left.len(), 7, "{left:?}");
    assert!(left.iter().all(|(_, value)| *value == 0), "{left:?}");
    let active: u64 = upstreams.iter().map(|u| u.active()).sum();
    assert_eq!(active, 0, "upstreams work for nobody");
    assert!(cluster.limits().stats().cx_active.get() <= 8);
    drop(caller);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(proxy.drain().live(), 0, "connections of callers");
    gone
}

#[test]
fn callers_that_go_away_leave_nothing_behind() {
    let gone = each_seed(10, cancels);
    println!("of 250 callers went away: {gone:?}");
    assert!(gone.iter().all(|n| (50..200).contains(n)), "{gone:?}");
}
