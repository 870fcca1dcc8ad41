//! The command line: parsing, dispatch and terminal output; the work is done in [`proxy`](crate::proxy).
//!
//! Exit codes: 0 done, 1 the command ran and found fault, 2 it could not run (bad flags, a port in use, an unreadable
//! file).

use std::{num::NonZeroUsize, process::ExitCode};

use clap::Parser;

mod address;
pub mod args;
pub mod authz;
mod certificates;
pub mod check;
pub mod completions;
pub mod demo;
pub mod fetch;
pub mod fix;
mod lines;
pub mod logging;
pub mod mock;
#[cfg_attr(not(feature = "otlp"), path = "no_otlp.rs")]
mod otlp;
pub mod providers;
pub mod proxy_config;
pub mod run;
mod signals;
pub mod table;
pub mod upstream_proxy;

use self::args::{Cli, Command};
pub use self::lines::CANNOT_RUN;
pub(crate) use self::lines::{cannot_run, err, out};

/// Parses the process's arguments, sets up logs and runs the subcommand.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // The demo prints its own story.
    let level = if matches!(cli.command, Command::Demo(_)) {
        "error"
    } else {
        "info"
    };
    if let Err(e) = logging::init(&cli.log, level) {
        return cannot_run(format_args!("llmesh: {e}"));
    }
    match cli.command {
        Command::Run(args) => block_on(args.workers, run::run(args)),
        Command::Check(args) => check::run(&args),
        Command::Fix(args) => fix::run(&args),
        Command::Demo(args) => block_on(None, demo::run(&args)),
        Command::Mock(args) => block_on(args.workers, mock::run(args)),
        Command::ProxyConfig(args) => block_on(None, proxy_config::run(&args)),
        Command::Authz(args) => authz::run(&args),
        Command::Completions(args) => completions::run(args),
    }
}

/// Runs a command on a runtime with this many threads, or one a core. One alone has nobody to share its work with, and
/// needs no scheduler that could.
fn block_on(workers: Option<NonZeroUsize>, command: impl Future<Output = ExitCode>) -> ExitCode {
    let mut builder = match workers.map(NonZeroUsize::get) {
        Some(1) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if let Some(workers) = workers {
        builder.worker_threads(workers.get());
    }
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(e) => cannot_run(format_args!("llmesh: cannot start worker threads: {e}")),
    }
}
