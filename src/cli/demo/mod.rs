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
mod stage;
mod story;
mod tally;

use std::{process::ExitCode, time::Duration};

use self::{report::Report, stage::Stage};
use super::{
    args::{DemoArgs, Output, Scenario},
    lines::{err, out},
};
use crate::base::BoxError;

/// Plays the story; prints the table.
pub async fn run(args: &DemoArgs) -> ExitCode {
    match play(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            err(format_args!("error: the demo could not be staged: {error}"));
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
        out(format_args!("{:#}", report.to_json()));
    } else {
        out(format_args!("{report}"));
        out(format_args!(
            "{:.1} s; every request above went over real sockets through the proxy.",
            begin.elapsed().as_secs_f64()
        ));
    }
    Ok(report.ok())
}

async fn mesh() -> Result<Report, BoxError> {
    let stage = Stage::build().await?;
    err(format_args!(
        "llmesh demo: llm-service v1 (3 live endpoints, 1 dead) and v2 (2), behind {}",
        stage.proxy.outbound()
    ));
    let report = story::play(&stage).await?;
    stage.proxy.stop(Duration::from_secs(2)).await;
    Ok(report)
}
