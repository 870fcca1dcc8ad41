//! Says in the log what callers ask for in vain and what to do about it: once a minute for each host, and for a bounded number
//! of them; what concerns no host once a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::listener::Info;
use crate::base::{BoxError, Kind, error, time::Instant};

/// How long a host is not named again.
const QUIET: Duration = Duration::from_secs(60);
/// How many hosts are named within that time: callers choose them.
const HOSTS: usize = 64;

/// When what was told last.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<HashMap<Box<str>, Instant>>);

// === impl News ===

impl News {
    /// Logs a request's error if it is about an unknown host that was not named in the last minute.
    pub(super) fn unknown_host(&self, error: &BoxError) {
        if let Some(known) = error::find(&**error)
            && known.kind() == Kind::UnknownHost
            && let Some(host) = known.detail()
            && self.is_news(host, Instant::now())
        {
            tracing::warn!(target: "llmesh", "{known}");
        }
    }

    /// A caller asked for a tunnel.
    pub(super) fn tunnel(&self) {
        if self.is_news(" tunnel", Instant::now()) {
            tracing::warn!(
                target: "llmesh",
                "a caller asked for a tunnel (CONNECT), as clients with https_proxy do, and was refused: llmesh reads what it forwards. \
                 Let it speak plain HTTP to llmesh: http_proxy and http:// in its URLs, or llmesh's address as its base URL"
            );
        }
    }

    /// A caller spoke TLS to a port that takes plain HTTP.
    pub(super) fn tls(&self, info: &Info) {
        if self.is_news(" tls", Instant::now()) {
            tracing::warn!(
                target: "llmesh",
                peer = info.peer.map(tracing::field::display),
                "a caller spoke TLS to a port that takes plain HTTP, and was refused: write http:// and not https:// in its base URL, \
                 or in the proxy's address"
            );
        }
    }

    fn is_news(&self, host: &str, now: Instant) -> bool {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |at: &Instant| now.saturating_duration_since(*at) >= QUIET;
        if named.get(host).is_some_and(|at| !old(at)) {
            return false;
        }
        if named.len() >= HOSTS {
            named.retain(|_, at| !old(at));
        }
        let room = named.len() < HOSTS;
        if room {
            named.insert(host.into(), now);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_once_a_minute_and_made_up_ones_do_not_flood_the_log() {
        let (hosts, start) = (News::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        assert!(hosts.is_news("a", at(0)));
        assert!(!hosts.is_news("a", at(59)) && hosts.is_news("a", at(60)));
        let named = |s| {
            (0..1000)
                .filter(|n| hosts.is_news(&n.to_string(), at(s)))
                .count()
        };
        assert_eq!(named(61), HOSTS - 1);
        assert_eq!(named(90), 0);
        assert_eq!(named(200), HOSTS);
    }
}
