//! What the mesh client adds to a bare hyper client, in process, on one connection over loopback.
//!
//! `cargo bench --features mesh --bench mesh`, or with `-- --smoke` a few requests. Both clients run on one thread, the
//! upstream on another; one request after the other, a POST of 250 bytes for an answer of 1 KB, read to its end. The
//! clients take turns, so that a busy moment of the machine hits both alike. The mesh client has the policy of the proxy
//! bench (`benches/proxy/llmesh.yaml`): route, timeout, retries, trace, balancing, outlier detection, summaries.

#[path = "proxy/upstream.rs"]
#[allow(dead_code, reason = "the proxy bench uses more of it")]
mod upstream;
#[path = "proxy/wire.rs"]
#[allow(dead_code, reason = "the proxy bench uses more of it")]
mod wire;

use std::{error::Error, net::SocketAddr, sync::mpsc, thread};

use http::Request;
use http_body_util::BodyExt;
use llmesh::{
    base::{BoxError, time::Instant},
    body::Body,
    client::hyper::HyperClient,
    config::Source,
    mesh::Mesh,
};
use tokio::runtime::Builder;
use tower::ServiceExt;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let smoke = std::env::args().any(|arg| arg == "--smoke");
    let (turns, requests) = if smoke { (1, 20) } else { (40, 1000) };
    let upstreams = upstreams()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let config = include_str!("proxy/llmesh.yaml")
            .replace("$A", &upstreams[0].port().to_string())
            .replace("$B", &upstreams[1].port().to_string());
        let mesh = Mesh::builder().inline(Source::new("mesh.yaml", &config));
        let mesh = mesh.start().await?.client();
        let bare = HyperClient::http();
        let url = format!("http://{}/now", upstreams[0]);
        let (mut direct, mut through) = (Vec::new(), Vec::new());
        // The first turn warms up.
        for turn in 0..=turns {
            for _ in 0..requests {
                let began = Instant::now();
                read(bare.clone().oneshot(request(&url)?).await?).await?;
                if turn > 0 {
                    direct.push(began.elapsed());
                }
            }
            for _ in 0..requests {
                let began = Instant::now();
                read(mesh.send(request("http://llm/now")?).await?).await?;
                if turn > 0 {
                    through.push(began.elapsed());
                }
            }
        }
        println!("| 1 connection, us | hyper | mesh client | added | ratio |");
        println!("|---|---:|---:|---:|---:|");
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let [hyper, mesh] = [&mut direct, &mut through].map(|times| {
                times.sort_unstable();
                let last = times.len() - 1;
                times[(last as f64 * share) as usize].as_secs_f64() * 1e6
            });
            let (added, ratio) = (mesh - hyper, mesh / hyper);
            println!("| {name} | {hyper:.1} | {mesh:.1} | {added:.1} | {ratio:.2} |");
        }
        Ok(())
    })
}

fn upstreams() -> Result<[SocketAddr; 2], Box<dyn Error + Send + Sync>> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let epoch = Instant::now();
            let both = [upstream::start(epoch).await?, upstream::start(epoch).await?];
            // The reader waits for it.
            let _ = tell.send(both);
            std::future::pending::<std::io::Result<()>>().await
        })
    });
    Ok(told.recv()?)
}

fn request(url: &str) -> Result<Request<Body>, http::Error> {
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "x".repeat(200)
    );
    Request::post(url)
        .header("content-type", "application/json")
        .body(Body::from(body))
}

async fn read<B>(response: http::Response<B>) -> Result<(), BoxError>
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: Into<BoxError>,
{
    let status = response.status();
    let body = response.into_body().collect().await.map_err(Into::into)?;
    assert!(status.is_success() && body.to_bytes().len() > 900);
    Ok(())
}
