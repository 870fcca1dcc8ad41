//! What every step of linking needs, and names that lead nowhere.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{hidden::Hidden, registry::Registry, rules::Rules};
use crate::{
    config::{
        diagnostic::{Place, Report, Severity},
        guard::Guard,
        istio::destination_rule::DestinationRule,
        options::Options,
        secrets::Secret,
    },
    layers::retry,
};

/// What every step of linking needs.
pub(super) struct Linker<'a> {
    pub(super) options: &'a Options,
    pub(super) report: &'a Report,
    pub(super) default_retry: &'a retry::params::Params,
    /// The caller's namespace.
    pub(super) namespace: String,
    pub(super) registry: Registry,
    pub(super) rules: Rules<'a>,
    pub(super) all_rules: &'a [DestinationRule],
    /// Hosts that a rule which was left out asks TLS for.
    pub(super) guards: &'a [Guard],
    /// Secret objects, by `namespace/name`.
    pub(super) secrets: &'a BTreeMap<String, Secret>,
    /// Those that a cluster needs.
    pub(super) used_secrets: RefCell<BTreeSet<String>>,
    /// Clusters that are spoken to in plain text although they wait for TLS, and where that is said.
    pub(super) exposed: RefCell<BTreeMap<Arc<str>, Place>>,
    /// What does not concern this caller.
    pub(super) hidden: Hidden,
    /// Whether some document could not be read: missing names are then no news.
    pub(super) incomplete: bool,
    /// Missing names already reported: once is enough.
    pub(super) told: RefCell<HashSet<(String, String)>>,
}

// === impl Linker ===

impl Linker<'_> {
    /// Whether a host is known; says so once if not: a note where nothing at all is loaded (a file checked alone), else a
    /// warning.
    pub(super) fn known_host(&self, host: &str, place: &Place) -> bool {
        if self.registry.services.contains_key(host) {
            return true;
        }
        let severity = if self.registry.services.is_empty() {
            Severity::Note
        } else {
            Severity::Warning
        };
        let (why, hint) = self.instead_of(host);
        let message =
            format!("{host} is not known: no Service or ServiceEntry of that name is loaded{why}");
        self.missing((host, ""), place, (severity, "unknown-host"), message, hint);
        false
    }

    /// Says once that requests to a host that is not known go nowhere. `idle`: there are none.
    pub(super) fn unreachable_host(&self, host: &str, place: &Place, idle: bool) {
        let (why, hint) = self.instead_of(host);
        let (severity, unserved) = unserved(idle);
        let message = format!(
            "{host} is not known, so {unserved}: no Service or ServiceEntry of that name is loaded{why}"
        );
        let told = if idle { "idle" } else { "requests" };
        let rule = (severity, "unknown-host");
        self.missing((host, told), place, rule, message, hint);
    }

    /// Reports a missing name, once, unless something could not be read: it may be defined there.
    pub(super) fn missing(
        &self,
        (host, what): (&str, &str),
        place: &Place,
        (severity, rule): (Severity, &'static str),
        message: String,
        hint: String,
    ) {
        let new = !self.incomplete
            && self
                .told
                .borrow_mut()
                .insert((host.to_owned(), what.to_owned()));
        if new {
            self.report.add(place, severity, rule, message, hint);
        }
    }
}

/// How much it matters that a destination does not exist, and what comes of it.
pub(super) fn unserved(idle: bool) -> (Severity, &'static str) {
    if idle {
        let none = "its requests would be answered 503 (NC); its weight is 0, so there are none";
        return (Severity::Note, none);
    }
    (Severity::Warning, "its requests are answered 503 (NC)")
}
