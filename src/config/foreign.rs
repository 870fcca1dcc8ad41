//! What lies beside resources in a folder: templates, patches, values, files of other tools.
//!
//! Such files are told by their text, so that one that cannot be read stops nothing, and one that is ours and broken is
//! still an error.

use std::{borrow::Cow, collections::BTreeSet};

use super::{
    Source,
    document::{self, Document, Node, Value},
    kinds,
};

/// The name of a kustomization that has no extension.
pub(super) const KUSTOMIZATION: &str = "Kustomization";

/// Words that begin an action of Go's templates, besides `.` and `$`.
const ACTIONS: [&str; 18] = [
    "include", "template", "tpl", "if", "else", "end", "range", "with", "define", "block",
    "toYaml", "toJson", "quote", "printf", "default", "required", "lookup", "ternary",
];

/// Whether a text, however broken, shows a resource that would be read: by its `apiVersion`, and by its kind where all of
/// Kubernetes shares the version.
pub(super) fn names_mesh(text: &str) -> bool {
    let lines = || {
        text.lines()
            .filter(|line| !line.trim_start().starts_with('#'))
    };
    let mut versions = lines().flat_map(|line| values(line, "apiVersion"));
    let mut kinds = lines().flat_map(|line| values(line, "kind"));
    let shared = |version: &str| version == "v1" || version.starts_with("discovery.k8s.io/");
    versions.clone().any(kinds::is_known_group)
        || (versions.any(shared) && kinds.any(|kind| matches!(kind, "Service" | "EndpointSlice")))
}

/// The words that stand after a key in a line.
pub(super) fn values<'t>(line: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> + Clone {
    line.match_indices(key).map(move |(at, _)| {
        let rest = line[at + key.len()..].trim_start_matches(['"', '\'', ':', ' ', '\t']);
        let end = rest.find(['"', '\'', ' ', '\t', ',', '}', '\r']);
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// The value that stands after a key in a line, blanks in it included.
pub(super) fn rest_after<'t>(line: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    line.match_indices(key).filter_map(move |(at, _)| {
        let rest = line[at + key.len()..].trim_start_matches(['"', '\'']);
        let value = rest.strip_prefix(':')?.trim_start();
        let value = match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].split(quote).next()?,
            _ => value.split([',', '#']).next()?,
        };
        Some(
            value
                .trim_end_matches(['}', ' ', '\t', '\r'])
                .trim_end_matches('"'),
        )
    })
}

/// A host whose beginning is still to be filled in, as the wildcard that it will be one of; any other as it is.
pub(super) fn without_placeholder(host: &str) -> Cow<'_, str> {
    let ends = ["}}", "%}", "%>", "}", ")"];
    let end = ends
        .iter()
        .filter_map(|end| Some(host.rfind(end)? + end.len()));
    match end.max().map(|end| &host[end..]) {
        Some(rest) if rest.starts_with('.') && has_placeholder(host) => {
            Cow::Owned(format!("*{rest}"))
        }
        _ => Cow::Borrowed(host),
    }
}

/// Whether a text that is no YAML has the marks of a template: `{{ … }}` (Helm, Go) or `{% … %}` (Jinja).
pub(super) fn is_template(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start();
        !line.starts_with('#')
            && (is_action(line)
                || bare_braces(line)
                || (line.contains("{%") && line.contains("%}")))
    })
}

/// Whether a document's own names and values are yet to be filled in by Helm or its like. Free text is left out of account:
/// annotations, the containers of pods and bodies hold templates of other tools.
pub(super) fn is_templated(root: &Node) -> bool {
    match &root.value {
        Value::Str(text) => is_action(text),
        Value::Seq(items) => items.iter().any(is_templated),
        Value::Map(entries) => entries.iter().any(|(key, node)| {
            let free = matches!(
                key.text.as_str(),
                "annotations"
                    | "containers"
                    | "initContainers"
                    | "volumes"
                    | "body"
                    | "data"
                    | "stringData"
            );
            !free && (is_action(&key.text) || is_templated(node))
        }),
        _ => false,
    }
}

/// Whether a text has a place to be filled in: by a template, by `envsubst` or by kustomize.
pub(super) fn has_placeholder(text: &str) -> bool {
    let braced = |open: &str, close: char| {
        text.match_indices(open).any(|(at, _)| {
            let rest = &text[at + open.len()..];
            let name = rest.split(close).next().unwrap_or_default();
            name.len() < rest.len()
                && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        })
    };
    text.contains("{{")
        || text.contains("{%")
        || text.contains("<%")
        || braced("${", '}')
        || braced("$(", ')')
}

/// Whether a text holds an action of a Go template.
fn is_action(text: &str) -> bool {
    text.match_indices("{{").any(|(at, _)| {
        let action = text[at + 2..].trim_start_matches('-').trim_start();
        let word = |word: &&str| {
            let rest = action.strip_prefix(*word);
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with([' ', '\t', '}', '-', '"', '('])
            })
        };
        action.starts_with(['$', '/']) || names_field(action) || ACTIONS.iter().any(word)
    })
}

/// `.Values.x`, or `.` alone.
fn names_field(action: &str) -> bool {
    action.strip_prefix('.').is_some_and(|rest| {
        rest.trim_start().starts_with(['}', '|', '-'])
            || rest.starts_with(|c: char| c.is_ascii_alphabetic())
    })
}

/// `{{ name }}` outside of quotes.
fn bare_braces(line: &str) -> bool {
    line.match_indices("{{").any(|(at, _)| {
        let before = &line[..at];
        let closed = |quote: char| before.matches(quote).count().is_multiple_of(2);
        closed('"') && closed('\'') && line[at..].contains("}}")
    })
}

/// The files that kustomizations among the sources name as patches, by normalised name.
pub(super) fn patches(sources: &[Source]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for source in sources {
        let (folder, file) = source.name.rsplit_once('/').unwrap_or(("", &source.name));
        if !matches!(
            file,
            "kustomization.yaml" | "kustomization.yml" | KUSTOMIZATION
        ) {
            continue;
        }
        for root in document::parse(&source.text)
            .iter()
            .filter_map(|d: &Document| d.root.as_ref())
        {
            all.extend(patches_of(root).map(|path| normal(&format!("{folder}/{path}"))));
        }
    }
    all
}

/// Whether a document says of a part of it how it is to be patched in.
pub(super) fn is_patch(root: &Node) -> bool {
    match &root.value {
        Value::Seq(items) => items.iter().any(is_patch),
        Value::Map(entries) => entries
            .iter()
            .any(|(key, node)| key.text == "$patch" || is_patch(node)),
        _ => false,
    }
}

fn patches_of(root: &Node) -> impl Iterator<Item = &str> {
    let lists = ["patches", "patchesStrategicMerge", "patchesJson6902"];
    let items = lists
        .into_iter()
        .filter_map(|name| match &root.get(name)?.value {
            Value::Seq(items) => Some(items),
            _ => None,
        });
    items.flatten().filter_map(|item| match &item.value {
        Value::Str(path) => Some(path.as_str()),
        _ => item.get("path")?.as_str(),
    })
}

/// A path without `.` and `..`, as far as that can be told from its text.
pub(super) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            "" if !parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, "" | "..")) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_resources_are_known_by_their_text() {
        for ours in [
            "apiVersion: networking.istio.io/v1\nkind: [",
            "apiVersion networking.istio.io/v1\n",
            "{\"kind\": \"x\", \"apiVersion\":\"security.istio.io/v1\", \"a\": [",
            "- apiVersion: \"llmesh.io/v1alpha1\"\n  kind: 'x",
            "apiVersion: v1\nkind: Service\nspec: {",
            "apiVersion: discovery.k8s.io/v1\r\nkind: EndpointSlice\r\nports: [",
        ] {
            assert!(names_mesh(ours), "{ours}");
        }
        for other in [
            "",
            "# apiVersion: networking.istio.io/v1\na: [",
            "apiVersion: v1\nkind: ConfigMap\ndata: {",
            "apiVersion: apiextensions.k8s.io/v1\nspec: {group: networking.istio.io, kind: {",
            "host: networking.istio.io/v1\n",
            "apiVersion: apps/v1\nkind: Service\n: [",
        ] {
            assert!(!names_mesh(other), "{other}");
        }
    }

    #[test]
    fn templates_are_known_by_their_marks() {
        for template in [
            "{{- if .Values.on }}\na: 1\n{{- end }}",
            "a: {{ include \"x\" . }}",
            "a: \"{{ include \"x\" . }}\"",
            "a:\n  {{- toYaml .Values.b | nindent 2 }}",
            "host: {{ name }}",
            "{% if on %}\na: 1",
            "{{/* a comment */}}",
            "a: {{ . }}",
        ] {
            assert!(is_template(template), "{template}");
        }
        for other in [
            "a: [",
            "# {{ .Values.a }}\na: [",
            "a: \"{{b}}\" [",
            "a: {b: {c: d}} }",
        ] {
            assert!(!is_template(other), "{other}");
        }
    }

    #[test]
    fn placeholders_are_known() {
        for there in ["${HOST}", "a-${b_c}-d", "$(NAME)", "{{ x }}", "<%= x %>"] {
            assert!(has_placeholder(there), "{there}");
        }
        for none in ["$1", "${}", "${", "%REQ(x)%", "^/a$", "$(", "(a|b)$"] {
            assert!(!has_placeholder(none), "{none}");
        }
    }

    #[test]
    fn patches_are_found_through_kustomizations() {
        let text = "resources: [vs.yaml]\npatches:\n- path: ../p/one.yaml\n- patch: '- op: remove'\npatchesStrategicMerge:\n- two.yaml\n- |\n  a: 1\npatchesJson6902:\n- {path: ./three.yaml}\n";
        let found = patches(&[
            Source::new("k/overlay/kustomization.yaml", text),
            Source::new("other.yaml", text),
        ]);
        for name in ["k/p/one.yaml", "k/overlay/two.yaml", "k/overlay/three.yaml"] {
            assert!(found.contains(name), "{name}: {found:?}");
        }
        assert!(!found.contains("k/overlay/vs.yaml"));
    }

    #[test]
    fn paths_are_normalised() {
        for (path, normalised) in [
            ("/a/./b/../c.yaml", "/a/c.yaml"),
            ("../a//b.yaml", "../a/b.yaml"),
            ("./a.yaml", "a.yaml"),
            ("a/../../b", "../b"),
        ] {
            assert_eq!(normal(path), normalised);
        }
    }
}
