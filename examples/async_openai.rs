//! async-openai on a mesh: its own types, the mesh's routes, retries and health.
//!
//! `cargo run --example async_openai --features mesh,reqwest,test-util`

use async_openai::{
    Client,
    config::OpenAIConfig,
    middleware::HttpRequestFactory,
    types::chat::{ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequestArgs},
};
use llmesh::{
    base::BoxError,
    config::Source,
    mesh::Mesh,
    testing::upstream::{Answer, ErrorKind, Script, Upstream},
};
use tower::service_fn;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let busy = Answer::error(ErrorKind::Overloaded);
    let upstream = Upstream::builder()
        .script(Script::sequence([busy, Answer::ok()]))
        .start()
        .await?;
    let mesh = Mesh::builder().inline(files(&upstream)).start().await?;

    // The adapter: async-openai makes a request anew for each call; the mesh repeats it.
    let client = mesh.client();
    let service = service_fn(move |request: HttpRequestFactory| {
        let client = client.clone();
        async move { client.execute(request.build().await?).await }
    });
    let config = OpenAIConfig::new()
        .with_api_base("http://llm-service/v1")
        .with_api_key("none");
    let openai = Client::with_config(config).with_http_service(service);

    let question = ChatCompletionRequestUserMessageArgs::default()
        .content("hi")
        .build()?;
    let request = CreateChatCompletionRequestArgs::default()
        .model("m")
        .messages([question.into()])
        .build()?;
    let answer = openai.chat().create(request).await?;
    println!("{:?}", answer.choices[0].message.content);
    assert_eq!(upstream.requests(), 2, "overloaded once, and asked again");
    Ok(())
}

fn files(upstream: &Upstream) -> Source {
    let port = upstream.addr().port();
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: llm, namespace: ai}}
spec:
  hosts: [llm-service.ai.svc.cluster.local]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: llm, namespace: ai}}
spec:
  hosts: [llm-service]
  http:
  - route: [{{destination: {{host: llm-service}}}}]
    retries: {{attempts: 2, retryOn: '503'}}
"
    );
    Source::new("llm.yaml", text)
}
