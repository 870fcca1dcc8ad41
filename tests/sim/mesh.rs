//! Meshes of one service, as YAML.

use std::fmt::Write;

use llmesh::config::Source;

/// The host that callers name.
pub(crate) const HOST: &str = "svc.sim";

/// The name of its cluster.
pub(crate) const CLUSTER: &str = "outbound|80||svc.sim";

/// A mesh of one service with these endpoints, a traffic policy and a list of routes.
pub(crate) fn mesh(endpoints: &[std::net::SocketAddr], policy: &str, routes: &str) -> String {
    let mut text = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: svc, namespace: sim}}\nspec:\n  hosts: [{HOST}]\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  endpoints:\n"
    );
    for (n, endpoint) in endpoints.iter().enumerate() {
        let (ip, port) = (endpoint.ip(), endpoint.port());
        let n = n + 1;
        writeln!(
            text,
            "  - {{address: {ip}, ports: {{http: {port}}}, labels: {{version: v{n}}}}}"
        )
        .unwrap();
    }
    let policy = policy.replace('\n', "\n  ");
    let routes = routes.replace('\n', "\n  ");
    write!(
        text,
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: svc, namespace: sim}}\nspec:\n  host: {HOST}\n  {policy}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: svc, namespace: sim}}\nspec:\n  hosts: [{HOST}]\n  http:\n  {routes}\n"
    )
    .unwrap();
    text
}

/// One route to all of the service, with these fields.
pub(crate) fn route(fields: &str) -> String {
    format!(
        "- route: [{{destination: {{host: {HOST}}}}}]\n  {}",
        fields.replace('\n', "\n  ")
    )
}

pub(crate) fn source(text: &str) -> Source {
    Source::new("sim.yaml", text)
}
