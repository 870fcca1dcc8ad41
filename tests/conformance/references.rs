//! Names that lead nowhere: a warning that says what was looked at, and 503 on that route alone.

use llmesh::{
    config::{Options, Severity, Source, load},
    layers::route::params::Action,
    model::MeshModel,
};

use crate::load_text;

fn se(host: &str, namespace: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {}, namespace: {namespace}}}\nspec:\n  hosts: [{host}]\n  resolution: STATIC\n  ports: [{{number: 80, name: http}}]\n  endpoints: [{{address: 127.0.0.1, labels: {{version: v1}}}}]\n",
        host.replace('.', "-")
    )
}

fn rule(name: &str, namespace: &str, host: &str, more: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{host: {host}, subsets: [{{name: v1, labels: {{version: v1}}}}]{more}}}\n"
    )
}

/// Two rules: `/good` leads to the service, the other to `destination`.
fn vs(destination: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: shop, namespace: shop}}\nspec:\n  hosts: [shop.shop.svc.cluster.local]\n  http:\n  - match: [{{uri: {{prefix: /good}}}}]\n    route: [{{destination: {{host: shop.shop.svc.cluster.local}}}}]\n  - name: tried\n    route: [{{destination: {destination}}}]\n"
    )
}

/// Whether the clusters of the two rules are there.
fn served(model: &MeshModel) -> Vec<bool> {
    let host = model
        .virtual_hosts
        .iter()
        .find(|h| h.domains[0] == "shop.shop.svc.cluster.local");
    let routes = &host.expect("the host is there").routes;
    let there = |action: &Action| match action {
        Action::Forward(forward) => model
            .clusters
            .contains_key(&forward.destinations[0].cluster),
        _ => false,
    };
    routes.iter().map(|route| there(&route.action)).collect()
}

/// The one warning of `rule_id`; the other rule must be served.
fn warned(text: &str, rule_id: &str) -> (String, String) {
    let loaded = load_text(text);
    let model = loaded.model.as_ref().expect("a reference stops nothing");
    assert_eq!(served(model), [true, false], "{text}");
    let found: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.rule == rule_id)
        .collect();
    assert_eq!(found.len(), 1, "{rule_id}: {:?}", loaded.diagnostics);
    assert_eq!(found[0].severity, Severity::Warning);
    (found[0].message.clone(), found[0].hint.clone())
}

const SHOP: &str = "shop.shop.svc.cluster.local";

#[test]
fn a_subset_says_where_it_was_looked_for() {
    let base = se(SHOP, "shop") + &vs("{host: shop, subset: v1}");
    for (rules, message) in [
        (
            String::new(),
            "no DestinationRule in force for shop.shop.svc.cluster.local defines the subset `v1`, so its requests are answered 503 (NC); looked at: DestinationRules in namespace shop (the caller's and the service's) and istio-system (the mesh's)",
        ),
        (
            rule("r", "platform", SHOP, ""),
            "; DestinationRule platform/r (test.yaml:25) is not one of them: it is in namespace platform",
        ),
        (
            rule("r", "platform", "\"*.shop.svc.cluster.local\"", ""),
            "it is in namespace platform",
        ),
        (
            rule("r", "istio-system", SHOP, ", exportTo: [\".\"]"),
            "is not one of them: its `exportTo` does not show it to this namespace",
        ),
        (
            rule(
                "r",
                "shop",
                SHOP,
                ", workloadSelector: {matchLabels: {app: other}}",
            ),
            "its `workloadSelector` asks for labels that this workload does not have",
        ),
        (
            rule("r", "shop", "shop.prod.svc.cluster.local", ""),
            "DestinationRule shop/r (test.yaml:25) is for shop.prod.svc.cluster.local",
        ),
    ] {
        let text = format!("{base}{rules}").replace("namespace: platform", "namespace: platform");
        let options = Options::default().with_namespace("shop");
        let loaded = load(&[Source::new("test.yaml", text)], &options);
        let model = loaded.model.as_ref().expect("a reference stops nothing");
        assert_eq!(served(model), [true, false]);
        let found = loaded
            .diagnostics
            .iter()
            .find(|d| d.rule == "subset-without-rule");
        let found = found.expect("it is said");
        assert_eq!(found.severity, Severity::Warning);
        assert!(
            found.message.contains(message),
            "{}\nlacks {message}",
            found.message
        );
    }
}

#[test]
fn a_rule_that_lacks_the_subset_is_named_with_those_that_have_it() {
    let own = rule("own", "shop", SHOP, "").replace("name: v1,", "name: v2,");
    let text = se(SHOP, "shop")
        + &vs("{host: shop, subset: v1}")
        + &own
        + &rule("far", "shop", "\"*.svc.cluster.local\"", "");
    let (message, hint) = warned(&text, "vs-unknown-subset");
    assert!(
        message.contains("is not defined by DestinationRule shop/own (test.yaml:25)"),
        "{message}"
    );
    assert!(
        message.contains("DestinationRule shop/far (test.yaml:30) is not one of them: DestinationRule shop/own (test.yaml:25) goes before it"),
        "{message}"
    );
    assert_eq!(hint, "did you mean `v2`?");
}

#[test]
fn a_rule_that_nobody_looks_at_is_told_of_without_any_subset() {
    let base = se(SHOP, "shop") + &vs("{host: shop}");
    for host in [SHOP, "\"*.shop.svc.cluster.local\""] {
        let loaded = load_text(&(base.clone() + &rule("r", "platform", host, "")));
        let found = loaded
            .diagnostics
            .iter()
            .find(|d| d.rule == "rule-not-looked-at");
        let found = found.expect("it is said");
        assert_eq!((found.severity, found.line), (Severity::Warning, 25));
        assert!(
            found.message.contains("in namespace platform"),
            "{}",
            found.message
        );
        assert_eq!(found.hint, "move it to namespace shop or istio-system");
    }
    for namespace in ["shop", "istio-system"] {
        let loaded = load_text(&(base.clone() + &rule("r", namespace, SHOP, "")));
        assert!(
            loaded
                .diagnostics
                .iter()
                .all(|d| d.rule != "rule-not-looked-at")
        );
    }
    let two = base + &rule("r", "istio-system", SHOP, "") + &rule("own", "shop", SHOP, "");
    let found = load_text(&two);
    let found = found
        .diagnostics
        .iter()
        .find(|d| d.rule == "rule-not-looked-at");
    let found = found.expect("the service's own goes before the mesh's");
    assert_eq!((found.severity, found.line), (Severity::Note, 25));
}

#[test]
fn a_host_that_is_not_known_says_which_was_meant() {
    for (loaded, written, why, hint) in [
        (
            se("pay", "shop"),
            "pay",
            "; ServiceEntry shop/pay (test.yaml:15) has the host `pay`, and a name in a ServiceEntry is taken as it is",
            "write pay.shop.svc.cluster.local there",
        ),
        (
            se("pay.prod.svc.cluster.local", "prod"),
            "pay",
            "; pay.prod.svc.cluster.local is (ServiceEntry prod/pay-prod-svc-cluster-local (test.yaml:15))",
            "write the full name of the one that is meant",
        ),
        (
            se("pay.shop.svc.cluster.local", "shop"),
            "pay.shop",
            "; pay.shop.svc.cluster.local is (ServiceEntry shop/pay-shop-svc-cluster-local (test.yaml:15)), and a name with a dot is taken as it is",
            "write pay.shop.svc.cluster.local",
        ),
        (
            se("pay.shop.svc.cluster.local", "shop"),
            "payy",
            "",
            "did you mean pay.shop.svc.cluster.local?",
        ),
        (
            se("pay.shop.svc.cluster.local", "shop")
                .replace("spec:\n", "spec:\n  exportTo: [other]\n"),
            "pay",
            "has it, but its `exportTo` does not show it to this namespace",
            "add the namespace to its `exportTo`",
        ),
        (
            String::new(),
            "nowhere",
            "",
            "load one, or check the spelling and the namespace",
        ),
    ] {
        let text = se(SHOP, "shop") + &loaded + &vs(&format!("{{host: {written}}}"));
        let (message, found) = warned(&text, "unknown-host");
        assert!(
            message.contains("is not known, so its requests are answered 503 (NC)")
                && message.contains(why),
            "{message}\nlacks {why}"
        );
        assert_eq!(found, hint);
    }
}

#[test]
fn a_port_that_is_not_there_is_a_warning() {
    let text = se(SHOP, "shop") + &vs("{host: shop, port: {number: 81}}");
    let (message, hint) = warned(&text, "unknown-port");
    assert_eq!(
        message,
        "shop.shop.svc.cluster.local has no port 81: its requests are answered 503 (NC)"
    );
    assert_eq!(hint, "its ports are: 80");
}

#[test]
fn what_answers_503_to_every_caller_is_a_warning() {
    let empty = se(SHOP, "shop").replace(
        "  endpoints: [{address: 127.0.0.1, labels: {version: v1}}]\n",
        "",
    );
    let subsets = rule("r", "shop", SHOP, "").replace("version: v1", "version: v9");
    for (text, severity, line) in [
        (empty.clone(), Some(Severity::Warning), 6),
        // One finding for the host, none for its subsets.
        (empty + &subsets, Some(Severity::Warning), 6),
        (se(SHOP, "shop") + &subsets, Some(Severity::Note), 14),
        (
            se(SHOP, "shop") + &subsets + &vs("{host: shop, subset: v1}"),
            Some(Severity::Warning),
            14,
        ),
        (se(SHOP, "shop"), None, 0),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {ports: [{port: 3306, name: tcp-mysql}]}\n".to_owned(),
            None,
            0,
        ),
    ] {
        let loaded = load_text(&text);
        let found: Vec<_> = loaded.diagnostics.iter().filter(|d| d.rule == "no-endpoints").collect();
        let expected: Vec<_> = severity.map(|s| (s, line)).into_iter().collect();
        let found: Vec<_> = found.iter().map(|d| (d.severity, d.line)).collect();
        assert_eq!(found, expected, "{text}");
        assert!(loaded.model.is_some());
    }
}

#[test]
fn what_has_the_weight_0_gets_no_requests_and_no_warning() {
    let text = |weight: u32| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a, namespace: n}}\nspec:\n  hosts: [a]\n  http:\n  - route:\n    - {{destination: {{host: a}}, weight: 100}}\n    - {{destination: {{host: a, subset: v2}}, weight: {weight}}}\n    - {{destination: {{host: b}}, weight: {weight}}}\n    - {{destination: {{host: a, port: {{number: 9}}}}, weight: {weight}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: a, namespace: n}}\nspec: {{selector: {{app: a}}, ports: [{{name: http, port: 80}}]}}\n"
        )
    };
    for (weight, severity, says) in [
        (
            0,
            Severity::Note,
            "its requests would be answered 503 (NC); its weight is 0, so there are none",
        ),
        (1, Severity::Warning, "its requests are answered 503 (NC)"),
    ] {
        let loaded = load_text(&text(weight));
        let found: Vec<_> = loaded
            .diagnostics
            .iter()
            .filter(|d| d.path.contains("route["))
            .collect();
        let rules: Vec<_> = found.iter().map(|d| d.rule).collect();
        assert_eq!(
            rules,
            ["subset-without-rule", "unknown-host", "unknown-port"]
        );
        for d in found {
            assert_eq!(d.severity, severity, "{d}");
            assert!(d.message.contains(says), "{d}");
        }
    }
}
