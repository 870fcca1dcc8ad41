//! What a proxy hop costs: direct, through llmesh, and through Envoy with the same route, retries and outlier detection.
//!
//! `ENVOY=/path/to/envoy cargo bench --features bin --bench proxy`, or with `-- --smoke` about a second of llmesh
//! alone, to see that it runs; `-- --abuse` is the table of what hostile peers cost, `-- --llm` and `-- --scale` are in
//! [`llm`], `-- --tls` in [`originate`]. `LLMESH` names another llmesh binary to measure, `BEFORE` one of an earlier version to measure beside it.
//!
//! Each proxy is a process of its own with one worker, kept on the second core; the load and the upstreams share one
//! thread on the first. Loopback only; HTTP/1.1, POSTs of 250 bytes, answers of 1 KB, kept connections; Envoy's access
//! log is off, as llmesh's is. The targets take turns, so that a busy moment of the machine hits all of them alike; each
//! number is the median over the turns, and in rows that say "added" what the direct way takes is subtracted; that way
//! crosses no process boundary, so what the crossing costs is in them. Compare within one run only: `ratio` is llmesh to
//! Envoy. Requests/s are a proxy's limit only where its core is busy.

use std::{io, process::ExitCode, time::Duration};

use llmesh::base::time::{Instant, sleep};

use self::{
    load::{BARE, drive, open, stream},
    table::{Table, quantile},
    target::{NO_ENVOY, Target, cost, pin_self},
};

mod abuse;
mod flood;
mod frames;
mod llm;
mod load;
mod originate;
#[allow(dead_code, reason = "the TLS bench uses more of it")]
mod secure;
mod table;
mod target;
mod upstream;
mod wire;

/// How long each measurement goes on.
#[derive(Clone, Copy)]
struct Effort {
    turns: usize,
    /// Of each closed loop.
    span: Duration,
    streams: usize,
    /// Connections that only wait.
    idle: usize,
}

const IDLE: &str = "memory at start, KiB";
const LOAD: &str = "memory under load, KiB";

fn main() -> ExitCode {
    let asked = |flag: &str| std::env::args().any(|arg| arg == flag);
    let (smoke, abuse) = (asked("--smoke"), asked("--abuse"));
    if !pin_self() {
        println!("no taskset here: the processes share the cores as the system likes");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.and_then(|runtime| runtime.block_on(run(smoke, abuse))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(smoke: bool, abuse: bool) -> io::Result<()> {
    let epoch = Instant::now();
    let upstreams = [upstream::start(epoch).await?, upstream::start(epoch).await?];
    if abuse {
        return abuse::run(smoke, upstreams).await;
    }
    let asked = |mode: &str| smoke || std::env::args().any(|arg| arg == mode);
    if asked("--llm") {
        let (turns, streams) = if smoke { (1, 4) } else { (5, 512) };
        llm::compare(upstreams, epoch, turns, streams).await?;
    }
    if asked("--scale") {
        llm::scale(upstreams, if smoke { 10 } else { 1000 }).await?;
    }
    if asked("--tls") {
        let (turns, millis) = if smoke { (1, 100) } else { (9, 1500) };
        originate::compare(epoch, turns, Duration::from_millis(millis)).await?;
    }
    if !smoke && ["--llm", "--scale", "--tls"].into_iter().any(asked) {
        return Ok(());
    }
    let effort = if smoke {
        Effort {
            turns: 1,
            span: Duration::from_millis(100),
            streams: 2,
            idle: 10,
        }
    } else {
        Effort {
            turns: 9,
            span: Duration::from_millis(1500),
            streams: 10,
            idle: 1000,
        }
    };
    let mut targets = Vec::new();
    if !smoke {
        targets.push(Target::direct(upstreams[0]));
    }
    targets.push(Target::llmesh(upstreams).await?);
    if !smoke {
        match Target::envoy(upstreams).await? {
            Some(envoy) => targets.push(envoy),
            None => println!("{NO_ENVOY}"),
        }
    }
    if !smoke && let Some(before) = Target::before(upstreams).await? {
        targets.push(before);
    }
    let mut table = Table::new(targets.iter().map(|target| target.name).collect());
    // What a new process still does by itself is over then.
    sleep(effort.span).await;
    for (i, target) in targets.iter().enumerate() {
        memory(&mut table, IDLE, i, target);
    }
    for _ in 0..effort.turns {
        for (i, target) in targets.iter().enumerate() {
            throughput(&mut table, effort, i, target).await?;
        }
        for (i, target) in targets.iter().enumerate() {
            one(&mut table, effort, i, target).await?;
        }
        for (i, target) in targets.iter().enumerate() {
            late(&mut table, effort, i, target).await?;
        }
        for (i, target) in targets.iter().enumerate() {
            streams(&mut table, effort, i, target, epoch).await?;
        }
    }
    for (i, target) in targets.iter().enumerate() {
        idle(&mut table, effort, i, target).await?;
    }
    table.print();
    Ok(())
}

/// 32 callers, an upstream that answers at once.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
async fn throughput(
    table: &mut Table,
    effort: Effort,
    i: usize,
    target: &Target,
) -> io::Result<()> {
    let wires = open(target.address, 32).await?;
    let before = target.cpu();
    let (_wires, seen) = drive(wires, "/now", effort.span).await?;
    let requests = seen.times.len();
    table.add(
        "32 connections: requests/s",
        i,
        requests as f64 / seen.took.as_secs_f64(),
    );
    if target.is_process() {
        let (per_request, busy) = cost(target.cpu() - before, requests, seen.took);
        table.add("CPU, ms per 10,000 requests", i, per_request);
        table.add("the proxy's core is busy, %", i, busy);
    }
    Ok(())
}

/// One caller.
async fn one(table: &mut Table, effort: Effort, i: usize, target: &Target) -> io::Result<()> {
    let wires = open(target.address, 1).await?;
    let (_wires, seen) = drive(wires, "/now", effort.span / 2).await?;
    let p50 = quantile(&seen.times, 0.5);
    table.add_delay("1 connection: p50 added, us", i, p50);
    let p99 = quantile(&seen.times, 0.99);
    table.add_delay("1 connection: p99 added, us", i, p99);
    Ok(())
}

/// 100 callers, an upstream that takes 50 ms.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
async fn late(table: &mut Table, effort: Effort, i: usize, target: &Target) -> io::Result<()> {
    let wires = open(target.address, 100).await?;
    let before = target.cpu();
    let (_wires, seen) = drive(wires, "/late", effort.span).await?;
    let requests = seen.times.len();
    let rate = requests as f64 / seen.took.as_secs_f64();
    table.add("100 connections, answers after 50 ms: requests/s", i, rate);
    let p50 = quantile(&seen.times, 0.5);
    table.add_delay("100 connections: p50 added, us", i, p50);
    let p99 = quantile(&seen.times, 0.99);
    table.add_delay("100 connections: p99 added, us", i, p99);
    if target.is_process() {
        let (per_request, _) = cost(target.cpu() - before, requests, seen.took);
        table.add("100 connections: CPU, ms per 10,000", i, per_request);
    }
    memory(table, LOAD, i, target);
    Ok(())
}

/// Streams of 50 events, 20 ms apart.
async fn streams(
    table: &mut Table,
    effort: Effort,
    i: usize,
    target: &Target,
    epoch: Instant,
) -> io::Result<()> {
    let wires = open(target.address, effort.streams).await?;
    let seen = stream(wires, BARE, epoch).await?;
    let head = quantile(&seen.heads, 0.5);
    table.add_delay("10 streams of 50 events: head added, us", i, head);
    let p50 = quantile(&seen.times, 0.5);
    table.add_delay("10 streams: event p50 added, us", i, p50);
    let p99 = quantile(&seen.times, 0.99);
    table.add_delay("10 streams: event p99 added, us", i, p99);
    Ok(())
}

/// What a connection costs that only waits.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
async fn idle(table: &mut Table, effort: Effort, i: usize, target: &Target) -> io::Result<()> {
    let Some(before) = target.resident() else {
        return Ok(());
    };
    let _wires = open(target.address, effort.idle).await?;
    sleep(effort.span).await;
    if let Some(after) = target.resident() {
        let each = (after - before) / effort.idle as f64;
        table.add("memory per idle connection, KiB", i, each);
    }
    Ok(())
}

fn memory(table: &mut Table, label: &'static str, i: usize, target: &Target) {
    if let Some(resident) = target.resident() {
        table.add(label, i, resident);
    }
}
