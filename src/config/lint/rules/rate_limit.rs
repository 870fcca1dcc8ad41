//! A global rate limit that never asks its service.

use crate::config::{
    diagnostic::Severity,
    lint::{
        check::{Check, Findings},
        mesh::Mesh,
        rule::Rule,
    },
};

pub(in crate::config::lint) static CHECK: Check = Check {
    rule: Rule {
        id: "rate-limit-without-actions",
        severity: Severity::Warning,
        istio: "",
        why: "The filter sends descriptors, and descriptors are made by `rate_limits` actions of a route or virtual host. Without any it asks nothing and limits nobody; with a cluster that nothing defines it fails, or lets all pass.",
        fix: "Add a patch of VIRTUAL_HOST or HTTP_ROUTE with `rate_limits: [{actions: […]}]`, and name a cluster that is there, such as `outbound|8081||ratelimit.ns.svc.cluster.local`.",
        bad: r#"apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: limit, namespace: ai}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.ratelimit
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
          domain: ai
          rate_limit_service: {grpc_service: {envoy_grpc: {cluster_name: "outbound|8081||limits.ai.svc.cluster.local"}}, transport_api_version: V3}
"#,
        good: r#"apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: limit, namespace: ai}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.ratelimit
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
          domain: ai
          rate_limit_service: {grpc_service: {envoy_grpc: {cluster_name: "outbound|8081||limits.ai.svc.cluster.local"}}, transport_api_version: V3}
  - applyTo: VIRTUAL_HOST
    match: {context: SIDECAR_INBOUND}
    patch:
      operation: MERGE
      value:
        rate_limits:
        - actions: [{request_headers: {header_name: x-user-tier, descriptor_key: user_tier}}]
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    let filters = &mesh.facts().filters;
    for limit in &filters.limits {
        if !filters.actions {
            let message = "no `rate_limits` actions are loaded, so no descriptor is ever made and the rate limit service is never asked";
            let hint =
                "add a patch of VIRTUAL_HOST or HTTP_ROUTE with `rate_limits: [{actions: […]}]`";
            found.add(&limit.place, message, hint);
        }
        let own = |cluster: &&String| !cluster.contains('|') && !filters.clusters.contains(cluster);
        if let Some(cluster) = limit.cluster.as_ref().filter(own) {
            let message = format!(
                "nothing defines the cluster {cluster:?} that the rate limit service is asked by"
            );
            let hint = "add it by a patch of CLUSTER, or name `outbound|PORT||HOST` of a service";
            found.add(&limit.place, message, hint);
        }
        if limit.vain_timeout {
            let message = "the `timeout` of `grpc_service` is not what the filter waits for: that is its own `timeout`, 20ms unless given";
            found.add(&limit.place, message, "give `timeout` beside `domain`");
        }
    }
}
