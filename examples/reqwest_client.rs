//! A service that uses reqwest, on a mesh: real Istio files in, retries and endpoint health in force.
//!
//! `cargo run --example reqwest_client --features mesh,reqwest,test-util`

use std::{fs, path::Path};

use llmesh::{
    base::BoxError,
    mesh::Mesh,
    testing::upstream::{Answer, ErrorKind, Script, SeenRequest, Upstream},
};

/// The whole of it.
async fn program(files: &Path) -> Result<(), BoxError> {
    let mesh = Mesh::from_path(files).await?;
    let client = mesh.reqwest(reqwest::Client::new());

    let chat = client
        .post("http://llm-service/api/llm/chat")
        .body(r#"{"model": "m", "messages": [{"role": "user", "content": "hi"}]}"#);
    let response = chat.send().await?.error_for_status()?;
    println!("chat: {} bytes", response.bytes().await?.len());

    let stream = client
        .post("http://llm-service/api/llm/stream")
        .header("accept", "text/event-stream")
        .body(r#"{"model": "m", "stream": true}"#);
    let mut response = stream.send().await?.error_for_status()?;
    while let Some(chunk) = response.chunk().await? {
        println!("stream: {} bytes", chunk.len());
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // What a cluster would supply: three endpoints, of which one is too busy to chat.
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(Upstream::start().await?);
    }
    let chat = |request: &SeenRequest| request.path == "/api/llm/chat";
    endpoints[0].set_script(Script::by(move |request| match chat(request) {
        true => Answer::error(ErrorKind::Overloaded),
        false => Answer::ok(),
    }));
    let files = std::env::temp_dir().join(format!("llmesh-example-{}", std::process::id()));
    write_files(&files, &endpoints)?;

    // Endpoints are drawn at random: go on until the busy one was drawn.
    let mut outcome = Ok(());
    while outcome.is_ok() && !endpoints[0].seen().iter().any(chat) {
        outcome = program(&files).await;
    }
    fs::remove_dir_all(&files)?;
    outcome?;
    println!("one endpoint answered 503, and the program saw nothing of it");
    Ok(())
}

/// The reference mesh, its endpoints on the ports that are free here.
fn write_files(folder: &Path, endpoints: &[Upstream]) -> std::io::Result<()> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/reference-mesh");
    fs::create_dir_all(folder)?;
    for name in [
        "03-llm-service-destination-rule.yaml",
        "04-llm-service-virtual-service.yaml",
        "05-knowledge-service-destination-rule.yaml",
        "endpoints.yaml",
    ] {
        let mut text = fs::read_to_string(from.join(name))?;
        for (port, upstream) in ["9001", "9002", "9003"].iter().zip(endpoints) {
            text = text.replace(port, &upstream.addr().port().to_string());
        }
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
