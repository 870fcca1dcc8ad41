//! Istio's standard metrics: `istio_requests_total` and `istio_request_duration_milliseconds`; and
//! `llmesh_llm_tokens_total{direction, model}`, what each attempt of LLM calls cost. Where callers are known by name, tokens have
//! the label `caller` too, and `llmesh_caller_requests_total{caller, response_code}` counts requests; of those who were not let
//! in, the caller is `unknown`.
//!
//! One count per request, not per attempt; the code is the one given to the caller. Handles are made once per label set
//! and kept, so a request costs a map look-up and two atomic adds. Label values come from configuration, statuses and
//! flags alone, so callers cannot grow the number of series.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Counter, Histogram, counter, histogram};

use super::{Report, Summary, callers::Callers, tokens::Tokens};
use crate::base::ext::{Flag, Notes};

/// The histogram's bounds in milliseconds: Envoy's defaults, which Istio keeps.
pub const DURATION_BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Who reports: the source labels of a client-side proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Workload name.
    pub workload: String,
    /// Its namespace.
    pub namespace: String,
    /// Label `app`.
    pub app: String,
    /// Label `version`.
    pub version: String,
}

/// Reports through the `metrics` facade. Make it after the recorder is installed.
pub struct Standard {
    source: Source,
    handles: Mutex<HashMap<Key, Arc<Handles>>>,
    tokens: Tokens,
    callers: Callers,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    cluster: Option<Arc<str>>,
    namespace: Option<Arc<str>>,
    version: Option<Arc<str>>,
    status: u16,
    flags: Vec<Flag>,
    grpc: bool,
}

struct Handles {
    requests: Counter,
    duration: Histogram,
}

// === impl Standard ===

impl Standard {
    /// Reports as this source.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self {
            source,
            handles: Mutex::default(),
            tokens: Tokens::default(),
            callers: Callers::default(),
        }
    }

    fn make(&self, key: &Key) -> Handles {
        let destination = Destination::of(key.cluster.as_deref(), key.namespace.as_deref());
        let labels = [
            ("reporter", "source".to_owned()),
            ("source_workload", self.source.workload.clone()),
            ("source_workload_namespace", self.source.namespace.clone()),
            ("source_app", self.source.app.clone()),
            ("source_version", self.source.version.clone()),
            ("destination_service", destination.host),
            ("destination_service_name", destination.name),
            ("destination_service_namespace", destination.namespace),
            (
                "destination_version",
                key.version.as_deref().unwrap_or("unknown").to_owned(),
            ),
            (
                "request_protocol",
                if key.grpc { "grpc" } else { "http" }.to_owned(),
            ),
            ("response_code", key.status.to_string()),
            (
                "response_flags",
                Notes {
                    flags: key.flags.clone(),
                    ..Notes::default()
                }
                .flags(),
            ),
            ("connection_security_policy", "unknown".to_owned()),
        ];
        let labels: Vec<metrics::Label> = labels
            .into_iter()
            .map(|(k, v)| metrics::Label::new(k, v))
            .collect();
        Handles {
            requests: counter!("istio_requests_total", labels.clone()),
            duration: histogram!("istio_request_duration_milliseconds", labels),
        }
    }
}

impl Report for Standard {
    fn report(&self, summary: &Summary) {
        let key = Key {
            cluster: summary.notes.route.as_ref().map(|r| Arc::clone(&r.cluster)),
            namespace: summary.notes.namespace.clone(),
            version: summary.notes.version.clone(),
            status: summary.status,
            flags: summary.notes.flags.clone(),
            grpc: summary.grpc,
        };
        let handles = {
            let mut all = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
            match all.get(&key) {
                Some(handles) => Arc::clone(handles),
                None => Arc::clone(
                    all.entry(key.clone())
                        .or_insert_with(|| Arc::new(self.make(&key))),
                ),
            }
        };
        handles.requests.increment(1);
        handles
            .duration
            .record(summary.duration.as_secs_f64() * 1000.0);
        for spent in summary.spent() {
            self.tokens.add(&spent, summary.notes.caller.as_ref());
        }
        self.callers.add(&summary.notes, summary.status);
    }
}

impl fmt::Debug for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standard")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// The destination labels, from a cluster's name and its service's namespace.
struct Destination {
    host: String,
    name: String,
    namespace: String,
}

impl Destination {
    fn of(cluster: Option<&str>, namespace: Option<&str>) -> Self {
        let unknown = || "unknown".to_owned();
        let or = |other: &str| namespace.unwrap_or(other).to_owned();
        let Some(host) = cluster
            .and_then(|c| c.rsplit('|').next())
            .filter(|h| !h.is_empty())
        else {
            return Self {
                host: unknown(),
                name: unknown(),
                namespace: unknown(),
            };
        };
        let mut labels = host.split('.');
        let (first, second, third) = (labels.next(), labels.next(), labels.next());
        match (first, second, third) {
            (Some(name), Some(second), Some("svc")) => Self {
                host: host.to_owned(),
                name: name.to_owned(),
                namespace: or(second),
            },
            _ => Self {
                host: host.to_owned(),
                name: host.to_owned(),
                namespace: or("unknown"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destination_labels_are_read_from_the_cluster() {
        let of = |c| {
            let d = Destination::of(c, None);
            (d.host, d.name, d.namespace)
        };
        let s = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            of(Some(
                "outbound|8080|v1|llm-service.ai-services.svc.cluster.local"
            )),
            s(
                "llm-service.ai-services.svc.cluster.local",
                "llm-service",
                "ai-services"
            )
        );
        assert_eq!(
            of(Some("outbound|443||api.openai.com")),
            s("api.openai.com", "api.openai.com", "unknown")
        );
        assert_eq!(of(None), s("unknown", "unknown", "unknown"));
        let black_hole = s("BlackHoleCluster", "BlackHoleCluster", "unknown");
        assert_eq!(of(Some("BlackHoleCluster")), black_hole);
        let entry = Destination::of(Some("outbound|443||api.openai.com"), Some("shop"));
        assert_eq!(entry.namespace, "shop");
    }
}
