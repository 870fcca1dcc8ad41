//! What is valid and has no effect on calls between services: a note, and nothing else.

use llmesh::config::{Severity, shown};

use crate::{load_text, summary};

/// A VirtualService with this spec, of its own name.
fn vs(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: n}}\nspec: {spec}\n"
    )
}

/// A service that can be called.
const SERVICE: &str = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: n}\nspec:\n  hosts: [a.n.svc.cluster.local]\n  resolution: STATIC\n  ports: [{number: 80, name: http}]\n  endpoints: [{address: 127.0.0.1}]\n";

#[test]
fn what_is_for_gateways_is_a_note() {
    let to = "route: [{destination: {host: a}}]";
    for spec in [
        format!("{{hosts: [\"*\"], gateways: [edge], http: [{{{to}}}]}}"),
        format!("{{hosts: [\"*\"], gateways: [ns/edge], http: [{{match: [{{headers: {{\"@request.auth.claims.group\": {{exact: x}}}}}}], {to}}}]}}"),
        "{hosts: [shop.example], gateways: [edge], tls: [{match: [{port: 443, sniHosts: [shop.example]}], route: [{destination: {host: lost}}]}]}".to_owned(),
        format!("{{hosts: [shop.example], gateways: [edge], http: [{{mirror: {{host: lost}}, fault: {{abort: {{httpStatus: 500}}}}, {to}}}]}}"),
        "{hosts: [shop.example], gateways: [edge], http: [{route: [{destination: {host: lost, subset: lost}}]}]}".to_owned(),
        // A delegate.
        format!("{{http: [{{{to}}}]}}"),
    ] {
        let loaded = load_text(&format!("{SERVICE}{}", vs("gate", &spec)));
        assert_eq!(summary(&loaded), ["test.yaml:11 note[not-in-force]"], "{spec}");
        let model = loaded.model.expect("a note stops nothing");
        assert_eq!(model.virtual_hosts.len(), 1, "{spec}");
    }
}

#[test]
fn what_holds_inside_the_mesh_is_still_refused() {
    let to = "route: [{destination: {host: a}}]";
    for (spec, rule) in [
        (
            format!("{{hosts: [\"*\"], http: [{{{to}}}]}}"),
            "wildcard-host",
        ),
        (
            format!("{{hosts: [\"*\"], gateways: [edge, mesh], http: [{{{to}}}]}}"),
            "wildcard-host",
        ),
        (
            format!("{{gateways: [edge], http: [{{{to}}}]}}"),
            "no-hosts",
        ),
        (
            format!("{{hosts: [a], gateways: [edge], http: [{{timeout: 5, {to}}}]}}"),
            "bad-duration",
        ),
    ] {
        let loaded = load_text(&format!("{SERVICE}{}", vs("gate", &spec)));
        let errors: Vec<_> = loaded
            .diagnostics
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .map(|d| d.rule)
            .collect();
        assert_eq!(errors, [rule], "{spec}");
        assert!(loaded.model.is_none());
    }
}

#[test]
fn tcp_and_tls_routes_are_a_note_and_the_others_serve() {
    let text = vs(
        "a",
        "{hosts: [a], tcp: [{route: [{destination: {host: a}}]}], tls: [{match: [{port: 443, sniHosts: [a]}], route: [{destination: {host: a}}]}], http: [{route: [{destination: {host: a}}]}]}",
    );
    let loaded = load_text(&format!("{SERVICE}{text}"));
    assert_eq!(
        summary(&loaded),
        ["test.yaml:14 note[not-in-force]"; 2],
        "{:?}",
        loaded.diagnostics
    );
    assert_eq!(
        loaded.model.expect("it serves").virtual_hosts[0]
            .routes
            .len(),
        1
    );
}

#[test]
fn kinds_of_other_planes_are_a_note() {
    for (version, kind) in [
        ("gateway.solo.io/v1", "VirtualService"),
        ("appmesh.k8s.aws/v1beta2", "VirtualService"),
        ("serving.knative.dev/v1", "Service"),
        ("argoproj.io/v1alpha1", "Rollout"),
        ("monitoring.coreos.com/v1", "ServiceMonitor"),
        ("example.com/v1", "AllowList"),
        ("networking.k8s.io/v1", "Ingress"),
    ] {
        let text = format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a.b, namespace: \"{{{{ x }}}}\"}}\nspec: 1\nitems: {{a: 1}}\n"
        );
        let loaded = load_text(&text);
        assert_eq!(
            summary(&loaded),
            ["test.yaml:1 note[ignored-kind]"],
            "{kind}"
        );
        assert!(loaded.model.is_some());
    }
    // Kinds of the Gateway API are none of Istio's of the same name.
    let gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\nspec: {gatewayClassName: b, listeners: []}\n";
    assert_eq!(
        summary(&load_text(gateway)),
        ["test.yaml:1 note[not-in-force]"]
    );
    // A kind that Istio may have one day; one that is misspelt is still an error.
    let later =
        "apiVersion: networking.istio.io/v1\nkind: TrafficShaper\nmetadata: {name: a}\nspec: {}\n";
    assert_eq!(
        summary(&load_text(later)),
        ["test.yaml:2 warning[unsupported-kind]"]
    );
}

#[test]
fn other_kinds_of_one_name_do_not_hide_a_service() {
    let knative = "---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec: {}\n";
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec: {ports: [{port: 80, name: http}]}\n";
    let model = load_text(&format!("{knative}{service}"))
        .model
        .expect("it loads");
    assert!(
        model
            .clusters
            .contains_key("outbound|80||a.n.svc.cluster.local")
    );
}

#[test]
fn what_is_not_for_the_mesh_does_not_move_the_caller() {
    // Short names are read in the namespace that all resources share: those of the mesh.
    let monitor = "---\napiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: a, namespace: monitoring}\n";
    let model = load_text(&format!("{SERVICE}{monitor}"))
        .model
        .expect("it loads");
    assert!(model.virtual_hosts[0].domains.contains(&"a".to_owned()));
}

#[test]
fn notes_that_say_the_same_are_shown_once() {
    let mut text = String::new();
    for n in 0..5 {
        text.push_str(&format!(
            "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: g{n}}}\nspec: {{}}\n"
        ));
    }
    text.push_str("---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n");
    let loaded = load_text(&text);
    assert_eq!(loaded.count(Severity::Note), 6);
    let shown: Vec<_> = shown(&loaded.diagnostics)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            "test.yaml:2:1: note[not-in-force]: Telemetry is a valid Istio kind, but not in force in llmesh: it is ignored (5 times: test.yaml:2, test.yaml:7, test.yaml:12 and 2 more)",
            "test.yaml:27:1: note[ignored-kind] Secret default/s: Secret says nothing about traffic: it is ignored",
        ]
    );
}

#[test]
fn many_notes_do_not_hide_an_error() {
    let mut text = String::new();
    for n in 0..3000 {
        text.push_str(&format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s{n}}}\n"
        ));
    }
    text.push_str(&vs("a", "{hosts: [a], http: [{rout: []}]}"));
    let loaded = load_text(&text);
    assert!(loaded.count(Severity::Error) >= 2 && loaded.diagnostics.len() < 1100);
}

#[test]
fn a_tls_block_is_never_taken_in_plain_text() {
    let rule = |block: &str| {
        format!(
            "{SERVICE}---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: n}}\nspec: {{host: a, {block}}}\n"
        )
    };
    let whole = "outbound|80||a.n.svc.cluster.local";
    for (block, there) in [
        ("trafficPolicy: {tls: {mode: SIMPLE}}", false),
        (
            "trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k}}",
            false,
        ),
        (
            "trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}",
            false,
        ),
        (
            "trafficPolicy: {portLevelSettings: [{port: {number: 81}, tls: {mode: SIMPLE}}]}",
            true,
        ),
        ("trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}", true),
        ("trafficPolicy: {tls: {mode: DISABLE}}", true),
        (
            "subsets: [{name: s, trafficPolicy: {tls: {mode: SIMPLE}}}]",
            true,
        ),
    ] {
        let loaded = load_text(&rule(block));
        let said = loaded
            .diagnostics
            .iter()
            .find(|d| d.rule == "tls-not-in-force");
        let model = loaded.model.as_ref().expect("it stops nothing else");
        assert_eq!(model.clusters.contains_key(whole), there, "{block}");
        assert_eq!(model.virtual_hosts.len(), 1, "{block}");
        let warned = !there || block.contains("ISTIO") || block.starts_with("subsets");
        assert_eq!(
            said.map(|d| d.severity),
            warned.then_some(Severity::Warning),
            "{block}"
        );
    }
    let loaded = load_text(&rule(
        "subsets: [{name: s, trafficPolicy: {tls: {mode: SIMPLE}}}]",
    ));
    let model = loaded.model.expect("it loads");
    assert!(
        !model
            .clusters
            .contains_key("outbound|80|s|a.n.svc.cluster.local")
    );
}

/// Spec 2.6, and the rule that a TLS port is never spoken to in plain text unless a file says so in so many words.
#[test]
fn a_port_that_is_declared_as_tls_is_not_sent_to_in_plain_text() {
    let mesh = |protocol: &str, rule: &str| {
        format!(
            "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: a, namespace: n}}
spec:
  hosts: [api.vendor.example]
  resolution: STATIC
  ports: [{{number: 443, name: out, protocol: {protocol}}}, {{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 10.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: a, namespace: n}}
spec:
  hosts: [api.vendor.example]
  http: [{{route: [{{destination: {{host: api.vendor.example, port: {{number: 443}}}}}}]}}]
{rule}"
        )
    };
    let rule = |mode: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: a, namespace: n}}
spec: {{host: api.vendor.example, trafficPolicy: {{portLevelSettings: [{{port: {{number: 443}}, tls: {{mode: {mode}}}}}]}}}}
"
        )
    };
    for (protocol, rule, there) in [
        ("HTTPS", String::new(), false),
        ("https", String::new(), false),
        ("TLS", String::new(), false),
        ("HTTPS", rule("ISTIO_MUTUAL"), false),
        ("HTTPS", rule("SIMPLE"), false),
        ("HTTPS", rule("DISABLE"), true),
        ("HTTP", String::new(), true),
    ] {
        let loaded = load_text(&mesh(protocol, &rule));
        let model = loaded.model.as_ref().expect("it stops nothing else");
        let clusters = |port: u16| {
            let name = format!("outbound|{port}||api.vendor.example");
            model.clusters.contains_key(name.as_str())
        };
        assert_eq!(
            (clusters(443), clusters(80)),
            (there, true),
            "{protocol} {rule}"
        );
        let warned = loaded.diagnostics.iter().any(|d| {
            d.rule == "tls-not-in-force"
                && d.severity == Severity::Warning
                && d.message.contains("443")
        });
        assert_eq!(warned, !there, "{protocol} {rule}");
    }
}
