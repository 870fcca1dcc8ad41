//! What hostile and unlucky peers cost: memory a connection, memory against what they sent, and how it ends.
//!
//! Each row has an llmesh process of its own. Memory is what the process holds more than before, at its highest while the
//! attack goes on; "times sent" is that against the bytes that the attacker wrote (for slow readers: that he asked for and
//! never read, it is against what the kernel took). The limits are the defaults; what they end later than a bench may last
//! (a head after 30 s, a silent upload after 60 s) is shown at the times that the row says.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use llmesh::base::time::{Instant, sleep};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use super::{
    flood::{Outcome, Sockets, bombs, h2, reset_pair, write_within},
    frames,
    load::{drive, open},
    table::quantile,
    target::Target,
};

/// Runs all attacks and prints the table.
pub(crate) async fn run(smoke: bool, upstreams: [SocketAddr; 2]) -> io::Result<()> {
    // A smoke test only shows that the attacks run.
    let n = |full: usize| if smoke { full.div_ceil(100) } else { full };
    let patience = Duration::from_secs(if smoke { 0 } else { 32 });
    println!(
        "\n| {:<48} | connections | sent, KiB | memory, KiB | each, KiB | times sent | end |",
        "attack"
    );
    println!("|---|---:|---:|---:|---:|---:|---|");
    let run = Run { upstreams };
    run.row("idle connections, one request made", async |to| {
        idle(to, n(2000)).await
    })
    .await?;
    run.row("half a head, good traffic beside", async |to| {
        half_heads(to, n(1000), patience).await
    })
    .await?;
    run.row("heads of 400 KB without an end", async |to| {
        big_heads(to, n(500)).await
    })
    .await?;
    run.row("50 MB asked for and not read", async |to| {
        slow_readers(to, n(100)).await
    })
    .await?;
    run.row("uploads of 64 KB that stop", async |to| {
        slow_uploads(to, n(200)).await
    })
    .await?;
    run.row("an upload of 256 MB, read slowly", async |to| {
        upload(to, n(256)).await
    })
    .await?;
    run.row("HTTP/2: 2,000 streams opened and reset", async |to| {
        h2(to, &[], reset_pair, n(2000)).await
    })
    .await?;
    let flood = n(20_000);
    run.row("HTTP/2: 20,000 PING, no answer read", async |to| {
        h2(to, &[], |_| frames::ping(), flood).await
    })
    .await?;
    run.row("HTTP/2: 20,000 SETTINGS, no answer read", async |to| {
        h2(to, &[], |_| frames::settings(), flood).await
    })
    .await?;
    run.row("HTTP/2: 20,000 DATA of no bytes", async |to| {
        let open = frames::headers(1, "/late", false);
        h2(to, &open, |_| frames::empty_data(1), flood).await
    })
    .await?;
    run.row("HTTP/2: 2,000 CONTINUATION of 16 KB", async |to| {
        h2(
            to,
            &frames::begun(1),
            |_| frames::continuation(1, 16_000),
            n(2000),
        )
        .await
    })
    .await?;
    let (some, many) = (n(100), n(2000));
    run.row("HTTP/2: 5 x 100 heads of 440 fields", async |to| {
        bombs(to, 5, some, 440).await
    })
    .await?;
    run.row("HTTP/2: 5 x 2,000 heads of 440 fields", async |to| {
        bombs(to, 5, many, 440).await
    })
    .await?;
    run.row(
        "HTTP/2: 5 x 100 requests of 90 fields at once",
        async |to| bombs(to, 5, some, 90).await,
    )
    .await?;
    descriptors(upstreams, n(1000)).await
}

/// Makes the rows.
struct Run {
    upstreams: [SocketAddr; 2],
}

impl Run {
    async fn row(
        &self,
        label: &str,
        attack: impl AsyncFnOnce(SocketAddr) -> io::Result<(Sockets, Outcome)>,
    ) -> io::Result<()> {
        let target = Target::llmesh(self.upstreams).await?;
        // What every process takes once, for its first connections, is no attacker's doing.
        drop(
            drive(
                open(target.address, 20).await?,
                "/now",
                Duration::from_millis(300),
            )
            .await?,
        );
        sleep(Duration::from_millis(200)).await;
        let before = target.resident().unwrap_or(0.0);
        let (kept, seen) = attack(target.address).await?;
        sleep(Duration::from_millis(300)).await;
        let held = (target.peak().unwrap_or(0.0) - before).max(0.0);
        drop(kept);
        print(label, &seen, Some(held));
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn print(label: &str, seen: &Outcome, held: Option<f64>) {
    let sent = seen.sent as f64 / 1024.0;
    let (memory, each, times) = match held {
        Some(held) => (
            format!("{held:.0}"),
            format!("{:.1}", held / seen.connections as f64),
            format!("{:.1}", held / sent.max(1.0)),
        ),
        None => Default::default(),
    };
    println!(
        "| {label:<48} | {:>11} | {sent:>9.0} | {memory:>11} | {each:>9} | {times:>10} | {} |",
        seen.connections, seen.end
    );
}

/// Connections that made one request and wait.
async fn idle(to: SocketAddr, n: usize) -> io::Result<(Sockets, Outcome)> {
    let mut sockets = Vec::new();
    let (mut sent, request) = (0, b"GET /now HTTP/1.1\r\nhost: llm\r\n\r\n");
    let mut answer = vec![0; 4096];
    for _ in 0..n {
        let mut socket = TcpStream::connect(to).await?;
        socket.write_all(request).await?;
        sent += request.len();
        if socket.read(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        sockets.push(socket);
    }
    let end = "kept".to_owned();
    Ok((
        sockets,
        Outcome {
            connections: n,
            sent,
            end,
        },
    ))
}

/// Slowloris: heads that never end, while others are served.
async fn half_heads(
    to: SocketAddr,
    n: usize,
    patience: Duration,
) -> io::Result<(Sockets, Outcome)> {
    let half = b"GET / HTTP/1.1\r\nhost: llm\r\nx-a: ";
    let mut sockets = Vec::new();
    for _ in 0..n {
        let mut socket = TcpStream::connect(to).await?;
        socket.write_all(half).await?;
        sockets.push(socket);
    }
    let begin = Instant::now();
    let (_, good) = drive(open(to, 4).await?, "/now", Duration::from_secs(1)).await?;
    let p99 = quantile(&good.times, 0.99) * 1e3;
    sleep(patience.saturating_sub(begin.elapsed())).await;
    let closed = ended(&mut sockets).await;
    let end = format!(
        "{} good requests beside, p99 {p99:.1} ms; {closed} of {n} closed after {} s",
        good.times.len(),
        patience.as_secs()
    );
    Ok((
        sockets,
        Outcome {
            connections: n,
            sent: n * half.len(),
            end,
        },
    ))
}

/// How many of these the other side has ended.
async fn ended(sockets: &mut [TcpStream]) -> usize {
    let mut ended = 0;
    for socket in sockets {
        let mut rest = Vec::new();
        let read = timeout(Duration::from_millis(1), socket.read_to_end(&mut rest));
        ended += usize::from(read.await.is_ok());
    }
    ended
}

/// Heads as long as they are let to be.
async fn big_heads(to: SocketAddr, n: usize) -> io::Result<(Sockets, Outcome)> {
    let (mut sockets, mut sent, mut refused) = (Vec::new(), 0, 0);
    let field = format!("x-a: {}\r\n", "a".repeat(4000));
    for _ in 0..n {
        let mut socket = TcpStream::connect(to).await?;
        let begin = b"GET / HTTP/1.1\r\nhost: llm\r\n";
        sent += write_within(&mut socket, begin).await;
        for _ in 0..100 {
            let wrote = write_within(&mut socket, field.as_bytes()).await;
            sent += wrote;
            if wrote < field.len() {
                break;
            }
        }
        let mut answer = [0; 64];
        let read = timeout(Duration::from_millis(100), socket.read(&mut answer)).await;
        // A reset may overtake the answer.
        let over = match read {
            Ok(Ok(got)) => got == 0 || answer[..got].starts_with(b"HTTP/1.1 431"),
            Ok(Err(_)) => true,
            Err(_) => false,
        };
        refused += usize::from(over);
        sockets.push(socket);
    }
    let end = format!("{refused} of {n} answered 431 or closed");
    Ok((
        sockets,
        Outcome {
            connections: n,
            sent,
            end,
        },
    ))
}

/// Answers that nobody reads.
async fn slow_readers(to: SocketAddr, n: usize) -> io::Result<(Sockets, Outcome)> {
    let request = b"GET /big HTTP/1.1\r\nhost: llm\r\n\r\n";
    let mut sockets = Vec::new();
    for _ in 0..n {
        let mut socket = TcpStream::connect(to).await?;
        socket.write_all(request).await?;
        sockets.push(socket);
    }
    sleep(Duration::from_secs(2)).await;
    let end = "nothing read for 2 s".to_owned();
    Ok((
        sockets,
        Outcome {
            connections: n,
            sent: n * request.len(),
            end,
        },
    ))
}

/// Uploads that stop in the middle.
async fn slow_uploads(to: SocketAddr, n: usize) -> io::Result<(Sockets, Outcome)> {
    let head = b"POST /now HTTP/1.1\r\nhost: llm\r\ncontent-length: 1000000\r\n\r\n";
    let body = vec![b'x'; 64 * 1024];
    let (mut sockets, mut sent) = (Vec::new(), 0);
    for _ in 0..n {
        let mut socket = TcpStream::connect(to).await?;
        sent += write_within(&mut socket, head).await;
        sent += write_within(&mut socket, &body).await;
        sockets.push(socket);
    }
    sleep(Duration::from_secs(1)).await;
    let end = format!("{} of {n} closed after 1 s", ended(&mut sockets).await);
    Ok((
        sockets,
        Outcome {
            connections: n,
            sent,
            end,
        },
    ))
}

/// One long upload.
async fn upload(to: SocketAddr, mebibytes: usize) -> io::Result<(Sockets, Outcome)> {
    let mut socket = TcpStream::connect(to).await?;
    let length = mebibytes << 20;
    let head = format!("POST /sink HTTP/1.1\r\nhost: llm\r\ncontent-length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    let part = vec![b'x'; 1 << 20];
    for _ in 0..mebibytes {
        socket.write_all(&part).await?;
    }
    let mut answer = [0; 15];
    socket.read_exact(&mut answer).await?;
    let end = String::from_utf8_lossy(&answer).trim().to_owned();
    Ok((
        vec![socket],
        Outcome {
            connections: 1,
            sent: length,
            end,
        },
    ))
}

/// More connections than the process has descriptors for.
async fn descriptors(upstreams: [SocketAddr; 2], n: usize) -> io::Result<()> {
    let target = Target::short_of_descriptors(upstreams, 256).await?;
    let mut old = TcpStream::connect(target.address).await?;
    ask(&mut old).await?;
    let mut dials = JoinSet::new();
    for _ in 0..n {
        dials.spawn(TcpStream::connect(target.address));
    }
    let mut held = Vec::new();
    while let Some(dialled) = dials.join_next().await {
        held.extend(dialled?);
    }
    let (cpu, begin) = (target.cpu(), Instant::now());
    sleep(Duration::from_secs(2)).await;
    let busy = (target.cpu() - cpu).as_secs_f64() / begin.elapsed().as_secs_f64();
    ask(&mut old).await?;
    drop(held);
    let free = Instant::now();
    let mut new = TcpStream::connect(target.address).await?;
    within(Duration::from_secs(10), ask(&mut new)).await?;
    let end = format!(
        "CPU {:.0} %, an old connection is served, a new one {:.1} s after they are free",
        busy * 100.0,
        free.elapsed().as_secs_f64()
    );
    let label = "1,000 dials, 256 descriptors";
    print(
        label,
        &Outcome {
            connections: n,
            sent: 0,
            end,
        },
        None,
    );
    Ok(())
}

async fn ask(socket: &mut TcpStream) -> io::Result<()> {
    socket
        .write_all(b"GET /now HTTP/1.1\r\nhost: llm\r\n\r\n")
        .await?;
    let mut answer = vec![0; 4096];
    let n = socket.read(&mut answer).await?;
    if answer[..n].starts_with(b"HTTP/1.1 200") {
        Ok(())
    } else {
        Err(io::Error::other("not served"))
    }
}

async fn within<T>(limit: Duration, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, future)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
