//! MeshConfig, as far as it is about the proxy itself: in force from its start.

use std::{fs::OpenOptions, io::Write, sync::Mutex, sync::PoisonError};

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

/// The log that is asked for. A file that cannot be opened is logged, and stops nothing.
pub(super) fn access_log(log: &model::AccessLog) -> Option<AccessLog> {
    let format = log.format.clone();
    match log.file.as_str() {
        "/dev/stdout" => return Some(AccessLog::new(format, |line| println!("{line}"))),
        "/dev/stderr" => return Some(AccessLog::new(format, |line| eprintln!("{line}"))),
        _ => {}
    }
    let opened = OpenOptions::new().append(true).create(true).open(&log.file);
    match opened {
        Ok(file) => {
            let file = Mutex::new(file);
            Some(AccessLog::new(format, move |line| {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                // A full disk must not stop requests.
                let _ = file.write_all(format!("{line}\n").as_bytes());
            }))
        }
        Err(error) => {
            tracing::warn!(target: "llmesh", file = log.file, %error, "no access log: its file cannot be opened");
            None
        }
    }
}
