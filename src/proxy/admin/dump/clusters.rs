//! Clusters, as Envoy's `Cluster`.

use serde_json::{Value, json};

use super::seconds::seconds;
use crate::{
    balance::params::{HashKey, HashTable, Policy},
    model::{Cluster, Discovery, Pool, Protocol},
    outlier,
    proxy::admin::tls,
};

/// One cluster.
#[must_use]
pub fn cluster(c: &Cluster) -> Value {
    let mut out = json!({
        "name": c.name.to_string(),
        "type": kind(&c.discovery),
        "connect_timeout": seconds(c.pool.connect_timeout),
        "lb_policy": policy(&c.balance.policy),
        "circuit_breakers": {"thresholds": [thresholds(&c.pool)]},
        "upstream_connection": connection(&c.pool),
        "metadata": {"filter_metadata": {"istio": {
            "config": c.origin,
            "services": [{"host": c.name.host, "namespace": &*c.namespace}],
        }}},
    });
    if c.balance.panic_threshold > 0 {
        out["common_lb_config"] =
            json!({"healthy_panic_threshold": {"value": c.balance.panic_threshold}});
    }
    if let Policy::ConsistentHash { key, table } = &c.balance.policy {
        out["hash_policy"] = hash_key(key);
        match table {
            HashTable::Ring { min_size } => {
                out["ring_hash_lb_config"] = json!({"minimum_ring_size": min_size})
            }
            HashTable::Maglev { size } => out["maglev_lb_config"] = json!({"table_size": size}),
        }
    }
    if let Some(tls) = &c.tls {
        out["transport_socket"] = tls::transport_socket(c, tls);
        out["metadata"]["filter_metadata"]["llmesh"] = json!({"tls": tls::summary(tls)});
    }
    if let Some(o) = &c.outlier {
        out["outlier_detection"] = outlier(o);
    }
    out
}

fn kind(discovery: &Discovery) -> &'static str {
    match discovery {
        Discovery::Static(_) => "EDS",
        Discovery::Dns(_) => "STRICT_DNS",
        Discovery::DnsFirst(_) => "LOGICAL_DNS",
        Discovery::Original => "ORIGINAL_DST",
    }
}

fn policy(policy: &Policy) -> &'static str {
    match policy {
        Policy::LeastRequest => "LEAST_REQUEST",
        Policy::Random => "RANDOM",
        Policy::RoundRobin => "ROUND_ROBIN",
        Policy::PeakEwma(_) => "PEAK_EWMA",
        Policy::ConsistentHash {
            table: HashTable::Ring { .. },
            ..
        } => "RING_HASH",
        Policy::ConsistentHash {
            table: HashTable::Maglev { .. },
            ..
        } => "MAGLEV",
    }
}

fn hash_key(key: &HashKey) -> Value {
    match key {
        HashKey::Header(name) => json!({"header": {"header_name": name.as_str()}}),
        HashKey::Cookie { name, path, ttl } => {
            json!({"cookie": {"name": name, "path": path, "ttl": ttl.map(seconds)}})
        }
        HashKey::SourceIp => json!({"connection_properties": {"source_ip": true}}),
        HashKey::Query(name) => json!({"query_parameter": {"name": name}}),
    }
}

fn thresholds(p: &Pool) -> Value {
    json!({
        "max_connections": p.max_connections,
        "max_pending_requests": p.max_pending,
        "max_requests": p.max_requests,
        "max_retries": p.max_retries,
    })
}

fn connection(p: &Pool) -> Value {
    json!({
        "protocol": match p.protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
            Protocol::AsCaller => "as the caller",
            Protocol::Negotiated => "negotiated",
        },
        "max_requests_per_connection": p.max_requests_per_connection,
        "idle_timeout": p.idle_timeout.map(seconds),
        "max_connection_duration": p.max_connection_duration.map(seconds),
        "max_concurrent_streams": p.max_concurrent_streams,
    })
}

fn outlier(o: &outlier::Params) -> Value {
    let mut out = json!({
        "consecutive_5xx": o.consecutive_5xx,
        "interval": seconds(o.interval),
        "base_ejection_time": seconds(o.base_ejection),
        "max_ejection_time": seconds(o.max_ejection),
        "max_ejection_percent": o.max_ejection_percent,
    });
    if o.consecutive_gateway > 0 {
        out["consecutive_gateway_failure"] = o.consecutive_gateway.into();
    }
    if o.split_local {
        out["split_external_local_origin_errors"] = true.into();
        out["consecutive_local_origin_failure"] = o.consecutive_local.into();
    }
    out
}
