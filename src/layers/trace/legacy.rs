//! Headers of other tracers: not understood, but passed on, so that those who do understand them keep their traces.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::request_id;

/// Headers to pass on, as they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Carried(Arc<Vec<(HeaderName, HeaderValue)>>);

static NAMES: [HeaderName; 8] = [
    request_id::HEADER,
    HeaderName::from_static("x-ot-span-context"),
    HeaderName::from_static("x-cloud-trace-context"),
    HeaderName::from_static("grpc-trace-bin"),
    HeaderName::from_static("x-datadog-trace-id"),
    HeaderName::from_static("x-datadog-parent-id"),
    HeaderName::from_static("x-datadog-sampling-priority"),
    HeaderName::from_static("sw8"),
];

// === impl Carried ===

impl Carried {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let there = NAMES.iter().flat_map(|name| {
            let values = headers.get_all(name).iter();
            values.map(move |value| (name.clone(), value.clone()))
        });
        Self(Arc::new(there.collect()))
    }

    /// Whether this is one of them.
    pub(super) fn has(name: &HeaderName) -> bool {
        // Faster than comparing with each.
        matches!(
            name.as_str(),
            "x-request-id"
                | "x-ot-span-context"
                | "x-cloud-trace-context"
                | "grpc-trace-bin"
                | "x-datadog-trace-id"
                | "x-datadog-parent-id"
                | "x-datadog-sampling-priority"
                | "sw8"
        )
    }

    /// Writes those that are absent.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if self.0.iter().all(|(name, _)| headers.contains_key(name)) {
            return;
        }
        let absent: Vec<_> = self
            .0
            .iter()
            .filter(|(name, _)| !headers.contains_key(name))
            .collect();
        for (name, value) in absent {
            headers.append(name.clone(), value.clone());
        }
    }

    /// Replaces the request id.
    pub(super) fn set_request_id(&mut self, id: HeaderValue) {
        let carried = Arc::make_mut(&mut self.0);
        carried.retain(|(name, _)| *name != request_id::HEADER);
        carried.insert(0, (request_id::HEADER, id));
    }

    /// The headers.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

/// Names only: values are the callers'.
impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(n, _)| n))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_look_knows_all_names() {
        assert!(NAMES.iter().all(Carried::has));
        assert!(!Carried::has(&http::header::HOST));
    }
}
