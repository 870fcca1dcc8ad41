//! One run of a scenario, and many.

use std::{net::SocketAddr, sync::Arc, thread, time::Duration};

use llmesh::{
    base::SharedRng,
    proxy::{Input, Options, Proxy},
};
use tokio::runtime::Builder;

use crate::{
    caller::Caller,
    mesh,
    net::{Listener, Net},
    relay,
    upstream::Upstream,
};

/// One run.
pub(crate) struct Sim {
    pub(crate) seed: u64,
    /// Draws what the scenario leaves to chance.
    pub(crate) rng: SharedRng,
    pub(crate) net: Net,
}

/// Says which seed a scenario failed with.
struct Named(u64);

/// Runs a scenario once for each seed and gives what they came to. `SIM_TIMES=10` runs ten times as many.
pub(crate) fn each_seed<T, Fut>(seeds: u64, scenario: impl Fn(Sim) -> Fut) -> Vec<T>
where
    Fut: Future<Output = T>,
{
    let times = std::env::var("SIM_TIMES").map_or(1, |times| times.parse().unwrap());
    (0..seeds * times)
        .map(|seed| with_seed(seed, &scenario))
        .collect()
}

/// Runs a scenario with this seed, for less than an hour of simulated time.
pub(crate) fn with_seed<T, Fut>(seed: u64, scenario: impl Fn(Sim) -> Fut) -> T
where
    Fut: Future<Output = T>,
{
    let _named = Named(seed);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let hour = Duration::from_secs(3600);
        let run = tokio::time::timeout(hour, scenario(Sim::new(seed)));
        run.await.expect("the scenario comes to an end")
    })
}

/// The address of the `n`th upstream.
pub(crate) fn upstream(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 8080))
}

/// The address of the `n`th proxy.
pub(crate) fn proxy(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, n], 15001))
}

// === impl Sim ===

impl Sim {
    fn new(seed: u64) -> Self {
        let rng = SharedRng::seeded(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED);
        Self {
            seed,
            net: Net::new(SharedRng::seeded(rng.next())),
            rng,
        }
    }

    /// Starts the `n`th upstream, a hop of 0 to 2 ms away.
    pub(crate) fn upstream(&self, n: u8) -> Upstream {
        let (host, listener) = self.net.host(upstream(n));
        host.set_latency(0, 2);
        Upstream::start(n, host, listener, SharedRng::seeded(self.rng.next()))
    }

    /// Starts a relay of another make before `to`, which passes on neither how often a request was sent nor that an answer
    /// is final.
    pub(crate) fn relay(&self, n: u8, to: SocketAddr) -> SocketAddr {
        let address = SocketAddr::from(([10, 0, 2, n], 80));
        let (_, listener) = self.net.host(address);
        relay::start(self.net.clone(), listener, to);
        address
    }

    /// Starts the `n`th proxy, on the caller's own host, and a caller of it.
    pub(crate) async fn proxy(&self, n: u8, mesh: &str) -> (Proxy, Caller) {
        let mut options = Options::new(Input::inline(vec![mesh::source(mesh)]));
        options.outbound = proxy(n);
        options.admin = None;
        options.connect = Arc::new(self.net.clone());
        options.rng = SharedRng::seeded(self.rng.next());
        let (_, listener) = self.net.host(options.outbound);
        let caller = Caller::new(self.net.clone(), options.outbound);
        let started = Proxy::start_on(options, listener, None::<Listener>).await;
        (started.expect("the mesh is good"), caller)
    }

    /// Milliseconds between these, drawn.
    pub(crate) fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.rng.below(most - least + 1))
    }
}

// === impl Named ===

impl Drop for Named {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}
