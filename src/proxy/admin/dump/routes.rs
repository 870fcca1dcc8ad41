//! Virtual hosts and routes, as Envoy's `RouteConfiguration`.

use serde_json::{Map, Value, json};

use super::seconds::seconds;
use crate::{
    model::{LlmPolicy, VirtualHost},
    retry,
    route::params::{Action, FieldName, Forward, Match, Route, StringMatch},
};

/// One virtual host with its routes. A route with alternatives becomes one entry per alternative, as Istio makes it.
#[must_use]
pub fn virtual_host(host: &VirtualHost) -> Value {
    let routes: Vec<Value> = host
        .routes
        .iter()
        .enumerate()
        .flat_map(|(i, r)| route(r, &host.origin, host.llm.get(i).and_then(Option::as_deref)))
        .collect();
    json!({"name": &*host.name, "domains": host.domains, "routes": routes})
}

fn route(r: &Route, origin: &str, policy: Option<&LlmPolicy>) -> Vec<Value> {
    let action = action(&r.action);
    let mut metadata = json!({"filter_metadata": {"istio": {"config": origin}}});
    if let Some(policy) = policy {
        metadata["filter_metadata"]["llmesh"] = json!({"llm_policy": policy.origin});
    }
    let entry = |m: Value| {
        let mut out = Map::new();
        out.insert("name".to_owned(), (&*r.name).into());
        out.insert("match".to_owned(), m);
        out.extend(action.clone());
        out.insert("metadata".to_owned(), metadata.clone());
        Value::Object(out)
    };
    if r.matches.is_empty() {
        return vec![entry(json!({"prefix": "/"}))];
    }
    r.matches.iter().map(|m| entry(matching(m))).collect()
}

fn matching(m: &Match) -> Value {
    let mut out = match &m.uri {
        Some(StringMatch::Exact(path)) => json!({"path": path}),
        Some(StringMatch::Regex(regex)) => json!({"safe_regex": {"regex": regex.source()}}),
        Some(StringMatch::Prefix(prefix)) => json!({"prefix": prefix}),
        _ => json!({"prefix": "/"}),
    };
    if m.ignore_uri_case {
        out["case_sensitive"] = false.into();
    }
    let pseudo = [
        (":scheme", &m.scheme),
        (":method", &m.method),
        (":authority", &m.authority),
    ];
    let mut headers: Vec<Value> = pseudo
        .iter()
        .filter_map(|(name, m)| m.as_ref().map(|m| header(name, m, false)))
        .collect();
    headers.extend(
        m.headers
            .iter()
            .map(|(name, m)| header(field(name), m, false)),
    );
    headers.extend(
        m.without_headers
            .iter()
            .map(|(name, m)| header(field(name), m, true)),
    );
    if !headers.is_empty() {
        out["headers"] = headers.into();
    }
    if !m.query.is_empty() {
        out["query_parameters"] = m
            .query
            .iter()
            .map(|(name, m)| header(name, m, false))
            .collect();
    }
    if let Some(port) = m.port {
        out["port"] = port.into();
    }
    out
}

fn header(name: &str, m: &StringMatch, invert: bool) -> Value {
    let mut out = match m {
        StringMatch::Exact(v) => json!({"name": name, "string_match": {"exact": v}}),
        StringMatch::Prefix(v) => json!({"name": name, "string_match": {"prefix": v}}),
        StringMatch::Regex(v) => {
            json!({"name": name, "string_match": {"safe_regex": {"regex": v.source()}}})
        }
        StringMatch::Present => json!({"name": name, "present_match": true}),
    };
    if invert {
        out["invert_match"] = true.into();
    }
    out
}

fn field(name: &FieldName) -> &str {
    match name {
        FieldName::Header(name) => name.as_str(),
        FieldName::Method => ":method",
        FieldName::Path => ":path",
        FieldName::Scheme => ":scheme",
        FieldName::Authority => ":authority",
        FieldName::Status => ":status",
    }
}

fn action(action: &Action) -> Map<String, Value> {
    let (key, value) = match action {
        Action::Forward(f) => ("route", forward(f)),
        Action::Redirect(r) => (
            "redirect",
            json!({
                "response_code": r.status.as_u16(),
                "path_redirect": r.uri,
                "host_redirect": r.authority,
                "scheme_redirect": r.scheme,
                "port_redirect": r.port,
            }),
        ),
        Action::Direct { status, body, .. } => (
            "direct_response",
            json!({"status": status.as_u16(), "body_bytes": body.len()}),
        ),
    };
    Map::from_iter([(key.to_owned(), value)])
}

fn forward(f: &Forward) -> Value {
    let mut out = match f.destinations.as_slice() {
        [one] => json!({"cluster": &*one.cluster}),
        many => {
            let clusters: Vec<Value> = many
                .iter()
                .map(|d| json!({"name": &*d.cluster, "weight": d.weight}))
                .collect();
            json!({"weighted_clusters": {"clusters": clusters}})
        }
    };
    out["timeout"] = f
        .deadline
        .timeout
        .map_or_else(|| "0s".to_owned(), seconds)
        .into();
    if f.retry.retries > 0 {
        out["retry_policy"] = retries(&f.retry);
    }
    if let Some(rewrite) = &f.rewrite {
        out["rewrite"] = json!({
            "uri": rewrite.uri,
            "regex": rewrite.regex.as_ref().map(|(regex, to)| json!({"regex": regex.source(), "substitution": to})),
            "authority": rewrite.authority,
        });
    }
    out
}

fn retries(r: &retry::Params) -> Value {
    let mut out = json!({
        "retry_on": r.retry_on.to_string(),
        "num_retries": r.retries,
        "retry_back_off": {"base_interval": seconds(r.backoff.base), "max_interval": seconds(r.backoff.max)},
    });
    if let Some(limit) = r.per_try_timeout {
        out["per_try_timeout"] = seconds(limit).into();
    }
    out
}
