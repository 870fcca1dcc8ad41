//! Size and hostility: large inputs load fast, and no text makes the loader panic.

use std::fmt::Write as _;

use llmesh::config::{Options, Source, load};
use proptest::prelude::*;

use crate::sources;

/// 1,000 services with endpoints, rules and two subsets each, and ten routes a service.
fn large() -> String {
    let mut text = String::new();
    for n in 0..1000 {
        let _ = writeln!(
            text,
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: s{n}, namespace: n}}\nspec:\n  hosts: [s{n}.n.svc.cluster.local]\n  resolution: STATIC\n  ports: [{{number: 80, name: http}}]\n  endpoints:\n  - {{address: 10.0.0.1, labels: {{version: v1}}}}\n  - {{address: 10.0.0.2, labels: {{version: v2}}}}\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: s{n}, namespace: n}}\nspec:\n  host: s{n}\n  trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: 10}}}}}}\n  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: s{n}, namespace: n}}\nspec:\n  hosts: [s{n}]\n  http:"
        );
        for route in 0..10 {
            let _ = writeln!(
                text,
                "  - name: r{route}\n    match: [{{uri: {{exact: /api/{route}}}, headers: {{x-tenant: {{exact: t{route}}}}}}}]\n    route: [{{destination: {{host: s{n}, subset: v1}}, weight: 90}}, {{destination: {{host: s{n}, subset: v2}}, weight: 10}}]\n    timeout: 30s\n    retries: {{attempts: 2, perTryTimeout: 5s, retryOn: \"5xx,reset\"}}"
            );
        }
    }
    text
}

#[test]
fn ten_thousand_routes() {
    let loaded = load(&[Source::new("large.yaml", large())], &Options::default());
    assert_eq!(loaded.diagnostics, []);
    let model = loaded.model.expect("it loads");
    assert_eq!(model.virtual_hosts.len(), 1000);
    assert_eq!(model.clusters.len(), 3000);
    let routes: usize = model.virtual_hosts.iter().map(|h| h.routes.len()).sum();
    assert_eq!(routes, 10_000);
}

#[test]
fn ten_thousand_routes_of_one_host() {
    let mut text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: n}\nspec:\n  hosts: [a]\n  http:\n".to_owned();
    for route in 0..10_000 {
        let _ = writeln!(
            text,
            "  - match: [{{uri: {{prefix: /api/{route}/}}}}]\n    route: [{{destination: {{host: a, subset: v1}}}}]"
        );
    }
    let loaded = load(&[Source::new("one.yaml", text)], &Options::default());
    assert_eq!(
        loaded.diagnostics.len(),
        2,
        "each missing name is reported once"
    );
    assert_eq!(
        loaded.model.expect("it loads").virtual_hosts[0]
            .routes
            .len(),
        10_000
    );
}

/// Texts that are cheap to write and dear to read carelessly; each is done in far less than a second when optimised.
#[test]
fn repetitive_texts() {
    for (piece, times) in [
        ("---\n", 50_000),
        ("---\na\n", 5_000),
        ("\n", 200_000),
        ("# x\n", 50_000),
        ("%", 100_000),
        ("'", 100_000),
        ("\"", 100_000),
        ("- ", 50_000),
        ("? ", 50_000),
        ("a: ", 50_000),
        ("&a ", 50_000),
        ("*a ", 50_000),
        ("!", 50_000),
        ("{}", 50_000),
        ("[]\n", 50_000),
        ("{a", 50_000),
        ("|\n", 50_000),
        (" \n\t", 50_000),
        ("a: &a {b: c}\n", 5_000),
    ] {
        holds(&piece.repeat(times));
    }
}

/// A reference text with some of its bytes replaced, removed or doubled.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (
        any::<prop::sample::Index>(),
        "[ -~\\n\\t]{0,3}",
        0_usize..12,
    );
    (0_usize..6, prop::collection::vec(edit, 1..8)).prop_map(|(file, edits)| {
        let names = ["02", "03", "04", "07", "16", "endpoints"];
        let mut text: Vec<char> = sources(&[names[file]])[0].text.chars().collect();
        for (index, insert, remove) in edits {
            let at = index.index(text.len().max(1)).min(text.len());
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
        }
        text.into_iter().collect()
    })
}

/// What `load` promises for any text at all.
fn holds(text: &str) {
    let loaded = load(&[Source::new("any", text)], &Options::default());
    let failed = loaded
        .diagnostics
        .iter()
        .any(|d| d.severity.as_str() == "error");
    assert_eq!(loaded.model.is_none(), failed);
    let lines = u32::try_from(text.lines().count()).expect("short") + 1;
    for found in &loaded.diagnostics {
        assert!(found.line <= lines, "{found}");
        assert!(!found.message.is_empty() && !found.rule.is_empty());
    }
    let again = load(&[Source::new("any", text)], &Options::default());
    assert_eq!(loaded.diagnostics, again.diagnostics);
    assert_eq!(loaded.model, again.model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        holds(&text);
    }

    #[test]
    fn yaml_like_text(text in "([a-z]{0,3}|[-:?#&*!|>'\"%@`{}\\[\\],.~ \\n\\t]){0,120}") {
        holds(&text);
    }

    #[test]
    fn mutations_of_valid_files(text in mutated()) {
        holds(&text);
    }
}
