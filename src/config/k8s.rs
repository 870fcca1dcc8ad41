//! Kubernetes kinds, as far as they say where services run.
//!
//! A Service gives a host, ports and a selector; a Deployment or Pod gives labels and the service account; an
//! EndpointSlice gives addresses. Other fields are Kubernetes' own business and are not looked at.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    decode::{Field, Object},
    diagnostic::{Origin, Place},
    istio::service_entry::{HTTPS, PortProtocol, ServicePort, protocol},
    names,
};
use crate::model::Protocol;

/// A Service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) origin: Arc<Origin>,
    pub(super) place: Place,
    pub(super) cluster_ips: Vec<String>,
    pub(super) external_name: Option<String>,
    pub(super) selector: Option<BTreeMap<String, String>>,
    pub(super) ports: Vec<ServicePort>,
}

/// A Pod, or the pods of a Deployment and its like.
#[derive(Debug)]
pub(super) struct PodTemplate {
    pub(super) origin: Arc<Origin>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) service_account: String,
}

/// An EndpointSlice.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) origin: Arc<Origin>,
    pub(super) service: Option<String>,
    pub(super) ports: Vec<(String, u16)>,
    pub(super) endpoints: Vec<SliceEndpoint>,
}

/// A ready endpoint of a slice.
#[derive(Debug)]
pub(super) struct SliceEndpoint {
    pub(super) addresses: Vec<String>,
    pub(super) pod: Option<String>,
    pub(super) zone: Option<String>,
}

/// Reads a Service.
pub(super) fn service(root: &Object<'_>) -> Option<Service> {
    let spec = root.object("spec")?.lenient();
    let mut cluster_ips: Vec<String> = Vec::new();
    if let Some(ips) = spec.get("clusterIPs") {
        cluster_ips.extend(ips.strings().into_iter().map(|(ip, _)| ip.to_owned()));
    } else if let Some(ip) = spec.str("clusterIP") {
        cluster_ips.push(ip.to_owned());
    }
    cluster_ips.retain(|ip| ip != "None" && !ip.is_empty());
    Some(Service {
        origin: Arc::clone(root.field().origin()),
        place: root.place(),
        cluster_ips,
        external_name: spec
            .str("externalName")
            .filter(|name| spec.str("type") == Some("ExternalName") && !name.is_empty())
            .map(names::whole),
        selector: spec.labels("selector"),
        ports: spec.list("ports").iter().filter_map(service_port).collect(),
    })
}

fn service_port(field: &Field<'_>) -> Option<ServicePort> {
    let port = field.object()?.lenient();
    let name = port.str("name").unwrap_or_default();
    if port
        .str("protocol")
        .is_some_and(|transport| transport != "TCP")
    {
        return None;
    }
    let (protocol, said) = match port.str("appProtocol") {
        Some("kubernetes.io/h2c") => (PortProtocol::Http(Protocol::Http2), true),
        Some(app) => (protocol(app), true),
        None => by_name(name),
    };
    // A named target port is the pods' matter; EndpointSlices give its number.
    let target = port
        .get("targetPort")
        .filter(|target| target.str_quietly().is_none())
        .and_then(|target| target.port());
    let number = port.require("port")?.port()?;
    // The number of a service's port is of its own choosing: a word of the protocol goes before it.
    let by_number = target == Some(HTTPS) || (number == HTTPS && !said);
    Some(ServicePort {
        number,
        name: name.to_owned(),
        target,
        protocol,
        tls: protocol == PortProtocol::Tls || by_number,
        says_http: said && matches!(protocol, PortProtocol::Http(_)),
        place: field.place(),
    })
}

/// Istio's naming rule, `<protocol>[-<suffix>]`, and whether a name follows it; any other name means: look at the bytes,
/// which is HTTP here.
fn by_name(name: &str) -> (PortProtocol, bool) {
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("grpc-web") {
        return (protocol("grpc-web"), true);
    }
    let prefix = lower.split('-').next().unwrap_or_default();
    match prefix {
        "http" | "http2" | "grpc" | "https" | "tls" | "tcp" | "udp" | "mongo" | "mysql"
        | "redis" => (protocol(prefix), true),
        _ => (PortProtocol::Http(Protocol::Http1), false),
    }
}

/// Reads the pods of a Deployment, StatefulSet, DaemonSet or ReplicaSet.
pub(super) fn template(root: &Object<'_>) -> Option<PodTemplate> {
    let spec = root.object("spec")?.lenient();
    let template = spec.object("template")?.lenient();
    Some(pods(root, &template))
}

/// Reads a Pod.
pub(super) fn pod(root: &Object<'_>) -> PodTemplate {
    pods(root, root)
}

fn pods(root: &Object<'_>, pod: &Object<'_>) -> PodTemplate {
    let metadata = pod.object("metadata").map(Object::lenient);
    let spec = pod.object("spec").map(Object::lenient);
    PodTemplate {
        origin: Arc::clone(root.field().origin()),
        labels: metadata
            .and_then(|metadata| metadata.labels("labels"))
            .unwrap_or_default(),
        service_account: spec
            .and_then(|spec| spec.str("serviceAccountName"))
            .unwrap_or("default")
            .to_owned(),
    }
}

/// Reads an EndpointSlice.
pub(super) fn slice(root: &Object<'_>) -> Slice {
    let service = root
        .field()
        .peek_str(&["metadata", "labels", "kubernetes.io/service-name"]);
    let ports = root.list("ports").into_iter().filter_map(|field| {
        let port = field.object()?.lenient();
        let name = port.str("name").unwrap_or_default().to_owned();
        Some((name, port.get("port")?.port()?))
    });
    let endpoints = root.list("endpoints").into_iter().filter_map(|field| {
        let endpoint = field.object()?.lenient();
        let ready = endpoint
            .object("conditions")
            .map(Object::lenient)
            .and_then(|conditions| conditions.bool("ready"));
        if ready == Some(false) {
            return None;
        }
        let addresses = endpoint.get("addresses")?.strings();
        Some(SliceEndpoint {
            addresses: addresses.into_iter().map(|(a, _)| a.to_owned()).collect(),
            pod: field.peek_str(&["targetRef", "name"]).map(str::to_owned),
            zone: endpoint.str("zone").map(str::to_owned),
        })
    });
    Slice {
        origin: Arc::clone(root.field().origin()),
        service: service.map(str::to_owned),
        ports: ports.collect(),
        endpoints: endpoints.collect(),
    }
}

// === impl PodTemplate ===

impl PodTemplate {
    /// Whether a pod of this name is one of these: `<deployment>-<hash>-<hash>`, `<statefulset>-<n>` or the pod itself.
    pub(super) fn owns(&self, pod: &str) -> bool {
        let owner = match self.origin.kind.as_str() {
            "Pod" => Some(pod),
            "Deployment" => pod
                .rsplit_once('-')
                .and_then(|(rest, _)| rest.rsplit_once('-'))
                .map(|(owner, _)| owner),
            _ => pod.rsplit_once('-').map(|(owner, _)| owner),
        };
        owner == Some(self.origin.name.as_str())
    }
}
