//! `llmesh run`: the proxy, until a signal ends it.

use std::process::ExitCode;

use super::{args::RunArgs, cannot_run};
use crate::{
    layers::metrics::access_log::{AccessLog, Encoding},
    proxy::{Input, Options, Proxy, StartError},
};

/// Serves until SIGINT or SIGTERM, then drains; a second signal ends it now.
#[must_use]
pub fn run(args: RunArgs) -> ExitCode {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = args.workers {
        runtime.worker_threads(workers.get());
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_run(format_args!("llmesh: the runtime could not be started: {error}")),
    };
    runtime.block_on(serve(args))
}

async fn serve(args: RunArgs) -> ExitCode {
    let drain = args.drain;
    let proxy = match Proxy::start(options(args)).await {
        Ok(proxy) => proxy,
        Err(StartError::Config(error)) => {
            eprintln!("{error}");
            return cannot_run(format_args!("llmesh: not started: the configuration has errors"));
        }
        Err(error) => return cannot_run(format_args!("llmesh: {error}")),
    };
    proxy.until_signal(drain).await
}

fn options(args: RunArgs) -> Options {
    let mut input = Input::new(args.files);
    input.overlays = args.overlay;
    input.options.strict = args.strict;
    input.options.namespace = args.identity.namespace;
    input.options.workload_labels = args.identity.labels.iter().cloned().collect();
    let mut options = Options::new(input);
    options.outbound = args.outbound;
    options.admin = Some(args.admin);
    options.watch = true;
    options.standard_metrics = Some(super::identity(&args.identity));
    if let Some(encoding) = args.access_log {
        let encoding = match encoding {
            super::args::LogFormat::Json => Encoding::Json,
            super::args::LogFormat::Text => Encoding::Text,
        };
        options.reports.push(std::sync::Arc::new(AccessLog::new(encoding, |line| println!("{line}"))));
    }
    options
}
