//! Two threads that share a layer's state, beside one.

use std::{fs, sync::Barrier, thread, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use llmesh::{base::time::Instant, retry};
use tower::{Layer, Service, limit::ConcurrencyLimitLayer};

use super::{Ceiling, ConcurrencyLayer, Leaf, PLAIN, breaker, full, harness::smoke, others};

/// Time of one call, on the clock and on the processor, in nanoseconds.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

/// Prints what a call costs while one thread calls, and while two do.
pub(super) fn compare() {
    if std::env::args().any(|arg| ["--count", "--instructions", "--only"].contains(&&*arg)) {
        return;
    }
    println!(
        "\n{:<44} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "one call, of one thread and of two", "1: ns", "1: CPU", "2: ns", "2: CPU", "ratio"
    );
    row("the bare leaf", &Leaf);
    row(
        "concurrency",
        &ConcurrencyLayer::new(Ceiling::new(1000)).layer(Leaf),
    );
    row("breaker", &breaker().layer(Leaf));
    row("full stack, no retries", &full(retry::Params::off(), Leaf));
    row("full stack", &full(super::retry_params(), Leaf));
    row(
        "tower: concurrency limit",
        &ConcurrencyLimitLayer::new(1000).layer(Leaf),
    );
    row("tower-resilience: breaker", &others::breaker().layer(Leaf));
}

fn row<S, R>(name: &str, service: &S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send,
    R: Body<Data = Bytes>,
{
    let (rounds, calls) = if smoke() { (1, 20) } else { (7, 20_000) };
    let best = |threads| {
        let all = (0..rounds).map(|_| measure(service, threads, calls));
        all.min_by(|a, b| a.wall.total_cmp(&b.wall))
            .expect("a round")
    };
    let (one, two) = (best(1), best(2));
    println!(
        "{name:<44} {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>8.2}",
        one.wall,
        one.cpu,
        two.wall,
        two.cpu,
        two.wall / one.wall
    );
}

/// The slowest thread's time on the clock, and all threads' on the processor, a call.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn measure<S, R>(service: &S, threads: usize, calls: usize) -> Cost
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send,
    R: Body<Data = Bytes>,
{
    let start = Barrier::new(threads);
    let work = |mut service: S| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            start.wait();
            let (began, busy) = (Instant::now(), processor());
            for _ in 0..calls {
                PLAIN.exchange(&mut service).await;
            }
            (began.elapsed(), processor() - busy)
        })
    };
    let done: Vec<_> = thread::scope(|scope| {
        let work = &work;
        let all: Vec<_> = (0..threads)
            .map(|_| {
                let service = service.clone();
                scope.spawn(move || work(service))
            })
            .collect();
        let joined = all
            .into_iter()
            .map(|t| t.join().expect("it does not panic"));
        joined.collect()
    });
    let wall = done.iter().map(|(wall, _)| *wall).max().unwrap_or_default();
    let cpu: Duration = done.iter().map(|(_, cpu)| *cpu).sum();
    Cost {
        wall: wall.as_nanos() as f64 / calls as f64,
        cpu: cpu.as_nanos() as f64 / (calls * threads) as f64,
    }
}

/// Time that this thread had on a processor; zero where the system does not say.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}
