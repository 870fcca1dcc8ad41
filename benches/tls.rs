//! What TLS to an upstream costs: on connections that are kept, for a full handshake, for resumed ones.
//!
//! `cargo bench --features mesh --bench tls`, or with `-- --smoke` a few requests. All in one process: the client's thread
//! is measured by the processor time that it took (`/proc/thread-self/schedstat`), the upstream has another. Requests are
//! those of the mesh bench. The ways take turns, so that a busy moment of the machine hits all alike, and the least of each
//! counts. "bare" is rustls' own client under hyper, which dials, shakes hands, asks once and closes; it has the same
//! cryptography as the mesh's.

#[path = "proxy/secure.rs"]
mod secure;
#[path = "proxy/upstream.rs"]
#[allow(dead_code, reason = "the proxy bench uses more of it")]
mod upstream;
#[path = "proxy/wire.rs"]
#[allow(dead_code, reason = "the proxy bench uses more of it")]
mod wire;

use std::{fs, io, net::SocketAddr, sync::mpsc, thread};

use http::Request;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use llmesh::{
    base::{BoxError, time::Instant},
    body::Body,
    config::Source,
    mesh::{Mesh, MeshClient},
};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, runtime::Builder};
use tokio_rustls::TlsConnector;

use self::secure::{Authority, Fallible, terminate};

/// Where the upstreams are: in clear, over TLS without sessions, over TLS with them.
#[derive(Clone, Copy)]
struct Upstreams {
    plain: SocketAddr,
    full: SocketAddr,
    resumed: SocketAddr,
}

fn main() -> Fallible<()> {
    let smoke = std::env::args().any(|arg| arg == "--smoke");
    let authority = Authority::new()?;
    let upstreams = start(&authority)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        kept(&authority, upstreams, smoke).await?;
        handshakes(&authority, upstreams, smoke).await?;
        growth(&authority, upstreams, smoke).await
    })
}

/// Requests on connections that are kept.
async fn kept(authority: &Authority, at: Upstreams, smoke: bool) -> Fallible<()> {
    let (turns, requests) = if smoke { (1, 20) } else { (30, 1000) };
    let plain = mesh(at.plain, None, 0).await?;
    let tls = mesh(at.resumed, Some(authority), 0).await?;
    let mut least = [f64::MAX; 2];
    for _ in 0..=turns {
        for (client, least) in [&plain, &tls].into_iter().zip(&mut least) {
            let took = timed(async || ask(client).await, requests).await?;
            *least = least.min(took);
        }
    }
    row("a request on a kept connection, us", "plain", "TLS", least);
    Ok(())
}

/// A request with a connection and a full handshake of its own.
async fn handshakes(authority: &Authority, at: Upstreams, smoke: bool) -> Fallible<()> {
    let (turns, requests) = if smoke { (1, 5) } else { (20, 200) };
    let tls = mesh(at.full, Some(authority), 1).await?;
    let bare = authority.client()?;
    let mut least = [f64::MAX; 2];
    for _ in 0..=turns {
        let took = timed(async || once(&bare, at.full).await, requests).await?;
        least[0] = least[0].min(took);
        let took = timed(async || ask(&tls).await, requests).await?;
        least[1] = least[1].min(took);
    }
    row("a request with a full handshake, us", "bare", "mesh", least);
    Ok(())
}

/// Memory over many handshakes that resume a session.
async fn growth(authority: &Authority, at: Upstreams, smoke: bool) -> Fallible<()> {
    let (first, more) = if smoke { (5, 10) } else { (2_000, 10_000) };
    let tls = mesh(at.resumed, Some(authority), 1).await?;
    timed(async || ask(&tls).await, first).await?;
    let before = resident()?;
    let took = timed(async || ask(&tls).await, more).await?;
    let after = resident()?;
    println!(
        "| {more} resumed handshakes, {took:.0} us each: KiB before, after | {before} | {after} | - |"
    );
    Ok(())
}

fn row(what: &str, of: &str, with: &str, [a, b]: [f64; 2]) {
    println!(
        "| {what}: {of}, {with}, ratio | {a:.1} | {b:.1} | {:.2} |",
        b / a
    );
}

/// Processor time of this thread for each of so many, in microseconds.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
async fn timed(what: impl AsyncFn() -> Fallible<()>, times: usize) -> Fallible<f64> {
    let before = processor()?;
    for _ in 0..times {
        what().await?;
    }
    Ok((processor()? - before) as f64 / 1000.0 / times as f64)
}

/// Nanoseconds that this thread ran.
fn processor() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ran = text.split(' ').next().and_then(|n| n.parse().ok());
    ran.ok_or_else(|| io::Error::other("no schedstat"))
}

/// KiB of this process in memory.
fn resident() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("no VmRSS"))
}

// === clients ===

async fn mesh(
    at: SocketAddr,
    tls: Option<&Authority>,
    per_connection: u32,
) -> Fallible<MeshClient> {
    let (protocol, tls) = match tls {
        None => ("HTTP", "mode: DISABLE".to_owned()),
        Some(authority) => (
            "HTTPS",
            format!(
                "mode: SIMPLE, sni: llm.example, caCertificates: {}",
                authority.file().display()
            ),
        ),
    };
    let port = at.port();
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: llm, namespace: default}}\nspec:\n  hosts: [llm.example]\n  resolution: STATIC\n  ports: [{{number: 8443, name: it, protocol: {protocol}}}]\n  endpoints: [{{address: 127.0.0.1, ports: {{it: {port}}}}}]\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: llm, namespace: default}}\nspec:\n  host: llm.example\n  trafficPolicy: {{connectionPool: {{http: {{maxRequestsPerConnection: {per_connection}}}}}, tls: {{{tls}}}}}\n"
    );
    let mesh = Mesh::builder().inline(Source::new("mesh.yaml", &text));
    Ok(mesh.start().await?.client())
}

fn request(uri: &str) -> Result<Request<Body>, http::Error> {
    let content = "x".repeat(200);
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{content}"}}]}}"#);
    Request::post(uri)
        .header("content-type", "application/json")
        .header("host", "llm.example")
        .body(Body::from(body))
}

async fn ask(client: &MeshClient) -> Fallible<()> {
    read(client.send(request("http://llm.example/now")?).await?).await
}

async fn once(client: &TlsConnector, at: SocketAddr) -> Fallible<()> {
    let stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let stream = client
        .connect(ServerName::try_from("llm.example")?, stream)
        .await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    read(sender.send_request(request("/now")?).await?).await?;
    drop(sender);
    // That it was closed without a word is no matter here.
    let _ = connection.await;
    Ok(())
}

async fn read<B>(response: http::Response<B>) -> Fallible<()>
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: Into<BoxError>,
{
    let status = response.status();
    let body = response.into_body().collect().await.map_err(Into::into)?;
    assert!(
        status.is_success() && body.to_bytes().len() > 900,
        "{status}"
    );
    Ok(())
}

// === the other side ===

fn start(authority: &Authority) -> Fallible<Upstreams> {
    let (full, resumed) = (authority.server(false)?, authority.server(true)?);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || -> Fallible<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let plain = upstream::start(Instant::now()).await?;
            let full = terminate(full, plain).await?;
            let resumed = terminate(resumed, plain).await?;
            // The reader waits for it.
            let _ = tell.send(Upstreams {
                plain,
                full,
                resumed,
            });
            std::future::pending().await
        })
    });
    Ok(told.recv()?)
}
