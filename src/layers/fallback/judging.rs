//! How targets are judged, and how long they are not asked.

use std::time::Duration;

use crate::layers::breaker;

/// How targets are judged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// When a target counts as failing, and how long it is not asked. Counts visits: a target with retries of its own fails
    /// once, whatever the number of attempts.
    pub breaker: breaker::Params,
    /// The first cooldown after a 429 without a hint; doubled each time in a row.
    pub pace: Duration,
    /// The longest cooldown after a 429 without a hint.
    pub max_pace: Duration,
    /// The longest cooldown after a 429 with one.
    pub max_hint: Duration,
    /// How long an account without money is left alone before it is probed.
    pub quota_probe: Duration,
    /// How long a refused key is left alone before it is probed.
    pub auth: Duration,
}

// === impl Params ===

impl Default for Params {
    /// Three failures in a row, 5 s to 10 s open; cooldowns of 1 s to 60 s without a hint and up to 10 minutes with one;
    /// empty accounts probed each 5 minutes, refused keys each minute.
    fn default() -> Self {
        Self {
            breaker: breaker::Params::default()
                .with_consecutive(Some(3))
                .with_open_for(Duration::from_secs(5), Duration::from_secs(10)),
            pace: Duration::from_secs(1),
            max_pace: Duration::from_secs(60),
            max_hint: Duration::from_secs(600),
            quota_probe: Duration::from_secs(300),
            auth: Duration::from_secs(60),
        }
    }
}

impl Params {
    /// Sets when a target counts as ill, and how long it is left alone.
    #[must_use]
    pub fn with_breaker(mut self, breaker: breaker::Params) -> Self {
        self.breaker = breaker;
        self
    }

    /// Sets the cooldowns after a 429 without a hint: the first, and the longest.
    #[must_use]
    pub fn with_pace(mut self, first: Duration, longest: Duration) -> Self {
        self.pace = first;
        self.max_pace = longest;
        self
    }

    /// Sets the longest cooldown after a 429 with a hint.
    #[must_use]
    pub fn with_max_hint(mut self, longest: Duration) -> Self {
        self.max_hint = longest;
        self
    }

    /// Sets how long an account without money is left alone before it is probed.
    #[must_use]
    pub fn with_quota_probe(mut self, wait: Duration) -> Self {
        self.quota_probe = wait;
        self
    }

    /// Sets how long a refused key is left alone before it is probed.
    #[must_use]
    pub fn with_auth(mut self, wait: Duration) -> Self {
        self.auth = wait;
        self
    }
}
