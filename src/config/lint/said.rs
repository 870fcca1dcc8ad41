//! What annotations of ours say.

use std::time::Duration;

use crate::config::{diagnostic::Place, scalar};

/// An annotation `llmesh.io/calls`.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) place: Place,
    pub(super) calls: Vec<SaidCall>,
}

/// One call: whom, how often for each request, and the figures of one process of the caller.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SaidCall {
    pub(super) host: String,
    pub(super) times: u32,
    /// Requests a second.
    pub(super) rate: Option<f64>,
    /// How long one takes on average.
    pub(super) latency: Option<Duration>,
}

/// An annotation `llmesh.io/ignore`.
#[derive(Debug)]
pub(super) struct Ignored {
    pub(super) place: Place,
    pub(super) rules: Vec<String>,
}

pub(super) const CALLS_HINT: &str = "HOST, and if known how often for each request (x2), how many a second from one process of the caller (50/s) and how long one takes (800ms); several with commas between";

/// What stands between commas.
pub(super) fn list(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|p| !p.is_empty()).map(str::to_owned).collect()
}

/// Reads `HOST [xN] [R/s] [T], …`.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn calls(text: &str) -> Result<Vec<SaidCall>, String> {
    let all: Result<Vec<_>, _> = list(text).iter().map(|one| call(one)).collect();
    match all {
        Ok(all) if all.is_empty() => Err("it names no host".to_owned()),
        all => all,
    }
}

fn call(text: &str) -> Result<SaidCall, String> {
    let mut words = text.split_whitespace();
    let host = words.next().unwrap_or_default();
    crate::config::names::check_host(host).map_err(|why| format!("{host:?}: {why}"))?;
    let mut call = SaidCall {
        host: host.to_owned(),
        times: 1,
        rate: None,
        latency: None,
    };
    for word in words {
        let known = if let Some(times) = word.strip_prefix('x') {
            call.times = times.parse().unwrap_or_default();
            call.times > 0
        } else if let Some(rate) = word.strip_suffix("/s") {
            call.rate = rate
                .parse()
                .ok()
                .filter(|r: &f64| r.is_finite() && *r > 0.0);
            call.rate.is_some()
        } else {
            call.latency = scalar::duration(word).ok().filter(|d| !d.is_zero());
            call.latency.is_some()
        };
        if !known {
            return Err(format!("{word:?} is no figure of a call"));
        }
    }
    Ok(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_their_figures() {
        let read = calls("a, b.ns x2 1.5/s 800ms").unwrap();
        assert_eq!(read[0].times, 1);
        let second = SaidCall {
            host: "b.ns".to_owned(),
            times: 2,
            rate: Some(1.5),
            latency: Some(Duration::from_millis(800)),
        };
        assert_eq!(read[1], second);
        for bad in [
            "", " , ", "a x0", "a -1/s", "a 0s", "a soon", "a:80", "a xx", "a nan/s",
        ] {
            assert!(calls(bad).is_err(), "{bad}");
        }
    }
}
