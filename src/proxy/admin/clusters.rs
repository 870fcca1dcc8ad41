//! `/clusters`: every cluster and endpoint with its health and numbers.

use std::{fmt::Write, sync::Arc};

use serde_json::{Value, json};

use super::tls;
use crate::{
    balance::Endpoint,
    base::time::Instant,
    proxy::{registry::Upstream, snapshot::Snapshot},
};

/// The page as Envoy's text.
#[must_use]
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for (name, cluster) in &snapshot.clusters {
        let model = cluster.model();
        let pool = model.pool.clone();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name}::namespace::{}", model.namespace);
        for (what, value) in model.tls.iter().flat_map(tls::lines) {
            let _ = writeln!(out, "{name}::tls::{what}::{value}");
        }
        let mut line = |what: &str, value: u64| {
            let _ = writeln!(out, "{name}::{what}::{value}");
        };
        line(
            "default_priority::max_connections",
            pool.max_connections.into(),
        );
        line(
            "default_priority::max_pending_requests",
            pool.max_pending.into(),
        );
        line("default_priority::max_requests", pool.max_requests.into());
        line("default_priority::max_retries", pool.max_retries.into());
        for endpoint in endpoints(cluster) {
            let address = endpoint.address();
            let address = match cluster.shown(address) {
                ip if ip == address.ip().to_string() => address.to_string(),
                name => format!("{name}:{}", address.port()),
            };
            for (what, value) in numbers(&endpoint) {
                let _ = writeln!(out, "{name}::{address}::{what}::{value}");
            }
            let health = if endpoint.is_ejected() {
                "/failed_outlier_check"
            } else {
                "healthy"
            };
            let _ = writeln!(out, "{name}::{address}::health_flags::{health}");
            let _ = writeln!(out, "{name}::{address}::weight::{}", endpoint.weight());
        }
    }
    out
}

/// The page as Envoy's JSON.
#[must_use]
pub(super) fn to_json(snapshot: &Snapshot) -> Value {
    let clusters = snapshot.clusters.iter().map(|(name, cluster)| {
        let hosts = endpoints(cluster);
        let hosts: Vec<Value> = hosts.iter().map(|e| host(cluster, e)).collect();
        let model = cluster.model();
        let mut status =
            json!({"name": &**name, "namespace": &*model.namespace, "host_statuses": hosts});
        if let Some(tls) = &model.tls {
            status["tls"] = tls::summary(tls);
        }
        status
    });
    json!({"cluster_statuses": clusters.collect::<Vec<_>>()})
}

/// The endpoints, with ejections that are over taken off.
fn endpoints(cluster: &Upstream) -> Vec<Arc<Endpoint>> {
    cluster.state.endpoints.tick(Instant::now());
    cluster.state.endpoints.endpoints()
}

fn numbers(endpoint: &Endpoint) -> [(&'static str, u64); 5] {
    let stats = endpoint.stats();
    [
        ("rq_active", stats.rq_active.get()),
        ("rq_error", stats.rq_error.get()),
        ("rq_success", stats.rq_success.get()),
        ("rq_timeout", stats.rq_timeout.get()),
        ("rq_total", stats.rq_total.get()),
    ]
}

fn host(cluster: &Upstream, endpoint: &Arc<Endpoint>) -> Value {
    let address = endpoint.address();
    let stats = numbers(endpoint).map(|(name, value)| json!({"name": name, "value": value}));
    let mut health = json!({"eds_health_status": "HEALTHY"});
    if endpoint.is_ejected() {
        health["failed_outlier_check"] = true.into();
    }
    json!({
        "address": {"socket_address": {"address": cluster.shown(address), "port_value": address.port()}},
        "stats": stats,
        "health_status": health,
        "weight": endpoint.weight(),
    })
}
