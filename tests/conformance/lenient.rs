//! Lenient loading: what is wrong is left out by name, the rest is served.

use llmesh::config::{Loaded, Options, Source, load};

fn lenient(text: &str) -> Loaded {
    let options = Options::default().with_lenient(true);
    load(&[Source::new("a.yaml", text)], &options)
}

fn left_out(loaded: &Loaded) -> Vec<String> {
    loaded.left_out.iter().map(ToString::to_string).collect()
}

/// A service and a VirtualService for it, whose rule has more to say.
fn service(name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: n}}\nspec:\n  hosts: [{name}.n.svc.cluster.local]\n  resolution: STATIC\n  ports: [{{number: 80, name: http}}]\n  endpoints: [{{address: 127.0.0.1}}]\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: n}}\nspec:\n  hosts: [{name}]\n  http:\n  - name: mine\n    route: [{{destination: {{host: {name}}}}}]\n{more}"
    )
}

#[test]
fn what_is_wrong_is_left_out_whole_and_by_name() {
    let text = service("a", "") + &service("b", "    timeout: 30\n    retires: {}\n");
    let strict = load(&[Source::new("a.yaml", &*text)], &Options::default());
    assert!(strict.model.is_none() && strict.left_out.is_empty());
    let loaded = lenient(&text);
    assert_eq!(
        left_out(&loaded),
        ["VirtualService n/b (a.yaml:37): spec.http[0].timeout: 30 has no unit"]
    );
    let model = loaded.model.expect("the rest is served");
    let routes: Vec<_> = model
        .virtual_hosts
        .iter()
        .map(|host| (&*host.name, &*host.routes[0].name))
        .collect();
    // The service is still there, as if nobody had routed it.
    assert_eq!(
        routes,
        [
            ("a.n.svc.cluster.local:80", "mine"),
            ("b.n.svc.cluster.local:80", "default")
        ]
    );
}

#[test]
fn text_that_cannot_be_read_is_left_out_by_place() {
    let broken = "---\napiVersion: networking.istio.io/v1\nkind: [\n";
    let twice = "---\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec: {ports: [{port: 80}]}\nkind: Pod\n";
    let loaded = lenient(&format!("{}{broken}{twice}", service("a", "")));
    let left = left_out(&loaded);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[0].starts_with("a document (a.yaml:2"), "{left:?}");
    assert!(left[1].starts_with("Service n/s (a.yaml:2"), "{left:?}");
    let model = loaded.model.expect("the rest is served");
    assert_eq!(model.virtual_hosts.len(), 1);
}

#[test]
fn the_second_of_a_name_counts_where_the_first_is_wrong() {
    let wrong = service("a", "    timeout: 30\n");
    let (_, right) = service("a", "")
        .split_once("---\napiVersion: networking.istio.io/v1\nkind: V")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("two documents");
    let loaded = lenient(&format!(
        "{wrong}---\napiVersion: networking.istio.io/v1\nkind: V{right}"
    ));
    assert_eq!(loaded.left_out.len(), 1);
    let model = loaded.model.expect("it serves");
    assert_eq!(&*model.virtual_hosts[0].routes[0].name, "mine");
}

#[test]
fn what_is_wrong_only_together_is_left_out_too() {
    let text = service("a", "");
    let twice = text.clone()
        + &text
            .replace("name: a,", "name: b,")
            .replace("name: mine", "name: other");
    let options = Options::default().with_lenient(true).with_strict(true);
    let loaded = load(&[Source::new("a.yaml", &*twice)], &options);
    let left = left_out(&loaded);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(
        left[0].starts_with("VirtualService n/b (a.yaml:"),
        "{left:?}"
    );
    assert!(loaded.model.is_some());
}

#[test]
fn what_a_left_out_resource_would_have_defined_is_missed_by_name() {
    let loaded = lenient(&service("a", "").replace("number: 80", "number: 0"));
    assert_eq!(loaded.left_out.len(), 1);
    let said = loaded.diagnostics.iter().any(|d| d.rule == "unknown-host");
    assert!(said, "{:?}", loaded.diagnostics);
    assert!(loaded.model.is_some());
}

#[test]
fn without_anything_wrong_it_changes_nothing() {
    let text = service("a", "") + &service("b", "");
    let strict = load(&[Source::new("a.yaml", &*text)], &Options::default());
    let loaded = lenient(&text);
    assert_eq!(
        (strict.model, strict.diagnostics),
        (loaded.model, loaded.diagnostics)
    );
    assert!(loaded.left_out.is_empty());
}

#[test]
fn a_rule_that_is_left_out_lets_no_request_leave_in_plain_text() {
    let rule = |host: &str, spec: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r, namespace: n}}\nspec:\n  host: \"{host}\"\n{spec}\n"
        )
    };
    let plain = |rules: &str, lenient: bool| {
        let options = Options::default().with_lenient(lenient);
        let text = service("a", "") + rules;
        let loaded = load(&[Source::new("a.yaml", text)], &options);
        let mut told = loaded.diagnostics.iter();
        let told = told.any(|d| d.rule == "tls-not-in-force" && d.message.contains("answered 503"));
        let model = loaded.model.expect("the rest is served");
        let there = model
            .clusters
            .contains_key("outbound|80||a.n.svc.cluster.local");
        assert_ne!(told, there, "{rules}");
        there
    };
    for spec in [
        "  trafficPolicy: {tls: {mode: SIMPLE}, loadBalancer: {simple: FOO}}",
        "  trafficPolicy: {tls: {mode: simple}}",
        "  trafficPolicy: {tls: {mode: SIMPLE, sniii: x}}",
        "  trafficPolicy: {tls: SIMPLE}",
        "  trafficPolicy: {tsl: {mode: SIMPLE}}",
        "  trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: MUTUAL}}]}",
        "  subsets: [{name: V_1, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}]",
        "  trafficPolicy:\n    tls: {mode: SIMPLE}\n  trafficPolicy: {}",
        "  trafficPolicy: {tls: {mode: SIMPLE}",
    ] {
        assert!(!plain(&rule("a", spec), true), "{spec}");
        assert!(!plain(&rule("*.n.svc.cluster.local", spec), true), "{spec}");
        assert!(plain(&rule("b.example", spec), true), "{spec}");
    }
    for spec in [
        "  trafficPolicy:\n    tls: {mode: SIMPLE}\n    connectionPool: {tcp: {connectTimeout: \"${CT}\"}}",
        "  trafficPolicy: {tls: {mode: SIMPLE}, connectionPool: {tcp: {connectTimeout: ${CT}}}}",
        "  trafficPolicy:\n    tls:\n      mode: ${MODE}",
    ] {
        assert!(!plain(&rule("a", spec), false), "{spec}");
    }
    for spec in [
        "  trafficPolicy: {loadBalancer: {simple: FOO}}",
        "  trafficPolicy: {tls: {mode: DISABLE}, loadBalancer: {simple: FOO}}",
    ] {
        assert!(plain(&rule("a", spec), true), "{spec}");
    }
    // The rule is there as well, filled in.
    let open = rule("a", "  trafficPolicy:\n    tls:\n      mode: ${MODE}");
    let filled = rule("a", "  trafficPolicy: {tls: {mode: DISABLE}}");
    assert!(plain(&(open + &filled), false));
}
