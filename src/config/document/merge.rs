//! Merge keys: `<<: *defaults` adds what the mapping does not have itself.
//!
//! They are YAML 1.1's, and all that reads Kubernetes files takes them.

use std::collections::HashSet;

use super::tree::{Key, Node, Value};

const KEY: &str = "<<";

/// Takes the mappings to be merged out of a mapping's entries. What is no mapping stays, to be reported as the field that
/// it is.
pub(super) fn take(entries: &mut Vec<(Key, Node)>) -> Vec<Vec<(Key, Node)>> {
    if !entries.iter().any(|(key, _)| key.text == KEY) {
        return Vec::new();
    }
    let mut merged = Vec::new();
    for (key, node) in std::mem::take(entries) {
        match node.value {
            Value::Map(more) if key.text == KEY => merged.push(more),
            Value::Seq(all) if key.text == KEY && all.iter().all(is_map) => {
                merged.extend(all.into_iter().filter_map(|node| match node.value {
                    Value::Map(more) => Some(more),
                    _ => None,
                }));
            }
            value => entries.push((key, Node { value, ..node })),
        }
    }
    merged
}

/// Adds them: a mapping's own entries win, then those of earlier mappings.
pub(super) fn put(merged: Vec<Vec<(Key, Node)>>, entries: &mut Vec<(Key, Node)>) {
    if merged.is_empty() {
        return;
    }
    let mut have: HashSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
    for (key, node) in merged.into_iter().flatten() {
        if have.insert(key.text.clone()) {
            entries.push((key, node));
        }
    }
}

fn is_map(node: &Node) -> bool {
    matches!(node.value, Value::Map(_))
}
