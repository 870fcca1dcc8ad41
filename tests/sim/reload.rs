//! Configurations that change under traffic.

use std::time::Duration;

use llmesh::base::time::sleep;

use crate::{
    caller::statuses,
    mesh::{self, HOST, mesh},
    sim::{Sim, each_seed},
    upstream::{BACKEND, Behaviour, ECHO},
};

const POLICY: &str = "trafficPolicy:\n  connectionPool: {tcp: {maxConnections: 64}}\nsubsets:\n- {name: v1, labels: {version: v1}}\n- {name: v2, labels: {version: v2}}";

/// The `n`th configuration: everything goes to one version, and both directions say so.
fn nth(addresses: &[std::net::SocketAddr], n: u64) -> String {
    let (first, second) = if n.is_multiple_of(2) {
        (100, 0)
    } else {
        (0, 100)
    };
    let routes = format!(
        "- route:\n  - {{destination: {{host: {HOST}, subset: v1}}, weight: {first}}}\n  - {{destination: {{host: {HOST}, subset: v2}}, weight: {second}}}\n  timeout: 5s\n  retries: {{attempts: 2, retryOn: \"reset,connect-failure\"}}\n  headers:\n    request: {{set: {{{ECHO}: \"{n}\"}}}}\n    response: {{set: {{{ECHO}: \"{n}\"}}}}"
    );
    mesh(addresses, POLICY, &routes)
}

async fn flips(sim: Sim) {
    let upstreams: Vec<_> = (1..=2).map(|n| sim.upstream(n)).collect();
    for upstream in &upstreams {
        upstream.set(Behaviour::Answer(200, (0, 60)));
    }
    let addresses: Vec<_> = upstreams.iter().map(|u| u.address).collect();
    let (proxy, caller) = sim.proxy(1, &nth(&addresses, 0)).await;
    let reloads = async {
        for n in 1..25 {
            sleep(Duration::from_millis(200)).await;
            let next = mesh::source(&nth(&addresses, n));
            assert!(proxy.reloader().replace_inline(vec![next]).await);
        }
    };
    let traffic = caller.traffic(&sim.rng, 300, Duration::from_secs(5));
    let (seen, ()) = tokio::join!(traffic, reloads);
    assert_eq!(
        statuses(&seen).into_iter().collect::<Vec<_>>(),
        [(200, 1500)]
    );
    let mut configs = std::collections::BTreeSet::new();
    for s in &seen {
        let config: u64 = s.header(ECHO).parse().unwrap();
        let backend = (1 + config % 2).to_string();
        assert_eq!(
            (s.header("x-echo"), s.header(BACKEND)),
            (s.header(ECHO), &*backend)
        );
        configs.insert(config);
    }
    assert_eq!(configs.len(), 25, "{configs:?}");
    assert_eq!(proxy.reloader().stats.success.get(), 25);
    assert_eq!(seen.iter().filter(|s| s.body == "done").count(), 1500);
}

#[test]
fn reloads_lose_and_mix_nothing() {
    each_seed(3, flips);
}
