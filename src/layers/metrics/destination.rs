//! Istio's standard metrics as the called side reports them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Counter, Histogram, Label, counter, histogram};

use super::{Report, Summary, standard::Source};
use crate::base::ext::{Flag, Notes};

/// Reports requests that come in: `istio_requests_total` and `istio_request_duration_milliseconds` with
/// `reporter="destination"`. Make it after the recorder is installed.
///
/// Who called is not told: no identity is proved yet, and what callers say of themselves is no proof.
pub struct Destination {
    own: Source,
    handles: Mutex<HashMap<Key, Arc<Handles>>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    status: u16,
    flags: Vec<Flag>,
    grpc: bool,
}

struct Handles {
    requests: Counter,
    duration: Histogram,
}

// === impl Destination ===

impl Destination {
    /// Reports as this workload.
    #[must_use]
    pub fn new(own: Source) -> Self {
        Self {
            own,
            handles: Mutex::default(),
        }
    }

    fn make(&self, key: &Key) -> Handles {
        let notes = Notes {
            flags: key.flags.clone(),
            ..Notes::default()
        };
        let protocol = if key.grpc { "grpc" } else { "http" };
        let labels = [
            ("reporter", "destination".to_owned()),
            ("source_workload", "unknown".to_owned()),
            ("source_workload_namespace", "unknown".to_owned()),
            ("destination_workload", self.own.workload.clone()),
            ("destination_workload_namespace", self.own.namespace.clone()),
            ("destination_app", self.own.app.clone()),
            ("destination_version", self.own.version.clone()),
            ("request_protocol", protocol.to_owned()),
            ("response_code", key.status.to_string()),
            ("response_flags", notes.flags()),
            ("connection_security_policy", "none".to_owned()),
        ];
        let labels: Vec<_> = labels.into_iter().map(|(k, v)| Label::new(k, v)).collect();
        Handles {
            requests: counter!("istio_requests_total", labels.clone()),
            duration: histogram!("istio_request_duration_milliseconds", labels),
        }
    }
}

impl Report for Destination {
    fn report(&self, summary: &Summary) {
        let key = Key {
            status: summary.status,
            flags: summary.notes.flags.clone(),
            grpc: summary.grpc,
        };
        let handles = {
            let mut all = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.get(&key).cloned();
            known.unwrap_or_else(|| {
                let made = Arc::new(self.make(&key));
                Arc::clone(all.entry(key).or_insert(made))
            })
        };
        handles.requests.increment(1);
        let ms = summary.duration.as_secs_f64() * 1000.0;
        handles.duration.record(ms);
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}
