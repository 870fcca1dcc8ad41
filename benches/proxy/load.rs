//! The load: closed loops over connections that are kept.

use std::{io, net::SocketAddr, time::Duration};

use llmesh::base::time::{Instant, sleep};
use tokio::task::JoinSet;

use super::{
    upstream::{EVENT_GAP, EVENTS},
    wire::Wire,
};

/// A kind of stream whose events say when they were sent.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    path: &'static str,
    /// What stands before the time in an event, and after it.
    marks: [&'static [u8]; 2],
}

/// Events that are nothing but the time.
pub(crate) const BARE: Kind = Kind {
    path: "/events",
    marks: [b"data: ", b"\n\n"],
};

/// Tokens of a chat completion. The first event has a role and no text, so it is passed over.
pub(crate) const CHAT: Kind = Kind {
    path: "/v1/chat/completions",
    marks: [b"\"content\":\"0", b"\""],
};

/// What a load saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// How long each request took, or each event was on its way; in seconds, sorted.
    pub(crate) times: Vec<f64>,
    /// From request to response head; only of streams; in seconds, sorted.
    pub(crate) heads: Vec<f64>,
    /// How long the first event of each stream was on its way; in seconds, sorted.
    pub(crate) firsts: Vec<f64>,
    /// How long the load went on.
    pub(crate) took: Duration,
}

/// Opens connections and makes one request on each.
pub(crate) async fn open(address: SocketAddr, connections: usize) -> io::Result<Vec<Wire>> {
    let mut wires = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut wire = Wire::connect(address).await?;
        exchange(&mut wire, &request("/now")).await?;
        wires.push(wire);
    }
    Ok(wires)
}

/// Requests one after the other on each connection, all connections at once, for this long.
pub(crate) async fn drive(
    wires: Vec<Wire>,
    path: &str,
    span: Duration,
) -> io::Result<(Vec<Wire>, Seen)> {
    let mut tasks = JoinSet::new();
    let begin = Instant::now();
    for mut wire in wires {
        let request = request(path);
        tasks.spawn(async move {
            let mut times = Vec::new();
            while begin.elapsed() < span {
                let sent = Instant::now();
                exchange(&mut wire, &request).await?;
                times.push(sent.elapsed().as_secs_f64());
            }
            Ok::<_, io::Error>((wire, times))
        });
    }
    let (mut wires, mut seen) = (Vec::new(), Seen::default());
    while let Some(done) = tasks.join_next().await {
        let (wire, times) = done??;
        wires.push(wire);
        seen.times.extend(times);
    }
    seen.took = begin.elapsed();
    seen.times.sort_by(f64::total_cmp);
    Ok((wires, seen))
}

/// One stream on each connection, begun one after the other over the time of an event; `epoch` is the upstream's.
pub(crate) async fn stream(wires: Vec<Wire>, kind: Kind, epoch: Instant) -> io::Result<Seen> {
    let mut tasks = JoinSet::new();
    let begin = Instant::now();
    let count = u32::try_from(wires.len().max(1)).map_err(io::Error::other)?;
    for (n, mut wire) in (0..).zip(wires) {
        tasks.spawn(async move {
            sleep(EVENT_GAP * n / count).await;
            watch(&mut wire, kind, epoch).await
        });
    }
    let mut seen = Seen::default();
    while let Some(done) = tasks.join_next().await {
        let (head, delays) = done??;
        seen.heads.push(head);
        seen.firsts.extend(delays.first());
        seen.times.extend(delays);
    }
    seen.took = begin.elapsed();
    seen.times.sort_by(f64::total_cmp);
    seen.heads.sort_by(f64::total_cmp);
    seen.firsts.sort_by(f64::total_cmp);
    Ok(seen)
}

async fn watch(wire: &mut Wire, kind: Kind, epoch: Instant) -> io::Result<(f64, Vec<f64>)> {
    let sent = Instant::now();
    wire.send(&request(kind.path)).await?;
    good(&wire.head().await?.line)?;
    let head = sent.elapsed().as_secs_f64();
    let mut delays = Vec::with_capacity(EVENTS);
    for _ in 0..EVENTS {
        wire.until(kind.marks[0]).await?;
        let stamp = wire.until(kind.marks[1]).await?;
        let now = epoch.elapsed().as_secs_f64();
        let nanos = std::str::from_utf8(&stamp)
            .ok()
            .and_then(|s| s.parse().ok());
        let nanos: f64 = nanos.ok_or(io::ErrorKind::InvalidData)?;
        delays.push(now - nanos / 1e9);
    }
    wire.until(b"\r\n0\r\n\r\n").await?;
    Ok((head, delays))
}

async fn exchange(wire: &mut Wire, request: &[u8]) -> io::Result<()> {
    wire.send(request).await?;
    good(&wire.message().await?.line)
}

fn good(line: &str) -> io::Result<()> {
    if line.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(io::Error::other(format!("answered {line:?}")))
    }
}

fn request(path: &str) -> Vec<u8> {
    let stream = path == CHAT.path;
    let body = format!(
        r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "x".repeat(200)
    );
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: llm\r\nuser-agent: bench\r\naccept: */*\r\n\
         content-type: application/json\r\nauthorization: Bearer none\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}
