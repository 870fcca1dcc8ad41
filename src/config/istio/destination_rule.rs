//! DestinationRule.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    export_to,
    format::{LABELS, SELECTOR},
    traffic_policy::{self, TrafficPolicy},
};
use crate::config::{
    decode::Object,
    diagnostic::{Origin, Place},
    names,
};

/// A DestinationRule.
#[derive(Debug)]
pub(in crate::config) struct DestinationRule {
    pub(in crate::config) origin: Arc<Origin>,
    pub(in crate::config) place: Place,
    /// The full name, or a wildcard.
    pub(in crate::config) host: String,
    pub(in crate::config) policy: Option<TrafficPolicy>,
    pub(in crate::config) subsets: Vec<Subset>,
    pub(in crate::config) export_to: Vec<String>,
    /// The clients it is for; `None` is all.
    pub(in crate::config) clients: Option<BTreeMap<String, String>>,
}

/// Endpoints chosen by labels.
#[derive(Debug)]
pub(in crate::config) struct Subset {
    pub(in crate::config) name: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) labels: BTreeMap<String, String>,
    pub(in crate::config) policy: Option<TrafficPolicy>,
}

/// Reads `spec`.
pub(in crate::config) fn read(spec: &Object<'_>) -> Option<DestinationRule> {
    let policy = spec.get("trafficPolicy").map(|p| traffic_policy::read(&p));
    let subsets = subsets(spec);
    let export_to = export_to::read(spec, false);
    let clients = clients(spec, &export_to);
    let host = spec.require("host")?;
    let text = host.str()?;
    if let Err(why) = names::check_host(text) {
        host.error("bad-host", format!("{text:?}: {why}"), "");
        return None;
    }
    Some(DestinationRule {
        origin: Arc::clone(host.origin()),
        place: host.place(),
        host: names::fqdn(text, &host.origin().namespace),
        policy,
        subsets,
        export_to,
        clients,
    })
}

/// The labels of the clients it is for. Such a rule is not seen elsewhere.
fn clients(spec: &Object<'_>, export_to: &[String]) -> Option<BTreeMap<String, String>> {
    let selector = spec.get("workloadSelector")?;
    selector.check(&SELECTOR);
    let own = &selector.origin().namespace;
    if export_to.iter().any(|to| to != "." && to != own) {
        let message = "a rule for some workloads is not exported to other namespaces";
        selector.error(
            "export-of-selected",
            message,
            "write `exportTo: [\".\"]`, or leave it out",
        );
    }
    let labels = selector.step("matchLabels")?;
    let texts = labels.entries_of().into_iter();
    Some(
        texts
            .filter_map(|(key, value)| Some((key.to_owned(), value.str_quietly()?.to_owned())))
            .collect(),
    )
}

fn subsets(spec: &Object<'_>) -> Vec<Subset> {
    let mut subsets: Vec<Subset> = Vec::new();
    for field in spec.list("subsets") {
        let Some(object) = field.object() else {
            continue;
        };
        let labels = object.get("labels").map(|labels| {
            labels.check(&LABELS);
            labels.labels()
        });
        let policy = object
            .get("trafficPolicy")
            .map(|p| traffic_policy::read(&p));
        let Some((name, field)) = object.require("name").and_then(|f| Some((f.str()?, f))) else {
            continue;
        };
        if !names::is_dns_label(name) {
            let message = format!("{name:?} is no subset name");
            field.error("bad-name", message, "letters, digits and `-`");
        } else if let Some(first) = subsets.iter().find(|s| s.name == name) {
            let message = format!(
                "the subset `{name}` is already given in line {}",
                first.place.line
            );
            field.error("duplicate-subset", message, "keep one of the two");
        } else {
            subsets.push(Subset {
                name: name.to_owned(),
                place: field.place(),
                labels: labels.unwrap_or_default(),
                policy,
            });
        }
    }
    subsets
}
