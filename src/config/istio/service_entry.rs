//! ServiceEntry and WorkloadEntry.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    export_to,
    format::{self, CIDR, LABEL, PROTOCOL, UNIX, WORKLOAD_SELECTOR},
    workload::{self, Workload},
};
use crate::{
    config::{
        decode::{Field, Object},
        diagnostic::{Origin, Place, Severity},
        names,
    },
    model::{Protocol, tls::NameMatch},
};

/// A ServiceEntry.
#[derive(Debug)]
pub(in crate::config) struct ServiceEntry {
    pub(in crate::config) origin: Arc<Origin>,
    pub(in crate::config) hosts: Vec<(String, Place)>,
    pub(in crate::config) addresses: Vec<String>,
    /// The names of which a server's certificate must have one.
    pub(in crate::config) server_names: Vec<NameMatch>,
    pub(in crate::config) ports: Vec<ServicePort>,
    pub(in crate::config) resolution: Resolution,
    pub(in crate::config) endpoints: Vec<Workload>,
    pub(in crate::config) selector: Option<BTreeMap<String, String>>,
    pub(in crate::config) export_to: Vec<String>,
    /// Whether it is a part of the mesh (`location: MESH_INTERNAL`).
    pub(in crate::config) internal: bool,
}

/// How endpoints are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Resolution {
    None,
    Static,
    Dns,
    DnsRoundRobin,
    DynamicDns,
}

/// The words for them.
const RESOLUTIONS: [(&str, Resolution); 5] = [
    ("NONE", Resolution::None),
    ("STATIC", Resolution::Static),
    ("DNS", Resolution::Dns),
    ("DNS_ROUND_ROBIN", Resolution::DnsRoundRobin),
    ("DYNAMIC_DNS", Resolution::DynamicDns),
];

/// A port of a service.
#[derive(Clone, Debug)]
pub(in crate::config) struct ServicePort {
    pub(in crate::config) number: u16,
    pub(in crate::config) name: String,
    pub(in crate::config) target: Option<u16>,
    pub(in crate::config) protocol: PortProtocol,
    /// Whether it waits for TLS, by what it is declared as, its name or its number.
    pub(in crate::config) tls: bool,
    /// Whether it is declared as one that speaks HTTP, in so many words.
    pub(in crate::config) says_http: bool,
    pub(in crate::config) place: Place,
}

/// The port of HTTPS.
pub(in crate::config) const HTTPS: u16 = 443;

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum PortProtocol {
    Http(Protocol),
    /// HTTPS or TLS: the peer waits for a handshake.
    Tls,
    Other,
}

/// Reads `spec` of a ServiceEntry.
pub(in crate::config) fn read(spec: &Object<'_>) -> ServiceEntry {
    let resolution = spec
        .get("resolution")
        .and_then(|field| field.word(&RESOLUTIONS));
    let resolution = resolution.unwrap_or(Resolution::None);
    if resolution == Resolution::DynamicDns {
        let effect = "DYNAMIC_DNS gives no endpoints";
        spec.not_in_force("resolution", Severity::Warning, effect);
    }
    let location = spec
        .get("location")
        .and_then(|location| location.word(&[("MESH_EXTERNAL", false), ("MESH_INTERNAL", true)]));
    let names = spec.get("subjectAltNames").map(|names| names.strings());
    let names = names.unwrap_or_default().into_iter();
    spec.one_of(&["endpoints", "workloadSelector"]);
    let ports = ports(spec);
    let hosts = hosts(spec, resolution);
    check_protocols(spec, resolution, hosts.len());
    ServiceEntry {
        origin: Arc::clone(spec.field().origin()),
        hosts,
        addresses: addresses(spec, resolution),
        server_names: names
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, _)| NameMatch::parse(name))
            .collect(),
        endpoints: endpoints(spec, resolution, &ports),
        ports,
        resolution,
        selector: spec.get("workloadSelector").map(|selector| {
            selector.check(&WORKLOAD_SELECTOR);
            let labels = selector.step("labels").map(|labels| labels.entries_of());
            let texts = labels.unwrap_or_default().into_iter();
            texts
                .filter_map(|(key, value)| Some((key.to_owned(), value.str_quietly()?.to_owned())))
                .collect()
        }),
        export_to: export_to::read(spec, true),
        internal: location.unwrap_or_default(),
    }
}

fn hosts(spec: &Object<'_>, resolution: Resolution) -> Vec<(String, Place)> {
    let mut hosts = Vec::new();
    let Some(list) = spec.require("hosts") else {
        return hosts;
    };
    if list.is_empty_list() {
        list.error(
            "no-hosts",
            "`hosts` is empty",
            "name the hosts of the service",
        );
    }
    let resolved = matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin)
        && spec.field().given("endpoints").is_none();
    for (text, field) in list.strings() {
        if let Err(why) = names::check_host(text) {
            let hint = if format::is_ip(text) {
                "give the service a name, and the address under `addresses`"
            } else {
                ""
            };
            field.error("bad-host", format!("{text:?}: {why}"), hint);
        } else if text == "*" {
            let hint = "name the hosts, or use a wildcard such as *.example.com";
            field.error("bad-host", "`*` is every host there is", hint);
        } else if resolved && names::check_fqdn(text).is_err() {
            let message = format!("{text:?} is looked up in the DNS, and is no name there");
            let hint = "name a host, give `endpoints`, or use the resolution NONE";
            field.error("wildcard-dns", message, hint);
        } else {
            if text.starts_with('*') && !text.starts_with("*.") {
                let hint = "write `*.` and then a domain";
                field.warn("partial-wildcard", "a wildcard is a whole label", hint);
            }
            hosts.push((names::whole(text), field.place()));
        }
    }
    hosts
}

fn addresses(spec: &Object<'_>, resolution: Resolution) -> Vec<String> {
    let list = spec.get("addresses").map(|list| list.strings());
    let mut addresses = Vec::new();
    for (text, field) in list.unwrap_or_default() {
        if !CIDR.holds(text, &field) {
            continue;
        }
        if text.contains('/') && !matches!(resolution, Resolution::None | Resolution::Static) {
            let message = "a block of addresses is for the resolutions NONE and STATIC";
            field.error("bad-address", message, "give single addresses");
            continue;
        }
        addresses.push(text.to_owned());
    }
    addresses
}

fn ports(spec: &Object<'_>) -> Vec<ServicePort> {
    let mut ports: Vec<ServicePort> = Vec::new();
    for field in spec.list("ports") {
        let Some(object) = field.object() else {
            continue;
        };
        let name = object.require("name").and_then(|name| {
            let text = name.str()?;
            LABEL.holds(text, &name).then(|| text.to_owned())
        });
        let spoken = object.get("protocol").and_then(|field| {
            let text = field.str()?;
            PROTOCOL.holds(text, &field).then_some(text)
        });
        let target = object
            .get("targetPort")
            .filter(|target| target.int_quietly() != Some(0))
            .and_then(|target| target.port());
        let number = object.require("number").and_then(|number| number.port());
        let (Some(name), Some(number)) = (name, number) else {
            continue;
        };
        if ports.iter().any(|p| p.name == name || p.number == number) {
            let message = format!("port {number} or its name {name:?} is given twice");
            field.error("duplicate-port", message, "");
            continue;
        }
        let declared = spoken.map_or(PortProtocol::Http(Protocol::Http1), protocol);
        let by_name = is_named_tls(&name);
        let protocol = match declared {
            PortProtocol::Http(Protocol::Http1) | PortProtocol::Other if by_name => {
                PortProtocol::Tls
            }
            declared => declared,
        };
        let by_number = number == HTTPS || target == Some(HTTPS);
        ports.push(ServicePort {
            number,
            name,
            target,
            protocol,
            tls: protocol == PortProtocol::Tls || by_name || by_number,
            says_http: spoken.is_some_and(format::is_http),
            place: field.place(),
        });
    }
    ports
}

/// Hosts on one port are told apart by what HTTP and TLS say, or not at all.
fn check_protocols(spec: &Object<'_>, resolution: Resolution, hosts: usize) {
    if hosts < 2 || resolution == Resolution::None {
        return;
    }
    for port in spec.field().items("ports") {
        let protocol = port.peek_str(&["protocol"]).unwrap_or_default();
        if !format::is_http(protocol) && !format::is_tls(protocol) {
            let message = "several hosts share a port on which they cannot be told apart";
            let hint = "say that the port is HTTP, HTTPS or TLS, or write a ServiceEntry for each";
            port.error("hosts-on-plain-port", message, hint);
            return;
        }
    }
}

/// Whether a port's name says that it waits for TLS: `https`, `tls`, or one of them and a suffix.
fn is_named_tls(name: &str) -> bool {
    let prefix = name.split('-').next().unwrap_or_default();
    prefix.eq_ignore_ascii_case("https") || prefix.eq_ignore_ascii_case("tls")
}

/// A protocol by its Istio name, in any case; unknown ones are not HTTP.
pub(in crate::config) fn protocol(name: &str) -> PortProtocol {
    match name.to_ascii_uppercase().as_str() {
        "HTTP" | "" => PortProtocol::Http(Protocol::Http1),
        "HTTP2" | "GRPC" | "GRPC-WEB" => PortProtocol::Http(Protocol::Http2),
        "HTTPS" | "TLS" => PortProtocol::Tls,
        _ => PortProtocol::Other,
    }
}

fn endpoints(spec: &Object<'_>, resolution: Resolution, ports: &[ServicePort]) -> Vec<Workload> {
    let items = spec.list("endpoints");
    if let (Some(list), false) = (spec.get("endpoints"), items.is_empty()) {
        // A word that is not known has been reported.
        let known = |word| matches!(word, "NONE" | "DYNAMIC_DNS");
        match resolution {
            Resolution::None if !spec.field().peek_str(&["resolution"]).is_none_or(known) => {}
            Resolution::None | Resolution::DynamicDns => list.error(
                "endpoints-without-resolution",
                "with this resolution endpoints are not used",
                "set `resolution: STATIC` for addresses or DNS for names",
            ),
            Resolution::DnsRoundRobin if items.len() > 1 => list.error(
                "several-endpoints",
                "DNS_ROUND_ROBIN has one endpoint at most",
                "keep one of them, or use the resolution DNS",
            ),
            _ => {}
        }
    }
    let items = items.iter();
    items
        .filter_map(|item| endpoint(item, resolution, ports))
        .collect()
}

fn endpoint(field: &Field<'_>, resolution: Resolution, ports: &[ServicePort]) -> Option<Workload> {
    let workload = workload::read(&field.object()?);
    for (name, port) in field
        .step("ports")
        .map(|p| p.entries_of())
        .unwrap_or_default()
    {
        if !ports.iter().any(|port| port.name == name) {
            let message = format!("the service has no port named {name:?}");
            port.error("unknown-port", message, "name a port of `ports`");
        }
    }
    let workload = workload?;
    let place = field.step("address");
    let place = place.as_ref().unwrap_or(field);
    let address = &workload.address;
    if address.starts_with(UNIX) {
        if matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin) {
            let message = "a unix socket is not looked up in the DNS";
            place.error("bad-address", message, "use `resolution: STATIC`");
        } else if ports.len() != 1 {
            let message = "a unix socket is the endpoint of one port, and the service has another number of them";
            place.error("bad-address", message, "");
        }
        place.warn(
            "not-in-force",
            "unix sockets are valid but not in force in llmesh: this endpoint is left out",
            "",
        );
        return None;
    }
    if resolution == Resolution::Static && !format::is_ip(address) {
        let message = format!("{address:?} is no IP address, and the resolution is STATIC");
        let hint = "use an IP address, or `resolution: DNS`";
        place.error("bad-address", message, hint);
        return None;
    }
    Some(workload)
}
