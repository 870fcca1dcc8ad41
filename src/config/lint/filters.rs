//! Rate limits that EnvoyFilters set.

use crate::config::{
    decode::Field,
    diagnostic::Place,
    document::{Node, Value},
};

/// What EnvoyFilters say of global rate limits.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) limits: Vec<GlobalLimit>,
    /// Clusters that patches add.
    pub(super) clusters: Vec<String>,
    /// Whether any patch says what is counted.
    pub(super) actions: bool,
}

/// A filter that asks a rate limit service.
#[derive(Debug)]
pub(super) struct GlobalLimit {
    pub(super) place: Place,
    /// The cluster of the service.
    pub(super) cluster: Option<String>,
    /// Whether a `timeout` is given where it has no effect, and none where it has.
    pub(super) vain_timeout: bool,
}

// === impl Filters ===

impl Filters {
    pub(super) fn read(&mut self, spec: &Field<'_>) {
        for patch in spec.items("configPatches") {
            let Some(value) = patch.step("patch").and_then(|p| p.step("value")) else {
                continue;
            };
            let node = value.peek(&[]);
            self.actions |= node.is_some_and(|node| find(node, "rate_limits").is_some());
            if patch.peek_str(&["applyTo"]) == Some("CLUSTER") {
                let name = value.peek_str(&["name"]);
                self.clusters.extend(name.map(str::to_owned));
            }
            if value.peek_str(&["name"]) == Some("envoy.filters.http.ratelimit") {
                let service = node.and_then(|node| find(node, "rate_limit_service"));
                let text = |node: &Node| node.as_str().map(str::to_owned);
                let config = value.peek(&["typed_config"]);
                self.limits.push(GlobalLimit {
                    place: value.place(),
                    cluster: service
                        .and_then(|service| find(service, "cluster_name"))
                        .and_then(text),
                    vain_timeout: service.is_some_and(|s| find(s, "timeout").is_some())
                        && config.is_some_and(|config| config.get("timeout").is_none()),
                });
            }
        }
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.limits.append(&mut other.limits);
        self.clusters.append(&mut other.clusters);
        self.actions |= other.actions;
    }
}

/// The first value under a key, however deep.
fn find<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Map(entries) => entries.iter().find_map(|(key, value)| {
            if key.text == name {
                return Some(value);
            }
            find(value, name)
        }),
        Value::Seq(items) => items.iter().find_map(|item| find(item, name)),
        _ => None,
    }
}
