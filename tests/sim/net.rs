//! A network in memory: hosts with an address, connections of two pipes, and bad weather.
//!
//! Bytes arrive in order, each piece after the latency of the host that was dialled. A host that is cut off neither
//! hears nor is heard: what is sent waits, as TCP would repeat it, until the host is back.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use llmesh::{
    base::{
        Error, Kind, SharedRng,
        error::ConnectFailure,
        time::{Instant, sleep},
    },
    proxy::{
        BoxFuture,
        connect::{BoxIo, Connect, Dial},
        listener::{Accept, Info},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Notify, mpsc},
    time::Sleep,
};

/// What a pipe holds before its writer has to wait.
const WINDOW: usize = 64 << 10;

/// The network. Clones share it.
#[derive(Clone)]
pub(crate) struct Net {
    hosts: Arc<Mutex<BTreeMap<SocketAddr, Arc<Host>>>>,
    rng: SharedRng,
}

/// A host that can be dialled, and its weather.
pub(crate) struct Host {
    arrivals: mpsc::UnboundedSender<Stream>,
    /// Milliseconds, one way: at least, at most.
    latency: (AtomicU64, AtomicU64),
    refusing: AtomicBool,
    cut: AtomicBool,
    healed: Notify,
    pipes: Mutex<Vec<Weak<Pipe>>>,
    rng: SharedRng,
}

/// Takes a host's connections in.
pub(crate) struct Listener {
    arrivals: mpsc::UnboundedReceiver<Stream>,
    address: SocketAddr,
}

/// One end of a connection.
pub(crate) struct Stream {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    arrival: Option<Pin<Box<Sleep>>>,
}

/// One direction of a connection.
struct Pipe {
    host: Arc<Host>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Pieces and when they arrive. An empty one is the end.
    pieces: VecDeque<(Instant, Vec<u8>)>,
    queued: usize,
    last: Option<Instant>,
    reset: bool,
    /// Nobody reads any more.
    deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

// === impl Net ===

impl Net {
    pub(crate) fn new(rng: SharedRng) -> Self {
        Self {
            hosts: Arc::default(),
            rng,
        }
    }

    /// A new host.
    pub(crate) fn host(&self, address: SocketAddr) -> (Arc<Host>, Listener) {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let host = Arc::new(Host {
            arrivals: sender,
            latency: Default::default(),
            refusing: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            healed: Notify::new(),
            pipes: Mutex::default(),
            rng: self.rng.clone(),
        });
        let before = self
            .hosts
            .lock()
            .unwrap()
            .insert(address, Arc::clone(&host));
        assert!(before.is_none(), "{address} exists");
        (host, Listener { arrivals, address })
    }

    /// Connects, or waits for ever where packets are lost.
    pub(crate) async fn dial(&self, address: SocketAddr) -> io::Result<Stream> {
        let host = self.hosts.lock().unwrap().get(&address).cloned();
        let host = host.ok_or(io::ErrorKind::ConnectionRefused)?;
        sleep(host.draw() + host.draw()).await;
        host.reachable().await;
        if host.refusing.load(Relaxed) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (there, back) = (host.pipe(), host.pipe());
        let server = Stream::new(Arc::clone(&there), Arc::clone(&back));
        let dialled = Stream::new(back, there);
        let sent = host.arrivals.send(server);
        sent.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(dialled)
    }
}

impl Connect for Net {
    fn connect(&self, address: SocketAddr, dial: Dial) -> BoxFuture<'_, Result<BoxIo, Error>> {
        Box::pin(async move {
            let failed = |why| Error::new(Kind::Connect(why));
            match tokio::time::timeout(dial.timeout, self.dial(address)).await {
                Ok(Ok(stream)) => Ok(Box::new(stream) as BoxIo),
                Ok(Err(error)) => Err(failed(ConnectFailure::Refused).with_source(error)),
                Err(_) => Err(failed(ConnectFailure::Timeout)),
            }
        })
    }
}

// === impl Host ===

impl Host {
    /// Sets the latency of one way, in milliseconds: drawn from these bounds for each piece.
    pub(crate) fn set_latency(&self, least: u64, most: u64) {
        self.latency.0.store(least, Relaxed);
        self.latency.1.store(most, Relaxed);
    }

    /// Takes no more connections, and resets those that are open.
    pub(crate) fn go_down(&self) {
        self.refusing.store(true, Relaxed);
        self.each_pipe(|state| state.reset = true);
    }

    /// Takes connections again.
    pub(crate) fn come_up(&self) {
        self.refusing.store(false, Relaxed);
    }

    /// Loses every packet from and to it.
    pub(crate) fn cut_off(&self) {
        self.cut.store(true, Relaxed);
    }

    /// Loses no more packets.
    pub(crate) fn heal(&self) {
        self.cut.store(false, Relaxed);
        self.healed.notify_waiters();
        self.each_pipe(|_| {});
    }

    async fn reachable(&self) {
        while self.cut.load(Relaxed) {
            self.healed.notified().await;
        }
    }

    fn draw(&self) -> Duration {
        let (least, most) = (self.latency.0.load(Relaxed), self.latency.1.load(Relaxed));
        Duration::from_millis(least + self.rng.below(most - least + 1))
    }

    fn pipe(self: &Arc<Self>) -> Arc<Pipe> {
        let pipe = Arc::new(Pipe {
            host: Arc::clone(self),
            state: Mutex::default(),
        });
        let mut pipes = self.pipes.lock().unwrap();
        pipes.retain(|pipe| pipe.strong_count() > 0);
        pipes.push(Arc::downgrade(&pipe));
        pipe
    }

    /// Changes all its pipes and wakes whoever waits on them.
    fn each_pipe(&self, change: impl Fn(&mut State)) {
        let pipes: Vec<_> = self.pipes.lock().unwrap().clone();
        for pipe in pipes.iter().filter_map(Weak::upgrade) {
            let mut state = pipe.state();
            change(&mut state);
            state.wake();
        }
    }
}

// === impl Pipe ===

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn push(&self, state: &mut State, piece: &[u8]) {
        let mut at = Instant::now() + self.host.draw();
        at = at.max(state.last.unwrap_or(at));
        state.last = Some(at);
        state.queued += piece.len();
        state.pieces.push_back((at, piece.to_vec()));
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl State {
    fn wake(&mut self) {
        let sleepers = self.reader.take().into_iter().chain(self.writer.take());
        sleepers.for_each(Waker::wake);
    }
}

// === impl Stream ===

impl Stream {
    fn new(incoming: Arc<Pipe>, outgoing: Arc<Pipe>) -> Self {
        Self {
            incoming,
            outgoing,
            arrival: None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if let Some(arrival) = &mut this.arrival {
                // Whatever happens to the pipe meanwhile must be heard too.
                this.incoming.state().reader = Some(cx.waker().clone());
                if arrival.as_mut().poll(cx).is_pending() && !this.incoming.state().reset {
                    return Poll::Pending;
                }
                this.arrival = None;
            }
            let mut state = this.incoming.state();
            if state.reset {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let cut = this.incoming.host.cut.load(Relaxed);
            let Some((at, piece)) = state.pieces.front_mut().filter(|_| !cut) else {
                state.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            if *at > Instant::now() {
                this.arrival = Some(Box::pin(tokio::time::sleep_until(*at)));
                continue;
            }
            let n = piece.len().min(buffer.remaining());
            buffer.put_slice(&piece[..n]);
            piece.drain(..n);
            // The end stays for whoever reads again.
            if n > 0 && piece.is_empty() {
                state.pieces.pop_front();
            }
            state.queued -= n;
            if let Some(writer) = state.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let pipe = &self.outgoing;
        let mut state = pipe.state();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.deaf && !pipe.host.cut.load(Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n = bytes.len().min(WINDOW.saturating_sub(state.queued));
        if n == 0 && !bytes.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if n > 0 {
            pipe.push(&mut state, &bytes[..n]);
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pipe = &self.outgoing;
        pipe.push(&mut pipe.state(), &[]);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let pipe = &self.outgoing;
        pipe.push(&mut pipe.state(), &[]);
        let mut state = self.incoming.state();
        state.deaf = true;
        state.wake();
    }
}

// === impl Listener ===

impl Accept for Listener {
    type Io = Stream;

    async fn accept(&mut self) -> io::Result<(Stream, Info)> {
        let Some(stream) = self.arrivals.recv().await else {
            // The network is gone.
            return std::future::pending().await;
        };
        let info = Info {
            peer: Some(SocketAddr::from(([10, 9, 9, 9], 40_000))),
            local: Some(self.address),
            tls: false,
        };
        Ok((stream, info))
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_take_their_time_and_wait_for_the_weather() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let net = Net::new(SharedRng::seeded(1));
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    let (host, mut listener) = net.host(address);
    host.set_latency(5, 5);
    let begin = Instant::now();
    let passed = || begin.elapsed().as_millis();
    let mut near = net.dial(address).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    assert_eq!(passed(), 10);
    near.write_all(b"ping").await.unwrap();
    let mut word = [0; 4];
    far.read_exact(&mut word).await.unwrap();
    assert_eq!((&word, passed()), (b"ping", 15));
    host.cut_off();
    far.write_all(b"pong").await.unwrap();
    let heard = near.read_exact(&mut word);
    let heard = tokio::time::timeout(Duration::from_millis(85), heard);
    assert!(heard.await.is_err());
    let lost = tokio::time::timeout(Duration::from_millis(100), net.dial(address)).await;
    assert!(lost.is_err());
    host.heal();
    near.read_exact(&mut word).await.unwrap();
    assert_eq!((&word, passed()), (b"pong", 200));
    host.go_down();
    let reset = near.read_u8().await.unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    let refused = net.dial(address).await.err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    host.come_up();
    let mut near = net.dial(address).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    drop(far);
    assert_eq!(near.read(&mut word).await.unwrap(), 0);
}
