//! `tcp` and `tls` routes of a VirtualService (Istio semantics 1): not in force, and checked.

use super::{
    extras::DESTINATION,
    format::{self, CIDR, GATEWAY, LABEL_OR_EMPTY, LABELS},
};
use crate::config::{
    decode::{
        Field, Object,
        shape::{COUNT, Fields, Rule, Shape},
    },
    diagnostic::Severity,
    names,
};

const SUBNETS: Shape = Shape::List(&Shape::Text(&CIDR));
const PORT: Shape = Shape::Int(0, 65_535);

static TCP: Shape = Shape::List(&Shape::Object(&Fields {
    fields: &[
        ("match", Shape::List(&TCP_MATCH)),
        ("route", Shape::List(&WEIGHTED)),
    ],
    rules: &[Rule::All(&["route"]), Rule::Check(check_weights)],
}));

static TLS: Shape = Shape::List(&Shape::Object(&Fields {
    fields: &[
        ("match", Shape::List(&TLS_MATCH)),
        ("route", Shape::List(&WEIGHTED)),
    ],
    rules: &[Rule::All(&["match", "route"]), Rule::Check(check_weights)],
}));

static TCP_MATCH: Shape = Shape::Object(&Fields {
    fields: &[
        ("destinationSubnets", SUBNETS),
        ("port", PORT),
        ("sourceSubnet", Shape::Str),
        ("sourceLabels", LABELS),
        ("gateways", Shape::List(&Shape::Text(&GATEWAY))),
        ("sourceNamespace", Shape::Text(&LABEL_OR_EMPTY)),
    ],
    rules: &[],
});

static TLS_MATCH: Shape = Shape::Object(&Fields {
    fields: &[
        ("sniHosts", Shape::List(&Shape::Str)),
        ("destinationSubnets", SUBNETS),
        ("port", PORT),
        ("sourceLabels", LABELS),
        ("gateways", Shape::List(&Shape::Text(&GATEWAY))),
        ("sourceNamespace", Shape::Text(&LABEL_OR_EMPTY)),
    ],
    rules: &[Rule::All(&["sniHosts"])],
});

static WEIGHTED: Shape = Shape::Object(&Fields {
    fields: &[("destination", DESTINATION), ("weight", COUNT)],
    rules: &[Rule::All(&["destination"])],
});

/// Checks both, and says that they have no effect.
pub(super) fn check(spec: &Object<'_>) {
    for (name, shape, effect) in [
        ("tls", &TLS, "TLS routes are left out"),
        ("tcp", &TCP, "TCP routes are left out"),
    ] {
        if let Some(field) = spec.get(name) {
            field.check(shape);
            spec.not_in_force(name, Severity::Note, effect);
        }
    }
    let hosts = spec.field().texts("hosts");
    for route in spec.field().items("tls") {
        for matched in route.items("match") {
            for (name, field) in matched.texts("sniHosts") {
                check_sni(name, &field, &hosts);
            }
        }
    }
}

/// Whether a name is one that a gateway between networks makes of a cluster's.
pub(super) fn is_generated(text: &str) -> bool {
    text.strip_prefix("outbound_.")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn check_sni(name: &str, field: &Field<'_>, hosts: &[(&str, Field<'_>)]) {
    if let Err(why) = names::check_host(name)
        && !is_generated(name)
    {
        if format::is_ip(name) {
            let message = "an address is no server name: most clients send none for it";
            field.warn("sni-address", message, "");
        } else {
            field.error("bad-host", format!("{name:?}: {why}"), "");
        }
        return;
    }
    let within = |host: &str| {
        host == name
            || (host.starts_with('*') && name.len() >= host.len() && name.ends_with(&host[1..]))
    };
    if !hosts.iter().any(|(host, _)| within(host)) {
        let message = format!("{name:?} is none of this VirtualService's hosts");
        field.error(
            "sni-host",
            message,
            "add it to `hosts`, or a wildcard that covers it",
        );
    }
}

fn check_weights(route: &Field<'_>) {
    let items = route.items("route");
    let weight = |item: &Field<'_>| item.step("weight").and_then(|weight| weight.int_quietly());
    if items.len() > 1
        && items
            .iter()
            .all(|item| weight(item).unwrap_or_default() == 0)
    {
        let message = "the weights of all destinations are 0";
        route.error("zero-weights", message, "give each its share");
    }
}
