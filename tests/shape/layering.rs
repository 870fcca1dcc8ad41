//! The floor rules, executable: a room imports only what stands below it, and rooms form no circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{crate_paths, files};

/// The room of a path below `src` or of an import: the first segment, two for layers.
fn room(segments: &[&str]) -> String {
    match segments {
        ["testing", "fuzz", ..] => "testing/fuzz".to_owned(),
        ["layers", layer, ..] => format!("layers/{layer}"),
        [first, ..] => (*first).to_owned(),
        [] => String::new(),
    }
}

fn floor(room: &str) -> Option<u8> {
    Some(match room.split('/').next().unwrap_or_default() {
        "base" => 0,
        "body" | "classify" | "llm" => 1,
        "layers" => 2,
        "model" | "stack" => 3,
        "config" | "client" => 4,
        "mesh" => 5,
        "proxy" => 6,
        "cli" => 7,
        _ => return None,
    })
}

/// Whether code in `from` may name `path` of another room.
fn allowed(from: &str, to: &str, path: &[String]) -> bool {
    let params_only = || {
        path.iter().any(|s| s == "params")
            || path.last().is_some_and(|s| s == "Params" || s == "RetryOn")
    };
    match (from, to) {
        // Beside the house: scripted upstreams and probes, for tests and for the commands that show them.
        ("testing", to) => floor(to).is_some_and(|f| f <= 2),
        // Fuzz targets look into every room; nothing of the house looks at them.
        ("testing/fuzz", _) => true,
        ("cli", "testing") => true,
        (_, "testing" | "testing/fuzz") => false,
        // The same floor, where named.
        ("classify", "body") | ("llm", "classify" | "body") | ("stack", "model") => true,
        ("layers/balance", "layers/outlier" | "layers/breaker") => true,
        ("layers/route", "layers/deadline" | "layers/retry") => params_only(),
        // A target's health is a circuit, and a fallback is paid from the budget of the retries.
        ("layers/fallback", "layers/breaker") => true,
        // Callers' keys are kept where targets' are.
        ("layers/callers", "layers/fallback") => params_only(),
        ("layers/fallback", "layers/retry") => {
            path.iter().any(|s| s == "budget" || s == "RetryBudget")
        }
        // What comes in goes along: the room where the codecs of both meet.
        ("layers/context", "layers/deadline") => path.iter().any(|s| s == "headers"),
        ("layers/context", "layers/trace") => !path.iter().any(|s| s.ends_with("Layer")),
        // The span of what comes in is current for what is asked on its behalf.
        ("layers/context", "layers/spans") => true,
        // A span is told in the words that the caller used.
        ("layers/spans", "layers/trace") => !path.iter().any(|s| s.ends_with("Layer")),
        // The model is names and parameters; configuration never sees a service.
        ("model", to) if to.starts_with("layers/") => params_only(),
        ("config", to) if to.starts_with("layers/") => {
            !path.iter().any(|s| s == "service" || s.ends_with("Layer"))
        }
        ("config", "stack" | "body") => false,
        (from, to) => match (floor(from), floor(to)) {
            (Some(from), Some(to)) => to < from,
            _ => false,
        },
    }
}

/// An imported layer module stands for what the code then names in it: `retry` and `retry::Params` are
/// `layers::retry::Params`.
fn uses(path: Vec<String>, code: &str) -> Vec<Vec<String>> {
    let [layers, module] = path.as_slice() else {
        return vec![path];
    };
    if layers != "layers" {
        return vec![path];
    }
    let needle = format!("{module}::");
    let named = code.match_indices(&needle).filter(|(at, _)| {
        !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
    });
    let mut all: Vec<Vec<String>> = named
        .map(|(at, _)| {
            let rest = &code[at + needle.len()..];
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            vec![layers.clone(), module.clone(), rest[..end].to_owned()]
        })
        .collect();
    if all.is_empty() {
        all.push(path);
    }
    all
}

#[test]
fn rooms_import_only_lower_floors() {
    let mut bad = Vec::new();
    for file in files() {
        if file.path == "lib.rs" || file.path == "main.rs" {
            continue;
        }
        let segments: Vec<&str> = file.path.trim_end_matches(".rs").split('/').collect();
        let from = room(&segments);
        for path in crate_paths(&file.code)
            .into_iter()
            .flat_map(|p| uses(p, &file.code))
        {
            let mut names: Vec<&str> = path.iter().map(String::as_str).collect();
            // The layers are also re-exported at the root.
            if names
                .first()
                .is_some_and(|first| floor(first).is_none() && *first != "testing")
            {
                names.insert(0, "layers");
            }
            let to = room(&names);
            if to != from && !allowed(&from, &to, &path) {
                bad.push(format!("{}: crate::{}", file.path, path.join("::")));
            }
        }
    }
    assert!(
        bad.is_empty(),
        "imports that the floors forbid:\n{}",
        bad.join("\n")
    );
}

#[test]
fn rooms_form_no_circle() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files() {
        let segments: Vec<&str> = file.path.trim_end_matches(".rs").split('/').collect();
        let from = room(&segments);
        for path in crate_paths(&file.code) {
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            let to = room(&names);
            if to != from && floor(&to).is_some() && file.path != "lib.rs" {
                edges.entry(from.clone()).or_default().insert(to);
            }
        }
    }
    for start in edges.keys() {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(room) = next.pop() {
            for to in edges.get(&room).into_iter().flatten() {
                assert_ne!(to, start, "a circle through {start} and {room}");
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
    }
}

#[test]
fn the_rules_do_forbid() {
    let path = |p: &str| p.split("::").map(str::to_owned).collect::<Vec<_>>();
    for (from, to, name) in [
        ("base", "body", "body::Body"),
        (
            "layers/retry",
            "layers/deadline",
            "layers::deadline::Deadline",
        ),
        ("layers/route", "layers/retry", "layers::retry::RetryLayer"),
        ("config", "layers/retry", "layers::retry::service::Retry"),
        ("config", "proxy", "proxy::run"),
        ("proxy", "cli", "cli::main"),
        ("client", "config", "config::load"),
        ("client", "mesh", "mesh::Mesh"),
        ("mesh", "proxy", "proxy::Proxy"),
        ("stack", "client", "client::hyper::HyperClient"),
        (
            "layers/context",
            "layers/deadline",
            "layers::deadline::DeadlineLayer",
        ),
        ("layers/trace", "layers/context", "layers::context::current"),
        ("model", "layers/retry", "layers::retry::RetryLayer"),
    ] {
        assert!(!allowed(from, to, &path(name)), "{from} -> {name}");
    }
}
