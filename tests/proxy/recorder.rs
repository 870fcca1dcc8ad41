//! A proxy before an upstream that notes every byte it gets, and callers that write bytes.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use llmesh::{
    config::Source,
    proxy::{Input, Options, Proxy, server::Params},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    kit::Log,
    support::{bind, soon},
};

/// The one service's host.
pub const HOST: &str = "svc.test";

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A proxy and its one upstream.
pub struct Front {
    pub proxy: Proxy,
    pub upstream: Recorder,
    pub log: Arc<Log>,
}

/// A server that reads strictly, keeps what it read and answers `ok`, or what was set for the path.
#[derive(Clone, Default)]
pub struct Recorder {
    seen: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Mutex<HashMap<String, Scripted>>>,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Scripted {
    bytes: Vec<u8>,
    close: bool,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request line and the fields.
    pub lines: Vec<String>,
    pub body: String,
}

/// A caller's connection.
pub struct Wire(BufReader<TcpStream>);

/// A response as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    /// Whether the body came to its end.
    pub whole: bool,
}

// === impl Front ===

impl Front {
    pub async fn start(server: Params) -> Self {
        let (listener, address) = bind().await;
        let upstream = Recorder::default();
        tokio::spawn(upstream.clone().serve(listener));
        let (proxy, log) = proxy_before(address, "http", server).await;
        Self {
            proxy,
            upstream,
            log,
        }
    }

    pub async fn wire(&self) -> Wire {
        Wire::connect(self.proxy.outbound()).await
    }
}

/// A proxy before an upstream that somebody else plays, and what it noted. `port` is the name of the upstream's port.
pub async fn proxy_before(address: SocketAddr, port: &str, server: Params) -> (Proxy, Arc<Log>) {
    let protocol = if port == "http2" { "HTTP2" } else { "HTTP" };
    let entry = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: svc}}\nspec:\n  hosts: [{HOST}]\n  \
         resolution: STATIC\n  ports: [{{number: 80, name: {port}, protocol: {protocol}}}]\n  \
         endpoints: [{{address: 127.0.0.1, ports: {{{port}: {}}}}}]\n",
        address.port()
    );
    let log = Arc::new(Log::default());
    let mut options = Options::new(Input::inline(vec![Source::new("svc.yaml", entry)]));
    options.outbound.set_port(0);
    options.admin = None;
    options.server = server;
    options.reports = vec![Arc::clone(&log) as _];
    let proxy = Proxy::start(options).await.map_err(|e| e.to_string());
    (proxy.unwrap(), log)
}

// === impl Recorder ===

impl Recorder {
    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Connections now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// What was seen since the last time.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// Answers requests for this path with these bytes.
    pub fn answer(&self, path: &str, bytes: &[u8], close: bool) {
        let bytes = bytes.to_vec();
        let script = Scripted { bytes, close };
        self.answers.lock().unwrap().insert(path.to_owned(), script);
    }

    pub async fn serve(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            self.accepted.fetch_add(1, Ordering::SeqCst);
            self.open.fetch_add(1, Ordering::SeqCst);
            let me = self.clone();
            tokio::spawn(async move {
                me.connection(BufReader::new(stream)).await;
                me.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    async fn connection(&self, mut stream: BufReader<TcpStream>) {
        while let Some(head) = head(&mut stream).await {
            let lines: Vec<_> = head.trim_end().split("\r\n").map(str::to_owned).collect();
            let framing = Framing::of(&lines);
            if !values(&lines, "expect").is_empty() {
                let asked = stream.get_mut().write_all(CONTINUE).await;
                if asked.is_err() {
                    return;
                }
            }
            let Some(body) = framing.read(&mut stream).await else {
                return;
            };
            let seen = Seen { lines, body };
            let path = seen.path().to_owned();
            self.seen.lock().unwrap().push(seen);
            let script = self.answers.lock().unwrap().get(&path).cloned();
            let (bytes, close) = script.map_or_else(|| (OK.into(), false), |s| (s.bytes, s.close));
            if stream.get_mut().write_all(&bytes).await.is_err() || close {
                return;
            }
        }
    }
}

// === impl Seen ===

impl Seen {
    pub fn path(&self) -> &str {
        self.lines[0].split(' ').nth(1).unwrap_or_default()
    }

    /// All values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        values(&self.lines, name)
    }

    /// `METHOD path`, and the body if there is one.
    pub fn short(&self) -> String {
        let line = self.lines[0].strip_suffix(" HTTP/1.1");
        let line = line.expect("the upstream was spoken to in another version");
        match &*self.body {
            "" => line.to_owned(),
            body => format!("{line} [{body}]"),
        }
    }
}

// === impl Wire ===

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        // The proxy may have closed already, which the answer will tell.
        let _ = self.0.get_mut().write_all(bytes).await;
    }

    /// Sends no more.
    pub async fn finish(&mut self) {
        self.0.get_mut().shutdown().await.unwrap();
    }

    pub async fn get(&mut self, path: &str) {
        let text = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        self.write(text.as_bytes()).await;
    }

    /// The next response; `None` at the end of the connection.
    pub async fn answer(&mut self) -> Option<Answer> {
        let head = soon(head(&mut self.0)).await?;
        let lines: Vec<_> = head.split("\r\n").map(str::to_owned).collect();
        let status = lines[0].split(' ').nth(1)?.parse().ok()?;
        let unframed = || {
            values(&lines, "content-length").is_empty()
                && values(&lines, "transfer-encoding").is_empty()
        };
        let framing = match status {
            100..=199 | 204 | 304 => Framing::Length(0),
            _ if unframed() => Framing::Close,
            _ => Framing::of(&lines),
        };
        let read = soon(framing.read(&mut self.0)).await;
        Some(Answer {
            status,
            head,
            whole: read.is_some(),
            body: read.unwrap_or_default(),
        })
    }

    /// Whether the connection is over, with nothing more on it. A reset counts.
    pub async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        let _ = soon(self.0.read_to_end(&mut rest)).await;
        rest.is_empty()
    }
}

// === framing, as its own reader ===

enum Framing {
    Length(usize),
    Chunked,
    Close,
}

impl Framing {
    fn of(lines: &[String]) -> Self {
        if !values(lines, "transfer-encoding").is_empty() {
            return Self::Chunked;
        }
        let length = values(lines, "content-length");
        Self::Length(length.first().map_or(0, |v| v.parse().unwrap()))
    }

    /// The body; `None` if it does not come to its end.
    async fn read(&self, stream: &mut BufReader<TcpStream>) -> Option<String> {
        let mut body = Vec::new();
        match self {
            Self::Length(length) => {
                body.resize(*length, 0);
                stream.read_exact(&mut body).await.ok()?;
            }
            Self::Close => {
                stream.read_to_end(&mut body).await.ok()?;
            }
            Self::Chunked => loop {
                let line = line(stream).await?;
                let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
                if size == 0 {
                    // Trailers, up to an empty line.
                    loop {
                        let trailer = self::line(stream).await?;
                        if trailer == "\r\n" {
                            break;
                        }
                        body.extend_from_slice(format!("|{}", trailer.trim_end()).as_bytes());
                    }
                    break;
                }
                let mut chunk = vec![0; size + 2];
                stream.read_exact(&mut chunk).await.ok()?;
                chunk.truncate(size);
                body.extend_from_slice(&chunk);
            },
        }
        Some(String::from_utf8_lossy(&body).into_owned())
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

/// Up to and with the empty line; `None` if the connection ends before.
async fn head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push_str(&line(stream).await?);
    }
    Some(head)
}

fn values<'a>(lines: &'a [String], name: &str) -> Vec<&'a str> {
    let fields = lines.iter().skip(1).filter_map(|l| l.split_once(':'));
    fields
        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.trim())
        .collect()
}
