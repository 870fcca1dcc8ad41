//! As little HTTP/1.1 as both ends of the bench need, so that they cost less than what stands between them.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One end of a connection.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of `buffer` was taken.
    taken: usize,
}

/// The head of a message, and where its body is.
pub(crate) struct Head {
    /// The request or status line.
    pub(crate) line: String,
    /// As `content-length` says; `None` if it does not.
    pub(crate) length: Option<usize>,
}

// === impl Wire ===

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        TcpStream::connect(address).await.and_then(Self::new)
    }

    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            taken: 0,
        })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next message's head; an error of kind `UnexpectedEof` where the other side closed.
    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some(end) = find(self.rest(), b"\r\n\r\n") {
                let head = Head::read(&self.rest()[..end]);
                self.taken += end + 4;
                return Ok(head);
            }
            self.more().await?;
        }
    }

    /// Reads a whole message and drops its body.
    pub(crate) async fn message(&mut self) -> io::Result<Head> {
        let head = self.head().await?;
        let mut left = match head.length {
            Some(length) => length,
            None if head.line.starts_with("GET ") => 0,
            None => return Err(io::ErrorKind::InvalidData.into()),
        };
        loop {
            let part = left.min(self.rest().len());
            self.taken += part;
            left -= part;
            if left == 0 {
                return Ok(head);
            }
            self.more().await?;
        }
    }

    /// What lies before the next `mark`.
    pub(crate) async fn until(&mut self, mark: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = find(self.rest(), mark) {
                let part = self.rest()[..end].to_vec();
                self.taken += end + mark.len();
                return Ok(part);
            }
            self.more().await?;
        }
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    async fn more(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

// === impl Head ===

impl Head {
    fn read(bytes: &[u8]) -> Self {
        let mut lines = bytes.split(|b| *b == b'\n');
        let line = lines.next().unwrap_or_default();
        let length = lines.find_map(|line| {
            let name = line.get(..15)?;
            if !name.eq_ignore_ascii_case(b"content-length:") {
                return None;
            }
            std::str::from_utf8(&line[15..]).ok()?.trim().parse().ok()
        });
        Self {
            line: String::from_utf8_lossy(line).trim().to_owned(),
            length,
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}
