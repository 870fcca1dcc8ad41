//! `LlmPolicy`: what it says, which routes it is for, and every finding in full.

use std::{path::Path, time::Duration};

use llmesh::{
    config::{Loaded, Options, Severity, Source, load, read_paths},
    layers::{
        fallback::{Credential, Key, Resume, key::KeyError},
        limit::tokens::By,
    },
    llm::{Dialect, DialectMode},
    model::{LlmPolicy, MeshModel, llm::Shared},
    retry::params::Budget,
};

/// `llm` with subsets and four routes, `backup` with two ports, `front` that leads to others, all of `ai`; and another
/// host of `shop`.
const MESH: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: llm, namespace: ai}
spec: {ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: backup, namespace: ai}
spec: {ports: [{name: http, port: 8080}, {name: http-2, port: 9090}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: other, namespace: shop}
spec: {hosts: [api.other.io], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: llm, namespace: ai}
spec: {host: llm, subsets: [{name: v1}, {name: v2}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm]
  http:
  - {name: canary, match: [{headers: {x-canary: {exact: "1"}}}], timeout: 60s, route: [{destination: {host: llm, subset: v2}}]}
  - {name: chat, match: [{uri: {prefix: /chat}}], timeout: 60s, route: [{destination: {host: llm, subset: v1}}]}
  - {name: weighted, match: [{uri: {prefix: /w}}], timeout: 60s, route: [{destination: {host: llm, subset: v1}, weight: 90}, {destination: {host: backup, port: {number: 8080}}, weight: 10}]}
  - {name: gone, match: [{uri: {prefix: /gone}}], directResponse: {status: 410}}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: ai}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: ai}
spec:
  hosts: [front]
  http:
  - {name: split, route: [{destination: {host: llm}, weight: 1}, {destination: {host: api.other.io}, weight: 1}]}
"#;

/// A policy of `ai` with this `spec`.
fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: {name}, namespace: ai}}\nspec:\n{}",
        spec.lines().map(|l| format!("  {l}\n")).collect::<String>()
    )
}

fn with_policies(policies: &[String]) -> Loaded {
    let mesh = Source::new("mesh.yaml", MESH);
    let texts = policies
        .iter()
        .map(|text| Source::new("p.yaml", text.as_str()));
    let sources: Vec<_> = std::iter::once(mesh).chain(texts).collect();
    load(&sources, &Options::default().with_namespace("ai"))
}

/// Findings of one policy with this `spec`.
fn said(spec: &str) -> Vec<String> {
    findings(&with_policies(&[policy("p", spec)]))
}

fn findings(loaded: &Loaded) -> Vec<String> {
    let of_policies = loaded
        .diagnostics
        .iter()
        .filter(|d| &*d.file != "mesh.yaml");
    of_policies.map(ToString::to_string).collect()
}

fn model(loaded: Loaded) -> MeshModel {
    let Some(model) = loaded.model else {
        panic!("{:?}", loaded.diagnostics);
    };
    model
}

fn of_route<'m>(model: &'m MeshModel, host: &str, route: &str) -> Option<&'m Shared> {
    let host = model
        .virtual_hosts
        .iter()
        .find(|h| h.name.starts_with(host));
    let host = host.expect("the host is there");
    let at = host.routes.iter().position(|r| &*r.name == route);
    host.llm.get(at.expect("the route is there"))?.as_ref()
}

/// What the policy comes to on the route `chat`.
fn compiled(spec: &str) -> Shared {
    let model = model(with_policies(&[policy("p", spec)]));
    of_route(&model, "llm.", "chat")
        .expect("it has one")
        .clone()
}

/// Names of the policies of all routes of `llm`, and of the others' only routes.
fn chosen(model: &MeshModel) -> Vec<String> {
    let name = |policy: Option<&Shared>| {
        policy.map_or_else(
            || "-".to_owned(),
            |p| p.origin.rsplit('/').next().unwrap_or_default().to_owned(),
        )
    };
    let mut all = Vec::new();
    for (host, route) in [
        ("llm.", "canary"),
        ("llm.", "chat"),
        ("llm.", "gone"),
        ("backup.", "default"),
        ("api.other.io", "default"),
    ] {
        all.push(name(of_route(model, host, route)));
    }
    all
}

#[test]
fn every_field_comes_to_what_it_says() {
    let found = compiled(
        r#"hosts: [llm]
dialect: anthropic
timeouts: {headers: 10s, firstToken: 15s, interToken: 1500ms, minTokensPerSecond: 2, window: 5s}
retries: {budget: {percent: 150, minPerSecond: 7}, maxHint: 20s, beforeFirstToken: false}
fallback:
- {subset: v2}
- {host: backup, port: 9090, model: small, credential: {env: BACKUP_KEY}, account: second, larger: true}
- {host: api.other.io, credential: {file: /run/key}, prefill: false}
- {model: other}
fallbackOn: {contentFilter: true}
resume: prefill
limits:
- {name: a, key: {header: X-User-Tier, value: free}, requestsPerSecond: 10, tokensPerMinute: 100000}
- {key: {header: x-user}, requestsPerMinute: 600}
- {key: {credential: true}, tokensPerMinute: 1}
- {key: {model: true}, tokensPerMinute: 2}
- {tokensPerMinute: 3}
defaultOutputTokens: 512
usage: {inject: true}
reasoning: hold
holdBytes: 1024
headers: false"#,
    );
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(found.origin, "LlmPolicy/ai/p");
    assert_eq!(found.stream.dialect, DialectMode::Fixed(Dialect::Anthropic));
    let clocks = found.stream.clocks;
    assert_eq!(
        (clocks.headers, clocks.first_token),
        (seconds(10), seconds(15))
    );
    assert_eq!(clocks.inter_token, Some(Duration::from_millis(1500)));
    assert_eq!(
        (clocks.min_tokens_per_second, clocks.window),
        (Some(2.0), Duration::from_secs(5))
    );
    let Some(Budget::Percent {
        share,
        min_per_second,
        ..
    }) = found.retries.budget
    else {
        panic!("{:?}", found.retries);
    };
    assert_eq!((share.get(), min_per_second), (1.5, 7));
    assert_eq!(
        (found.retries.max_hint, found.retries.before_first_token),
        (seconds(20), false)
    );
    let [v2, backup, other, smaller] = &found.fallback.targets[..] else {
        panic!("{:?}", found.fallback);
    };
    assert_eq!(&*v2.cluster, "outbound|8080|v2|llm.ai.svc.cluster.local");
    assert_eq!(
        (&v2.authority, &v2.model, &v2.credential, v2.larger),
        (&None, &None, &None, false)
    );
    assert_eq!(
        &*backup.cluster,
        "outbound|9090||backup.ai.svc.cluster.local"
    );
    assert_eq!(
        backup.authority.as_deref(),
        Some("backup.ai.svc.cluster.local")
    );
    assert_eq!(
        (backup.model.as_deref(), backup.account.as_deref()),
        (Some("small"), Some("second"))
    );
    assert_eq!(
        backup.credential,
        Some(Credential::Env("BACKUP_KEY".into()))
    );
    assert!(backup.larger && backup.prefill && !other.prefill);
    assert_eq!(&*other.cluster, "outbound|80||api.other.io");
    assert_eq!(other.credential, Some(Credential::File("/run/key".into())));
    assert_eq!(
        &*smaller.cluster,
        "outbound|8080|v1|llm.ai.svc.cluster.local"
    );
    assert!(found.fallback.content_filter);
    assert_eq!(found.fallback.resume, Resume::Prefill);
    let named: Vec<_> = found.limits.limits.iter().map(|l| &*l.name).collect();
    assert_eq!(
        named,
        [
            "ai/p/a",
            "ai/p/x-user",
            "ai/p/credential",
            "ai/p/model",
            "ai/p/route"
        ]
    );
    let first = &found.limits.limits[0];
    assert!(
        matches!(&first.by, By::Header { name, value } if name == "x-user-tier" && value.as_deref() == Some("free"))
    );
    let amounts = |l: &llmesh::layers::limit::tokens::Limit| {
        let of = |a: Option<llmesh::layers::limit::tokens::params::Allowance>| {
            a.map(|a| (a.amount.get(), a.per.as_secs()))
        };
        (of(l.requests), of(l.tokens))
    };
    assert_eq!(amounts(first), (Some((10, 1)), Some((100_000, 60))));
    assert_eq!(amounts(&found.limits.limits[1]), (Some((600, 60)), None));
    assert_eq!(
        found.limits.default_output.map(std::num::NonZeroU64::get),
        Some(512)
    );
    assert!(found.stream.inject_usage && !found.stream.reasoning_commits && !found.headers);
    assert_eq!(found.stream.hold_cap, 1024);
}

#[test]
fn what_is_left_out_is_as_without_a_policy() {
    let found = compiled("{}");
    let mut plain = LlmPolicy::default();
    plain.origin.push_str("LlmPolicy/ai/p");
    assert_eq!(*found, plain);
    let half = compiled("retries: {budget: {}}");
    assert_eq!(half.retries.budget, Some(Budget::standard()));
}

#[test]
fn off_is_off_in_every_yaml() {
    for (written, resume) in [
        ("off", Some(Resume::Off)),
        ("\"off\"", Some(Resume::Off)),
        ("false", Some(Resume::Off)),
        ("prefill", Some(Resume::Prefill)),
        ("true", None),
        ("on", None),
    ] {
        let loaded = with_policies(&[policy("p", &format!("resume: {written}"))]);
        let found = loaded
            .model
            .as_ref()
            .and_then(|m| of_route(m, "llm.", "chat"));
        assert_eq!(found.map(|p| p.fallback.resume), resume, "{written}");
    }
}

#[test]
fn the_more_specific_one_wins() {
    let all = [
        "apiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {name: mesh, namespace: istio-system}\nspec: {}\n".to_owned(),
        policy("namespace", "headers: true"),
        policy("wild", "hosts: [\"*.ai.svc.cluster.local\"]"),
        policy("host", "hosts: [llm]"),
        policy("routes", "routes: [chat]"),
        policy("both", "hosts: [llm]\nroutes: [chat]"),
    ];
    // Each one alone, and then with all that are less specific. What answers by itself has none.
    for (n, on_canary, on_chat, on_backup, on_other) in [
        (1, "mesh", "mesh", "mesh", "mesh"),
        (2, "namespace", "namespace", "namespace", "mesh"),
        (3, "wild", "wild", "wild", "mesh"),
        (4, "host", "host", "wild", "mesh"),
        (5, "host", "routes", "wild", "mesh"),
        (6, "host", "both", "wild", "mesh"),
    ] {
        let expected = [on_canary, on_chat, "-", on_backup, on_other];
        assert_eq!(chosen(&model(with_policies(&all[..n]))), expected, "{n}");
        let reversed: Vec<_> = all[..n].iter().rev().cloned().collect();
        assert_eq!(
            chosen(&model(with_policies(&reversed))),
            expected,
            "{n} in reverse"
        );
    }
    // Those that are in force nowhere are told.
    let unused = findings(&with_policies(&all));
    assert_eq!(
        unused,
        [
            "p.yaml:4:1: warning[llm-policy-unused] LlmPolicy ai/namespace spec: it is in force nowhere: each route that it selects has a more specific policy\n  hint: remove it, or name the routes that it is for",
            "p.yaml:4:1: warning[llm-policy-unused] LlmPolicy ai/routes spec: it is in force nowhere: each route that it selects has a more specific policy\n  hint: remove it, or name the routes that it is for",
        ]
    );
}

#[test]
fn of_equals_the_first_wins_and_the_other_is_told() {
    let two = [
        policy("a", "hosts: [llm]"),
        policy("b", "hosts: [llm, backup]"),
    ];
    let loaded = with_policies(&two);
    assert_eq!(
        findings(&loaded),
        [
            "p.yaml:4:1: warning[llm-policy-conflict] LlmPolicy ai/b spec: route \"canary\" of llm.ai.svc.cluster.local already has LlmPolicy ai/a (p.yaml:4); LlmPolicy ai/b has no effect on it\n  hint: policies are not merged: put all of it into one, or name `routes` or `hosts` in the one that shall win"
        ]
    );
    assert_eq!(chosen(&model(loaded)), ["a", "a", "-", "b", "-"]);
    let mesh = Source::new("mesh.yaml", MESH);
    let sources = [
        mesh,
        Source::new("a.yaml", &*two[0]),
        Source::new("b.yaml", &*two[1]),
    ];
    let strict = load(&sources, &Options::default().with_strict(true));
    assert!(strict.model.is_none());
    assert_eq!(strict.count(Severity::Error), 1);
}

#[test]
fn an_overlay_goes_before_what_is_more_specific() {
    let sources = [
        Source::new("mesh.yaml", MESH),
        Source::new("p.yaml", policy("base", "hosts: [llm]\nroutes: [chat]")),
        Source::new("o.yaml", policy("over", "hosts: [llm]")).as_overlay(),
    ];
    let loaded = load(&sources, &Options::default());
    assert_eq!(
        findings(&loaded),
        [
            "p.yaml:4:1: note[llm-policy-overlaid] LlmPolicy ai/base spec: route \"chat\" of llm.ai.svc.cluster.local already has LlmPolicy ai/over (o.yaml:4); LlmPolicy ai/base has no effect on it\n  hint: it comes back when the overlay is removed"
        ]
    );
    assert_eq!(chosen(&model(loaded))[1], "over");
}

#[test]
fn a_target_without_host_is_the_routes_own() {
    let text = policy(
        "p",
        "hosts: [llm]\nroutes: [chat, canary]\nfallback: [{subset: v2}, {subset: v1}]",
    );
    let loaded = with_policies(&[text]);
    // Each leads back for one of the two routes, and is left out there.
    assert_eq!(
        findings(&loaded),
        [
            "p.yaml:7:14: note[fallback-to-itself] LlmPolicy ai/p spec.fallback[0]: this is where route \"canary\" of llm.ai.svc.cluster.local leads already\n  hint: it is left out there",
            "p.yaml:7:28: note[fallback-to-itself] LlmPolicy ai/p spec.fallback[1]: this is where route \"chat\" of llm.ai.svc.cluster.local leads already\n  hint: it is left out there",
        ]
    );
    let model = model(loaded);
    for (route, subset) in [("chat", "v2"), ("canary", "v1")] {
        let targets = &of_route(&model, "llm.", route).unwrap().fallback.targets;
        let clusters: Vec<_> = targets.iter().map(|t| t.cluster.to_string()).collect();
        assert_eq!(
            clusters,
            [format!("outbound|8080|{subset}|llm.ai.svc.cluster.local")]
        );
        assert!(model.clusters.contains_key(&*clusters[0]));
    }
    // Of several hosts it is the one that was called.
    let text = policy(
        "p",
        "routes: [weighted]\nfallback: [{subset: v2}, {model: small}]",
    );
    let model = self::model(with_policies(&[text]));
    let targets = &of_route(&model, "llm.", "weighted")
        .unwrap()
        .fallback
        .targets;
    let clusters: Vec<_> = targets.iter().map(|t| &*t.cluster).collect();
    assert_eq!(
        clusters,
        [
            "outbound|8080|v2|llm.ai.svc.cluster.local",
            "outbound|8080||llm.ai.svc.cluster.local",
        ]
    );
}

#[test]
fn equal_files_give_an_equal_model() {
    let text = [policy(
        "p",
        "hosts: [llm]\nfallback: [{host: backup}]\ntimeouts: {firstToken: 5s}",
    )];
    let (one, two) = (model(with_policies(&text)), model(with_policies(&text)));
    assert_eq!(one, two);
    let other = policy(
        "p",
        "hosts: [llm]\nfallback: [{host: backup}]\ntimeouts: {firstToken: 6s}",
    );
    assert_ne!(one, model(with_policies(&[other])));
}

/// A `spec` and all that is said of it, without `p.yaml:` and `LlmPolicy ai/p`.
const BAD: &[(&str, &[&str])] = &[
    (
        "host: [llm]",
        &[
            "5:3: error[unknown-field] spec.host: `host` is not a field here\n  hint: did you mean `hosts`?",
        ],
    ),
    (
        "hosts: llm",
        &[
            "5:10: error[wrong-type] spec.hosts: expected a list, found a string\n  hint: write `hosts: [llm]`",
        ],
    ),
    (
        "hosts: []",
        &[
            "5:3: error[empty-selector] spec.hosts: `hosts` is empty: the policy is for nothing\n  hint: name hosts, or leave `hosts` out for all of them",
        ],
    ),
    (
        "hosts: [\"*\"]",
        &[
            "5:11: error[wildcard-host] spec.hosts[0]: `*` is not allowed inside the mesh\n  hint: name the hosts, or use a wildcard such as *.example.com",
        ],
    ),
    (
        "hosts: [lm]",
        &[
            "4:1: warning[llm-policy-unused] spec: it selects no route\n  hint: check `hosts` and `routes`; without both it is for the hosts of its namespace",
            "5:11: warning[unknown-host] spec.hosts[0]: lm.ai.svc.cluster.local is not known: no Service or ServiceEntry of that name is loaded\n  hint: did you mean llm.ai.svc.cluster.local?",
        ],
    ),
    (
        "routes: [chat, chatt]",
        &[
            "5:18: warning[unknown-route] spec.routes[1]: no route is called \"chatt\"\n  hint: did you mean `chat`?",
        ],
    ),
    (
        "routes: [chat, chat]",
        &[
            "5:18: error[duplicate-route] spec.routes[1]: \"chat\" is already named in line 5\n  hint: keep one of the two",
        ],
    ),
    (
        "dialect: antropic",
        &[
            "5:12: error[unknown-value] spec.dialect: \"antropic\" is not known here\n  hint: did you mean anthropic?",
        ],
    ),
    (
        "timeouts: {headers: 10}",
        &[
            "5:23: error[bad-duration] spec.timeouts.headers: 10 has no unit\n  hint: write \"10s\" for seconds or \"10ms\" for milliseconds",
        ],
    ),
    (
        "timeouts: {firstToken: 0s}",
        &["5:26: error[bad-duration] spec.timeouts.firstToken: \"0s\" is less than 1ms"],
    ),
    (
        "timeouts: {firstTokn: 1s}",
        &[
            "5:14: error[unknown-field] spec.timeouts.firstTokn: `firstTokn` is not a field here\n  hint: did you mean `firstToken`?",
        ],
    ),
    (
        "timeouts: {interToken: 20 s}",
        &[
            "5:26: error[bad-duration] spec.timeouts.interToken: \"20 s\": the unit must be ns, us, ms, s, m or h\n  hint: numbers with a unit: ns, us, ms, s, m or h, such as 30s or 1h30m",
        ],
    ),
    (
        "timeouts: {minTokensPerSecond: 0}",
        &[
            "5:34: error[out-of-range] spec.timeouts.minTokensPerSecond: 0 is not between 0.01 and 10000",
        ],
    ),
    (
        "timeouts: {minTokensPerSecond: \"1\"}",
        &[
            "5:34: error[wrong-type] spec.timeouts.minTokensPerSecond: expected a number, found the string \"1\"\n  hint: write it without quotes and without a unit",
        ],
    ),
    (
        "timeouts: {window: 5s}",
        &[
            "5:22: warning[window-without-floor] spec.timeouts.window: `window` is the window of `minTokensPerSecond`, which is not given\n  hint: add it, or remove this",
        ],
    ),
    (
        "timeouts: {headers: 10s, firstToken: 5s}",
        &[
            "5:40: warning[first-token-before-headers] spec.timeouts.firstToken: the first token is waited for 5s, less than the 10s for the head that comes before it: `headers` has no effect\n  hint: make `firstToken` longer than `headers`",
        ],
    ),
    (
        "routes: [chat]\ntimeouts: {firstToken: 60s}",
        &[
            "6:26: warning[llm-timeout-without-effect] spec.timeouts.firstToken: `firstToken` of 60s is not shorter than the timeout of route \"chat\" of llm.ai.svc.cluster.local (60s): the timeout ends the request first\n  hint: make it shorter than the route's `timeout`",
        ],
    ),
    (
        "hosts: [llm]\ntimeouts: {interToken: 2m}",
        &[
            "6:26: warning[llm-timeout-without-effect] spec.timeouts.interToken: `interToken` of 120s is not shorter than the timeout of route \"canary\" of llm.ai.svc.cluster.local (60s) and of 2 more: the timeout ends the request first\n  hint: make it shorter than the route's `timeout`",
        ],
    ),
    (
        "retries: {attempts: 2}",
        &["5:13: error[unknown-field] spec.retries.attempts: `attempts` is not a field here"],
    ),
    (
        "retries: {budget: {percent: 20%}}",
        &[
            "5:31: error[wrong-type] spec.retries.budget.percent: expected a number, found a string\n  hint: write it without quotes and without a unit",
        ],
    ),
    (
        "retries: {budget: {percent: -1}}",
        &["5:31: error[out-of-range] spec.retries.budget.percent: -1 is not between 0 and 1000"],
    ),
    (
        "retries: {budget: {minPerSecond: 0.5}}",
        &[
            "5:36: error[wrong-type] spec.retries.budget.minPerSecond: expected an integer, found the number 0.5",
        ],
    ),
    (
        "retries: {budget: {percent: 0, minPerSecond: 0}}",
        &[
            "5:13: warning[budget-of-nothing] spec.retries.budget: it allows no retry at all\n  hint: give it a `percent` or a `minPerSecond`; for no retries, `attempts: 0` in the VirtualService says so",
        ],
    ),
    (
        "retries: {maxHint: forever}",
        &[
            "5:22: error[bad-duration] spec.retries.maxHint: \"forever\": the unit must be ns, us, ms, s, m or h\n  hint: numbers with a unit: ns, us, ms, s, m or h, such as 30s or 1h30m",
        ],
    ),
    (
        "retries: {beforeFirstToken: \"true\"}",
        &[
            "5:31: error[wrong-type] spec.retries.beforeFirstToken: expected a boolean, found the string \"true\"\n  hint: remove the quotes",
        ],
    ),
    (
        "fallback: {subset: v2}",
        &[
            "5:3: error[wrong-type] spec.fallback: expected a list, found a mapping\n  hint: write `fallback: [{host: …}]`",
        ],
    ),
    (
        "fallback: [{}]",
        &[
            "5:14: error[empty-target] spec.fallback[0]: the target is empty\n  hint: name a `subset`, a `host`, a `path`, a `model` or a `credential`",
        ],
    ),
    (
        "hosts: [llm]\nroutes: [chat]\nfallback: [{subset: v3}]",
        &[
            "7:23: warning[fallback-unknown-subset] spec.fallback[0].subset: llm.ai.svc.cluster.local has no subset `v3`: the target is left out; looked at: DestinationRules in namespace ai (the caller's and the service's) and istio-system (the mesh's)\n  hint: did you mean `v1`?",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{host: bakcup, port: 8080}]",
        &[
            "6:21: warning[fallback-unknown-host] spec.fallback[0].host: bakcup.ai.svc.cluster.local is not known, so the target is left out: no Service or ServiceEntry of that name is loaded\n  hint: did you mean backup.ai.svc.cluster.local?",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{host: backup, port: 80}]",
        &[
            "6:35: warning[fallback-unknown-port] spec.fallback[0].port: backup.ai.svc.cluster.local has no port 80: the target is left out\n  hint: its ports are: 8080, 9090",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{host: \"*.ai\"}]",
        &["6:21: error[bad-host] spec.fallback[0].host: a target must be one host"],
    ),
    (
        "routes: [chat]\nfallback: [{subset: v1}]",
        &[
            "6:14: warning[fallback-to-itself] spec.fallback[0]: this is where route \"chat\" of llm.ai.svc.cluster.local leads already\n  hint: name another subset, host, model or credential",
        ],
    ),
    (
        "routes: [split]\nfallback: [{subset: v2}]",
        &[
            "6:14: warning[fallback-without-host] spec.fallback[0]: route \"split\" of front.ai.svc.cluster.local leads to several hosts, and none is named here: the target is left out\n  hint: add `host`",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{host: backup}, {host: backup, larger: true}]",
        &[
            "6:30: warning[fallback-repeated] spec.fallback[1]: the same target as the one in line 6\n  hint: a target that failed is not asked again; keep one of the two",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{model: a, credential: sk-0123456789abcdef}]",
        &[
            "6:37: error[bad-credential] spec.fallback[0].credential: a credential says where its key is: `env` or `file`\n  hint: write {env: BACKUP_KEY} or {file: /var/run/secrets/backup-key}",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{model: a, credential: {env: sk-0123456789abcdef}}]",
        &[
            "6:43: error[bad-credential] spec.fallback[0].credential.env: this is no name of an environment variable\n  hint: upper-case letters, digits and `_`, such as BACKUP_KEY; never the key itself",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{model: a, credential: {file: key}}]",
        &[
            "6:44: error[bad-credential] spec.fallback[0].credential.file: this is no absolute path of a file\n  hint: such as /var/run/secrets/backup-key; never the key itself",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{model: a, credential: {env: A, file: /b}}]",
        &[
            "6:25: error[one-of] spec.fallback[0].credential: `env` and `file` exclude each other\n  hint: keep one of them",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{model: \"\"}]",
        &[
            "6:22: error[bad-name] spec.fallback[0].model: a name has 1 to 256 characters, all of them visible",
        ],
    ),
    (
        "fallbackOn: {contentfilter: true}",
        &[
            "5:16: error[unknown-field] spec.fallbackOn.contentfilter: `contentfilter` is not a field here\n  hint: did you mean `contentFilter`?",
        ],
    ),
    (
        "resume: prefil",
        &[
            "5:11: error[unknown-value] spec.resume: \"prefil\" is not known here\n  hint: did you mean prefill?",
        ],
    ),
    (
        "resume: true",
        &[
            "5:11: error[wrong-type] spec.resume: expected off or prefill, found the boolean true\n  hint: write prefill",
        ],
    ),
    (
        "limits: [{tokensPerMinute: 0}]",
        &[
            "5:30: error[out-of-range] spec.limits[0].tokensPerMinute: 0 is not between 1 and 1000000000000",
        ],
    ),
    (
        "limits: [{key: {model: true}}]",
        &[
            "5:12: error[empty-limit] spec.limits[0]: it limits nothing\n  hint: add `requestsPerSecond`, `requestsPerMinute` or `tokensPerMinute`",
        ],
    ),
    (
        "limits: [{requestsPerSecond: 1, requestsPerMinute: 1}]",
        &[
            "5:12: error[one-of] spec.limits[0]: `requestsPerSecond` and `requestsPerMinute` exclude each other\n  hint: keep one of them",
        ],
    ),
    (
        "limits: [{tokensPerHour: 1, tokensPerMinute: 1}]",
        &[
            "5:13: error[unknown-field] spec.limits[0].tokensPerHour: `tokensPerHour` is not a field here",
        ],
    ),
    (
        "limits: [{key: {}, tokensPerMinute: 1}]",
        &[
            "5:13: error[empty-key] spec.limits[0].key: the key is empty\n  hint: add `header`, `credential: true`, `caller: true` or `model: true`; leave `key` out for one allowance for the whole route",
        ],
    ),
    (
        "limits: [{key: {model: false}, tokensPerMinute: 1}]",
        &[
            "5:26: error[empty-key] spec.limits[0].key.model: `model: false` is no key\n  hint: leave `key` out for one allowance for the whole route",
        ],
    ),
    (
        "limits: [{key: {model: true, value: a}, tokensPerMinute: 1}]",
        &[
            "5:39: error[value-without-header] spec.limits[0].key.value: it is a header's value\n  hint: add `header`, or remove `value`",
        ],
    ),
    (
        "limits: [{key: {header: \"a b\"}, tokensPerMinute: 1}]",
        &["5:27: error[bad-header-name] spec.limits[0].key.header: \"a b\" is not a header name"],
    ),
    (
        "limits: [{key: {header: Authorization, value: Bearer sk-1}, tokensPerMinute: 1}]",
        &[
            "5:27: error[limit-by-secret] spec.limits[0].key.header: authorization carries secrets: its values are never kept\n  hint: use `credential: true`",
        ],
    ),
    (
        "limits: [{tokensPerMinute: 1}, {requestsPerSecond: 1}]",
        &[
            "5:34: error[duplicate-limit] spec.limits[1]: it would share its counts with the limit in line 5\n  hint: give each of the two a `name` of its own",
        ],
    ),
    (
        "defaultOutputTokens: 0",
        &["5:24: error[out-of-range] spec.defaultOutputTokens: 0 is not between 1 and 4294967295"],
    ),
    (
        "usage: {inject: yes}",
        &[
            "5:19: error[wrong-type] spec.usage.inject: expected a boolean, found a string\n  hint: write true: a boolean is true or false, without quotes",
        ],
    ),
    (
        "reasoning: held",
        &[
            "5:14: error[unknown-value] spec.reasoning: \"held\" is not known here\n  hint: did you mean hold?",
        ],
    ),
    (
        "models: [fast]",
        &["5:3: error[wrong-type] spec.models: expected a mapping, found a list"],
    ),
    (
        "models: {fast: \"\"}",
        &[
            "5:18: error[bad-name] spec.models.fast: a name has 1 to 256 characters, all of them visible",
        ],
    ),
    (
        "models: {fast: \"gpt-*\"}",
        &[
            "5:18: error[bad-name] spec.models.fast: \"gpt-*\" is no model that can be asked for: it has a `*`\n  hint: `*` may stand in the name that callers use, which is before the colon",
        ],
    ),
    (
        "models: {\"gpt-4*\": gpt-4o, gpt-4o: large, small: gpt-4o}",
        &[
            "5:22: warning[alias-of-alias] spec.models.gpt-4*: \"gpt-4*\" stands for \"gpt-4o\", which itself stands for \"large\": \"gpt-4o\" is asked for\n  hint: a name is looked up once; write the model that is meant",
            "5:52: warning[alias-of-alias] spec.models.small: \"small\" stands for \"gpt-4o\", which itself stands for \"large\": \"gpt-4o\" is asked for\n  hint: a name is looked up once; write the model that is meant",
        ],
    ),
    (
        "listModels: on",
        &[
            "5:15: error[wrong-type] spec.listModels: expected a boolean, found a string\n  hint: write true: a boolean is true or false, without quotes",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{host: backup, port: 8080, path: openai/v1}]",
        &[
            "6:47: error[bad-path] spec.fallback[0].path: expected the path of the target's base URL, such as /openai/v1: it begins with `/`, has no more than 1024 characters and neither `?`, `#`, `*` nor blanks\n  hint: it takes the place of what stands before the API's own part: of /v1 in /v1/chat/completions",
        ],
    ),
    (
        "routes: [chat]\nfallback: [{host: backup, port: 8080, dialect: auto}]",
        &[
            "6:50: error[unknown-value] spec.fallback[0].dialect: \"auto\" is not known here\n  hint: one of openai, openai-responses, anthropic, gemini, bedrock, cohere, ollama, tgi",
        ],
    ),
    (
        "dialect: openai\nroutes: [chat]\nfallback: [{host: backup, port: 8080, dialect: anthropic}]",
        &[
            "7:14: error[fallback-other-dialect] spec.fallback[0]: the calls of this policy are in the API of openai, and backup.ai.svc.cluster.local speaks that of anthropic: APIs are not translated into each other\n  hint: name a target that speaks openai; where this one does so too, say `dialect` here, and in `path` where it hangs",
        ],
    ),
    (
        "paths: [ask]",
        &[
            "5:11: error[bad-path] spec.paths[0]: expected the beginning of a path, such as /ask: it begins with `/`, has no more than 1024 characters and neither `?`, `#`, `*` nor blanks\n  hint: a prefix covers what lies below it, element by element",
        ],
    ),
    (
        "paths: [/ask, /ask]",
        &[
            "5:17: error[duplicate-path] spec.paths[1]: \"/ask\" is already named in line 5\n  hint: keep one of the two",
        ],
    ),
    (
        "holdBytes: 64KiB",
        &[
            "5:14: error[wrong-type] spec.holdBytes: expected an integer, found a string\n  hint: write the number alone: 65536",
        ],
    ),
    (
        "headers: {x: true}",
        &[
            "5:3: error[wrong-type] spec.headers: expected a boolean, found a mapping\n  hint: write true or false",
        ],
    ),
    (
        "dialect: null",
        &[
            "5:12: warning[null-value] spec.dialect: `dialect` is null and counts as absent\n  hint: remove the field or give it a value; the Kubernetes API server refuses null here",
        ],
    ),
    // All at once.
    (
        "dialect: x\nresume: maybe\nheaders: 1",
        &[
            "5:12: error[unknown-value] spec.dialect: \"x\" is not known here\n  hint: one of auto, status-only, openai, openai-responses, anthropic, gemini, bedrock, cohere, ollama, tgi",
            "6:11: error[unknown-value] spec.resume: \"maybe\" is not known here\n  hint: one of off, prefill",
            "7:12: error[wrong-type] spec.headers: expected a boolean, found the integer 1\n  hint: write true: a boolean is true or false, without quotes",
        ],
    ),
];

#[test]
fn every_mistake_is_told_in_full() {
    let mut wrong = Vec::new();
    for (spec, expected) in BAD {
        let found: Vec<_> = said(spec)
            .iter()
            .map(|line| line.replace("p.yaml:", "").replace(" LlmPolicy ai/p", ""))
            .collect();
        if found != *expected {
            wrong.push(format!(
                "{spec}\n  expected {expected:#?}\n  found {found:#?}"
            ));
        }
        let loaded = with_policies(&[policy("p", spec)]);
        let errors = expected.iter().any(|line| line.contains("error["));
        assert_eq!(loaded.model.is_none(), errors, "{spec}");
        for secret in ["0123456789abcdef", "Bearer sk"] {
            let all = format!("{:?}", loaded.diagnostics);
            assert!(!all.contains(secret), "{all}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn kinds_and_versions_are_checked() {
    for (version, kind, expected) in [
        (
            "llmesh.io/v1",
            "LlmPolicy",
            "t.yaml:1:13: error[unsupported-version] LlmPolicy ai/p apiVersion: \"v1\" is no version of llmesh.io\n  hint: v1alpha1",
        ),
        (
            "llmesh.io/v1alpha1",
            "LLMPolicy",
            "t.yaml:2:7: error[unsupported-kind] LLMPolicy ai/p kind: \"LLMPolicy\" is no kind of this API group that is known here\n  hint: did you mean LlmPolicy?",
        ),
        (
            "networking.istio.io/v1",
            "LlmPolicy",
            "t.yaml:1:13: error[unsupported-version] LlmPolicy ai/p apiVersion: LlmPolicy belongs to the API group llmesh.io\n  hint: apiVersion: llmesh.io/v1alpha1",
        ),
        (
            "v1",
            "LlmPolicy",
            "t.yaml:1:13: error[unsupported-version] LlmPolicy ai/p apiVersion: LlmPolicy belongs to the API group llmesh.io\n  hint: apiVersion: llmesh.io/v1alpha1",
        ),
    ] {
        let text = format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: p, namespace: ai}}\nspec: {{}}\n"
        );
        let loaded = load(&[Source::new("t.yaml", text)], &Options::default());
        assert_eq!(loaded.diagnostics.len(), 1, "{:?}", loaded.diagnostics);
        assert_eq!(loaded.diagnostics[0].to_string(), expected);
    }
}

#[test]
fn a_file_checked_alone_is_no_mistake() {
    let text = policy(
        "p",
        "hosts: [llm]\nroutes: [chat]\nfallback: [{subset: v2}, {host: backup, model: small}]",
    );
    let loaded = load(&[Source::new("p.yaml", text)], &Options::default());
    assert_eq!(
        (loaded.count(Severity::Error), loaded.model.is_some()),
        (0, true)
    );
    let warned: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Warning)
        .map(|d| d.rule)
        .collect();
    assert_eq!(warned, ["unknown-route"]);
}

#[test]
fn a_key_that_is_not_there_is_warned_about_and_never_shown() {
    let spec = "routes: [chat]\nfallback: [{model: a, credential: {env: NOT_SET}}, {model: b, credential: {env: SET}}, {model: c, credential: {file: /none}}]";
    let sources = [
        Source::new("mesh.yaml", MESH),
        Source::new("p.yaml", policy("p", spec)),
    ];
    let set = |c: &Credential| match c {
        Credential::Env(name) if name == "SET" => Ok(()),
        Credential::Env(name) => Err(KeyError::Unset(name.clone())),
        other => Key::read(other).map(drop),
    };
    let loaded = load(&sources, &Options::default().with_credentials(set));
    assert_eq!(
        findings(&loaded),
        [
            "p.yaml:6:25: warning[credential-missing] LlmPolicy ai/p spec.fallback[0].credential: the environment variable NOT_SET is not set: without its key the target is passed over\n  hint: it is read where `llmesh run` is started, and again at each reload",
            "p.yaml:6:101: warning[credential-missing] LlmPolicy ai/p spec.fallback[2].credential: the key file /none cannot be read: No such file or directory (os error 2): without its key the target is passed over\n  hint: it is read where `llmesh run` is started, and again at each reload",
        ]
    );
    assert!(loaded.model.is_some());
    // Not asked, nothing is said.
    assert!(findings(&load(&sources, &Options::default())).is_empty());
}

#[test]
fn the_example_is_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/llm-mesh");
    let sources = read_paths(&[folder], &[]).expect("it can be read");
    let loaded = load(&sources, &Options::default().with_credentials(|_| Ok(())));
    let worse: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity != Severity::Note)
        .collect();
    assert!(worse.is_empty(), "{worse:?}");
    let model = model(loaded);
    let chat = of_route(&model, "llm-service", "chat-route").expect("it has one");
    let clusters: Vec<_> = chat.fallback.targets.iter().map(|t| &*t.cluster).collect();
    assert_eq!(
        clusters,
        [
            "outbound|8080|v2|llm-service.ai-services.svc.cluster.local",
            "outbound|8080||llm-backup.ai-services.svc.cluster.local",
        ]
    );
    let other = of_route(&model, "llm-service", "default-route").expect("it has one");
    assert_eq!(other.origin, "LlmPolicy/ai-services/llm-service");
}

#[test]
fn a_fallback_to_another_api_is_refused_where_that_is_known() {
    let entry = |host: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {host}, namespace: ai}}\nspec: {{hosts: [{host}], resolution: DNS, ports: [{{number: 80, name: http, protocol: HTTP}}]}}\n"
        )
    };
    let hosts = [
        "api.openai.com",
        "api.anthropic.com",
        "generativelanguage.googleapis.com",
        "api.groq.com",
        "api.cohere.com",
        "openrouter.ai",
        "api.deepseek.com",
        "my.openai.azure.com",
        "us-aiplatform.googleapis.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "llm.internal",
        "said.internal",
    ];
    let hosts: String = hosts.iter().map(|host| entry(host)).collect();
    let said = policy("said", "hosts: [said.internal]\ndialect: gemini");
    for (own, dialect, target, refused) in [
        ("api.openai.com", "auto", "host: api.anthropic.com", true),
        (
            "api.openai.com",
            "auto",
            "host: generativelanguage.googleapis.com",
            true,
        ),
        (
            "api.openai.com",
            "auto",
            "host: bedrock-runtime.us-east-1.amazonaws.com",
            true,
        ),
        ("api.openai.com", "auto", "host: api.cohere.com", true),
        ("api.openai.com", "auto", "host: said.internal", true),
        (
            "api.anthropic.com",
            "auto",
            "host: api.groq.com, path: /openai/v1",
            true,
        ),
        ("llm.internal", "openai", "host: api.anthropic.com", true),
        (
            "llm.internal",
            "openai-responses",
            "host: api.anthropic.com",
            true,
        ),
        ("llm.internal", "anthropic", "host: api.openai.com", true),
        ("llm.internal", "gemini", "host: openrouter.ai", true),
        (
            "llm.internal",
            "openai",
            "host: api.deepseek.com, path: /anthropic",
            true,
        ),
        (
            "llm.internal",
            "anthropic",
            "host: llm.internal, path: /v1/chat/completions",
            true,
        ),
        (
            "api.openai.com",
            "anthropic",
            "host: api.openai.com, model: x",
            false,
        ),
        // The same, or said to be.
        (
            "api.openai.com",
            "auto",
            "host: api.groq.com, path: /openai/v1",
            false,
        ),
        (
            "api.openai.com",
            "auto",
            "host: openrouter.ai, path: /api/v1",
            false,
        ),
        (
            "llm.internal",
            "openai-responses",
            "host: api.openai.com",
            false,
        ),
        (
            "llm.internal",
            "openai",
            "host: generativelanguage.googleapis.com, path: /v1beta/openai",
            false,
        ),
        (
            "llm.internal",
            "openai",
            "host: api.cohere.com, path: /compatibility/v1",
            false,
        ),
        (
            "llm.internal",
            "openai",
            "host: api.anthropic.com, dialect: openai",
            false,
        ),
        (
            "llm.internal",
            "anthropic",
            "host: api.deepseek.com, path: /anthropic",
            false,
        ),
        ("llm.internal", "gemini", "host: said.internal", false),
        // Not known.
        ("llm.internal", "auto", "host: api.anthropic.com", false),
        (
            "llm.internal",
            "status-only",
            "host: api.anthropic.com",
            false,
        ),
        ("api.openai.com", "auto", "host: llm.internal", false),
        (
            "llm.internal",
            "openai",
            "host: llm.internal, model: x",
            false,
        ),
        (
            "llm.internal",
            "anthropic",
            "host: us-aiplatform.googleapis.com",
            false,
        ),
        (
            "llm.internal",
            "anthropic",
            "host: my.openai.azure.com",
            false,
        ),
    ] {
        let spec = format!("hosts: [{own}]\ndialect: {dialect}\nfallback: [{{{target}}}]");
        let text = hosts.clone() + "---\n" + &policy("p", &spec) + "---\n" + &said;
        let loaded = load(
            &[Source::new("p.yaml", text)],
            &Options::default().with_namespace("ai"),
        );
        let found: Vec<_> = loaded
            .diagnostics
            .iter()
            .map(ToString::to_string)
            .filter(|d| d.contains("fallback-other-dialect"))
            .collect();
        assert_eq!(
            found.len(),
            usize::from(refused),
            "{own} {dialect} {target}: {found:?}"
        );
        assert_eq!(
            loaded.model.is_none(),
            refused,
            "{own} {dialect} {target}: {:?}",
            loaded.diagnostics
        );
        assert!(
            found
                .iter()
                .all(|d| d.contains("APIs are not translated into each other"))
        );
    }
}
