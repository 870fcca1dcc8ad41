//! What the retry layer counts.

use crate::base::Counter;

/// Counters of a retry layer, shared by its services. Named as Envoy's `upstream_rq_retry*` where it has them.
#[derive(Debug, Default)]
pub struct Stats {
    /// Retries sent.
    pub retries: Counter,
    /// Requests that succeeded after at least one retry.
    pub retry_success: Counter,
    /// Requests that used up all their retries.
    pub limit_exceeded: Counter,
    /// Retries not sent because too many others were under way.
    pub overflow: Counter,
    /// Retries not sent because the budget was empty.
    pub budget_exhausted: Counter,
    /// Waits of our own.
    pub backoff: Counter,
    /// Waits the provider asked for.
    pub hinted: Counter,
    /// Attempts cut at the per-try timeout.
    pub per_try_timeout: Counter,
}
