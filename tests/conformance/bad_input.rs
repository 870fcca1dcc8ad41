//! Broken files: each is refused with a rule, a line and a field, and never with a panic.

use llmesh::config::Severity;

use crate::load_text;

/// A VirtualService whose rules begin in line 7.
fn vs(rules: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a, namespace: n}}\nspec:\n  hosts: [a]\n  http:\n{rules}"
    )
}

/// A VirtualService with one rule to `a`; more of the rule begins in line 8.
fn rule(more: &str) -> String {
    vs(&format!(
        "  - route: [{{destination: {{host: a}}}}]\n{more}"
    ))
}

/// A DestinationRule for `a`; more of its spec begins in line 6.
fn dr(more: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: n}}\nspec:\n  host: a\n{more}"
    )
}

/// A ServiceEntry; its spec begins in line 5.
fn se(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a, namespace: n}}\nspec:\n{spec}"
    )
}

/// Checks that loading `text` gives an error of this rule, at this line and field.
#[track_caller]
fn refused(text: &str, rule: &str, line: u32, path: &str) {
    let loaded = load_text(text);
    let shown: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    let found = loaded.diagnostics.iter().any(|d| {
        d.severity == Severity::Error && d.rule == rule && d.line == line && d.path == path
    });
    let text: String = text.chars().take(1000).collect();
    assert!(
        found,
        "no error[{rule}] in line {line} at {path:?} for:\n{text}\nbut:\n{}",
        shown.join("\n")
    );
    assert!(
        loaded.model.is_none(),
        "refused, yet there is a model:\n{text}"
    );
}

/// A document that says to be a resource, in its first line.
fn ours(text: &str) -> String {
    format!("apiVersion: networking.istio.io/v1\n{text}")
}

#[test]
fn text_that_is_not_yaml() {
    for (text, rule, line) in [
        ("a: b: c\n", "yaml", 2),
        ("kind: [Service\n", "yaml", 3),
        ("kind: [Service,", "yaml", 2),
        (
            "a: 1\n---\n# apiVersion:\napiVersion: llmesh.io/v1alpha1\nkind: [Service,",
            "yaml",
            6,
        ),
        ("a: 'open\n", "yaml", 2),
        ("a: \"\\q\"\n", "yaml", 2),
        ("a:\n  {}\n  b: 1\n", "yaml", 4),
        ("a:\n\tb: 1\n", "yaml-tab", 3),
        ("a:\n  b: 1\n\tc: 2\n", "yaml-tab", 4),
        ("a: *nowhere\n", "yaml-unknown-alias", 2),
        ("a: &x [*x]\n", "yaml-cyclic-alias", 2),
        ("a: &x\n  b: *x\n", "yaml-cyclic-alias", 3),
        ("a: !Ref b\n", "yaml-tag", 2),
        ("? [a, b]\n: c\n", "yaml-key", 2),
        (
            "kind: VirtualService\nb: 2\nkind: Sidecar\n",
            "duplicate-key",
            4,
        ),
        ("\u{0}\n", "yaml", 2),
    ] {
        refused(&ours(text), rule, line, "");
    }
    refused(
        "{\"apiVersion\": \"networking.istio.io/v1\",, \"b\": 2}\n",
        "yaml",
        1,
        "",
    );
}

#[test]
fn hostile_sizes() {
    refused(
        &ours(&format!("a: {}", "[".repeat(100_000))),
        "yaml-depth",
        2,
        "",
    );
    refused(&ours(&"a: {".repeat(1000)), "yaml-depth", 2, "");
    let deep: String = (0..80).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    refused(&ours(&deep), "yaml-depth", 66, "");
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (from, to) in ('a'..'i').zip('b'..='i') {
        let ten = vec![format!("*{from}"); 10].join(", ");
        bomb.push_str(&format!("{to}: &{to} [{ten}]\n"));
    }
    refused(&ours(&bomb), "yaml-alias-bomb", 7, "");
    refused(
        &ours(&format!("a: {}\n", "x".repeat(17 << 20))),
        "file-not-read",
        0,
        "",
    );
    refused(
        &ours(&format!("a: [{}]", "1,".repeat(1_000_001))),
        "yaml-too-large",
        2,
        "",
    );
}

#[test]
fn long_strings_are_no_problem() {
    let name = "x".repeat(1 << 20);
    let text = rule(&format!(
        "    headers: {{request: {{set: {{x-a: {name}}}}}}}\n"
    ));
    assert!(load_text(&text).model.is_some());
    refused(
        &rule(&format!("    name: \"{name}\"\n    bad: 1\n")),
        "unknown-field",
        9,
        "spec.http[0].bad",
    );
    refused(
        &vs(&format!("  - match: [{{uri: {{regex: \"{name}\"}}}}]\n")),
        "bad-regex",
        7,
        "spec.http[0].match[0].uri.regex",
    );
}

#[test]
fn objects_that_are_none() {
    for (text, rule, line, path) in [
        ("kind: VirtualService\n", "missing-field", 1, ""),
        (
            "apiVersion: networking.istio.io/v1\nspec: {}\n",
            "missing-field",
            1,
            "",
        ),
        (
            "apiVersion: 1\nkind: VirtualService\n",
            "missing-field",
            1,
            "",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualSerivce\n",
            "unsupported-kind",
            2,
            "kind",
        ),
        (
            "apiVersion: networking.istio.io/v2\nkind: VirtualService\n",
            "unsupported-version",
            1,
            "apiVersion",
        ),
        (
            "apiVersion: v1\nkind: VirtualService\n",
            "unsupported-version",
            1,
            "apiVersion",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\n",
            "missing-field",
            1,
            "",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {}\nspec: {}\n",
            "missing-field",
            3,
            "metadata",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: []\n",
            "wrong-type",
            4,
            "spec",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {}\n",
            "no-routes",
            4,
            "spec",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [a]}\n",
            "no-routes",
            4,
            "spec",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nsepc: {}\n",
            "unknown-field",
            4,
            "sepc",
        ),
        (
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: networking.istio.io/v1\n  kind: DestinationRule\n  metadata: {name: a}\n  spec: {hots: b}\n",
            "unknown-field",
            7,
            "items[0].spec.hots",
        ),
    ] {
        refused(text, rule, line, path);
    }
}

#[test]
fn virtual_services() {
    for (text, rule_id, line, path) in [
        (vs("    []\n"), "no-routes", 6, "spec.http"),
        (vs("  - {}\n"), "no-action", 7, "spec.http[0]"),
        (
            vs("  - redirect: {uri: /x}\n    route: [{destination: {host: a}}]\n"),
            "one-of",
            7,
            "spec.http[0]",
        ),
        (
            vs("  - redirect: {uri: /x}\n    rewrite: {uri: /y}\n"),
            "one-of",
            8,
            "spec.http[0].rewrite",
        ),
        (
            vs("  - directResponse: {status: 200}\n    fault: {delay: {fixedDelay: 1s}}\n"),
            "one-of",
            8,
            "spec.http[0].fault",
        ),
        (
            vs("  - redirect: {}\n"),
            "empty-redirect",
            7,
            "spec.http[0].redirect",
        ),
        (
            vs("  - redirect: {uri: /x, redirectCode: 299}\n"),
            "out-of-range",
            7,
            "spec.http[0].redirect.redirectCode",
        ),
        (
            vs("  - directResponse: {status: 99}\n"),
            "out-of-range",
            7,
            "spec.http[0].directResponse.status",
        ),
        (
            vs("  - directResponse: {}\n"),
            "missing-field",
            7,
            "spec.http[0].directResponse",
        ),
        (
            vs("  - directResponse: {status: 200, body: {bytes: \"*\"}}\n"),
            "bad-base64",
            7,
            "spec.http[0].directResponse.body.bytes",
        ),
        (
            vs("  - route: []\n"),
            "no-destination",
            7,
            "spec.http[0].route",
        ),
        (
            vs("  - route: [{weight: 1}]\n"),
            "missing-field",
            7,
            "spec.http[0].route[0]",
        ),
        (
            vs("  - route: [{destination: {subset: v1}}]\n"),
            "missing-field",
            7,
            "spec.http[0].route[0].destination",
        ),
        (
            vs("  - route: [{destination: {host: \"*\"}}]\n"),
            "bad-host",
            7,
            "spec.http[0].route[0].destination.host",
        ),
        (
            vs("  - route: [{destination: {host: \"a:80\"}}]\n"),
            "bad-host",
            7,
            "spec.http[0].route[0].destination.host",
        ),
        (
            vs("  - route: [{destination: {host: a, subset: a_b}}]\n"),
            "bad-name",
            7,
            "spec.http[0].route[0].destination.subset",
        ),
        (
            vs("  - route: [{destination: {host: a, port: {number: 0}}}]\n"),
            "out-of-range",
            7,
            "spec.http[0].route[0].destination.port.number",
        ),
        (
            vs("  - route: [{destination: {host: a, port: {number: 65536}}}]\n"),
            "out-of-range",
            7,
            "spec.http[0].route[0].destination.port.number",
        ),
        (
            vs("  - route: [{destination: {host: a}, weight: \"100\"}]\n"),
            "wrong-type",
            7,
            "spec.http[0].route[0].weight",
        ),
        (
            vs("  - route: [{destination: {host: a}, weight: -1}]\n"),
            "out-of-range",
            7,
            "spec.http[0].route[0].weight",
        ),
        (
            vs("  - route: [{destination: {host: a}, weight: 1.5}]\n"),
            "wrong-type",
            7,
            "spec.http[0].route[0].weight",
        ),
        (
            vs("  - route: [{destination: {host: a}, weight: 0}, {destination: {host: b}}]\n"),
            "zero-weights",
            7,
            "spec.http[0].route",
        ),
        (
            vs("  - route: {destination: {host: a}}\n"),
            "wrong-type",
            7,
            "spec.http[0].route",
        ),
        (
            rule("    timout: 3s\n"),
            "unknown-field",
            8,
            "spec.http[0].timout",
        ),
        (
            rule("    timeout: 30\n"),
            "bad-duration",
            8,
            "spec.http[0].timeout",
        ),
        (
            rule("    timeout: \"30\"\n"),
            "bad-duration",
            8,
            "spec.http[0].timeout",
        ),
        (
            rule("    timeout: -1s\n"),
            "bad-duration",
            8,
            "spec.http[0].timeout",
        ),
        (
            rule("    timeout: 0.5ms\n"),
            "bad-duration",
            8,
            "spec.http[0].timeout",
        ),
        (
            rule("    timeout: 1.0005s\n"),
            "bad-duration",
            8,
            "spec.http[0].timeout",
        ),
        (
            rule("    timeout: 1d\n"),
            "bad-duration",
            8,
            "spec.http[0].timeout",
        ),
        (
            rule("    timeout: 9999999999h\n"),
            "bad-duration",
            8,
            "spec.http[0].timeout",
        ),
        (
            rule("    timeout: [1s]\n"),
            "wrong-type",
            8,
            "spec.http[0].timeout",
        ),
        (
            rule("    retries: {attempts: -1}\n"),
            "out-of-range",
            8,
            "spec.http[0].retries.attempts",
        ),
        (
            rule("    retries: {attempts: three}\n"),
            "wrong-type",
            8,
            "spec.http[0].retries.attempts",
        ),
        (
            rule("    retries: {attempts: 2, per_try_timeout: 1s}\n"),
            "unknown-field",
            8,
            "spec.http[0].retries.per_try_timeout",
        ),
        (
            rule("    retries: {attempts: 0, perTryTimeout: 1s}\n"),
            "retries-off-with-policy",
            8,
            "spec.http[0].retries.perTryTimeout",
        ),
        (
            rule("    retries: {retryOn: 5xx}\n"),
            "retries-off-with-policy",
            8,
            "spec.http[0].retries.retryOn",
        ),
        (
            rule("    retries: {attempts: 1, perTryTimeout: 0s}\n"),
            "bad-duration",
            8,
            "spec.http[0].retries.perTryTimeout",
        ),
        (
            rule("    retries: {attempts: 1, retryOn: \"5xx, reset\"}\n"),
            "unknown-retry-on",
            8,
            "spec.http[0].retries.retryOn",
        ),
        (
            rule("    retries: {attempts: 1, retryOn: gateway-errors}\n"),
            "unknown-retry-on",
            8,
            "spec.http[0].retries.retryOn",
        ),
        (
            rule("    retries: {attempts: 1, retryOn: \"999\"}\n"),
            "unknown-retry-on",
            8,
            "spec.http[0].retries.retryOn",
        ),
        (
            rule("    retries: {attempts: 1, retryOn: 503}\n"),
            "wrong-type",
            8,
            "spec.http[0].retries.retryOn",
        ),
        (
            rule("    fault: {abort: {grpcStatus: UNAVAILIBLE, percentage: {value: 1}}}\n"),
            "unknown-value",
            8,
            "spec.http[0].fault.abort.grpcStatus",
        ),
        (
            rule("    fault: {}\n"),
            "empty-fault",
            8,
            "spec.http[0].fault",
        ),
        (
            rule("    fault: {delay: {exponentialDelay: 1s, percentage: {value: 1}}}\n"),
            "unsupported-fault",
            8,
            "spec.http[0].fault.delay.exponentialDelay",
        ),
        (
            rule("    fault: {abort: {httpStatus: 100, percentage: {value: 1}}}\n"),
            "out-of-range",
            8,
            "spec.http[0].fault.abort.httpStatus",
        ),
        (
            rule("    fault: {abort: {httpStatus: 500, percentage: {value: 101}}}\n"),
            "out-of-range",
            8,
            "spec.http[0].fault.abort.percentage.value",
        ),
        (
            rule("    mirror: {host: b}\n    mirrors: [{destination: {host: b}}]\n"),
            "one-of",
            7,
            "spec.http[0]",
        ),
        (
            rule("    rewrite: {}\n"),
            "empty-rewrite",
            8,
            "spec.http[0].rewrite",
        ),
        (
            rule("    rewrite: {uriRegexRewrite: {match: \"(\", rewrite: x}}\n"),
            "bad-regex",
            8,
            "spec.http[0].rewrite.uriRegexRewrite.match",
        ),
        (
            rule("    headers: {request: {set: {\"a b\": c}}}\n"),
            "bad-header-name",
            8,
            "spec.http[0].headers.request.set[\"a b\"]",
        ),
        (
            rule("    headers: {request: {set: {a: \"50%\"}}}\n"),
            "bad-header-value",
            8,
            "spec.http[0].headers.request.set.a",
        ),
        (
            rule("    headers: {request: {add: {a: \"b\\nc\"}}}\n"),
            "bad-header-value",
            8,
            "spec.http[0].headers.request.add.a",
        ),
        (
            rule("    headers: {request: {set: {a: 1}}}\n"),
            "wrong-type",
            8,
            "spec.http[0].headers.request.set.a",
        ),
        (
            rule("    headers: {request: {remove: [host]}}\n"),
            "bad-header-name",
            8,
            "spec.http[0].headers.request.remove[0]",
        ),
        (
            rule("    headers: {response: {set: {\":path\": c}}}\n"),
            "bad-header-name",
            8,
            "spec.http[0].headers.response.set.:path",
        ),
    ] {
        refused(&text, rule_id, line, path);
    }
}

#[test]
fn matches() {
    let with = |condition: &str| rule(&format!("    match:\n    - {condition}\n"));
    let at = |rest: &str| format!("spec.http[0].match[0].{rest}");
    for (condition, rule_id, path) in [
        ("uri: {prefix: /a, exact: /b}", "one-of", "uri"),
        ("uri: /a", "wrong-type", "uri"),
        ("uri: {regex: \"\"}", "bad-regex", "uri.regex"),
        ("uri: {regex: \"(?=a)\"}", "bad-regex", "uri.regex"),
        ("uri: {regex: \"(a)\\\\1\"}", "bad-regex", "uri.regex"),
        ("uri: {regex: \"a)|(b\"}", "bad-regex", "uri.regex"),
        ("uri: {suffix: /a}", "unknown-field", "uri.suffix"),
        ("method: {prefix: \"\"}", "empty-prefix", "method.prefix"),
        (
            "headers: {a: {prefix: \"\"}}",
            "empty-prefix",
            "headers.a.prefix",
        ),
        ("headers: {a: null}", "null-header-match", "headers.a"),
        ("headers: {a: true}", "wrong-type", "headers.a"),
        (
            "headers: {a: {exact: true}}",
            "wrong-type",
            "headers.a.exact",
        ),
        (
            "headers: {\"a b\": {exact: x}}",
            "bad-header-name",
            "headers[\"a b\"]",
        ),
        (
            "headers: {\"@request.auth.claims.sub\": {exact: x}}",
            "jwt-claim-match",
            "headers[\"@request.auth.claims.sub\"]",
        ),
        (
            "queryParams: {a: {prefix: \"\"}}",
            "empty-prefix",
            "queryParams.a.prefix",
        ),
        ("port: 65536", "out-of-range", "port"),
        ("ignoreUriCase: \"true\"", "wrong-type", "ignoreUriCase"),
        ("sourceLabels: {a: 1}", "wrong-type", "sourceLabels.a"),
        ("header: {a: {exact: x}}", "unknown-field", "header"),
    ] {
        refused(&with(condition), rule_id, 9, &at(path));
    }
}

#[test]
fn hosts() {
    let hosts = |list: &str| {
        vs("  - route: [{destination: {host: a}}]\n")
            .replace("hosts: [a]", &format!("hosts: {list}"))
    };
    for (list, rule, path) in [
        ("[\"*\"]", "wildcard-host", "spec.hosts[0]"),
        ("[a..b]", "bad-host", "spec.hosts[0]"),
        ("[\"a.*\"]", "bad-host", "spec.hosts[0]"),
        ("[\"http://a\"]", "bad-host", "spec.hosts[0]"),
        ("[a, a]", "duplicate-host", "spec.hosts[1]"),
        ("[\"*.b\", x.b]", "duplicate-host", "spec.hosts[1]"),
        ("a", "wrong-type", "spec.hosts"),
        ("[1]", "wrong-type", "spec.hosts[0]"),
    ] {
        refused(&hosts(list), rule, 5, path);
    }
}

#[test]
fn destination_rules() {
    let policy = |block: &str| dr(&format!("  trafficPolicy:\n    {block}\n"));
    for (block, rule, path) in [
        ("connectionPool: {}", "empty-policy", "connectionPool"),
        (
            "connectionPool: {tcp: {maxConnections: -1}}",
            "out-of-range",
            "connectionPool.tcp.maxConnections",
        ),
        (
            "connectionPool: {tcp: {maxConnections: 2147483648}}",
            "out-of-range",
            "connectionPool.tcp.maxConnections",
        ),
        (
            "connectionPool: {tcp: {connectTimeout: 0s}}",
            "bad-duration",
            "connectionPool.tcp.connectTimeout",
        ),
        (
            "connectionPool: {http: {maxPendingRequests: 1}}",
            "unknown-field",
            "connectionPool.http.maxPendingRequests",
        ),
        (
            "connectionPool: {http: {h2UpgradePolicy: upgrade}}",
            "unknown-value",
            "connectionPool.http.h2UpgradePolicy",
        ),
        (
            "connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}",
            "one-of",
            "connectionPool.http.useClientProtocol",
        ),
        (
            "loadBalancer: {simple: LEAST}",
            "unknown-value",
            "loadBalancer.simple",
        ),
        (
            "loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}",
            "one-of",
            "loadBalancer",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: a}}",
            "one-of",
            "loadBalancer.consistentHash",
        ),
        (
            "loadBalancer: {consistentHash: {httpHeaderName: \"a b\"}}",
            "bad-header-name",
            "loadBalancer.consistentHash.httpHeaderName",
        ),
        (
            "loadBalancer: {consistentHash: {httpCookie: {name: a, ttl: 5}}}",
            "bad-duration",
            "loadBalancer.consistentHash.httpCookie.ttl",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65536}}}",
            "out-of-range",
            "loadBalancer.consistentHash.maglev.tableSize",
        ),
        (
            "outlierDetection: {consecutive5xxErrors: -1}",
            "out-of-range",
            "outlierDetection.consecutive5xxErrors",
        ),
        (
            "outlierDetection: {maxEjectionPercent: 101}",
            "out-of-range",
            "outlierDetection.maxEjectionPercent",
        ),
        (
            "outlierDetection: {interval: 10}",
            "bad-duration",
            "outlierDetection.interval",
        ),
        (
            "outlierDetection: {consecutiveLocalOriginFailures: 3}",
            "local-failures-without-split",
            "outlierDetection.consecutiveLocalOriginFailures",
        ),
        (
            "portLevelSettings: [{port: {number: 80}}]",
            "empty-policy",
            "portLevelSettings[0]",
        ),
    ] {
        refused(
            &policy(block),
            rule,
            7,
            &format!("spec.trafficPolicy.{path}"),
        );
    }
    for (spec, rule, line, path) in [
        (
            "  trafficPolicy: {}\n",
            "empty-policy",
            6,
            "spec.trafficPolicy",
        ),
        (
            "  subsets:\n  - labels: {a: b}\n",
            "missing-field",
            7,
            "spec.subsets[0]",
        ),
        (
            "  subsets:\n  - {name: v1}\n  - {name: v1}\n",
            "duplicate-subset",
            8,
            "spec.subsets[1].name",
        ),
        (
            "  subsets:\n  - {name: v_1}\n",
            "bad-name",
            7,
            "spec.subsets[0].name",
        ),
        (
            "  subsets:\n  - name: v1\n    labels: {version: 1}\n",
            "wrong-type",
            8,
            "spec.subsets[0].labels.version",
        ),
        ("  subset: []\n", "unknown-field", 6, "spec.subset"),
    ] {
        refused(&dr(spec), rule, line, path);
    }
    refused(
        &dr("").replace("host: a", "host: a..b"),
        "bad-host",
        5,
        "spec.host",
    );
}

#[test]
fn service_entries() {
    for (spec, rule, line, path) in [
        ("  resolution: NONE\n", "missing-field", 4, "spec"),
        ("  hosts: [\"*\"]\n", "bad-host", 5, "spec.hosts[0]"),
        (
            "  hosts: [a.b]\n  resolution: static\n",
            "unknown-value",
            6,
            "spec.resolution",
        ),
        (
            "  hosts: [a.b]\n  ports: [{number: 80}]\n",
            "missing-field",
            6,
            "spec.ports[0]",
        ),
        (
            "  hosts: [a.b]\n  ports: [{number: 80, name: a}, {number: 80, name: b}]\n",
            "duplicate-port",
            6,
            "spec.ports[1]",
        ),
        (
            "  hosts: [a.b]\n  resolution: STATIC\n  endpoints: [{address: not.an.ip}]\n",
            "bad-address",
            7,
            "spec.endpoints[0].address",
        ),
        (
            "  hosts: [a.b]\n  resolution: STATIC\n  endpoints: [{ports: {a: 1}}]\n",
            "missing-field",
            7,
            "spec.endpoints[0]",
        ),
        (
            "  hosts: [a.b]\n  endpoints: [{address: 1.2.3.4}]\n",
            "endpoints-without-resolution",
            6,
            "spec.endpoints",
        ),
        (
            "  hosts: [\"*.b\"]\n  resolution: DNS\n  ports: [{number: 80, name: a}]\n",
            "wildcard-dns",
            5,
            "spec.hosts[0]",
        ),
        (
            "  hosts: [a.b]\n  resolution: STATIC\n  endpoints: []\n  workloadSelector: {labels: {a: b}}\n",
            "one-of",
            4,
            "spec",
        ),
    ] {
        refused(&se(spec), rule, line, path);
    }
}

#[test]
fn a_broken_document_does_not_hide_the_others() {
    let text = format!(
        "{}---\napiVersion: networking.istio.io/v1: c\n---\n{}",
        rule("    timout: 3s\n"),
        rule("    retires: {}\n").replace("name: a", "name: b")
    );
    let rules: Vec<_> = load_text(&text)
        .diagnostics
        .into_iter()
        .filter(|d| d.severity == Severity::Error)
        .map(|d| (d.rule, d.line, d.document))
        .collect();
    assert_eq!(
        rules,
        [
            ("unknown-field", 8, 1),
            ("yaml", 10, 2),
            ("unknown-field", 19, 3)
        ]
    );
}

#[test]
fn misspelt_names_come_with_the_right_one() {
    for (text, hint) in [
        (rule("    timout: 3s\n"), "did you mean `timeout`?"),
        (
            rule("    retries: {attempts: 1, per_try_timeout: 1s}\n"),
            "did you mean `perTryTimeout`?",
        ),
        (
            rule("    retries: {attempts: 1, retryOn: gateway-erorr}\n"),
            "did you mean `gateway-error`?",
        ),
        (
            dr("  trafficPolicy: {loadBalancer: {simple: RANDON}}\n"),
            "did you mean RANDOM?",
        ),
        (
            rule("    timeout: 30\n"),
            "write \"30s\" for seconds or \"30ms\" for milliseconds",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualSerivce\n".to_owned(),
            "did you mean VirtualService?",
        ),
    ] {
        let loaded = load_text(&text);
        assert!(
            loaded.diagnostics.iter().any(|d| d.hint == hint),
            "{hint}: {:?}",
            loaded.diagnostics
        );
    }
}

#[test]
fn names_that_become_host_names() {
    let rest = "spec: {ports: [{port: 80}]}\n";
    for (metadata, path) in [
        ("{name: a, namespace: \"a b\"}", "metadata.namespace"),
        ("{name: a, namespace: a.b}", "metadata.namespace"),
        ("{name: a, namespace: \"\"}", "metadata.namespace"),
        ("{name: \"a\\nb\", namespace: n}", "metadata.name"),
    ] {
        let text = format!("apiVersion: v1\nkind: Service\nmetadata: {metadata}\n{rest}");
        refused(&text, "bad-name", 3, path);
    }
    let dotted = vs("  - route: [{destination: {host: a}}]\n").replace("name: a,", "name: a.b,");
    let loaded = load_text(&dotted);
    assert!(loaded.diagnostics.iter().all(|d| d.rule != "bad-name"));
}
