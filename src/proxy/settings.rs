//! MeshConfig, as far as it is about the proxy itself: in force from its start.

use std::{fs::OpenOptions, io};

use super::lines::Lines;
use crate::{
    metrics::access_log::AccessLog,
    model::{self, Settings},
    trace,
};

/// The trace parameters under these settings.
pub(super) fn tracing(params: &trace::Params, settings: &Settings) -> trace::Params {
    let mut params = params.clone();
    if settings.tracing == Some(false) {
        params.enabled = false;
    }
    if let Some(share) = settings.sampling {
        params.sample = share;
    }
    params
}

/// The log that is asked for.
///
/// # Errors
/// If its file cannot be opened, in words. That stops nothing.
pub(super) fn access_log(log: &model::AccessLog) -> Result<AccessLog, String> {
    let lines = match log.file.as_str() {
        "/dev/stdout" => Lines::new(io::stdout()),
        "/dev/stderr" => Lines::new(io::stderr()),
        file => OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .and_then(Lines::new),
    };
    let lines = lines.map_err(|error| {
        format!(
            "no access log is written: the MeshConfig's accessLogFile {} cannot be opened ({error}); make its folder writable, \
             set it to /dev/stdout, or run with --access-log",
            log.file
        )
    })?;
    Ok(AccessLog::new(log.format.clone(), move |line| {
        lines.line(line);
    }))
}
