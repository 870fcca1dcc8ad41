//! Lines on the terminal, and the exit code that goes with an error.

use std::{io::Write, process::ExitCode};

/// The exit code for what could not be run at all; clap's own for bad flags.
pub const CANNOT_RUN: u8 = 2;

/// Prints a line. Where nobody reads any more, as under `| head`, there is nobody to tell.
pub(crate) fn out(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line to stderr, if anybody reads it.
pub(crate) fn err(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// One line on stderr, and the exit code that goes with it.
pub(crate) fn cannot_run(line: std::fmt::Arguments<'_>) -> ExitCode {
    err(line);
    ExitCode::from(CANNOT_RUN)
}
