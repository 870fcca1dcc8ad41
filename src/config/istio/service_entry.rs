//! ServiceEntry and WorkloadEntry.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::virtual_service::export_to;
use crate::{
    config::{
        decode::{Field, Object},
        diagnostic::{Origin, Place, Severity},
        names,
    },
    model::Protocol,
};

/// A ServiceEntry.
#[derive(Debug)]
pub(in crate::config) struct ServiceEntry {
    pub(in crate::config) origin: Arc<Origin>,
    pub(in crate::config) hosts: Vec<(String, Place)>,
    pub(in crate::config) addresses: Vec<String>,
    pub(in crate::config) ports: Vec<ServicePort>,
    pub(in crate::config) resolution: Resolution,
    pub(in crate::config) endpoints: Vec<Workload>,
    pub(in crate::config) selector: Option<BTreeMap<String, String>>,
    pub(in crate::config) export_to: Vec<String>,
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

/// A port of a service.
#[derive(Clone, Debug)]
pub(in crate::config) struct ServicePort {
    pub(in crate::config) number: u16,
    pub(in crate::config) name: String,
    pub(in crate::config) target: Option<u16>,
    pub(in crate::config) protocol: PortProtocol,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum PortProtocol {
    Http(Protocol),
    Other,
}

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

/// Reads `spec` of a ServiceEntry.
pub(in crate::config) fn read(spec: &Object<'_>) -> ServiceEntry {
    let resolution = spec.get("resolution").and_then(|field| {
        field.word(&[
            ("NONE", Resolution::None),
            ("STATIC", Resolution::Static),
            ("DNS", Resolution::Dns),
            ("DNS_ROUND_ROBIN", Resolution::DnsRoundRobin),
            ("DYNAMIC_DNS", Resolution::DynamicDns),
        ])
    });
    let resolution = resolution.unwrap_or(Resolution::None);
    if resolution == Resolution::DynamicDns {
        spec.not_in_force(
            "resolution",
            Severity::Warning,
            "DYNAMIC_DNS gives no endpoints",
        );
    }
    if let Some(location) = spec.get("location") {
        location.word(&[("MESH_EXTERNAL", ()), ("MESH_INTERNAL", ())]);
    }
    spec.not_in_force(
        "subjectAltNames",
        Severity::Note,
        "there is no TLS to check",
    );
    let endpoints = spec.list("endpoints");
    if let Some(field) = spec.get("endpoints")
        && matches!(resolution, Resolution::None)
        && !endpoints.is_empty()
    {
        let hint = "set `resolution: STATIC` for addresses or DNS for names";
        field.error(
            "endpoints-without-resolution",
            "with resolution NONE endpoints are not used",
            hint,
        );
    }
    spec.one_of(&["endpoints", "workloadSelector"]);
    ServiceEntry {
        origin: Arc::clone(spec.field().origin()),
        hosts: hosts(spec),
        addresses: spec
            .get("addresses")
            .map(|a| a.strings().into_iter().map(|(s, _)| s.to_owned()).collect())
            .unwrap_or_default(),
        ports: ports(spec),
        resolution,
        endpoints: endpoints
            .iter()
            .filter_map(|e| endpoint(e, resolution))
            .collect(),
        selector: spec
            .object("workloadSelector")
            .and_then(|selector| selector.labels("labels")),
        export_to: export_to(spec),
    }
}

fn hosts(spec: &Object<'_>) -> Vec<(String, Place)> {
    let mut hosts = Vec::new();
    let Some(list) = spec.require("hosts") else {
        return hosts;
    };
    for (text, field) in list.strings() {
        match names::check_host(text) {
            Ok(()) if text == "*" => {
                let hint = "name the hosts, or use a wildcard such as *.example.com";
                field.error("bad-host", "`*` is every host there is", hint);
            }
            Ok(()) => hosts.push((text.to_ascii_lowercase(), field.place())),
            Err(why) => field.error("bad-host", format!("{text:?}: {why}"), ""),
        }
    }
    hosts
}

fn ports(spec: &Object<'_>) -> Vec<ServicePort> {
    let mut ports: Vec<ServicePort> = Vec::new();
    for field in spec.list("ports") {
        let Some(object) = field.object() else {
            continue;
        };
        let name = object.require("name").and_then(|name| {
            let text = name.str()?;
            if !names::is_dns_label(text) {
                name.error(
                    "bad-name",
                    format!("{text:?} is no port name"),
                    "letters, digits and `-`",
                );
                return None;
            }
            Some(text.to_owned())
        });
        let protocol = object
            .str("protocol")
            .map_or(PortProtocol::Http(Protocol::Http1), protocol);
        let target = object.get("targetPort").and_then(|target| target.port());
        let number = object.require("number").and_then(|number| number.port());
        let (Some(name), Some(number)) = (name, number) else {
            continue;
        };
        if ports.iter().any(|p| p.name == name || p.number == number) {
            let message = format!("port {number} or its name {name:?} is given twice");
            field.error("duplicate-port", message, "");
            continue;
        }
        ports.push(ServicePort {
            number,
            name,
            target,
            protocol,
        });
    }
    ports
}

/// A protocol by its Istio name, in any case; unknown ones are not HTTP.
pub(in crate::config) fn protocol(name: &str) -> PortProtocol {
    match name.to_ascii_uppercase().as_str() {
        "HTTP" | "" => PortProtocol::Http(Protocol::Http1),
        "HTTP2" | "GRPC" | "GRPC-WEB" => PortProtocol::Http(Protocol::Http2),
        _ => PortProtocol::Other,
    }
}

fn endpoint(field: &Field<'_>, resolution: Resolution) -> Option<Workload> {
    let workload = read_workload(&field.object()?)?;
    let place = field.step("address");
    let place = place.as_ref().unwrap_or(field);
    let address = &workload.address;
    let is_ip = address.parse::<IpAddr>().is_ok();
    if address.starts_with("unix://") {
        place.warn(
            "not-in-force",
            "unix sockets are valid but not in force in llmesh: this endpoint is left out",
            "",
        );
        return None;
    }
    if !is_ip && resolution == Resolution::Static {
        let message = format!("{address:?} is no IP address, and the resolution is STATIC");
        place.error(
            "bad-address",
            message,
            "use an IP address, or `resolution: DNS`",
        );
        return None;
    }
    if !is_ip && let Err(why) = names::check_host(address) {
        place.error("bad-address", format!("{address:?}: {why}"), "");
        return None;
    }
    Some(workload)
}

/// Reads a WorkloadEntry's fields.
pub(in crate::config) fn read_workload(object: &Object<'_>) -> Option<Workload> {
    let mut ports = BTreeMap::new();
    for (name, field) in object.get("ports").map(|p| p.entries()).unwrap_or_default() {
        if let Some(port) = field.port() {
            ports.insert(name.to_owned(), port);
        }
    }
    object.not_in_force(
        "network",
        Severity::Note,
        "all endpoints are dialled directly",
    );
    let workload = Workload {
        origin: Arc::clone(object.field().origin()),
        ports,
        labels: object.labels("labels").unwrap_or_default(),
        locality: object.str("locality").map(str::to_owned),
        weight: object
            .get("weight")
            .map_or(Some(1), |weight| weight.u32())?,
        service_account: object.str("serviceAccount").map(str::to_owned),
        address: String::new(),
    };
    let address = object.require("address")?.str()?.to_owned();
    Some(Workload {
        address,
        ..workload
    })
}
