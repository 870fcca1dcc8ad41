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
    text.push_str("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\n");
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
            "test.yaml:27:1: note[ignored-kind] ConfigMap default/s: ConfigMap says nothing about traffic: it is ignored",
        ]
    );
}

#[test]
fn many_notes_do_not_hide_an_error() {
    let mut text = String::new();
    for n in 0..3000 {
        text.push_str(&format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: s{n}}}\n"
        ));
    }
    text.push_str(&vs("a", "{hosts: [a], http: [{rout: []}]}"));
    let loaded = load_text(&text);
    assert!(loaded.count(Severity::Error) >= 2 && loaded.diagnostics.len() < 1100);
}
