//! Istio's own validation as golden tables: one small document a line, and whether it is accepted or refused, by which
//! rule and at which field. Each line cites the section of the semantics it comes from.
//!
//! A table is cut into parts by `== Kind: template` lines. Each other line is `section | verdict | field | text`: the text
//! takes the place of `$` in the template, which is the `spec` in YAML's flow style. The verdict is `ok`, or the rule of
//! the error that is expected at the field.

use llmesh::config::{Severity, Source, load};

/// What the documents speak of, so that no reference is amiss.
const AROUND: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec:\n  selector: {app: a}\n  ports: [{name: http, port: 80}]\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: around, namespace: n}\nspec:\n  host: a\n  subsets: [{name: v1, labels: {version: v1}}]\n---\n";

fn api_version(kind: &str) -> &'static str {
    match kind {
        "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication" => {
            "security.istio.io/v1"
        }
        "Telemetry" => "telemetry.istio.io/v1",
        "WasmPlugin" => "extensions.istio.io/v1alpha1",
        "EnvoyFilter" => "networking.istio.io/v1alpha3",
        "ProxyConfig" => "networking.istio.io/v1beta1",
        _ => "networking.istio.io/v1",
    }
}

/// Checks every line of a table; all that differ are named.
#[track_caller]
fn hold(table: &str) {
    let (mut kind, mut template, mut wrong, mut rows) = ("", "", Vec::new(), 0);
    for line in table.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(head) = line.strip_prefix("== ") {
            (kind, template) = head.split_once(": ").expect("`== Kind: template`");
            continue;
        }
        let mut parts = line.splitn(4, '|').map(str::trim);
        let mut part = || parts.next().unwrap_or_else(|| panic!("four parts: {line}"));
        let (section, verdict, field, text) = (part(), part(), part(), part());
        assert!(
            !section.is_empty() && (verdict == "ok") == field.is_empty(),
            "{line}"
        );
        rows += 1;
        if let Some(why) = differs(kind, &template.replace('$', text), verdict, field) {
            wrong.push(format!("{section} | {verdict} | {field} | {text}\n{why}"));
        }
    }
    assert!(rows > 0, "the table has lines");
    let count = wrong.len();
    assert!(
        wrong.is_empty(),
        "{count} of {rows} differ:\n{}",
        wrong.join("\n")
    );
}

fn differs(kind: &str, spec: &str, verdict: &str, field: &str) -> Option<String> {
    let version = api_version(kind);
    let text = format!(
        "{AROUND}apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a, namespace: n}}\nspec: {spec}\n"
    );
    let loaded = load(&[Source::new("test.yaml", text)], &Default::default());
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .collect();
    let fits = match verdict {
        "ok" => errors.is_empty(),
        rule => errors.iter().any(|d| d.rule == rule && d.path == field),
    };
    let shown = errors
        .iter()
        .map(|d| format!("    {}[{}] {}", d.path, d.rule, d.message));
    (!fits).then(|| shown.collect::<Vec<_>>().join("\n"))
}

#[test]
fn kinds_of_security() {
    hold(include_str!("security.txt"));
}

#[test]
fn kinds_of_the_mesh_that_are_only_read() {
    hold(include_str!("read_only.txt"));
}

#[test]
fn service_and_workload_entries() {
    hold(include_str!("services.txt"));
}

#[test]
fn destination_rules() {
    hold(include_str!("destination_rules.txt"));
}

#[test]
fn virtual_services() {
    hold(include_str!("virtual_services.txt"));
}

#[test]
fn annotations_that_admission_looks_at() {
    let refused = |kind: &str, annotation: &str, spec: &str| {
        let version = api_version(kind);
        let text = format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a, annotations: {{{annotation}}}}}\nspec: {spec}\n"
        );
        let loaded = load(&[Source::new("test.yaml", text)], &Default::default());
        let mut errors = loaded.diagnostics.into_iter();
        errors
            .find(|d| d.severity == Severity::Error)
            .map(|d| d.rule)
    };
    let (policy, dry) = ("AuthorizationPolicy", "istio.io/dry-run: \"true\"");
    assert_eq!(refused(policy, dry, "{}"), None);
    assert_eq!(refused(policy, dry, "{action: DENY, rules: [{}]}"), None);
    assert_eq!(refused(policy, dry, "{action: AUDIT}"), Some("dry-run"));
    assert_eq!(
        refused(policy, "istio.io/dry-run: yes", "{}"),
        Some("dry-run")
    );
    assert_eq!(refused("PeerAuthentication", dry, "{}"), Some("dry-run"));
    let own = "internal.istio.io/parents: a";
    assert_eq!(refused("Telemetry", own, "{}"), Some("internal-annotation"));
}
