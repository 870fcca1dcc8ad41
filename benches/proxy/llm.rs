//! What the LLM rules cost a stream: `-- --llm`. And what it takes to load a large mesh: `-- --scale`.
//!
//! OpenAI chat streams of 50 tokens at 20 ms, all at once, begun over the time of one token: directly, through llmesh with
//! an `LlmPolicy` with all its clocks, and through llmesh with `dialect: status-only`, which passes bytes on. A delay is
//! from the upstream's write to the load's read, so that of the direct way is what the bench itself takes.

use std::{fmt::Write, io, net::SocketAddr, time::Duration};

use llmesh::base::time::{Instant, sleep};

use super::{
    load::{CHAT, open, stream},
    table::{Table, quantile},
    target::{Target, cost},
    upstream::{EVENT_GAP, EVENTS},
};

const POLICY: &str =
    "timeouts: {headers: 10s, firstToken: 15s, interToken: 20s, minTokensPerSecond: 1}";
const PLAIN: &str = "dialect: status-only";

/// Compares the ways; `ratio` is that of the policy to passing on.
pub(crate) async fn compare(
    upstreams: [SocketAddr; 2],
    epoch: Instant,
    turns: usize,
    streams: usize,
) -> io::Result<()> {
    let targets = [
        Target::direct(upstreams[0]),
        Target::llmesh_with("LlmPolicy", &policy(POLICY), upstreams).await?,
        Target::llmesh_with("plain", &policy(PLAIN), upstreams).await?,
    ];
    let mut table = Table::new(targets.iter().map(|target| target.name).collect());
    // What a new process still does by itself is over then.
    sleep(Duration::from_millis(500)).await;
    for turn in 0..turns {
        for (i, target) in targets.iter().enumerate() {
            measure(&mut table, (turn, streams), i, target, epoch).await?;
        }
    }
    println!("\n{streams} streams of {EVENTS} tokens");
    table.print();
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
async fn measure(
    table: &mut Table,
    (turn, streams): (usize, usize),
    i: usize,
    target: &Target,
    epoch: Instant,
) -> io::Result<()> {
    let idle = target.resident();
    let wires = open(target.address, streams).await?;
    let opened = target.cpu();
    let half = EVENT_GAP * u32::try_from(EVENTS / 2).unwrap_or(1);
    let midway = async {
        sleep(half).await;
        target.resident()
    };
    let (seen, full) = tokio::join!(stream(wires, CHAT, epoch), midway);
    let seen = seen?;
    for (share, first, event) in [
        (0.5, "first content: p50, us", "token: p50, us"),
        (0.99, "first content: p99, us", "token: p99, us"),
    ] {
        table.add(first, i, quantile(&seen.firsts, share) * 1e6);
        table.add(event, i, quantile(&seen.times, share) * 1e6);
    }
    if target.is_process() {
        let (per_token, busy) = cost(target.cpu() - opened, streams * EVENTS, seen.took);
        table.add("CPU a token, us", i, per_token / 10.0);
        table.add("the proxy's core is busy, %", i, busy);
    }
    // Later turns find memory that the first has left.
    if let (0, Some(idle), Some(full)) = (turn, idle, full) {
        table.add(
            "memory an open stream, KiB",
            i,
            (full - idle) / streams as f64,
        );
    }
    Ok(())
}

fn policy(spec: &str) -> String {
    format!(
        "\n---\napiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: llm, namespace: default}}\n\
         spec:\n  hosts: [llm]\n  {spec}\n"
    )
}

/// Starts with `hosts` clusters and ten routes to each.
pub(crate) async fn scale(upstreams: [SocketAddr; 2], hosts: usize) -> io::Result<()> {
    let mut mesh = String::new();
    for n in 0..hosts {
        write!(mesh, "\n---\n{}", host(n)).map_err(io::Error::other)?;
    }
    let began = Instant::now();
    let target = Target::llmesh_with("large", &mesh, upstreams).await?;
    // It listens before it has read its files: only an answer shows that it serves.
    open(target.address, 1).await?;
    let took = began.elapsed();
    println!(
        "\n{hosts} clusters, {} routes, {} KiB of YAML: {:.2} s until it answers, {:.2} s of CPU, {:.0} MiB resident",
        hosts * 10,
        mesh.len() / 1024,
        took.as_secs_f64(),
        target.cpu().as_secs_f64(),
        target.resident().unwrap_or_default() / 1024.0
    );
    Ok(())
}

fn host(n: usize) -> String {
    let routes: String = (0..10)
        .map(|r| {
            format!(
                "  - name: r{r}\n    match: [{{uri: {{prefix: /v{r}/}}, headers: {{x-tier: {{exact: t{r}}}}}}}]\n    \
                 route: [{{destination: {{host: s{n}}}}}]\n    timeout: 30s\n    \
                 retries: {{attempts: 3, perTryTimeout: 10s, retryOn: gateway-error}}\n"
            )
        })
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: s{n}, namespace: default}}\n\
         spec:\n  hosts: [s{n}]\n  location: MESH_INTERNAL\n  resolution: STATIC\n  \
         ports: [{{number: 80, name: http, protocol: HTTP}}]\n  endpoints: [{{address: 127.0.0.1, ports: {{http: $A}}}}]\n\
         ---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: s{n}, namespace: default}}\n\
         spec:\n  host: s{n}\n  trafficPolicy:\n    outlierDetection: {{consecutive5xxErrors: 5}}\n\
         ---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: s{n}, namespace: default}}\n\
         spec:\n  hosts: [s{n}]\n  http:\n{routes}"
    )
}
