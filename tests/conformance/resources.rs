//! Resources beyond the reference mesh: each field that is in force, and what it comes to.

use std::{collections::BTreeMap, time::Duration};

use llmesh::{
    balance::params::{HashKey, HashTable, Policy},
    base::Ratio,
    config::{Options, Severity, Source, load},
    model::{Cluster, Discovery, MeshModel, Protocol},
    retry::params::Budget,
    route::params::{Action, FieldName, Forward, HeaderOps, Match, Route, StringMatch},
};

use crate::load_text;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec:\n  selector: {app: a}\n  ports: [{name: http, port: 80, targetPort: 8080}]\n---\n";

fn model(text: &str) -> MeshModel {
    let loaded = load_text(text);
    loaded
        .model
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

fn vs(rules: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a, namespace: n}}\nspec:\n  hosts: [a]\n  http:\n{rules}"
    )
}

fn routes(rules: &str) -> Vec<Route> {
    model(&format!("{SERVICE}{}", vs(rules)))
        .virtual_hosts
        .remove(0)
        .routes
}

fn forward(route: &Route) -> &Forward {
    match &route.action {
        Action::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

fn cluster(text: &str, name: &str) -> Cluster {
    let mut model = model(text);
    let names: Vec<_> = model.clusters.keys().cloned().collect();
    model
        .clusters
        .remove(name)
        .unwrap_or_else(|| panic!("{name} is not in {names:?}"))
}

#[test]
fn every_kind_of_match() {
    let found = routes(
        "  - match:\n    - {uri: {regex: \"/a/[0-9]+\"}, ignoreUriCase: true, scheme: {exact: https}, method: {exact: POST}, authority: {prefix: a.}, port: 80}\n    - headers: {X-A: {exact: b}, x-b: {}, x-c: {regex: \"*\"}, \":path\": {prefix: /x}}\n      withoutHeaders: {x-d: {}, x-e: null}\n      queryParams: {q: {exact: \"1\"}, r: {}}\n    route: [{destination: {host: a}}]\n",
    );
    let [first, second] = &found[0].matches[..] else {
        panic!("two alternatives");
    };
    assert!(
        matches!(&first.uri, Some(StringMatch::Regex(r)) if r.is_match("/a/12") && !r.is_match("/a/12/"))
    );
    assert!(first.ignore_uri_case);
    assert_eq!(first.scheme, Some(StringMatch::Exact("https".into())));
    assert_eq!(first.method, Some(StringMatch::Exact("POST".into())));
    assert_eq!(first.authority, Some(StringMatch::Prefix("a.".into())));
    assert_eq!(first.port, Some(80));
    let name = |n: &'static str| FieldName::Header(http::HeaderName::from_static(n));
    assert_eq!(
        second.headers,
        [
            (name("x-a"), StringMatch::Exact("b".into())),
            (name("x-b"), StringMatch::Present),
            (name("x-c"), StringMatch::Present),
            (FieldName::Path, StringMatch::Prefix("/x".into())),
        ]
    );
    assert_eq!(
        second.without_headers,
        [
            (name("x-d"), StringMatch::Present),
            (name("x-e"), StringMatch::Present)
        ]
    );
    assert_eq!(
        second.query,
        [
            ("q".to_owned(), StringMatch::Exact("1".into())),
            ("r".to_owned(), StringMatch::Present)
        ]
    );
}

#[test]
fn matches_with_names_become_routes_of_their_own() {
    let found = routes(
        "  - name: r\n    match: [{name: x, uri: {exact: /x}}, {uri: {exact: /y}}]\n    route: [{destination: {host: a}}]\n",
    );
    let names: Vec<_> = found.iter().map(|r| (&*r.name, r.matches.len())).collect();
    assert_eq!(names, [("r.x", 1), ("r", 1)]);
}

#[test]
fn answers_without_an_upstream() {
    let found = routes(
        "  - match: [{uri: {exact: /a}}]\n    redirect: {uri: /b, authority: c, scheme: https, port: 8443, redirectCode: 308}\n  - match: [{uri: {exact: /b}}]\n    directResponse: {status: 418, body: {string: tea}}\n  - directResponse: {status: 503, body: {bytes: dGVh}}\n",
    );
    let Action::Redirect(redirect) = &found[0].action else {
        panic!("a redirect");
    };
    assert_eq!(redirect.status.as_u16(), 308);
    assert_eq!(
        (redirect.uri.as_deref(), redirect.authority.as_deref()),
        (Some("/b"), Some("c"))
    );
    assert_eq!(
        (redirect.scheme.as_deref(), redirect.port),
        (Some("https"), Some(8443))
    );
    for (route, code) in [(&found[1], 418), (&found[2], 503)] {
        let Action::Direct { status, body, .. } = &route.action else {
            panic!("a direct response");
        };
        assert_eq!((status.as_u16(), &body[..]), (code, &b"tea"[..]));
    }
}

#[test]
fn headers_that_frame_messages_are_left_to_the_proxy() {
    for name in [
        "Content-Length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "proxy-connection",
    ] {
        let ops = format!("{{set: {{{name}: \"1\"}}, add: {{{name}: \"2\"}}, remove: [{name}]}}");
        let both = format!("headers: {{request: {ops}, response: {ops}}}");
        let rules = format!(
            "  - match: [{{uri: {{exact: /r}}}}]\n    redirect: {{uri: /x}}\n    headers: {{response: {ops}}}\n  - match: [{{uri: {{exact: /d}}}}]\n    directResponse: {{status: 200}}\n    headers: {{response: {ops}}}\n  - {both}\n    route: [{{destination: {{host: a}}, {both}}}]\n"
        );
        let loaded = load_text(&format!("{SERVICE}{}", vs(&rules)));
        let told = loaded.diagnostics.iter();
        let told = told.filter(|d| {
            d.severity == Severity::Warning && d.message.contains("frames messages itself")
        });
        assert_eq!(told.count(), 18, "{:?}", loaded.diagnostics);
        let found = loaded
            .model
            .expect("it is valid")
            .virtual_hosts
            .remove(0)
            .routes;
        let Action::Redirect(redirect) = &found[0].action else {
            panic!("a redirect");
        };
        let Action::Direct { headers, .. } = &found[1].action else {
            panic!("a direct response");
        };
        let last = forward(&found[2]);
        for ops in [
            &redirect.headers,
            headers,
            &last.headers,
            &last.destinations[0].headers,
        ] {
            assert_eq!(*ops, HeaderOps::default(), "{name}");
        }
    }
}

#[test]
fn rewrites_and_headers() {
    let found = routes(
        "  - rewrite: {uri: /v2, authority: x.y}\n    headers:\n      request: {set: {b: \"2\", a: \"100%%\"}, add: {c: d}, remove: [X-E]}\n      response: {set: {f: g}, remove: [h]}\n    route: [{destination: {host: a}, headers: {request: {set: {i: j}}}}]\n    match: [{uri: {prefix: /v1}}]\n  - rewrite: {uriRegexRewrite: {match: \"/(.*)\", rewrite: \"/x/\\\\1\"}}\n    headers: {request: {set: {Host: z.w}}}\n    route: [{destination: {host: a}}]\n",
    );
    let first = forward(&found[0]);
    let rewrite = first.rewrite.as_ref().expect("a rewrite");
    assert_eq!(
        (rewrite.uri.as_deref(), rewrite.authority.as_deref()),
        (Some("/v2"), Some("x.y"))
    );
    let set: Vec<_> = first
        .headers
        .request_set
        .iter()
        .map(|(n, v)| (n.as_str(), v.fixed().unwrap().to_str().unwrap()))
        .collect();
    assert_eq!(set, [("a", "100%"), ("b", "2")]);
    assert_eq!(first.headers.request_add.len(), 1);
    assert_eq!(first.headers.request_remove, ["x-e"]);
    assert_eq!(
        (
            first.headers.response_set.len(),
            first.headers.response_remove.len()
        ),
        (1, 1)
    );
    assert_eq!(first.destinations[0].headers.request_set.len(), 1);
    let rewrite = forward(&found[1]).rewrite.as_ref().expect("a rewrite");
    assert_eq!(rewrite.authority.as_deref(), Some("z.w"));
    let (pattern, replacement) = rewrite.regex.as_ref().expect("a pattern");
    assert_eq!(
        (pattern.source(), replacement.as_str()),
        ("/(.*)", "/x/\\1")
    );
}

#[test]
fn retries_in_full() {
    let found = routes(
        "  - retries: {attempts: 4, perTryTimeout: 1s, retryOn: \"5xx,429,unavailable\", backoff: 100ms, retryIgnorePreviousHosts: false}\n    route: [{destination: {host: a}}]\n    name: x\n    match: [{uri: {exact: /}}]\n  - retries: {}\n    route: [{destination: {host: a}}]\n",
    );
    let retry = &forward(&found[0]).retry;
    assert_eq!(
        (retry.retries, retry.per_try_timeout),
        (4, Some(Duration::from_secs(1)))
    );
    assert_eq!(retry.retry_on.to_string(), "5xx,unavailable,429");
    assert_eq!(
        (retry.backoff.base, retry.backoff.max),
        (Duration::from_millis(100), Duration::from_secs(1))
    );
    assert!(!retry.avoid_tried && !retry.retry_on.llm);
    assert_eq!(forward(&found[1]).retry.retries, 0);
}

#[test]
fn the_caller_decides_which_matches_apply() {
    let rules = "  - match: [{sourceLabels: {app: x}}]\n    name: x\n    route: [{destination: {host: a}}]\n  - match: [{sourceNamespace: other}]\n    name: other\n    route: [{destination: {host: a}}]\n  - match: [{gateways: [edge]}]\n    name: edge\n    route: [{destination: {host: a}}]\n  - match: [{gateways: [edge, mesh], uri: {exact: /}}]\n    name: both\n    route: [{destination: {host: a}}]\n";
    let names = |options: &Options| -> Vec<String> {
        let model = load(&[Source::new("a", vs(rules))], options)
            .model
            .expect("it loads");
        model.virtual_hosts[0]
            .routes
            .iter()
            .map(|r| r.name.to_string())
            .collect()
    };
    assert_eq!(names(&Options::default()), ["both"]);
    let labels = BTreeMap::from([("app".to_owned(), "x".to_owned())]);
    assert_eq!(
        names(&Options::default().with_workload_labels(labels)),
        ["x", "both"]
    );
    assert_eq!(
        names(&Options::default().with_namespace("other")),
        ["other", "both"]
    );
}

#[test]
fn resources_that_are_not_for_this_caller_are_left_out() {
    let text = |more: &str| {
        format!(
            "{SERVICE}{}",
            vs("  - name: r\n    route: [{destination: {host: a}}]\n")
                .replace("  http:", &format!("  {more}\n  http:"))
        )
    };
    let name = |more: &str| {
        model(&text(more)).virtual_hosts[0].routes[0]
            .name
            .to_string()
    };
    assert_eq!(name("gateways: [mesh, edge]"), "r");
    assert_eq!(name("gateways: [edge]"), "default");
    assert_eq!(name("exportTo: [\".\"]"), "r");
    assert_eq!(name("exportTo: [other]"), "default");
}

#[test]
fn several_ports() {
    let service = SERVICE.replace(
        "ports: [{name: http, port: 80, targetPort: 8080}]",
        "ports: [{name: http, port: 80}, {name: grpc-x, port: 90}, {name: tcp-db, port: 5432}]",
    );
    let both = model(&service);
    assert_eq!(both.virtual_hosts[0].ports, [80, 90]);
    let ports: Vec<_> = both.virtual_hosts[0]
        .routes
        .iter()
        .map(|r| r.matches[0].port)
        .collect();
    assert_eq!(ports, [Some(80), Some(90)]);
    let protocol = |port: u16| {
        both.clusters[format!("outbound|{port}||a.n.svc.cluster.local").as_str()]
            .pool
            .protocol
    };
    assert_eq!(
        (protocol(80), protocol(90)),
        (Protocol::Http1, Protocol::Http2)
    );
    // A destination without port follows the port that the caller addressed; one with a port does not.
    let text = format!(
        "{service}{}",
        vs(
            "  - match: [{uri: {exact: /x}}, {port: 90}]\n    route: [{destination: {host: a}}]\n  - route: [{destination: {host: a, port: {number: 80}}}]\n"
        )
    );
    let found: Vec<_> = model(&text).virtual_hosts[0]
        .routes
        .iter()
        .map(|route| {
            let ports: Vec<_> = route.matches.iter().map(|m: &Match| m.port).collect();
            (ports, forward(route).destinations[0].cluster.to_string())
        })
        .collect();
    let cluster = |port: u16| format!("outbound|{port}||a.n.svc.cluster.local");
    assert_eq!(
        found,
        [
            (vec![Some(80)], cluster(80)),
            (vec![Some(90), Some(90)], cluster(90)),
            (vec![], cluster(80)),
        ]
    );
}

#[test]
fn wildcard_hosts_serve_what_no_exact_host_claims() {
    let entry = |name: &str, host: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: n}}\nspec: {{hosts: [{host}], resolution: DNS, ports: [{{number: 80, name: http}}]}}\n---\n"
        )
    };
    let wild = |host: &str, name: &str| {
        vs(&format!(
            "  - name: {name}\n    route: [{{destination: {{host: a.x.com}}}}]\n"
        ))
        .replace("hosts: [a]", &format!("hosts: [\"{host}\"]"))
        .replace("name: a,", &format!("name: {name},"))
            + "---\n"
    };
    let text = [
        entry("s1", "a.x.com"),
        entry("s2", "b.y.x.com"),
        entry("s3", "x.com"),
        wild("*.x.com", "short"),
        wild("*.y.x.com", "long"),
    ]
    .concat();
    let found: Vec<_> = model(&text)
        .virtual_hosts
        .iter()
        .map(|h| (h.domains[0].clone(), h.routes[0].name.to_string()))
        .collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        found,
        [
            pair("*.x.com", "short"),
            pair("*.y.x.com", "long"),
            pair("a.x.com", "short"),
            pair("b.y.x.com", "long"),
            pair("x.com", "default"),
        ]
    );
}

#[test]
fn resolutions() {
    let entry = |rest: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: s, namespace: n}}\nspec: {{hosts: [x.com], ports: [{{number: 80, name: http, targetPort: 8080}}], {rest}}}\n"
        )
    };
    let discovery = |rest: &str| cluster(&entry(rest), "outbound|80||x.com").discovery;
    let shown = |discovery: Discovery| match discovery {
        Discovery::Static(e) => ("static", e),
        Discovery::Dns(e) => ("dns", e),
        Discovery::DnsFirst(e) => ("dns first", e),
        _ => ("original", Vec::new()),
    };
    for (rest, kind, endpoints) in [
        ("resolution: NONE", "original", vec![]),
        ("location: MESH_EXTERNAL", "original", vec![]),
        ("resolution: DNS", "dns", vec![("x.com", 8080)]),
        (
            "resolution: DNS_ROUND_ROBIN",
            "dns first",
            vec![("x.com", 8080)],
        ),
        (
            "resolution: DNS, endpoints: [{address: y.com, ports: {http: 1}}]",
            "dns",
            vec![("y.com", 1)],
        ),
        (
            "resolution: STATIC, endpoints: [{address: 1.1.1.1}, {address: \"::1\", ports: {}}]",
            "static",
            vec![("1.1.1.1", 8080), ("::1", 8080)],
        ),
    ] {
        let (found, all) = shown(discovery(rest));
        let all: Vec<_> = all.iter().map(|e| (e.address.as_str(), e.port)).collect();
        assert_eq!((found, all), (kind, endpoints), "{rest}");
    }
}

#[test]
fn workload_entries_are_chosen_by_selectors() {
    let workloads = "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: w1, namespace: n}\nspec: {address: 10.0.0.1, labels: {app: a, version: v1}, weight: 3, locality: r/z, serviceAccount: sa}\n---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: w2, namespace: n}\nspec: {address: 10.0.0.2, labels: {app: b}}\n---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: w3, namespace: other}\nspec: {address: 10.0.0.3, labels: {app: a}}\n";
    let entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: s, namespace: n}\nspec: {hosts: [x.com], resolution: STATIC, ports: [{number: 80, name: http}], workloadSelector: {labels: {app: a}}}\n";
    for (text, name, port) in [
        (format!("{entry}{workloads}"), "outbound|80||x.com", 80),
        (
            format!("{SERVICE}{}", &workloads[4..]),
            "outbound|80||a.n.svc.cluster.local",
            8080,
        ),
    ] {
        let Discovery::Static(all) = cluster(&text, name).discovery else {
            panic!("static");
        };
        let [only] = &all[..] else {
            panic!("one endpoint: {all:?}");
        };
        assert_eq!(
            (only.address.as_str(), only.port, only.weight),
            ("10.0.0.1", port, 3)
        );
        assert_eq!(
            (only.locality.as_deref(), only.service_account.as_deref()),
            (Some("r/z"), Some("sa"))
        );
    }
}

#[test]
fn endpoint_slices_and_deployments() {
    let more = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a-v2, namespace: n}\nspec: {template: {metadata: {labels: {app: a, version: v2}}, spec: {serviceAccountName: sa2}}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-1, namespace: n, labels: {kubernetes.io/service-name: a}}\naddressType: IPv4\nports: [{name: http, port: 8081}, {name: other, port: 1}]\nendpoints:\n- {addresses: [10.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: a-v2-7d4b9-x2x1z}, zone: z1}\n- {addresses: [10.0.0.2], conditions: {ready: false}}\n- {addresses: [10.0.0.3]}\n";
    let Discovery::Static(all) = cluster(
        &format!("{SERVICE}{more}"),
        "outbound|80||a.n.svc.cluster.local",
    )
    .discovery
    else {
        panic!("static");
    };
    let shown: Vec<_> = all
        .iter()
        .map(|e| {
            (
                e.address.as_str(),
                e.port,
                e.labels.get("version").map(String::as_str),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [("10.0.0.1", 8081, Some("v2")), ("10.0.0.3", 8081, None)]
    );
    assert_eq!(all[0].service_account.as_deref(), Some("sa2"));
    assert_eq!(all[0].locality.as_deref(), Some("/z1"));
    assert_eq!(all[1].labels["app"], "a");
}

#[test]
fn a_list_and_json_are_read_alike() {
    let json = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"List\",\n\t\"items\": [{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"a\", \"namespace\": \"n\"},\n\t\t\"spec\": {\"ports\": [{\"port\": 80}]}}]\n}\n";
    assert!(
        model(json)
            .clusters
            .contains_key("outbound|80||a.n.svc.cluster.local")
    );
}

#[test]
fn an_external_name_is_resolved() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec: {type: ExternalName, externalName: API.x.com, ports: [{port: 80}]}\n";
    let found = cluster(text, "outbound|80||a.n.svc.cluster.local");
    assert!(
        matches!(&found.discovery, Discovery::Dns(e) if e[0].address == "api.x.com" && e[0].port == 80)
    );
}

/// The cluster of `a` under a DestinationRule with this spec.
fn under(spec: &str, subset: &str) -> Cluster {
    let rule = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: n}}\nspec:\n  host: a\n{spec}"
    );
    cluster(
        &format!("{SERVICE}{rule}"),
        &format!("outbound|80|{subset}|a.n.svc.cluster.local"),
    )
}

#[test]
fn blocks_replace_each_other_as_wholes() {
    let spec = "  trafficPolicy:\n    loadBalancer: {simple: RANDOM}\n    outlierDetection: {consecutive5xxErrors: 1}\n    connectionPool: {tcp: {maxConnections: 7}}\n    portLevelSettings:\n    - port: {number: 80}\n      loadBalancer: {simple: ROUND_ROBIN}\n  subsets:\n  - name: v1\n    labels: {version: v1}\n    trafficPolicy: {outlierDetection: {}}\n";
    let top = under(spec, "");
    // The entry for the port replaces all of the top level, also what it does not give.
    assert_eq!(top.balance.policy, Policy::RoundRobin);
    assert_eq!(
        (top.outlier.is_none(), top.pool.max_connections),
        (true, u32::MAX)
    );
    let v1 = under(spec, "v1");
    assert_eq!(v1.balance.policy, Policy::RoundRobin);
    assert_eq!(v1.outlier, Some(llmesh::outlier::params::Params::default()));
    let elsewhere = under(&spec.replace("number: 80", "number: 81"), "");
    assert_eq!(
        (elsewhere.balance.policy, elsewhere.pool.max_connections),
        (Policy::Random, 7)
    );
}

#[test]
fn every_cluster_has_a_retry_budget() {
    let budget = |spec: &str, subset: &str| under(spec, subset).retry_budget.expect("it has one");
    let of = |percent: f64, floor, seconds| {
        let share = Ratio::from_percent(percent).expect("a percentage");
        Budget::percent(share, floor, Duration::from_secs(seconds))
    };
    let bare = cluster(SERVICE, "outbound|80||a.n.svc.cluster.local");
    assert_eq!(bare.retry_budget, Some(Budget::standard()));
    let policy = |fields: &str| format!("  trafficPolicy: {{retryBudget: {{{fields}}}}}\n");
    for (fields, wanted) in [
        ("", Budget::standard()),
        ("percent: 12.5", of(12.5, 3, 10)),
        ("percent: 0, minRetryConcurrency: 0", of(0.0, 0, 10)),
        ("minRetryConcurrency: 7", of(20.0, 7, 10)),
        ("budgetInterval: 2s", of(20.0, 3, 2)),
        ("budgetInterval: 0s", of(20.0, 3, 10)),
    ] {
        assert_eq!(budget(&policy(fields), ""), wanted, "{fields}");
    }
    // An entry for the port cannot have one, and does not take the policy's away.
    let spec = "  trafficPolicy:\n    retryBudget: {percent: 5}\n    portLevelSettings:\n    - port: {number: 80}\n      loadBalancer: {simple: RANDOM}\n  subsets:\n  - name: v1\n    labels: {version: v1}\n  - name: v2\n    labels: {version: v2}\n    trafficPolicy: {retryBudget: {percent: 6}}\n";
    assert_eq!(budget(spec, ""), of(5.0, 3, 10));
    assert_eq!(budget(spec, "v1"), of(5.0, 3, 10));
    assert_eq!(budget(spec, "v2"), of(6.0, 3, 10));
}

#[test]
fn connection_pools_in_full() {
    let pool = under("  trafficPolicy:\n    connectionPool:\n      tcp: {maxConnections: 1, connectTimeout: 2s, maxConnectionDuration: 3s, idleTimeout: 4s, tcpKeepalive: {probes: 5, time: 6s, interval: 7s}}\n      http: {http1MaxPendingRequests: 8, http2MaxRequests: 9, maxRequestsPerConnection: 10, maxRetries: 11, maxConcurrentStreams: 12, useClientProtocol: true}\n", "").pool;
    let secs = Duration::from_secs;
    assert_eq!((pool.max_connections, pool.connect_timeout), (1, secs(2)));
    assert_eq!(
        (pool.max_connection_duration, pool.idle_timeout),
        (Some(secs(3)), Some(secs(4)))
    );
    let keepalive = pool.keepalive.expect("it is set");
    assert_eq!(
        (keepalive.probes, keepalive.time, keepalive.interval),
        (Some(5), Some(secs(6)), Some(secs(7)))
    );
    assert_eq!(
        (
            pool.max_pending,
            pool.max_requests,
            pool.max_requests_per_connection
        ),
        (8, 9, 10)
    );
    assert_eq!(
        (pool.max_retries, pool.max_concurrent_streams, pool.protocol),
        (11, 12, Protocol::AsCaller)
    );
    let idle = under("  trafficPolicy: {connectionPool: {tcp: {idleTimeout: 0s, maxConnections: 0}, http: {maxRetries: 0}}}\n", "").pool;
    assert_eq!((idle.idle_timeout, idle.max_connections), (None, u32::MAX));
}

#[test]
fn consistent_hashes() {
    let policy = |hash: &str| {
        under(
            &format!("  trafficPolicy: {{loadBalancer: {{consistentHash: {{{hash}}}}}}}\n"),
            "",
        )
        .balance
        .policy
    };
    let ring = HashTable::Ring { min_size: 1024 };
    for (hash, key, table) in [
        ("useSourceIp: true", HashKey::SourceIp, ring),
        (
            "httpQueryParameterName: q, ringHash: {minimumRingSize: 5}",
            HashKey::Query("q".into()),
            HashTable::Ring { min_size: 5 },
        ),
        (
            "useSourceIp: true, minimumRingSize: 6",
            HashKey::SourceIp,
            HashTable::Ring { min_size: 6 },
        ),
        (
            "useSourceIp: true, maglev: {tableSize: 65537}",
            HashKey::SourceIp,
            HashTable::Maglev { size: 65_537 },
        ),
        (
            "useSourceIp: true, maglev: {tableSize: 251}",
            HashKey::SourceIp,
            HashTable::Maglev { size: 251 },
        ),
        (
            "httpCookie: {name: c, path: /, ttl: 0s}",
            HashKey::Cookie {
                name: "c".into(),
                path: Some("/".into()),
                ttl: Some(Duration::ZERO),
            },
            ring,
        ),
        (
            "httpCookie: {name: c}",
            HashKey::Cookie {
                name: "c".into(),
                path: None,
                ttl: None,
            },
            ring,
        ),
    ] {
        assert_eq!(
            policy(hash),
            Policy::ConsistentHash { key, table },
            "{hash}"
        );
    }
}

#[test]
fn passthrough_dials_what_the_caller_used() {
    let found = under(
        "  trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}\n",
        "",
    );
    assert_eq!(found.discovery, Discovery::Original);
}

#[test]
fn outlier_detection_in_full() {
    let found = under(
        "  trafficPolicy: {outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 2, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3, interval: 4s, baseEjectionTime: 400s, maxEjectionPercent: 100, minHealthPercent: 7, outlierDetectionHttpErrorCodes: [429]}}\n",
        "",
    );
    let outlier = found.outlier.expect("it is on");
    assert_eq!(
        (outlier.consecutive_5xx, outlier.consecutive_gateway),
        (0, 2)
    );
    assert_eq!((outlier.split_local, outlier.consecutive_local), (true, 3));
    assert_eq!(outlier.interval, Duration::from_secs(4));
    assert_eq!(
        (outlier.base_ejection, outlier.max_ejection),
        (Duration::from_secs(400), Duration::from_secs(400))
    );
    assert_eq!(
        (outlier.max_ejection_percent, found.balance.panic_threshold),
        (100, 7)
    );
    assert!(outlier.error_statuses.contains(&429));
}

#[test]
fn rules_of_one_host_are_joined_and_the_callers_namespace_comes_first() {
    let rule = |name: &str, namespace: &str, spec: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{host: a.n.svc.cluster.local, {spec}}}\n"
        )
    };
    let text = [
        SERVICE.trim_end_matches("---\n").to_owned(),
        rule("r1", "n", "trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: v1, labels: {a: \"1\"}}]"),
        rule("r2", "n", "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}, subsets: [{name: v1}, {name: v2}]"),
        rule("r3", "c", "trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}"),
    ]
    .concat();
    let policy = |namespace: &str| {
        let options = Options::default().with_namespace(namespace);
        let model = load(&[Source::new("a", text.as_str())], &options)
            .model
            .expect("it loads");
        let names: Vec<_> = model
            .clusters
            .values()
            .map(|c| c.name.subset.clone())
            .collect();
        let all = &model.clusters["outbound|80||a.n.svc.cluster.local"];
        (all.balance.policy.clone(), names)
    };
    let names = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(policy("n"), (Policy::Random, names(&["v1", "v2", ""])));
    assert_eq!(
        policy("elsewhere"),
        (Policy::Random, names(&["v1", "v2", ""]))
    );
    assert_eq!(policy("c"), (Policy::LeastRequest, names(&[""])));
}

/// A policy in a rule of its own is the host's: subsets of other rules add to it, a port's replaces it.
#[test]
fn a_policy_of_one_rule_holds_for_the_subsets_of_others() {
    let rule = |name: &str, host: &str, spec: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: n}}\nspec: {{host: {host}, {spec}}}\n"
        )
    };
    let policy = |port: u16| {
        let text = [
            SERVICE.trim_end_matches("---\n").to_owned(),
            rule("r1", "a", "subsets: [{name: v1, labels: {a: \"1\"}}]"),
            rule("r2", "a.n.svc.cluster.local", "subsets: [{name: v2, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}]"),
            rule("r3", "a", &format!("trafficPolicy: {{connectionPool: {{http: {{http2MaxRequests: 7}}}}, outlierDetection: {{consecutive5xxErrors: 2}}, portLevelSettings: [{{port: {{number: {port}}}, loadBalancer: {{simple: RANDOM}}}}]}}")),
        ]
        .concat();
        ["v1", "v2"].map(|subset| {
            let found = cluster(
                &text,
                &format!("outbound|80|{subset}|a.n.svc.cluster.local"),
            );
            let errors = found.outlier.map(|outlier| outlier.consecutive_5xx);
            (found.balance.policy, found.pool.max_requests, errors)
        })
    };
    let [v1, v2] = policy(81);
    assert_eq!(v1, (Policy::LeastRequest, 7, Some(2)));
    assert_eq!(v2, (Policy::RoundRobin, 7, Some(2)));
    let [v1, v2] = policy(80);
    assert_eq!(v1, (Policy::Random, u32::MAX, None));
    assert_eq!(v2, (Policy::RoundRobin, u32::MAX, None));
}

#[test]
fn an_overlay_takes_over_hosts_and_names() {
    let entry = |name: &str, address: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: n}}\nspec: {{hosts: [x.com], resolution: STATIC, ports: [{{number: 80, name: http}}], endpoints: [{{address: {address}}}]}}\n"
        )
    };
    let base = Source::new("base", entry("s", "10.0.0.1"));
    let addresses = |second: Source| {
        let loaded = load(&[base.clone(), second], &Options::default());
        let rules: Vec<_> = loaded
            .diagnostics
            .iter()
            .map(|d| (d.severity.as_str(), d.rule))
            .collect();
        let model = loaded.model.expect("it loads");
        let Discovery::Static(all) = model.clusters["outbound|80||x.com"].discovery.clone() else {
            panic!("static");
        };
        let all: Vec<_> = all.into_iter().map(|e| e.address).collect();
        (all.join(" "), rules)
    };
    let second = |name: &str| Source::new("second", entry(name, "10.0.0.2"));
    let overlaid = vec![("note", "resource-overlaid")];
    // Two entries for one host share it; two of one name do not.
    assert_eq!(
        addresses(second("t")),
        ("10.0.0.1 10.0.0.2".to_owned(), vec![])
    );
    assert_eq!(
        addresses(second("s")),
        (
            "10.0.0.1".to_owned(),
            vec![("warning", "duplicate-resource")]
        )
    );
    assert_eq!(
        addresses(second("t").as_overlay()),
        ("10.0.0.2".to_owned(), overlaid.clone())
    );
    assert_eq!(
        addresses(second("s").as_overlay()),
        ("10.0.0.2".to_owned(), overlaid)
    );
}

#[test]
fn a_host_for_one_destination() {
    let text = |weights: &str| {
        vs(&format!(
            "  - route: [{{destination: {{host: a}}, headers: {{request: {{set: {{host: x.y}}}}}}}}{weights}]\n"
        ))
    };
    let alone = load_text(&text(""));
    assert!(alone.diagnostics.iter().all(|d| d.rule != "not-in-force"));
    let model = alone.model.expect("it loads");
    let rewrite = forward(&model.virtual_hosts[0].routes[0])
        .rewrite
        .clone()
        .expect("a rewrite");
    assert_eq!(rewrite.authority.as_deref(), Some("x.y"));
    let weighted = load_text(&text(", {destination: {host: a}, weight: 1}"));
    assert!(
        weighted
            .diagnostics
            .iter()
            .any(|d| d.rule == "not-in-force")
    );
    let model = weighted.model.expect("it loads");
    assert_eq!(forward(&model.virtual_hosts[0].routes[0]).rewrite, None);
}

/// The findings about a rule's header operations, and whether there is a model.
fn header_findings(headers: &str) -> (Vec<String>, bool) {
    let rule = format!("  - headers: {{{headers}}}\n    route: [{{destination: {{host: a}}}}]\n");
    let loaded = load_text(&format!("{SERVICE}{}", vs(&rule)));
    let about = loaded.diagnostics.iter();
    let about = about.filter(|d| d.path.contains("headers"));
    let found = about.map(|d| format!("{}: {}", d.severity, d.message));
    (found.collect(), loaded.model.is_some())
}

/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage>
#[test]
fn operators_in_header_values() {
    for good in [
        "'%REQ(x)%'",
        "'%REQ(:PATH?x-path):10%'",
        "'a %PROTOCOL% b 100%%'",
        "'%START_TIME(%Y/%m)%'",
        "'%DOWNSTREAM_REMOTE_ADDRESS%'",
        "'%RESPONSE_CODE%'",
    ] {
        let found = header_findings(&format!("request: {{set: {{x-a: {good}}}}}"));
        assert_eq!(found, (Vec::new(), true), "{good}");
    }
    for (bad, named) in [
        ("'%NO_SUCH%'", "`%NO_SUCH%` is no operator that Envoy knows"),
        ("'%REQ(x'", "begins no operator"),
        ("'50%'", "begins no operator"),
        ("'%REQ%'", "`%REQ%` needs the name of a field"),
        ("'%PROTOCOL(x)%'", "takes no arguments"),
        ("\"%REQ(x)% a\\x01\"", "a header cannot carry"),
    ] {
        for side in ["request", "response"] {
            for op in ["set", "add"] {
                let (found, good) = header_findings(&format!("{side}: {{{op}: {{x-a: {bad}}}}}"));
                assert!(!good && found.len() == 1, "{bad}: {found:?}");
                assert!(
                    found[0].contains(named) && found[0].starts_with("error"),
                    "{found:?}"
                );
            }
        }
    }
    for (odd, named) in [
        ("request: {set: {host: '%REQ(x)%'}}", "takes no operators"),
        ("request: {remove: [':path']}", "is not a header name"),
        ("request: {remove: [host]}", "`host` cannot be removed"),
        ("response: {set: {':status': '1'}}", "is not a header name"),
    ] {
        let (found, good) = header_findings(odd);
        assert!(!good && found[0].contains(named), "{odd}: {found:?}");
    }
    let (found, good) = header_findings("request: {set: {x-a: '%DOWNSTREAM_TLS_VERSION%'}}");
    assert!(good && found[0].contains("`%DOWNSTREAM_TLS_VERSION%` has no value in llmesh"));
}

/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter>
#[test]
fn headers_for_the_router_are_named() {
    for (name, told) in [
        ("x-envoy-retry-on", "note: `x-envoy-retry-on` is read here"),
        ("x-envoy-max-retries", "note: "),
        ("x-envoy-retriable-status-codes", "note: "),
        ("x-envoy-retriable-header-names", "note: "),
        (
            "x-envoy-upstream-rq-timeout-ms",
            "warning: `x-envoy-upstream-rq-timeout-ms` has no effect",
        ),
    ] {
        let (found, good) = header_findings(&format!("request: {{add: {{{name}: '5'}}}}"));
        assert!(
            good && found.len() == 1 && found[0].starts_with(told),
            "{found:?}"
        );
    }
}
