//! First guesses: what people write before they have read the reference, and the line that tells them the right form.

use llmesh::config::{Options, Severity, Source, load};

const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec: {selector: {app: a}, ports: [{name: http, port: 80}]}\n";

/// The errors of a resource: their place in it, rule and hint.
fn errors(resource: &str) -> Vec<String> {
    let source = Source::new("mesh.yaml", format!("{resource}{SERVICE}"));
    let loaded = load(&[source], &Options::default());
    let errors = loaded.diagnostics.iter();
    errors
        .filter(|d| d.severity == Severity::Error)
        .map(|d| format!("{} [{}] {}", d.path, d.rule, d.hint))
        .collect()
}

fn istio(kind: &str, spec: &str) -> String {
    let group = if kind == "LlmPolicy" {
        "llmesh.io/v1alpha1"
    } else {
        "networking.istio.io/v1"
    };
    format!("apiVersion: {group}\nkind: {kind}\nmetadata: {{name: x, namespace: n}}\nspec:\n{spec}")
}

fn check(kind: &str, rows: &[(&str, &str)]) {
    for (spec, expected) in rows {
        assert_eq!(errors(&istio(kind, spec)), [*expected], "{spec}");
    }
}

/// A rule of a VirtualService with a good route.
fn rule(more: &str) -> String {
    istio(
        "VirtualService",
        &format!("  hosts: [a]\n  http:\n  - {more}\n    route: [{{destination: {{host: a}}}}]\n"),
    )
}

#[test]
fn of_rules() {
    for (more, expected) in [
        (
            "match: [{uri: /v1}]",
            "match[0].uri [wrong-type] write `uri: {prefix: /v1}`",
        ),
        (
            "match: {uri: {prefix: /v1}}",
            "match [wrong-type] write `match: [{uri: {prefix: /v1}}]`: each item is one alternative",
        ),
        (
            "match: [{method: GET}]",
            "match[0].method [wrong-type] write `method: {exact: GET}`",
        ),
        (
            "match: [{headers: {x-user: sk-secret}}]",
            "match[0].headers.x-user [wrong-type] write `NAME: {exact: VALUE}`: an empty mapping asks only that it is there",
        ),
        (
            "match: [{headers: {set: {x-a: b}}}]",
            "match[0].headers.set.x-a [unknown-field] write `headers: {request: {set: {NAME: VALUE}}}`: beside `match`, which only looks",
        ),
        (
            "match: [{queryParams: {a: b}}]",
            "match[0].queryParams.a [wrong-type] write `NAME: {exact: VALUE}`",
        ),
        (
            "match: [{path: {prefix: /v1}}]",
            "match[0].path [unknown-field] write `uri: {prefix: /v1}`",
        ),
        (
            "match: [{uri: {prefix: /}, ignoreUriCase: yes}]",
            "match[0].ignoreUriCase [wrong-type] write true: a boolean is true or false, without quotes",
        ),
        (
            "match: [{uri: {prefix: /}, ignoreUriCase: Off}]",
            "match[0].ignoreUriCase [wrong-type] write false: a boolean is true or false, without quotes",
        ),
        (
            "match: [{headers: {':host': {exact: a}}}]",
            "match[0].headers.:host [bad-header-name] of a request there are :method, :path, :scheme and :authority",
        ),
        (
            "retries: 3",
            "retries [wrong-type] write `retries: {attempts: 3}`",
        ),
        (
            "retries: {count: 3}",
            "retries.count [unknown-field] it is called `attempts`",
        ),
        (
            "retries: {attempts: 3, retryOn: [5xx, reset]}",
            "retries.retryOn [wrong-type] write `retryOn: 5xx,reset`: one text, with commas",
        ),
        (
            "attempts: 3",
            "attempts [unknown-field] write `retries: {attempts: 3}`",
        ),
        (
            "timeout: 30",
            "timeout [bad-duration] write \"30s\" for seconds or \"30ms\" for milliseconds",
        ),
        (
            "rewrite: /v2",
            "rewrite [wrong-type] write `rewrite: {uri: /v2}`",
        ),
        ("mirror: a", "mirror [wrong-type] write `mirror: {host: a}`"),
        (
            "headers: {set: {x-a: b}}",
            "headers.set [unknown-field] write `headers: {request: {set: {NAME: VALUE}}}`: or `response`: say of which message",
        ),
        (
            "headers: {x-a: b}",
            "headers.x-a [unknown-field] write `headers: {request: {set: {NAME: VALUE}}}`: or `response`: say of which message",
        ),
        (
            "headers: {request: {x-a: b}}",
            "headers.request.x-a [unknown-field] write `request: {set: {NAME: VALUE}}`: or `add` or `remove`",
        ),
        (
            "fault: {abort: {percentage: 10, httpStatus: 503}}",
            "fault.abort.percentage [wrong-type] write `percentage: {value: 10}`",
        ),
        (
            "weight: 50",
            "weight [unknown-field] write `route: [{destination: {host: NAME}, weight: 50}]`: it belongs to a destination",
        ),
    ] {
        assert_eq!(
            errors(&rule(more)),
            [format!("spec.http[0].{expected}")],
            "{more}"
        );
    }
}

#[test]
fn of_routes() {
    let rows = [
        (
            "route: {destination: {host: a}}",
            "route [wrong-type] write `route: [{destination: {host: …}}]`",
        ),
        (
            "route: [a]",
            "route[0] [wrong-type] write `- destination: {host: a}`",
        ),
        (
            "route: [{destination: a}]",
            "route[0].destination [wrong-type] write `destination: {host: a}`",
        ),
        (
            "route: [{destination: {host: a, port: 80}}]",
            "route[0].destination.port [wrong-type] write `port: {number: 80}`",
        ),
        (
            "route: [{destination: {host: 'http://a'}}]",
            "route[0].destination.host [bad-host] write a",
        ),
        (
            "route: [{destination: {host: 'a:8080'}}]",
            "route[0].destination.host [bad-host] write a; the port stands in `port: {number: 8080}` beside it",
        ),
        (
            "route: [{destination: {host: a, subset: [v1]}}]",
            "route[0].destination.subset [wrong-type] write `subset: v1`: one name; several destinations share a route by `weight`",
        ),
        (
            "route: [{destination: {host: a}, weight: 50%}]",
            "route[0].weight [wrong-type] write the number alone: 50",
        ),
        (
            "route: [{destination: {host: a}, headers: {add: {x-a: b}}}]",
            "route[0].headers.add [unknown-field] write `headers: {request: {set: {NAME: VALUE}}}`: or `response`: say of which message",
        ),
    ];
    for (rule, expected) in rows {
        let text = istio(
            "VirtualService",
            &format!("  hosts: [a]\n  http:\n  - {rule}\n"),
        );
        assert_eq!(
            errors(&text),
            [format!("spec.http[0].{expected}")],
            "{rule}"
        );
    }
}

#[test]
fn of_hosts_and_addresses() {
    const MORE: &str = "\n  http: [{route: [{destination: {host: a}}]}]\n";
    for (hosts, expected) in [
        ("a", "hosts [wrong-type] write `hosts: [a]`"),
        ("['http://x']", "hosts[0] [bad-host] write x"),
        (
            "['x:8080']",
            "hosts[0] [bad-host] write x; the port stands in the ServiceEntry's `ports: [{number: 8080, name: http, protocol: HTTP}]`",
        ),
        (
            "['https://user@x.example:443/v1']",
            "hosts[0] [bad-host] write x.example; the port stands in the ServiceEntry's `ports: [{number: 443, name: http, protocol: HTTP}]`; the path belongs to `match` or `rewrite` of a VirtualService",
        ),
    ] {
        let text = istio("VirtualService", &format!("  hosts: {hosts}{MORE}"));
        assert_eq!(errors(&text), [format!("spec.{expected}")], "{hosts}");
    }
    let entry = |ports: &str, endpoint: &str| {
        format!(
            "  hosts: [b.example]\n  resolution: STATIC\n  ports: {ports}\n  endpoints: [{endpoint}]\n"
        )
    };
    const PORTS: &str = "[{number: 80, name: http, protocol: HTTP}]";
    const HERE: &str = "{address: 127.0.0.1}";
    for (ports, endpoint, expected) in [
        (
            "[80]",
            HERE,
            "ports[0] [wrong-type] write `- {number: 80, name: http, protocol: HTTP}`",
        ),
        (
            "{http: 80}",
            HERE,
            "ports [wrong-type] write `ports: [{number: 80, name: http, protocol: HTTP}]`",
        ),
        (
            PORTS,
            "127.0.0.1",
            "endpoints[0] [wrong-type] write `- {address: 127.0.0.1}`",
        ),
        (
            PORTS,
            "{address: '127.0.0.1:9001'}",
            "endpoints[0].address [bad-address] write 127.0.0.1; the port stands in `ports: {PORT-NAME: 9001}` beside it",
        ),
        (
            PORTS,
            "{address: 127.0.0.1, port: 9001}",
            "endpoints[0].port [unknown-field] write `ports: {PORT-NAME: 9001}`: by the name of the service's port",
        ),
        (
            PORTS,
            "{address: 127.0.0.1, ports: 9001}",
            "endpoints[0].ports [wrong-type] write `ports: {PORT-NAME: 9001}`: by the name of the service's port",
        ),
    ] {
        let text = istio("ServiceEntry", &entry(ports, endpoint));
        assert_eq!(
            errors(&text),
            [format!("spec.{expected}")],
            "{ports} {endpoint}"
        );
    }
}

#[test]
fn of_policies() {
    check(
        "DestinationRule",
        &[
            (
                "  host: a\n  trafficPolicy: {loadBalancer: ROUND_ROBIN}\n",
                "spec.trafficPolicy.loadBalancer [wrong-type] write `loadBalancer: {simple: ROUND_ROBIN}`",
            ),
            (
                "  host: a\n  loadBalancer: {simple: RANDOM}\n",
                "spec.loadBalancer [unknown-field] write `trafficPolicy: {loadBalancer: {…}}`",
            ),
            (
                "  host: a\n  subsets: [v1]\n",
                "spec.subsets[0] [wrong-type] write `- {name: v1, labels: {version: v1}}`",
            ),
            (
                "  host: a\n  trafficPolicy: {connectionPool: {maxConnections: 10}}\n",
                "spec.trafficPolicy.connectionPool.maxConnections [unknown-field] write `tcp: {maxConnections: 100}`",
            ),
            (
                "  host: a\n  trafficPolicy: {outlierDetection: true}\n",
                "spec.trafficPolicy.outlierDetection [wrong-type] write `outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s}`",
            ),
        ],
    );
    check(
        "LlmPolicy",
        &[
            (
                "  hosts: [a]\n  timeouts: 10s\n",
                "spec.timeouts [wrong-type] write `timeouts: {headers: 10s, firstToken: 15s, interToken: 20s}`",
            ),
            (
                "  hosts: [a]\n  fallback: b\n",
                "spec.fallback [wrong-type] write `fallback: [{host: b}]`",
            ),
            (
                "  hosts: [a]\n  retries: 3\n",
                "spec.retries [wrong-type] write `retries: {budget: {percent: 20}}`: how often is `retries: {attempts: 3}` of the VirtualService",
            ),
            (
                "  hosts: [a]\n  usage: true\n",
                "spec.usage [wrong-type] write `usage: {inject: true}`",
            ),
        ],
    );
}

#[test]
fn a_forgotten_separator_is_told_once() {
    let first = istio(
        "VirtualService",
        "  hosts: [a]\n  http: [{route: [{destination: {host: a}}]}]\n",
    );
    let text = format!("{first}{}", SERVICE.trim_start_matches("---\n"));
    assert_eq!(
        errors(&text),
        [" [duplicate-key] put a line `---` before it"]
    );
    // Two equal keys further down are what they were.
    let text = first.replace("metadata: {", "metadata: {name: y, ");
    assert_eq!(errors(&text), [" [duplicate-key] keep one of the two"]);
}

#[test]
fn fields_at_the_top_belong_under_spec() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nhosts: [a]\n";
    let under = "beside `apiVersion`, `kind` and `metadata` all of it stands under `spec`";
    let found = errors(text);
    assert!(
        found.contains(&format!("hosts [unknown-field] {under}")),
        "{found:?}"
    );
    assert!(
        found.contains(&" [missing-field] write `metadata: {name: NAME}`".to_owned()),
        "{found:?}"
    );
}
