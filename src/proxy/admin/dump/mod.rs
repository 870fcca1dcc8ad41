//! `/config_dump`: what is in force, in Envoy's words, so that what people know (`jq` on `configs[]`) works.

mod clusters;
mod policies;
mod routes;
mod seconds;

use serde_json::{Value, json};

use crate::model::MeshModel;

pub use self::{clusters::cluster, policies::policy, routes::virtual_host};

/// The whole dump: listeners, routes, clusters, and the LLM policies that Envoy has no words for.
#[must_use]
pub fn config(model: &MeshModel, listeners: &[(String, String)]) -> Value {
    let kind = |name: &str| format!("type.googleapis.com/envoy.admin.v3.{name}");
    let virtual_hosts: Vec<Value> = model
        .virtual_hosts
        .iter()
        .map(routes::virtual_host)
        .collect();
    let clusters: Vec<Value> = model
        .clusters
        .values()
        .map(|c| json!({"cluster": clusters::cluster(c)}))
        .collect();
    let listeners: Vec<Value> = listeners
        .iter()
        .map(|(name, address)| json!({"name": name, "address": address}))
        .collect();
    let policies = policies::all(model);
    json!({"configs": [
        {"@type": kind("ListenersConfigDump"), "dynamic_listeners": listeners},
        {"@type": kind("RoutesConfigDump"), "dynamic_route_configs": [
            {"route_config": {"name": "outbound", "virtual_hosts": virtual_hosts}}]},
        {"@type": kind("ClustersConfigDump"), "dynamic_active_clusters": clusters},
        {"@type": "type.llmesh.io/LlmPoliciesConfigDump", "dynamic_llm_policies": policies},
    ]})
}
