//! Labels and what selects by them.

use std::collections::BTreeMap;

/// Whether `labels` has everything in `wanted`.
pub(in crate::config) fn contains(
    labels: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}
