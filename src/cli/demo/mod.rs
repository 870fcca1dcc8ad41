//! `llmesh demo`: the main job on embedded mock LLM services, in a story of three days.
//!
//! Real sockets throughout: callers → the proxy → six mock services (one of them dead) on loopback. The mesh is an
//! ordinary set of Istio resources ([`mesh.yaml`](https://istio.io/latest/docs/reference/config/networking/)). Each
//! expectation that fails is named, and the exit code is 1. `--scenario faults` is the fault drill.

mod ask;
mod client;
mod faults;
mod progress;
mod report;
mod story;
mod tally;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use tokio::net::TcpListener;

use self::{report::Report, tally::Tally};
use super::args::{DemoArgs, Output, Scenario};
use crate::{
    base::BoxError,
    config::Source,
    proxy::{Input, Options, Proxy},
    testing::upstream::{Sequences, Upstream},
};

const MESH: &str = include_str!("mesh.yaml");

/// The stage: mock services, the proxy in front of them, and what it noted.
struct Stage {
    proxy: Proxy,
    v1: Vec<Upstream>,
    v2: Vec<Upstream>,
    tally: Arc<Tally>,
    mesh: String,
}

/// Plays the story; prints the table.
pub async fn run(args: &DemoArgs) -> ExitCode {
    match play(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            super::err(format_args!("error: the demo could not be staged: {error}"));
            ExitCode::from(2)
        }
    }
}

async fn play(args: &DemoArgs) -> Result<bool, BoxError> {
    let begin = crate::base::time::Instant::now();
    let report = match args.scenario {
        Scenario::Mesh => mesh().await?,
        Scenario::Faults => faults::play().await?,
    };
    if args.output == Output::Json {
        super::out(format_args!("{:#}", report.to_json()));
    } else {
        super::out(format_args!("{report}"));
        super::out(format_args!(
            "{:.1} s; every request above went over real sockets through the proxy.",
            begin.elapsed().as_secs_f64()
        ));
    }
    Ok(report.ok())
}

async fn mesh() -> Result<Report, BoxError> {
    let stage = Stage::build().await?;
    super::err(format_args!(
        "llmesh demo: llm-service v1 (3 live endpoints, 1 dead) and v2 (2), behind {}",
        stage.proxy.outbound()
    ));
    let report = story::play(&stage).await?;
    stage.proxy.stop(Duration::from_secs(2)).await;
    Ok(report)
}

// === impl Stage ===

impl Stage {
    async fn build() -> Result<Self, BoxError> {
        let sequences = Sequences::new();
        let start = |label: &'static str| {
            Upstream::builder()
                .label(label)
                .sequences(&sequences)
                .record(false)
                .start()
        };
        let v1 = vec![start("v1").await?, start("v1").await?, start("v1").await?];
        let v2 = vec![start("v2").await?, start("v2").await?];
        let dead = dead_port().await?;
        let mut mesh = MESH.replace("$DEAD", &dead.port().to_string());
        let ports = [
            ("$V1_A", &v1[0]),
            ("$V1_B", &v1[1]),
            ("$V1_C", &v1[2]),
            ("$V2_A", &v2[0]),
            ("$V2_B", &v2[1]),
        ];
        for (name, upstream) in ports {
            mesh = mesh.replace(name, &upstream.addr().port().to_string());
        }
        let tally = Arc::new(Tally::default());
        let mut options = Options::new(Input::inline(vec![Source::new(
            "demo/mesh.yaml",
            mesh.clone(),
        )]));
        options.outbound = SocketAddr::from(([127, 0, 0, 1], 0));
        options.admin = None;
        options.reports = vec![Arc::clone(&tally) as _];
        let proxy = Proxy::start(options).await?;
        Ok(Self {
            proxy,
            v1,
            v2,
            tally,
            mesh,
        })
    }

    /// Puts a changed mesh in force.
    async fn reload(&self, change: impl Fn(&str) -> String) -> bool {
        let source = Source::new("demo/mesh.yaml", change(&self.mesh));
        self.proxy.reloader().replace_inline(vec![source]).await
    }
}

/// A loopback port where nobody listens: one that was free a moment ago.
async fn dead_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
        .await?
        .local_addr()
}
