//! A service on axum that asks an LLM: the caller's trace and what is left of its time go along, and no handler knows.
//!
//! `cargo run --example axum_server --features mesh,reqwest,test-util`

use std::time::Duration;

use axum::{Router, extract::State, http::StatusCode, routing::post};
use llmesh::{
    base::BoxError,
    config::Source,
    mesh::{Mesh, MeshReqwest},
    testing::upstream::Upstream,
};

/// Business code: not a word of headers or deadlines.
async fn ask(State(client): State<MeshReqwest>, question: String) -> Result<String, StatusCode> {
    tokio::time::sleep(Duration::from_millis(50)).await; // some work of its own
    let http = client.get_ref();
    let request = http
        .post("http://llm-service/v1/chat/completions")
        .body(question);
    let answer = client
        .send(request)
        .await
        .map_err(|_| StatusCode::BAD_GATEWAY)?;
    answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let upstream = Upstream::start().await?;
    let mesh = Mesh::builder().inline(endpoints(&upstream)).start().await?;
    let app = Router::new()
        .route("/ask", post(ask))
        .layer(mesh.server_layer())
        .with_state(mesh.reqwest(reqwest::Client::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    // A caller that waits 2 s.
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let response = reqwest::Client::new()
        .post(format!("http://{address}/ask"))
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .header("x-request-id", "request-1")
        .header("baggage", "tenant=gold")
        .header("x-envoy-expected-rq-timeout-ms", "2000")
        .body(r#"{"model": "m", "messages": []}"#)
        .send()
        .await?;
    assert_eq!(response.status(), 200);

    let seen = upstream.seen();
    let sent = |name: &str| seen[0].headers[name].to_str().unwrap_or_default();
    for name in [
        "traceparent",
        "x-request-id",
        "baggage",
        "x-envoy-expected-rq-timeout-ms",
    ] {
        println!("upstream got {name}: {}", sent(name));
    }
    // No OpenTelemetry SDK is set up here; with one, a span of this process would be told.
    assert!(sent("traceparent").contains(trace), "the caller's trace");
    assert_eq!(sent("x-request-id"), "request-1");
    assert_eq!(sent("baggage"), "tenant=gold");
    let left: u64 = sent("x-envoy-expected-rq-timeout-ms").parse()?;
    assert!(
        (1..=1950).contains(&left),
        "what is left of 2 s after 50 ms"
    );
    server.abort();
    Ok(())
}

fn endpoints(upstream: &Upstream) -> Source {
    let port = upstream.addr().port();
    Source::new(
        "llm.yaml",
        format!(
            "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: llm, namespace: ai}}
spec:
  hosts: [llm-service.ai.svc.cluster.local]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}}}]
"
        ),
    )
}
