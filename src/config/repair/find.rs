//! Places in documents, found again by what a finding says of them.

use super::edit::{Edit, line};
use crate::config::{
    diagnostic::Diagnostic,
    document::{Document, Node, Value},
    names,
};

fn roots(documents: &[Document]) -> impl Iterator<Item = &Node> {
    documents
        .iter()
        .filter_map(|document| document.root.as_ref())
}

/// The mapping under a key that stands where a finding is.
pub(super) fn mapping<'n>(
    documents: &'n [Document],
    key: &str,
    at: &Diagnostic,
) -> Option<&'n Node> {
    roots(documents).find_map(|root| {
        below(root, &|node| {
            let Value::Map(entries) = &node.value else {
                return None;
            };
            let mut entries = entries.iter();
            let here =
                |k: &crate::config::document::Key| (k.line, k.column) == (at.line, at.column);
            let (_, value) = entries.find(|(k, _)| k.text == key && here(k))?;
            Some(value)
        })
    })
}

/// The item of a list that begins where a finding is.
pub(super) fn item<'n>(documents: &'n [Document], at: &Diagnostic) -> Option<&'n Node> {
    roots(documents).find_map(|root| {
        below(root, &|node| {
            let Value::Seq(items) = &node.value else {
                return None;
            };
            items
                .iter()
                .find(|item| (item.line, item.column) == (at.line, at.column))
        })
    })
}

fn below<'n>(node: &'n Node, wanted: &impl Fn(&'n Node) -> Option<&'n Node>) -> Option<&'n Node> {
    wanted(node).or_else(|| match &node.value {
        Value::Map(entries) => entries.iter().find_map(|(_, value)| below(value, wanted)),
        Value::Seq(items) => items.iter().find_map(|item| below(item, wanted)),
        _ => None,
    })
}

/// The namespace in `Kind namespace/name`.
pub(super) fn namespace(resource: &str) -> Option<&str> {
    let (_, name) = resource.split_once(' ')?;
    name.split_once('/').map(|(namespace, _)| namespace)
}

/// The top-level `trafficPolicy` of a host's DestinationRule, and the source that it is in.
pub(super) fn traffic_policy<'n>(
    sources: &'n [Vec<Document>],
    host: &str,
    namespace: &str,
) -> Option<(usize, &'n Node)> {
    let wanted = names::fqdn(host, namespace);
    let all = sources.iter().enumerate();
    let mut all =
        all.flat_map(|(source, documents)| roots(documents).map(move |root| (source, root)));
    all.find_map(|(source, root)| {
        let spec = root.get("spec")?;
        let own = root
            .get("metadata")
            .and_then(|m| m.get("namespace"))
            .and_then(Node::as_str);
        let host = names::fqdn(spec.get("host")?.as_str()?, own.unwrap_or(namespace));
        let kind = root.get("kind")?.as_str()?;
        let policy = spec.get("trafficPolicy")?;
        (kind == "DestinationRule" && host == wanted).then_some((source, policy))
    })
}

/// A first child of a mapping that has others: in a line of its own, or before them in braces.
pub(super) fn child(text: &str, mapping: &Node, insert: &str) -> Option<Edit> {
    let Value::Map(entries) = &mapping.value else {
        return None;
    };
    let (first, _) = entries.first()?;
    let skip = usize::try_from(first.column).ok()?.checked_sub(1)?;
    let before: String = line(text, first.line)?.chars().take(skip).collect();
    let insert = if before.chars().all(|c| c == ' ') {
        format!("{insert}\n{before}")
    } else if before.trim_end().ends_with('{') {
        format!("{insert}, ")
    } else {
        return None;
    };
    Some(Edit {
        line: first.line,
        column: first.column,
        remove: 0,
        insert,
    })
}
