//! Spans on the wire, and collectors that are not there.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, routing::post};
use bytes::Bytes;
use llmesh::testing::upstream::Upstream;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;

use crate::{
    binary::{Running, llmesh},
    support::until,
};

type Received = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// A collector that keeps what it gets.
async fn collector() -> (SocketAddr, Received) {
    let received = Received::default();
    let take = |State(received): State<Received>, body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        received.lock().unwrap().push(request);
    };
    let app = Router::new()
        .route("/v1/traces", post(take))
        .with_state(Arc::clone(&received));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, received)
}

fn told(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|kv| kv.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(n) => Some(n.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|b| format!("{b:02x}")).collect()
}

/// `llmesh run` in front of this upstream, with these variables.
async fn run(upstream: &Upstream, otlp: &str, variables: &[(&str, &str)]) -> Running {
    let name = format!(
        "llmesh-otlp-{}-{}.yaml",
        std::process::id(),
        upstream.addr().port()
    );
    let file = std::env::temp_dir().join(name);
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: llm}}
spec:
  hosts: [llm-service]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]
",
        upstream.addr().port()
    );
    std::fs::write(&file, text).unwrap();
    let mut command = llmesh(&["run", "--outbound", "0", "--admin", "localhost:0", "-f"]);
    command
        .arg(&file)
        .args(["--otlp", otlp, "--workload", "edge"]);
    command.envs(variables.iter().copied());
    let running = Running::of(command).await;
    std::fs::remove_file(&file).unwrap();
    running
}

async fn chat(running: &Running, parent: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(format!("http://{}/v1/chat/completions", running.outbound))
        .header("host", "llm-service")
        .header("traceparent", parent)
        .body(r#"{"model":"m","messages":[]}"#);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    answer.bytes().await.unwrap();
    status
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn spans_reach_the_collector_at_the_latest_when_the_proxy_stops() {
    let (address, received) = collector().await;
    let upstream = Upstream::start().await.unwrap();
    let running = run(
        &upstream,
        &format!("http://{address}"),
        &[
            ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=test",
            ),
        ],
    )
    .await;
    let sampled = format!("00-{TRACE}-b7ad6b7169203331-01");
    let not = format!("00-{TRACE}-b7ad6b7169203331-00");
    assert_eq!(chat(&running, &sampled).await, 200);
    assert_eq!(chat(&running, &not).await, 200);
    assert!(received.lock().unwrap().is_empty(), "they wait for others");
    let quit = format!("http://{}/quitquitquit", running.admin);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(quit).send().await.unwrap();
    until(|| !received.lock().unwrap().is_empty()).await;

    let all = received.lock().unwrap().clone();
    let resource = all[0].resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(
        told(&resource.attributes, "service.name").as_deref(),
        Some("edge")
    );
    let environment = told(&resource.attributes, "deployment.environment.name");
    assert_eq!(environment.as_deref(), Some("test"));
    let spans: Vec<&Span> = all
        .iter()
        .flat_map(|request| &request.resource_spans)
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans)
        .collect();
    assert_eq!(spans.len(), 2, "server and attempt: {spans:?}");
    let by_id: HashMap<_, _> = spans.iter().map(|s| (hex(&s.span_id), s)).collect();
    let server = spans
        .iter()
        .find(|s| hex(&s.parent_span_id) == "b7ad6b7169203331");
    let server = server.unwrap();
    assert_eq!((hex(&server.trace_id).as_str(), server.kind), (TRACE, 2));
    for (name, value) in [
        ("component", "proxy"),
        ("http.status_code", "200"),
        ("response_flags", "-"),
        ("upstream_cluster.name", "outbound|80||llm-service"),
    ] {
        assert_eq!(
            told(&server.attributes, name).as_deref(),
            Some(value),
            "{name}"
        );
    }
    assert_eq!(server.name, "llm-service:80/*");
    let attempt = spans.iter().find(|s| s.kind == 3).unwrap();
    assert!(by_id.contains_key(&hex(&attempt.parent_span_id)));
    let port = upstream.addr().port().to_string();
    assert_eq!(told(&attempt.attributes, "network.peer.port"), Some(port));
    let seen = upstream.seen();
    let told = |n: usize| seen[n].headers["traceparent"].to_str().unwrap().to_owned();
    assert_eq!(told(0), format!("00-{TRACE}-{}-01", hex(&attempt.span_id)));
    assert_eq!(told(1), not, "what is exported nowhere passes as it came");
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_spans_alone() {
    let upstream = Upstream::start().await.unwrap();
    // Nobody listens there any more.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let few = [
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
    ];
    let running = run(&upstream, &url, &few).await;
    let sampled = format!("00-{TRACE}-b7ad6b7169203331-01");
    for _ in 0..20 {
        assert_eq!(chat(&running, &sampled).await, 200);
    }
    running.logged("spans are not exported").await;
    let page = format!("http://{}/stats/prometheus", running.admin);
    let page = reqwest::get(page).await.unwrap().text().await.unwrap();
    assert!(
        page.contains(r#"llmesh_spans_total{state="dropped"}"#),
        "{page}"
    );
}
