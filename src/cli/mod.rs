//! Floor 6: the command line. Parsing, dispatch and terminal output; the work is done a floor below.
//!
//! Exit codes: 0 done, 1 the command ran and found fault, 2 it could not run (bad flags, a port in use, an unreadable
//! file).

use std::process::ExitCode;

use clap::Parser;

pub mod args;
pub mod logging;
pub mod mock;
pub mod progress;

use self::args::{Cli, Command};

/// The exit code for what could not be run at all; clap's own for bad flags.
pub const CANNOT_RUN: u8 = 2;

/// Parses the process's arguments, sets up logs and runs the subcommand.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(e) = logging::init(&cli.log) {
        return cannot_run(format_args!("llmesh: {e}"));
    }
    match cli.command {
        Command::Mock(args) => mock::run(args),
    }
}

/// One line on stderr, and the exit code that goes with it.
pub(crate) fn cannot_run(line: std::fmt::Arguments<'_>) -> ExitCode {
    eprintln!("{line}");
    ExitCode::from(CANNOT_RUN)
}
