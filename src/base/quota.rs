//! What is left of an allowance, and how a caller is told.
//!
//! The fields are those of the IETF draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers-09):
//! `RateLimit-Policy: "free";q=10000;w=60;qu="tokens"` says what is allowed, `RateLimit: "free";r=120;t=31` what is left of
//! it and for how long. A refusal carries a [`Refused`] as its source, so that whoever makes the response can write
//! them.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header::RETRY_AFTER};

/// The allowances in force.
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of them.
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The wait in milliseconds, as the SDKs of LLM providers read it.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// Whether those SDKs may repeat.
pub const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Who has to wait longer is not asked back: SDKs drop longer waits, or sleep for whatever they are told.
const LONGEST: Duration = Duration::from_secs(60);

/// What an allowance is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// Requests.
    Requests,
    /// Tokens, input and output.
    Tokens,
}

/// One allowance of one caller, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The limit's name.
    pub name: Arc<str>,
    /// What is counted.
    pub unit: Unit,
    /// How much is allowed.
    pub limit: u64,
    /// In how long.
    pub per: Duration,
    /// How much is left.
    pub remaining: u64,
    /// For how long that is all: until a refused request would fit, else until everything is back.
    pub reset: Duration,
}

/// Why a limit refused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The allowance that does not suffice.
    pub quota: Quota,
    /// After how long the same request would fit, if nothing else comes. `None`: never, it is larger than the whole
    /// allowance.
    pub wait: Option<Duration>,
    /// How much of the unit the request may take.
    pub asked: u64,
}

// === impl Unit ===

impl Unit {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

// === impl Refused ===

/// A sentence for the caller. Its figures stand in OpenAI's words, which clients and other gateways read.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quota {
            name,
            unit,
            limit,
            per,
            remaining,
            ..
        } = &self.quota;
        let unit = unit.as_str();
        let (asked, used) = (self.asked, limit.saturating_sub(*remaining));
        match self.wait {
            None => write!(
                f,
                "Request too large for limit {name:?}, which allows {limit} {unit} in {per:?}: Limit {limit}, Requested {asked}."
            ),
            Some(wait) => write!(
                f,
                "Limit {name:?} is reached, which allows {limit} {unit} in {per:?}: Limit {limit}, Used {used}, Requested \
                 {asked}. Please try again in {}s.",
                wait.as_millis().max(1) as f64 / 1000.0
            ),
        }
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Tells the caller: when to come back, whether a repeat helps, and what is left. Fields that are there already are
    /// kept, but for `RateLimit` and `RateLimit-Policy`.
    pub fn write(&self, headers: &mut HeaderMap) {
        let again = self.wait.is_some_and(|wait| wait <= LONGEST);
        let again = if again { "true" } else { "false" };
        keep(headers, X_SHOULD_RETRY, HeaderValue::from_static(again));
        if let Some(wait) = self.wait {
            keep(headers, RETRY_AFTER, seconds(wait).into());
            let ms = wait.as_nanos().div_ceil(1_000_000);
            let ms = u64::try_from(ms).unwrap_or(u64::MAX);
            keep(headers, RETRY_AFTER_MS, ms.into());
        }
        write(std::slice::from_ref(&self.quota), headers);
    }
}

fn keep(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

/// Writes `RateLimit-Policy` and `RateLimit` for these allowances. None: nothing.
pub fn write(quotas: &[Quota], headers: &mut HeaderMap) {
    let (mut policies, mut states) = (String::new(), String::new());
    for quota in quotas {
        let name = quoted(&quota.name, quota.unit);
        let Quota {
            limit, remaining, ..
        } = quota;
        let unit = quota.unit.as_str();
        let window = seconds(quota.per).max(1);
        separate(&mut policies);
        policies += &format!("{name};q={limit};w={window};qu=\"{unit}\"");
        separate(&mut states);
        states += &format!("{name};r={remaining};t={}", seconds(quota.reset));
    }
    for (name, value) in [(RATELIMIT_POLICY, policies), (RATELIMIT, states)] {
        if !value.is_empty()
            && let Ok(value) = HeaderValue::try_from(value)
        {
            headers.insert(name, value);
        }
    }
}

fn separate(list: &mut String) {
    if !list.is_empty() {
        list.push_str(", ");
    }
}

/// A name as a structured field's string (RFC 9651): printable ASCII, quotes and backslashes escaped. The unit is part of
/// it, since one limit may allow both.
fn quoted(name: &str, unit: Unit) -> String {
    let mut out = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    out + "-" + unit.as_str() + "\""
}

/// Rounded up: a caller that comes back early is refused again.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(unit: Unit) -> Quota {
        Quota {
            name: "fr\"ee ü".into(),
            unit,
            limit: 10_000,
            per: Duration::from_secs(60),
            remaining: 120,
            reset: Duration::from_millis(30_001),
        }
    }

    #[test]
    fn quotas_are_structured_fields() {
        let mut headers = HeaderMap::new();
        write(&[quota(Unit::Requests), quota(Unit::Tokens)], &mut headers);
        assert_eq!(
            headers[RATELIMIT_POLICY],
            r#""fr\"ee ?-requests";q=10000;w=60;qu="requests", "fr\"ee ?-tokens";q=10000;w=60;qu="tokens""#
        );
        assert_eq!(
            headers[RATELIMIT],
            r#""fr\"ee ?-requests";r=120;t=31, "fr\"ee ?-tokens";r=120;t=31"#
        );
        let mut none = HeaderMap::new();
        write(&[], &mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn a_refusal_says_when_to_come_back_or_not_to() {
        let told = |wait| {
            let mut headers = HeaderMap::new();
            let quota = quota(Unit::Tokens);
            let asked = 200;
            Refused { quota, wait, asked }.write(&mut headers);
            headers
        };
        let later = told(Some(Duration::from_micros(1_000_001)));
        assert_eq!(later[RETRY_AFTER], "2");
        assert_eq!(later[RETRY_AFTER_MS], "1001");
        assert_eq!(later[X_SHOULD_RETRY], "true");
        let much_later = told(Some(Duration::from_millis(60_001)));
        assert_eq!(much_later[X_SHOULD_RETRY], "false");
        assert_eq!(much_later[RETRY_AFTER], "61");
        let never = told(None);
        assert!(!never.contains_key(RETRY_AFTER) && !never.contains_key(RETRY_AFTER_MS));
        assert_eq!(never[X_SHOULD_RETRY], "false");
        assert!(never.contains_key(RATELIMIT));
    }
}
