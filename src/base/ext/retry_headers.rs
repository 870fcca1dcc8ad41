//! What a route's own header operations say of its retries.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Envoy's retry headers as a route set them; callers' own are taken off before. Absent: the route's retries hold as they
/// are.
///
/// Envoy reads them from every request that the router sends on, and takes them off
/// (<https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryHeaders {
    /// `x-envoy-retry-on` and `x-envoy-retry-grpc-on`: terms beside the route's.
    pub on: Vec<String>,
    /// `x-envoy-max-retries`: in place of the route's number.
    pub max: Option<u32>,
    /// `x-envoy-retriable-status-codes`: codes beside the route's.
    pub statuses: Vec<u16>,
    /// `x-envoy-retriable-header-names`: answers with one of these fields are sent again under `retriable-headers`.
    pub names: Vec<HeaderName>,
}

const ON: [HeaderName; 2] = [
    HeaderName::from_static("x-envoy-retry-on"),
    HeaderName::from_static("x-envoy-retry-grpc-on"),
];
const MAX: HeaderName = HeaderName::from_static("x-envoy-max-retries");
const STATUSES: HeaderName = HeaderName::from_static("x-envoy-retriable-status-codes");
const NAMES: HeaderName = HeaderName::from_static("x-envoy-retriable-header-names");

/// Read by Envoy's router, and without effect where a route sets them.
const IDLE: [HeaderName; 4] = [
    HeaderName::from_static("x-envoy-hedge-on-per-try-timeout"),
    HeaderName::from_static("x-envoy-upstream-rq-per-try-timeout-ms"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-alt-response"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-ms"),
];

// === impl RetryHeaders ===

impl RetryHeaders {
    /// Whether this header is for the router, not for the upstream.
    #[must_use]
    pub fn is_one(name: &HeaderName) -> bool {
        Self::is_in_force(name) || IDLE.contains(name)
    }

    /// Whether this header changes the retries of a route that sets it.
    #[must_use]
    pub fn is_in_force(name: &HeaderName) -> bool {
        ON.contains(name) || [MAX, STATUSES, NAMES].contains(name)
    }

    /// Takes them off; `None` if they say nothing. What cannot be read counts for nothing, as in Envoy.
    pub fn take(headers: &mut HeaderMap) -> Option<Self> {
        let mut found = Self::default();
        for name in &ON {
            found.on.extend(items(headers, name).map(str::to_owned));
        }
        found.max = items(headers, &MAX).find_map(|n| n.parse().ok());
        found.statuses = items(headers, &STATUSES)
            .filter_map(|code| code.parse().ok())
            .collect();
        found.names = items(headers, &NAMES)
            .filter_map(|name| name.parse().ok())
            .collect();
        for name in ON.iter().chain([&MAX, &STATUSES, &NAMES]).chain(&IDLE) {
            headers.remove(name);
        }
        (found != Self::default()).then_some(found)
    }

    /// These, and then others.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.on.extend(other.on);
        self.max = other.max.or(self.max);
        self.statuses.extend(other.statuses);
        self.names.extend(other.names);
        self
    }
}

fn items<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).iter();
    lines
        .filter_map(|value: &HeaderValue| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_and_taken_off() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-envoy-retry-on", "5xx, reset"),
            ("x-envoy-retry-on", "retriable-4xx"),
            ("x-envoy-retry-grpc-on", "internal"),
            ("x-envoy-max-retries", "3"),
            ("x-envoy-retriable-status-codes", "408,x, 423,99999"),
            ("x-envoy-retriable-header-names", "X-Busy,a b"),
            ("x-envoy-upstream-rq-timeout-ms", "5"),
            ("x-other", "stays"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let found = RetryHeaders::take(&mut headers).unwrap();
        assert_eq!(found.on, ["5xx", "reset", "retriable-4xx", "internal"]);
        assert_eq!(found.max, Some(3));
        assert_eq!(found.statuses, [408, 423]);
        assert_eq!(found.names, ["x-busy"]);
        assert_eq!(headers.len(), 1);
        assert_eq!(RetryHeaders::take(&mut headers), None);
    }
}
