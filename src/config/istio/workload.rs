//! WorkloadEntry, alone or as an endpoint of a ServiceEntry.

use std::{collections::BTreeMap, sync::Arc};

use super::format::{self, LABEL, LABELS, UNIX};
use crate::config::{
    decode::{Field, Object},
    diagnostic::{Origin, Severity},
    names,
};

/// A WorkloadEntry, alone or as an endpoint.
#[derive(Clone, Debug)]
pub(in crate::config) struct Workload {
    pub(in crate::config) origin: Arc<Origin>,
    pub(in crate::config) address: String,
    pub(in crate::config) ports: BTreeMap<String, u16>,
    pub(in crate::config) labels: BTreeMap<String, String>,
    pub(in crate::config) locality: Option<String>,
    pub(in crate::config) weight: u32,
    pub(in crate::config) service_account: Option<String>,
}

/// Reads its fields. `None` if it has no address that can be used.
pub(in crate::config) fn read(object: &Object<'_>) -> Option<Workload> {
    object.not_in_force(
        "network",
        Severity::Note,
        "all endpoints are dialled directly",
    );
    let ports = ports(object);
    let labels = object.get("labels").map(|labels| {
        labels.check(&LABELS);
        labels.labels()
    });
    let locality = object.str("locality").map(str::to_owned);
    let weight = object.get("weight").map_or(Some(1), |weight| weight.u32());
    let service_account = object.str("serviceAccount").map(str::to_owned);
    let address = address(object, ports.is_empty())?;
    Some(Workload {
        origin: Arc::clone(object.field().origin()),
        address,
        ports,
        labels: labels.unwrap_or_default(),
        locality,
        weight: weight?,
        service_account,
    })
}

fn ports(object: &Object<'_>) -> BTreeMap<String, u16> {
    let mut ports = BTreeMap::new();
    let entries = object.get("ports").map(|ports| ports.entries());
    for (name, field) in entries.unwrap_or_default() {
        if let (true, Some(port)) = (LABEL.holds(name, &field), field.port()) {
            ports.insert(name.to_owned(), port);
        }
    }
    ports
}

fn address(object: &Object<'_>, no_ports: bool) -> Option<String> {
    let given = |field: &Field<'_>| field.str_quietly() != Some("");
    let Some(field) = object.get("address").filter(given) else {
        if object.field().given("network").is_some() {
            let message = "without an address it is reached through its network's gateway, which llmesh does not use: it is left out";
            object
                .field()
                .warn("not-in-force", message, "give `address`");
        } else {
            let message = "`address` is missing";
            object.field().error("missing-field", message, "");
        }
        return None;
    };
    let text = field.str()?;
    let checked = match text.strip_prefix(UNIX) {
        Some(_) if !no_ports => Err("a unix socket has no ports"),
        Some(path) => format::check_unix(path),
        None if format::is_ip(text) => Ok(()),
        None => names::check_fqdn(text),
    };
    if let Err(why) = checked {
        field.error("bad-address", format!("{text:?}: {why}"), "");
        return None;
    }
    Some(text.to_owned())
}
