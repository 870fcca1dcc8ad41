//! What the reference mesh comes to: routes, timeouts, retries, clusters.

use std::time::Duration;

use llmesh::{
    balance::params::{HashKey, HashTable, Policy},
    config::{IstioCompat, Options, load},
    model::{Cluster, Discovery, MeshModel, Protocol},
    outlier,
    route::params::{Action, FieldName, Forward, Route, StringMatch},
};

use crate::{load_files, sources};

const LLM: &str = "llm-service.ai-services.svc.cluster.local";
const KNOWLEDGE: &str = "knowledge-service.ai-services.svc.cluster.local";

fn model(prefixes: &[&str]) -> MeshModel {
    let loaded = load_files(prefixes);
    loaded
        .model
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

fn routes<'m>(model: &'m MeshModel, host: &str) -> &'m [Route] {
    let found = model.virtual_hosts.iter().find(|h| h.domains[0] == host);
    &found.expect("the host is known").routes
}

fn forward(route: &Route) -> &Forward {
    match &route.action {
        Action::Forward(forward) => forward,
        other => panic!("no forward: {other:?}"),
    }
}

/// Name, timeout, retries, per-try timeout, retry-on, destinations with weights.
fn decision(route: &Route) -> String {
    let forward = forward(route);
    let targets: Vec<_> = forward
        .destinations
        .iter()
        .map(|d| {
            format!(
                "{}={}",
                d.cluster.split('|').nth(2).unwrap_or_default(),
                d.weight
            )
        })
        .collect();
    format!(
        "{} {:?} {} {:?} {} {}",
        route.name,
        forward.deadline.timeout,
        forward.retry.retries,
        forward.retry.per_try_timeout,
        forward.retry.retry_on,
        targets.join(" "),
    )
}

#[test]
fn llm_service_routes() {
    let model = model(&["03", "04", "endpoints"]);
    let found: Vec<_> = routes(&model, LLM).iter().map(decision).collect();
    assert_eq!(
        found,
        [
            "streaming-route Some(300s) 0 None connect-failure,refused-stream,retriable-status-codes,cancelled,unavailable v1=1",
            "chat-route Some(30s) 3 Some(10s) gateway-error,connect-failure,retriable-4xx,503 v1=1",
            "default-route Some(60s) 2 Some(20s) gateway-error,connect-failure,503 v1=1",
        ]
    );
}

#[test]
fn llm_service_matches() {
    let model = model(&["04"]);
    let [stream, chat, default] = routes(&model, LLM) else {
        panic!("three routes");
    };
    let [condition] = &stream.matches[..] else {
        panic!("one alternative: path and header are ANDed");
    };
    assert_eq!(
        condition.uri,
        Some(StringMatch::Prefix("/api/llm/stream".into()))
    );
    assert_eq!(
        condition.headers,
        [(
            FieldName::Header(http::header::ACCEPT),
            StringMatch::Exact("text/event-stream".into())
        )]
    );
    assert_eq!(
        chat.matches[0].uri,
        Some(StringMatch::Prefix("/api/llm/chat".into()))
    );
    assert!(default.matches.is_empty());
}

#[test]
fn destinations_name_the_cluster_of_the_service_port() {
    let known = model(&["03", "04", "endpoints"]);
    let cluster = &forward(&routes(&known, LLM)[0]).destinations[0].cluster;
    assert_eq!(&**cluster, format!("outbound|8080|v1|{LLM}"));
    assert!(known.clusters.contains_key(cluster));
    // Without DestinationRule the name stays and leads nowhere.
    let unknown = model(&["04", "endpoints"]);
    let cluster = &forward(&routes(&unknown, LLM)[0]).destinations[0].cluster;
    assert_eq!(&**cluster, format!("outbound|8080|v1|{LLM}"));
    assert!(!unknown.clusters.contains_key(cluster));
}

#[test]
fn canary() {
    let model = model(&["03", "07", "endpoints"]);
    let found: Vec<_> = routes(&model, LLM).iter().map(decision).collect();
    assert_eq!(
        found,
        [
            "internal-testing None 2 None connect-failure,refused-stream,retriable-status-codes,cancelled,unavailable v2=100",
            "weighted-split Some(30s) 3 None gateway-error,503 v1=95 v2=5",
        ]
    );
}

#[test]
fn a_service_without_virtual_service() {
    let model = model(&["05", "endpoints"]);
    let [route] = routes(&model, KNOWLEDGE) else {
        panic!("one route");
    };
    assert_eq!(
        decision(route),
        "default None 2 None connect-failure,refused-stream,retriable-status-codes,cancelled,unavailable =1"
    );
    assert!(route.matches.is_empty());
}

#[test]
fn older_defaults_retry_503() {
    let options = Options::default().with_istio_compat(IstioCompat::V1_20);
    let model = load(&sources(&["05", "endpoints"]), &options)
        .model
        .expect("it loads");
    assert!(
        forward(&routes(&model, KNOWLEDGE)[0])
            .retry
            .retry_on
            .statuses
            .contains(&503)
    );
    assert!(
        forward(&routes(&model, LLM)[0])
            .retry
            .retry_on
            .statuses
            .contains(&503)
    );
}

fn addresses(cluster: &Cluster) -> Vec<String> {
    match &cluster.discovery {
        Discovery::Static(all) => all
            .iter()
            .map(|e| format!("{}:{}", e.address, e.port))
            .collect(),
        other => panic!("not static: {other:?}"),
    }
}

#[test]
fn llm_service_clusters() {
    let model = model(&["03", "endpoints"]);
    let cluster = |subset: &str| &model.clusters[format!("outbound|8080|{subset}|{LLM}").as_str()];
    let secs = Duration::from_secs;
    // The subset's block replaces the top-level one: v1 keeps one setting.
    let v1 = cluster("v1");
    let pool = &v1.pool;
    assert_eq!(pool.max_requests_per_connection, 50);
    assert_eq!(
        (pool.max_connections, pool.max_pending),
        (u32::MAX, u32::MAX)
    );
    assert_eq!((pool.max_requests, pool.max_retries), (u32::MAX, u32::MAX));
    assert_eq!(
        (pool.connect_timeout, pool.protocol),
        (secs(10), Protocol::Http1)
    );
    assert_eq!(
        addresses(v1),
        ["127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"]
    );
    for (subset, endpoints) in [("", 4), ("v2", 1)] {
        let pool = &cluster(subset).pool;
        assert_eq!(
            (pool.max_connections, pool.max_pending),
            (100, 200),
            "{subset}"
        );
        assert_eq!((pool.max_requests, pool.max_retries), (1000, 3), "{subset}");
        assert_eq!(pool.max_requests_per_connection, 100, "{subset}");
        assert_eq!(
            (pool.connect_timeout, pool.protocol),
            (secs(5), Protocol::Http2),
            "{subset}"
        );
        assert_eq!(addresses(cluster(subset)).len(), endpoints, "{subset}");
    }
    let expected = outlier::params::Params::default()
        .with_consecutive_5xx(5)
        .with_consecutive_gateway(5)
        .with_interval(secs(10))
        .with_base_ejection(secs(30))
        .with_max_ejection_percent(50);
    for subset in ["", "v1", "v2"] {
        let cluster = cluster(subset);
        assert_eq!(cluster.outlier.as_ref(), Some(&expected), "{subset}");
        assert_eq!(cluster.balance.policy, Policy::Random, "{subset}");
        assert_eq!(cluster.balance.panic_threshold, 30, "{subset}");
        assert_eq!(cluster.origin, "DestinationRule/ai-services/llm-service-dr");
    }
    let Discovery::Static(endpoints) = &v1.discovery else {
        panic!("static");
    };
    assert_eq!(
        endpoints[0].service_account.as_deref(),
        Some("llm-service-sa")
    );
    assert_eq!(endpoints[0].labels["version"], "v1");
}

#[test]
fn knowledge_service_cluster() {
    let model = model(&["05", "endpoints"]);
    let cluster = &model.clusters[format!("outbound|8080||{KNOWLEDGE}").as_str()];
    let outlier = cluster.outlier.as_ref().expect("outlier detection is on");
    assert_eq!(
        (outlier.consecutive_gateway, outlier.consecutive_5xx),
        (3, 5)
    );
    assert_eq!(outlier.base_ejection, Duration::from_secs(60));
    assert_eq!(
        (outlier.interval, outlier.max_ejection_percent),
        (Duration::from_secs(30), 30)
    );
    assert_eq!(
        cluster.balance.policy,
        Policy::ConsistentHash {
            key: HashKey::Header(http::HeaderName::from_static("x-session-id")),
            table: HashTable::Ring { min_size: 1024 },
        }
    );
    assert_eq!(
        (cluster.pool.max_connections, cluster.pool.max_retries),
        (50, 1)
    );
    assert_eq!(cluster.pool.connect_timeout, Duration::from_secs(10));
    assert_eq!(addresses(cluster).len(), 4);
}

#[test]
fn short_names_follow_the_callers_namespace() {
    let domains = |options: &Options| {
        let model = load(&sources(&["endpoints"]), options)
            .model
            .expect("it loads");
        model.virtual_hosts[1].domains.clone()
    };
    // Every resource is in ai-services, so the caller is too.
    assert!(domains(&Options::default()).contains(&"llm-service".to_owned()));
    let elsewhere = domains(&Options::default().with_namespace("other"));
    assert_eq!(
        elsewhere,
        [
            LLM,
            "llm-service.ai-services",
            "llm-service.ai-services.svc"
        ]
    );
}

#[test]
fn equal_input_gives_an_equal_model() {
    let all = ["02", "03", "04", "05", "06", "endpoints"];
    assert_eq!(model(&all), model(&all));
}
