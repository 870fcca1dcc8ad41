//! One trace over a program, its service and the provider that it asks.

use std::collections::HashMap;

use axum::{Router, extract::State, routing::post};
use bytes::Bytes;
use http_body_util::BodyExt;
use llmesh::{
    body::Body,
    config::Source,
    mesh::{Mesh, MeshClient},
    testing::upstream::{Answer, ErrorKind, Script, Upstream},
    trace::{Params, Tracer},
};
use opentelemetry::trace::{Span as _, SpanId, SpanKind, Tracer as _, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporterBuilder, SdkTracerProvider};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::until;

fn resources(upstream: &Upstream) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: llm, namespace: ai}}
spec:
  hosts: [llm.example]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: llm, namespace: ai}}
spec:
  hosts: [llm.example]
  http:
  - route: [{{destination: {{host: llm.example}}}}]
    retries: {{attempts: 2, retryOn: '5xx,reset'}}
---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {{name: chat, namespace: ai}}
spec: {{hosts: [llm.example], dialect: openai}}
",
        upstream.addr().port()
    )
}

/// Business code, with a span as `tracing` makes it and no word of headers.
async fn ask(State(client): State<MeshClient>, question: Bytes) -> Bytes {
    let asking = async {
        let request = http::Request::post("http://llm.example/v1/chat/completions")
            .body(Body::from(question))
            .unwrap();
        let answer = client.send(request).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    };
    asking.instrument(tracing::info_span!("ask")).await
}

/// On one thread, so that the subscriber is that of this test alone.
#[tokio::test]
async fn from_the_caller_to_the_provider_it_is_one_tree() {
    let exporter = InMemorySpanExporterBuilder::new().build();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("service"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let upstream = Upstream::builder()
        .script(Script::sequence([
            Answer::error(ErrorKind::Overloaded),
            Answer::ok(),
        ]))
        .start()
        .await
        .unwrap();
    let mesh = Mesh::builder()
        .inline(Source::new("mesh.yaml", resources(&upstream)))
        .namespace("ai")
        .trace(Params::default().with_tracer(Tracer::new(&provider)))
        .start()
        .await
        .unwrap();
    let app = Router::new()
        .route("/ask", post(ask))
        .layer(mesh.server_layer())
        .with_state(mesh.client());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _subscribed = tracing::subscriber::set_default(subscriber);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let mut caller = provider.tracer("caller").start("caller");
    let context = caller.span_context();
    let trace = context.trace_id();
    let parent = format!("00-{trace}-{}-01", context.span_id());
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(format!("http://{address}/ask"))
        .header("traceparent", parent)
        .body(r#"{"model":"m","messages":[]}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    assert!(text.contains("chat.completion"), "{text}");
    caller.end();
    let over = || exporter.get_finished_spans().unwrap();
    until(|| over().iter().any(|s| s.span_kind == SpanKind::Server)).await;
    server.abort();

    let spans = over();
    let names: HashMap<SpanId, &str> = spans
        .iter()
        .map(|span| (span.span_context.span_id(), &*span.name))
        .collect();
    let mut edges: Vec<(&str, &str)> = spans
        .iter()
        .filter(|span| span.span_context.trace_id() == trace)
        .map(|span| {
            let parent = names.get(&span.parent_span_id).copied();
            let root = span.parent_span_id == SpanId::INVALID;
            let parent = parent.unwrap_or(if root { "-" } else { "missing" });
            (&*span.name, parent)
        })
        .collect();
    edges.sort_unstable();
    assert_eq!(
        edges,
        [
            ("POST", "caller"),
            ("POST", "chat m"),
            ("POST", "chat m"),
            ("ask", "POST"),
            ("caller", "-"),
            ("chat m", "ask"),
        ]
    );
    assert_eq!(edges.len(), spans.len(), "of one trace: {spans:?}");
    // What the provider was told are the attempts.
    let attempts = spans
        .iter()
        .filter(|s| s.parent_span_id == id_of(&spans, "chat m"));
    let attempts: Vec<_> = attempts.map(|s| s.span_context.span_id()).collect();
    let seen = upstream.seen();
    let told = seen
        .iter()
        .map(|seen| seen.headers["traceparent"].to_str().unwrap());
    let expected = attempts.iter().map(|id| format!("00-{trace}-{id}-01"));
    assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

fn id_of(spans: &[opentelemetry_sdk::trace::SpanData], name: &str) -> SpanId {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap().span_context.span_id()
}
