//! What a text that may be no YAML shows by its marks: a resource of the mesh, a template, a place to be filled in.

use std::borrow::Cow;

use super::groups;

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
    versions.clone().any(groups::is_known_group)
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
pub(super) fn is_action(text: &str) -> bool {
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
}
