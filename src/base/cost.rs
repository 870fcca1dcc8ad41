//! What an attempt cost, in tokens.
//!
//! A generation is billed by the attempt, whatever became of it: also if its stream was cut, its caller hung up or another
//! attempt answered in its place. So each attempt leaves one [`Spent`] in the request's [`Ledger`], and limits, metrics and
//! logs read the same numbers.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Token counts of one answer, in one normal form for all providers: cached tokens are inside the input, reasoning tokens
/// inside the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input: u64,
    /// All output tokens, reasoning included.
    pub output: u64,
    /// Input tokens read from a cache.
    pub cache_read: Option<u64>,
    /// Input tokens written to a cache.
    pub cache_write: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<u64>,
}

/// What one attempt cost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spent {
    /// Its number, from 1, over all targets.
    pub attempt: u32,
    /// The endpoint that was asked.
    pub endpoint: Option<SocketAddr>,
    /// The model that answered, as the answer says; else the one that was asked for.
    pub model: Option<Arc<str>>,
    /// The counts.
    pub usage: Usage,
    /// Whether they are an estimate: the answer ended before its usage came.
    pub estimated: bool,
}

/// What all attempts of one request cost, in the order in which they ended. Each attempt is noted exactly once.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Spent>>>);

// === impl Usage ===

impl Usage {
    /// These counts, nothing known of caches and reasoning.
    #[must_use]
    pub fn new(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            ..Self::default()
        }
    }

    /// Input and output.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

// === impl Spent ===

impl Spent {
    /// The cost of an attempt of which nothing else is known.
    #[must_use]
    pub fn new(attempt: u32, usage: Usage) -> Self {
        Self {
            attempt,
            endpoint: None,
            model: None,
            usage,
            estimated: false,
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// Notes an attempt.
    pub fn push(&self, spent: Spent) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(spent);
    }

    /// All that was noted so far.
    #[must_use]
    pub fn all(&self) -> Vec<Spent> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The sum over all attempts so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .fold(0, |sum, s| sum.saturating_add(s.usage.total()))
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}
