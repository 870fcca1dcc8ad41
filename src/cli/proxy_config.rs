//! `llmesh proxy-config`: what is in force in a running proxy, as `istioctl proxy-config` shows it.

use std::{net::SocketAddr, process::ExitCode};

use serde_json::Value;

use super::{
    args::{ConfigPart, Output, ProxyConfigArgs},
    certificates, fetch,
    table::Table,
};

/// Asks the admin port and prints tables, or Envoy's JSON with `-o json`.
pub async fn run(args: &ProxyConfigArgs) -> ExitCode {
    match show(args).await {
        Ok(page) => {
            super::out(format_args!("{}", page.trim_end_matches('\n')));
            ExitCode::SUCCESS
        }
        Err(message) => {
            super::err(format_args!("error: {message}"));
            ExitCode::from(2)
        }
    }
}

async fn show(args: &ProxyConfigArgs) -> Result<String, String> {
    let dump = json(args.admin, "/config_dump").await?;
    let clusters = json(args.admin, "/clusters?format=json").await?;
    let certs = match args.part {
        ConfigPart::Secret | ConfigPart::All => json(args.admin, "/certs").await?,
        _ => Value::Null,
    };
    if args.output == Output::Json {
        let value = match args.part {
            ConfigPart::All => {
                serde_json::json!({"config_dump": dump, "clusters": clusters, "certs": certs})
            }
            ConfigPart::Endpoints => clusters,
            ConfigPart::Routes => part(&dump, "RoutesConfigDump").clone(),
            ConfigPart::Clusters => part(&dump, "ClustersConfigDump").clone(),
            ConfigPart::Listeners => part(&dump, "ListenersConfigDump").clone(),
            ConfigPart::Secret => certs,
        };
        return Ok(format!("{value:#}\n"));
    }
    Ok(match args.part {
        ConfigPart::Routes => routes(&dump),
        ConfigPart::Clusters => cluster_table(&dump),
        ConfigPart::Endpoints => endpoints(&clusters, &dump),
        ConfigPart::Listeners => listeners(&dump),
        ConfigPart::Secret => certificates::table(&certs),
        ConfigPart::All => [
            listeners(&dump),
            routes(&dump),
            cluster_table(&dump),
            endpoints(&clusters, &dump),
            certificates::table(&certs),
        ]
        .join("\n"),
    })
}

async fn json(admin: SocketAddr, path: &str) -> Result<Value, String> {
    let body = fetch::get(admin, path).await.map_err(|e| {
        format!("no answer from the admin port {admin}: {e}\n  hint: is `llmesh run` up? --admin gives another address")
    })?;
    serde_json::from_slice(&body)
        .map_err(|e| format!("{admin}{path} is not llmesh's or Envoy's admin page: {e}"))
}

fn part<'a>(dump: &'a Value, kind: &str) -> &'a Value {
    let all = dump["configs"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    all.iter()
        .find(|c| c["@type"].as_str().is_some_and(|t| t.ends_with(kind)))
        .unwrap_or(&Value::Null)
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn listeners(dump: &Value) -> String {
    let mut table = Table::new(&["LISTENER", "ADDRESS"]);
    for listener in items(part(dump, "ListenersConfigDump"), "dynamic_listeners") {
        table.row([text(&listener["name"]), text(&listener["address"])]);
    }
    table.to_string()
}

fn routes(dump: &Value) -> String {
    let mut table = Table::new(&[
        "NAME",
        "VHOST NAME",
        "DOMAINS",
        "MATCH",
        "DESTINATION",
        "TIMEOUT",
        "RETRIES",
        "VIRTUAL SERVICE",
        "LLM POLICY",
    ]);
    for config in items(part(dump, "RoutesConfigDump"), "dynamic_route_configs") {
        for host in items(&config["route_config"], "virtual_hosts") {
            for route in items(host, "routes") {
                table.row([
                    text(&route["name"]),
                    text(&host["name"]),
                    domains(host),
                    matching(&route["match"]),
                    destination(route),
                    text(&route["route"]["timeout"]),
                    text(&route["route"]["retry_policy"]["num_retries"]),
                    origin(route),
                    text(&route["metadata"]["filter_metadata"]["llmesh"]["llm_policy"]),
                ]);
            }
        }
    }
    table.to_string()
}

fn origin(of: &Value) -> String {
    match text(&of["metadata"]["filter_metadata"]["istio"]["config"]) {
        none if none.is_empty() => "-".to_owned(),
        some => some,
    }
}

fn domains(host: &Value) -> String {
    let all = items(host, "domains");
    match all {
        [] => "-".to_owned(),
        [one] => text(one),
        [first, rest @ ..] => format!("{}, {} more", text(first), rest.len()),
    }
}

fn matching(m: &Value) -> String {
    let path = match m {
        m if m["path"].is_string() => text(&m["path"]),
        m if m["safe_regex"].is_object() => format!("~{}", text(&m["safe_regex"]["regex"])),
        m => format!("{}*", text(&m["prefix"])),
    };
    let conditions = items(m, "headers").len()
        + items(m, "query_parameters").len()
        + usize::from(!m["port"].is_null());
    if conditions == 0 {
        path
    } else {
        format!("{path} +{conditions} more")
    }
}

fn destination(route: &Value) -> String {
    let forward = &route["route"];
    if let Some(cluster) = forward["cluster"].as_str() {
        return cluster.to_owned();
    }
    let weighted = items(&forward["weighted_clusters"], "clusters");
    if !weighted.is_empty() {
        let shares = weighted
            .iter()
            .map(|c| format!("{} {}", text(&c["weight"]), text(&c["name"])));
        return shares.collect::<Vec<_>>().join(", ");
    }
    match route {
        r if r["redirect"].is_object() => {
            format!("redirect {}", text(&r["redirect"]["response_code"]))
        }
        r => format!("direct {}", text(&r["direct_response"]["status"])),
    }
}

/// `outbound|8080|v1|host` as its four parts.
fn name_parts(name: &str) -> [String; 4] {
    let mut parts = name.splitn(4, '|').map(str::to_owned);
    std::array::from_fn(|_| {
        parts
            .next()
            .filter(|p| !p.is_empty())
            .unwrap_or_else(|| "-".to_owned())
    })
}

fn cluster_table(dump: &Value) -> String {
    let mut table = Table::new(&[
        "SERVICE FQDN",
        "PORT",
        "SUBSET",
        "DIRECTION",
        "TYPE",
        "LB",
        "TLS",
        "SNI",
        "DESTINATION RULE",
    ]);
    for cluster in items(part(dump, "ClustersConfigDump"), "dynamic_active_clusters") {
        let cluster = &cluster["cluster"];
        let [direction, port, subset, host] =
            name_parts(cluster["name"].as_str().unwrap_or_default());
        let [tls, sni] = certificates::tls_of(cluster);
        table.row([
            host,
            port,
            subset,
            direction,
            text(&cluster["type"]),
            text(&cluster["lb_policy"]),
            tls,
            sni,
            origin(cluster),
        ]);
    }
    table.to_string()
}

fn endpoints(clusters: &Value, dump: &Value) -> String {
    let mut table = Table::new(&[
        "ENDPOINT",
        "STATUS",
        "OUTLIER CHECK",
        "ACTIVE",
        "TOTAL",
        "ERRORS",
        "CLUSTER",
    ]);
    for cluster in items(clusters, "cluster_statuses") {
        for host in items(cluster, "host_statuses") {
            let address = &host["address"]["socket_address"];
            let ejected = host["health_status"]["failed_outlier_check"]
                .as_bool()
                .unwrap_or(false);
            let stat = |name: &str| {
                let stats = items(host, "stats");
                stats
                    .iter()
                    .find(|s| s["name"] == name)
                    .map_or_else(|| "-".to_owned(), |s| text(&s["value"]))
            };
            table.row([
                format!(
                    "{}:{}",
                    text(&address["address"]),
                    text(&address["port_value"])
                ),
                text(&host["health_status"]["eds_health_status"]),
                if ejected { "FAILED" } else { "OK" }.to_owned(),
                stat("rq_active"),
                stat("rq_total"),
                stat("rq_error"),
                text(&cluster["name"]),
            ]);
        }
    }
    // A cluster without any endpoint is worth a line of its own: requests to it get 503 UH.
    for cluster in items(part(dump, "ClustersConfigDump"), "dynamic_active_clusters") {
        let name = &cluster["cluster"]["name"];
        let known = items(clusters, "cluster_statuses")
            .iter()
            .find(|c| &c["name"] == name);
        if known.is_none_or(|c| items(c, "host_statuses").is_empty()) {
            let dash = || "-".to_owned();
            table.row([
                dash(),
                "NO ENDPOINTS".to_owned(),
                dash(),
                dash(),
                dash(),
                dash(),
                text(name),
            ]);
        }
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cluster_names_are_taken_apart() {
        assert_eq!(
            name_parts("outbound|8080|v1|a.b"),
            ["outbound", "8080", "v1", "a.b"]
        );
        assert_eq!(
            name_parts("outbound|8080||a.b"),
            ["outbound", "8080", "-", "a.b"]
        );
        assert_eq!(name_parts("x"), ["x", "-", "-", "-"]);
    }

    #[test]
    fn matches_read_like_istioctls() {
        assert_eq!(matching(&json!({"prefix": "/api"})), "/api*");
        assert_eq!(
            matching(&json!({"path": "/api", "headers": [{}]})),
            "/api +1 more"
        );
        assert_eq!(matching(&json!({"safe_regex": {"regex": "/a.*"}})), "~/a.*");
    }

    #[test]
    fn a_route_names_its_policy() {
        let metadata = json!({"filter_metadata": {"istio": {"config": "VirtualService/ai/llm"}, "llmesh": {"llm_policy": "LlmPolicy/ai/chat"}}});
        let routes = json!([{"name": "chat", "metadata": metadata}, {"name": "other"}]);
        let dump = json!({"configs": [{"@type": "x.RoutesConfigDump", "dynamic_route_configs": [
            {"route_config": {"virtual_hosts": [{"name": "llm", "routes": routes}]}}]}]});
        let table = super::routes(&dump);
        let ends: Vec<_> = table
            .lines()
            .map(|line| line.split_whitespace().next_back().unwrap())
            .collect();
        assert_eq!(ends, ["POLICY", "LlmPolicy/ai/chat", "-"], "{table}");
    }

    #[test]
    fn a_cluster_without_endpoints_has_a_line() {
        let dump = json!({"configs": [{"@type": "x.ClustersConfigDump", "dynamic_active_clusters": [{"cluster": {"name": "outbound|1||a"}}]}]});
        assert!(endpoints(&json!({"cluster_statuses": []}), &dump).contains("NO ENDPOINTS"));
    }
}
