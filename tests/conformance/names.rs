//! Names of hosts: a final dot, and the names that ExternalName Services give to others.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/service/#externalname>,
//! <https://istio.io/latest/news/releases/1.21.x/announcing-1.21/upgrade-notes/> (`ENABLE_EXTERNAL_NAME_ALIAS`) and
//! <https://github.com/istio/istio/pull/56008> (hosts with a final dot).

use llmesh::{
    model::{Discovery, MeshModel, VirtualHost},
    route::params::{Action, Route},
};

use crate::{load_text, summary};

const ENTRY: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner, namespace: shop}
spec:
  hosts: [API.partner.example.]
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
";

/// An ExternalName Service of namespace `shop`.
fn external(name: &str, of: &str, rest: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{type: ExternalName, externalName: {of}{rest}}}\n---\n"
    )
}

fn model(text: &str) -> MeshModel {
    let loaded = load_text(text);
    loaded
        .model
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

fn host<'m>(model: &'m MeshModel, domain: &str) -> Option<&'m VirtualHost> {
    let mut hosts = model.virtual_hosts.iter();
    hosts.find(|host| host.domains.iter().any(|d| d == domain))
}

fn leads_to(route: &Route) -> &str {
    match &route.action {
        Action::Forward(forward) => &forward.destinations[0].cluster,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_final_dot_in_a_file_names_the_same_host() {
    let text = format!(
        "{ENTRY}apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: partner, namespace: shop}}
spec:
  hosts: [api.partner.example.]
  http: [{{name: own, route: [{{destination: {{host: api.Partner.example., subset: v1}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: partner, namespace: shop}}
spec: {{host: api.partner.example., subsets: [{{name: v1}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: shop}}
spec:
  hosts: [reviews.shop.svc.cluster.local.]
  http: [{{name: reviews, route: [{{destination: {{host: reviews.shop.svc.cluster.local.}}}}]}}]
"
    );
    let model = model(&text);
    let found = host(&model, "api.partner.example").expect("without the dot");
    assert_eq!(&*found.routes[0].name, "own");
    let cluster = "outbound|8080|v1|api.partner.example";
    assert_eq!(leads_to(&found.routes[0]), cluster);
    assert!(model.clusters.contains_key(cluster));
    let found = host(&model, "reviews").expect("a service");
    assert_eq!(&*found.routes[0].name, "reviews");
}

#[test]
fn an_external_name_of_a_mesh_host_is_an_alias_of_it() {
    for (of, concrete, port) in [
        ("api.partner.example", "api.partner.example", 8080),
        ("Api.Partner.Example.", "api.partner.example", 8080),
        (
            "reviews.shop.svc.cluster.local",
            "reviews.shop.svc.cluster.local",
            9080,
        ),
    ] {
        // Its own ports say nothing, and have no target.
        for rest in ["", ", ports: [{port: 80, targetPort: 7}]"] {
            let model = model(&format!("{ENTRY}{}", external("other", of, rest)));
            let found = host(&model, "other.shop.svc.cluster.local").expect("the alias");
            assert_eq!(found.domains[0], concrete);
            assert!(found.domains.contains(&"other".to_owned()), "{found:?}");
            assert_eq!(
                leads_to(&found.routes[0]),
                format!("outbound|{port}||{concrete}")
            );
            let own = |name: &&std::sync::Arc<str>| name.contains("other");
            assert_eq!(model.clusters.keys().find(own), None);
        }
    }
}

#[test]
fn aliases_of_aliases_lead_to_the_last_host() {
    let chain = external("a", "b.shop.svc.cluster.local", "")
        + &external("b", "c.shop.svc.cluster.local.", "")
        + &external("c", "api.partner.example", "");
    let model = model(&format!("{ENTRY}{chain}"));
    for alias in ["a", "b", "c"] {
        let found = host(&model, alias).expect("the alias");
        assert_eq!(found.domains[0], "api.partner.example");
    }
}

#[test]
fn names_that_lead_back_to_themselves_have_no_endpoint_and_are_named() {
    let cycle = external("a", "b.shop.svc.cluster.local", "")
        + &external("b", "a.shop.svc.cluster.local", "")
        + &external("self", "self.shop.svc.cluster.local", "");
    let loaded = load_text(&format!("{ENTRY}{cycle}"));
    let told: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.rule == "external-name-cycle")
        .map(|d| d.message.as_str())
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("a.shop.svc.cluster.local → b.shop.svc.cluster.local → a.shop"));
    let model = loaded.model.expect("a warning");
    let cluster = &model.clusters["outbound|80||a.shop.svc.cluster.local"];
    assert_eq!(cluster.discovery, Discovery::Static(Vec::new()));
}

#[test]
fn an_external_name_of_another_host_is_resolved_and_has_no_target_port() {
    for (rest, port) in [("", 80), (", ports: [{port: 8443, targetPort: 7}]", 8443)] {
        let chain = external("other", "second.shop.svc.cluster.local", rest)
            + &external("second", "elsewhere.example.", rest);
        let model = model(&format!("{ENTRY}{chain}"));
        let cluster = &model.clusters[&*format!("outbound|{port}||other.shop.svc.cluster.local")];
        let Discovery::Dns(endpoints) = &cluster.discovery else {
            panic!("{cluster:?}");
        };
        let found = (endpoints[0].address.as_str(), endpoints[0].port);
        assert_eq!(found, ("elsewhere.example", port));
        let route = &host(&model, "other").expect("a host").routes[0];
        assert!(leads_to(route).ends_with("other.shop.svc.cluster.local"));
    }
}

#[test]
fn routes_and_rules_that_name_an_alias_mean_its_host() {
    let text = format!(
        "{ENTRY}{}apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: partner, namespace: shop}}
spec: {{host: api.partner.example, subsets: [{{name: v1}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: alias, namespace: shop}}
spec: {{host: other}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: shop}}
spec:
  hosts: [reviews]
  http: [{{route: [{{destination: {{host: other, subset: v1}}}}]}}]
",
        external("other", "api.partner.example", "")
    );
    let loaded = load_text(&text);
    let told = summary(&loaded);
    assert!(
        told.iter().any(|t| t.ends_with("warning[rule-for-alias]")),
        "{told:?}"
    );
    let model = loaded.model.expect("no error");
    let route = &host(&model, "reviews").expect("a service").routes[0];
    assert_eq!(leads_to(route), "outbound|8080|v1|api.partner.example");
    // A VirtualService of its own goes before its host's.
    let own = text.replace("hosts: [reviews]", "hosts: [other]");
    let model = crate::names::model(&own);
    let found = host(&model, "other").expect("the alias");
    assert_eq!(found.domains[0], "other.shop.svc.cluster.local");
    assert_eq!(found.routes.len(), 1);
    let concrete = host(&model, "api.partner.example").expect("the entry");
    assert!(!concrete.domains.contains(&"other".to_owned()));
    // An LLM policy for the alias is one for its host's routes.
    let policy = format!(
        "{ENTRY}{}apiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{hosts: [other]}}\n",
        external("other", "api.partner.example", "")
    );
    let loaded = load_text(&policy);
    assert!(
        !summary(&loaded).iter().any(|t| t.contains("unused")),
        "{:?}",
        loaded.diagnostics
    );
    let model = loaded.model.expect("no error");
    let concrete = host(&model, "api.partner.example").expect("the entry");
    assert!(concrete.llm[0].is_some());
}

#[test]
fn clusters_know_the_namespace_of_their_service() {
    let model = model(ENTRY);
    let namespace = |name: &str| model.clusters[name].namespace.to_string();
    assert_eq!(namespace("outbound|8080||api.partner.example"), "shop");
    let reviews = "outbound|9080||reviews.shop.svc.cluster.local";
    assert_eq!(namespace(reviews), "shop");
}

/// The proxy's own address is what callers name who have it as their base URL: no service, and no missing one.
#[test]
fn a_virtual_service_may_be_for_the_proxys_own_address() {
    let service = |hosts: &str, rule: &str| {
        format!(
            "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: api, namespace: shop}}
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{number: 443, name: https, protocol: HTTPS}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: local, namespace: shop}}
spec:
  hosts: {hosts}
  http:
  - {{{rule}route: [{{destination: {{host: api.example.com, port: {{number: 443}}}}}}]}}
"
        )
    };
    let rewritten = "rewrite: {authority: api.example.com}, ";
    let hosts = "[localhost, 127.0.0.1, 0.0.0.0, '::1', gateway.localhost]";
    let loaded = load_text(&service(hosts, rewritten));
    assert_eq!(summary(&loaded), Vec::<String>::new());
    let model = loaded.model.unwrap();
    for name in ["localhost", "127.0.0.1", "[::1]", "gateway.localhost"] {
        let virtual_host = host(&model, name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(
            leads_to(&virtual_host.routes[0]),
            "outbound|443||api.example.com"
        );
    }
    // A provider is not asked for as `localhost`.
    let kept = summary(&load_text(&service("[localhost, 127.0.0.1]", "")));
    assert_eq!(kept, ["test.yaml:16 warning[own-host-kept]"]);
    let named = "headers: {request: {set: {Host: api.example.com}}}, ";
    assert_eq!(summary(&load_text(&service("[localhost]", named))).len(), 0);
    // Names that only look like it are those of services.
    let other = summary(&load_text(&service("[localhost.example.com]", rewritten)));
    assert_eq!(other, ["test.yaml:14 warning[unknown-host]"]);
    // A host carries no port; it is for all of them.
    let loaded = load_text(&service("['localhost:15001']", rewritten));
    assert!(
        loaded.diagnostics[0]
            .message
            .contains("every port that callers name"),
        "{:?}",
        loaded.diagnostics
    );
}
