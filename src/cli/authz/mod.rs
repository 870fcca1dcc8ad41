//! `llmesh authz`: who may call what, by the policies of files.
//!
//! The same evaluator decides as in the proxy. What cannot be understood is left out by name and closes what it may be for,
//! as under `run --lenient`.

mod explain;
mod known;
mod matrix;

use std::process::ExitCode;

use super::args::{AuthzArgs, AuthzCommand};

/// Exit 0 done or allowed, 1 refused, 2 if it cannot be told.
#[must_use]
pub fn run(args: &AuthzArgs) -> ExitCode {
    match &args.command {
        AuthzCommand::Explain(args) => explain::run(args),
        AuthzCommand::Matrix(args) => matrix::run(args),
    }
}
