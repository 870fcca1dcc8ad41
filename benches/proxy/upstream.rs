//! The upstream: a whole answer of 1 KB at once or late, or a stream of events that say when they were sent.

use std::{io, net::SocketAddr, time::Duration};

use llmesh::base::time::{Instant, sleep};
use tokio::net::TcpListener;

use super::wire::Wire;

/// Before each event, and before the first.
pub(crate) const EVENT_GAP: Duration = Duration::from_millis(20);
/// Events of a stream.
pub(crate) const EVENTS: usize = 50;
/// How late the late answer is.
pub(crate) const LATE: Duration = Duration::from_millis(50);

/// How long the answer takes that does not come.
const NEVER: Duration = Duration::from_secs(20);

/// Serves on a free loopback port for as long as the runtime lives. Events count nanoseconds from `epoch`.
pub(crate) async fn start(epoch: Instant) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(wire) = Wire::new(stream) {
                // Ends when the caller closes.
                tokio::spawn(async move { serve(wire, epoch).await });
            }
        }
    });
    Ok(address)
}

async fn serve(mut wire: Wire, epoch: Instant) -> io::Result<()> {
    let body = completion();
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    loop {
        let request = wire.message().await?;
        match request.line.split(' ').nth(1) {
            Some("/events") => events(&mut wire, epoch).await?,
            Some("/v1/chat/completions") => tokens(&mut wire, epoch).await?,
            Some("/big") => big(&mut wire).await?,
            Some("/never") => sleep(NEVER).await,
            Some("/late") => {
                sleep(LATE).await;
                wire.send(whole.as_bytes()).await?;
            }
            _ => wire.send(whole.as_bytes()).await?,
        }
    }
}

/// 50 MB.
async fn big(wire: &mut Wire) -> io::Result<()> {
    const PART: usize = 1 << 20;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 50 * PART);
    wire.send(head.as_bytes()).await?;
    let part = vec![b'x'; PART];
    for _ in 0..50 {
        wire.send(&part).await?;
    }
    Ok(())
}

/// A chat completion of 1 KB.
fn completion() -> String {
    let text = "x".repeat(800);
    let choice = format!(
        r#"{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}"#
    );
    let usage = r#"{"prompt_tokens":50,"completion_tokens":200,"total_tokens":250}"#;
    format!(
        r#"{{"id":"c","object":"chat.completion","model":"m","choices":[{choice}],"usage":{usage}}}"#
    )
}

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

async fn events(wire: &mut Wire, epoch: Instant) -> io::Result<()> {
    wire.send(STREAM.as_bytes()).await?;
    for _ in 0..EVENTS {
        sleep(EVENT_GAP).await;
        let event = format!("data: {:020}\n\n", epoch.elapsed().as_nanos());
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        wire.send(chunk.as_bytes()).await?;
    }
    wire.send(b"0\r\n\r\n").await
}

/// A chat completion as OpenAI streams it; the text of each token is when it was sent.
async fn tokens(wire: &mut Wire, epoch: Instant) -> io::Result<()> {
    let event = |delta: &str, finish: &str| {
        let event = format!(
            r#"data: {{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1795341600,"model":"m","system_fingerprint":"fp_44709d6fcb","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}"#
        );
        format!("{:x}\r\n{event}\n\n\r\n", event.len() + 2)
    };
    let role = event(r#"{"role":"assistant","content":""}"#, "null");
    wire.send((STREAM.to_owned() + &role).as_bytes()).await?;
    for _ in 0..EVENTS {
        sleep(EVENT_GAP).await;
        let delta = format!(r#"{{"content":"{:020}"}}"#, epoch.elapsed().as_nanos());
        wire.send(event(&delta, "null").as_bytes()).await?;
    }
    let end = event("{}", "\"stop\"") + "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
    wire.send(end.as_bytes()).await
}
