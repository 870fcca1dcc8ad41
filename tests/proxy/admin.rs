//! The pages about the proxy.

use crate::kit::{Caller, Plan, ROUTES, V1, V2, ask, number, play, with};

/// Name, labels and value.
type Sample<'a> = (&'a str, Vec<(&'a str, String)>, f64);

/// One sample of the Prometheus text format: `name{label="value",…} number`.
fn sample(line: &str) -> Option<Sample<'_>> {
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            if !label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_')
            {
                return None;
            }
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next()? {
                    (at, '"') => break at,
                    (_, '\\') => match chars.next()?.1 {
                        'n' => value.push('\n'),
                        c @ ('"' | '\\') => value.push(c),
                        _ => return None,
                    },
                    (_, c) => value.push(c),
                }
            };
            labels.push((label, value));
            rest = &after[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let number = rest.strip_prefix(' ')?.parse().ok()?;
    (!name.is_empty() && !name.as_bytes()[0].is_ascii_digit()).then_some((name, labels, number))
}

#[tokio::test]
async fn numbers_are_envoys() {
    let mesh = Plan::routes(ROUTES).start().await;
    for (i, sequence) in ["200", "503,200", "503,503,503,503", "400"]
        .iter()
        .enumerate()
    {
        mesh.send(play("/api/llm/chat", sequence, &i.to_string()))
            .await;
    }
    mesh.log.nth(3).await;
    let page = mesh.page("/stats").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/plain; charset=utf-8")
    );
    for (name, value) in [
        ("upstream_rq_total", 8),
        ("upstream_rq_completed", 8),
        ("upstream_rq_200", 2),
        ("upstream_rq_503", 5),
        ("upstream_rq_2xx", 2),
        ("upstream_rq_4xx", 1),
        ("upstream_rq_5xx", 5),
        ("upstream_rq_retry", 4),
        ("upstream_rq_retry_success", 1),
        ("upstream_rq_retry_limit_exceeded", 1),
        ("upstream_rq_retry_overflow", 0),
        ("upstream_rq_active", 0),
        ("upstream_rq_timeout", 0),
        ("upstream_cx_connect_fail", 0),
        ("membership_total", 3),
        ("membership_healthy", 3),
        ("circuit_breakers.default.rq_open", 0),
        ("outlier_detection.ejections_active", 0),
    ] {
        let full =
            format!("cluster.outbound|8080|v1|llm-service.ai-services.svc.cluster.local.{name}");
        assert_eq!(number(&page.body, &full), value, "{name}");
    }
    for (name, value) in [
        ("http.outbound.downstream_rq_total", 4),
        ("http.outbound.downstream_rq_completed", 4),
        ("http.outbound.downstream_rq_active", 0),
        ("http.outbound.downstream_rq_2xx", 2),
        ("http.outbound.downstream_rq_4xx", 1),
        ("http.outbound.downstream_rq_5xx", 1),
        ("http.outbound.downstream_cx_total", 4),
        ("server.live", 1),
        ("server.config_reload_success", 1),
    ] {
        assert_eq!(number(&page.body, name), value, "{name}");
    }
    let names: Vec<_> = page
        .body
        .lines()
        .map(|l| l.rsplit_once(": ").unwrap().0)
        .collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len());

    let some = mesh
        .page("/stats?filter=%5C%7Cv1%5C%7C.*upstream_rq_retry_succ")
        .await
        .body;
    assert_eq!(some, format!("cluster.{V1}.upstream_rq_retry_success: 1\n"));
    let used = mesh.page("/stats?usedonly&filter=retry").await.body;
    assert_eq!(used.lines().count(), 4, "{used}");
    let json = mesh.page("/stats?format=json").await;
    assert_eq!(json.header("content-type"), "application/json");
    let json: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(json["stats"].as_array().unwrap().len(), names.len());
    assert_eq!(mesh.page("/stats?filter=(").await.status, 400);
    assert_eq!(mesh.page("/stats?format=xml").await.status, 400);

    let page = mesh.page("/stats/prometheus").await;
    assert_eq!(
        page.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let mut types = std::collections::HashMap::new();
    let mut series = std::collections::HashSet::new();
    for line in page.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(
                ["counter", "gauge", "histogram", "summary"].contains(&kind),
                "{line}"
            );
            assert_eq!(
                types.insert(name.to_owned(), kind.to_owned()),
                None,
                "{line}"
            );
        } else if !line.is_empty() && !line.starts_with('#') {
            let (name, labels, _) = sample(line).unwrap_or_else(|| panic!("{line}"));
            assert!(types.contains_key(name), "no type before {line}");
            assert!(series.insert((name.to_owned(), labels)), "twice: {line}");
        }
    }
    let retries = vec![("cluster_name", V1.to_owned())];
    assert!(series.contains(&("envoy_cluster_upstream_rq_retry".to_owned(), retries)));
    let code = vec![
        ("cluster_name", V1.to_owned()),
        ("response_code", "503".to_owned()),
    ];
    assert!(series.contains(&("envoy_cluster_upstream_rq".to_owned(), code)));
}

#[tokio::test]
async fn pages_tell_what_is_in_force_and_no_secrets() {
    let mesh = Plan::routes(ROUTES).start().await;
    let secret = [("authorization", "Bearer sk-secret")];
    assert!(
        mesh.send(ask("/api/llm/chat?key=sk-secret", &secret))
            .await
            .is_ok()
    );
    for (path, status, start) in [
        ("/ready", 200, "LIVE\n"),
        ("/", 200, "llmesh admin\n"),
        ("/help", 200, "llmesh admin\n"),
        ("/nothing", 404, "no such page"),
        ("/quitquitquit", 405, "use POST\n"),
        ("/clusters", 200, "outbound|8080|"),
        ("/clusters?format=json", 200, "{"),
        ("/config_dump", 200, "{"),
        ("/server_info", 200, "{"),
        ("/stats", 200, "cluster."),
        ("/stats/prometheus", 200, "# "),
    ] {
        let page = mesh.page(path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.body.starts_with(start), "{path}: {}", page.body);
        assert!(!page.body.contains("sk-secret"), "{path}");
        if start == "{" {
            serde_json::from_str::<serde_json::Value>(&page.body).unwrap();
        }
    }
    let clusters = mesh.page("/clusters").await.body;
    for line in [
        format!("{V2}::default_priority::max_connections::100"),
        format!("{V2}::default_priority::max_pending_requests::200"),
        format!("{V2}::default_priority::max_requests::1000"),
        format!("{V2}::default_priority::max_retries::3"),
        format!("{V2}::{}::health_flags::healthy", mesh.v2.addr()),
        format!("{V2}::{}::rq_total::0", mesh.v2.addr()),
    ] {
        assert!(clusters.lines().any(|l| l == line), "{line} in\n{clusters}");
    }
    let dump = mesh.page("/config_dump").await.body;
    for word in [
        "streaming-route",
        "chat-route",
        "default-route",
        V1,
        V2,
        "llm-service",
    ] {
        assert!(dump.contains(word), "{word} in\n{dump}");
    }
    assert!(dump.contains(&mesh.addr().port().to_string()));
    assert_eq!(
        number(
            &mesh.page("/stats").await.body,
            &format!("cluster.{V1}.upstream_rq_total")
        ),
        1
    );
}

#[tokio::test]
async fn quitquitquit_begins_the_end() {
    let mesh = Plan::routes(&with(ROUTES, &[])).start().await;
    let admin = mesh.proxy().admin().unwrap();
    let quit = http::Request::post("/quitquitquit").header("host", "admin");
    let quit = quit.body(llmesh::body::Body::empty()).unwrap();
    assert_eq!(Caller::http1(admin).await.send(quit).await.status, 200);
    crate::support::soon(mesh.proxy().drain().watch().draining()).await;
    assert_eq!(mesh.page("/ready").await.status, 503);
}
