//! Parameters of the stream layer.

use std::time::Duration;

use crate::llm::DialectMode;

/// How an LLM answer is watched.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// The dialect, where the operator said so.
    pub dialect: DialectMode,
    /// How long each phase may take.
    pub clocks: Clocks,
    /// How many bytes of non-content events are held back before the first content. Once full, the stream is passed on.
    pub hold_cap: usize,
    /// Whether reasoning deltas count as content. If not, they are held back (up to the cap) until the first text, and the
    /// stream can be replayed that long.
    pub reasoning_commits: bool,
    /// Whether usage is asked for on behalf of a caller who did not (`stream_options.include_usage`); what comes of it is
    /// taken out of the caller's stream.
    pub inject_usage: bool,
}

/// The clocks of one attempt. The total deadline is the deadline layer's.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Clocks {
    /// From the send to the response head.
    pub headers: Option<Duration>,
    /// From the send to the first content event.
    pub first_token: Option<Duration>,
    /// From one content event to the next.
    pub inter_token: Option<Duration>,
    /// The least content events a second, over [`window`](Self::window).
    pub min_tokens_per_second: Option<f64>,
    /// The window of the throughput floor.
    pub window: Duration,
}

impl Default for Params {
    /// No clocks; 64 KiB held; reasoning is content; usage as the caller asked.
    fn default() -> Self {
        Self {
            dialect: DialectMode::Auto,
            clocks: Clocks::default(),
            hold_cap: 64 * 1024,
            reasoning_commits: true,
            inject_usage: false,
        }
    }
}

impl Default for Clocks {
    /// No limits.
    fn default() -> Self {
        Self {
            headers: None,
            first_token: None,
            inter_token: None,
            min_tokens_per_second: None,
            window: Duration::from_secs(10),
        }
    }
}

impl Params {
    /// Sets the dialect.
    #[must_use]
    pub fn with_dialect(mut self, dialect: DialectMode) -> Self {
        self.dialect = dialect;
        self
    }

    /// Sets the clocks.
    #[must_use]
    pub fn with_clocks(mut self, clocks: Clocks) -> Self {
        self.clocks = clocks;
        self
    }

    /// Sets how many bytes are held back at most.
    #[must_use]
    pub fn with_hold_cap(mut self, bytes: usize) -> Self {
        self.hold_cap = bytes;
        self
    }

    /// Sets whether reasoning counts as content.
    #[must_use]
    pub fn with_reasoning_commits(mut self, commits: bool) -> Self {
        self.reasoning_commits = commits;
        self
    }

    /// Sets whether usage is asked for.
    #[must_use]
    pub fn with_inject_usage(mut self, inject: bool) -> Self {
        self.inject_usage = inject;
        self
    }
}

impl Clocks {
    /// Sets the wait for the head.
    #[must_use]
    pub fn with_headers(mut self, limit: Duration) -> Self {
        self.headers = Some(limit);
        self
    }

    /// Sets the wait for the first content.
    #[must_use]
    pub fn with_first_token(mut self, limit: Duration) -> Self {
        self.first_token = Some(limit);
        self
    }

    /// Sets the wait between contents.
    #[must_use]
    pub fn with_inter_token(mut self, limit: Duration) -> Self {
        self.inter_token = Some(limit);
        self
    }

    /// Sets the throughput floor, in content events a second.
    #[must_use]
    pub fn with_min_tokens_per_second(mut self, least: f64) -> Self {
        self.min_tokens_per_second = Some(least);
        self
    }

    /// Sets the window of the throughput floor.
    #[must_use]
    pub fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }
}
