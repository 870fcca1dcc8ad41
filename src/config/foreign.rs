//! What lies beside resources in a folder: templates, patches, values, files of other tools.
//!
//! Such files are told by their text, so that one that cannot be read stops nothing, and one that is ours and broken is
//! still an error.

use std::collections::BTreeSet;

use super::{
    document::{self, Document, Node, Value},
    marks::is_action,
    source::Source,
};

/// The name of a kustomization that has no extension.
pub(super) const KUSTOMIZATION: &str = "Kustomization";

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
