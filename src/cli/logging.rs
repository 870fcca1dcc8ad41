//! Logs: to stderr, filtered, for people or for machines.

use std::{
    env::{self, VarError},
    io::{self, IsTerminal},
};

use tracing_subscriber::{EnvFilter, fmt};

use super::args::{LogArgs, LogFormat};
use crate::base::BoxError;

/// The variable that filters when `--log` does not.
const VARIABLE: &str = "LLMESH_LOG";

/// Installs the process's subscriber; `default` is the filter where none is given.
///
/// # Errors
///
/// If the filter cannot be read, or a subscriber is installed already.
pub fn init(args: &LogArgs, default: &str) -> Result<(), BoxError> {
    let (source, text) = match (&args.filter, env::var(VARIABLE)) {
        (Some(text), _) => ("--log", text.clone()),
        (None, Ok(text)) if !text.trim().is_empty() => (VARIABLE, text),
        (None, Err(VarError::NotUnicode(_))) => return Err("LLMESH_LOG is not UTF-8".into()),
        _ => ("default", default.to_owned()),
    };
    let filter = EnvFilter::try_new(&text).map_err(|e| format!("{source} `{text}`: {e}"))?;
    let lines = fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // A log that nobody reads must not cost a request: a failure to write would panic.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    match args.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
}
