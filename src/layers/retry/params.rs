//! Parameters of the retry layer.

use std::{collections::BTreeSet, time::Duration};

use http::HeaderName;

use crate::base::{Ratio, Share};

/// When, how often and how fast to retry.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// Retries after the first send: `n` means up to `n + 1` sends. 0 turns retries off.
    pub retries: u32,
    /// What is retried.
    pub retry_on: RetryOn,
    /// Limit of one attempt, from the moment it has a connection. `None` is no limit.
    pub per_try_timeout: Option<Duration>,
    /// Waits between attempts where the provider asks for none.
    pub backoff: Backoff,
    /// The longest provider hint that is waited for; a longer one ends the retries.
    pub max_hint: Duration,
    /// The longest provider hint that is waited for while another target could answer instead. At most
    /// [`max_hint`](Self::max_hint) counts.
    pub fallback_hint: Duration,
    /// The share of requests that may be retries. `None` is no budget.
    /// Services of one layer share it.
    pub budget: Option<Budget>,
    /// Bytes of a request body kept for replay. A longer body passes, but its request is not retried.
    pub replay_cap: usize,
    /// Whether endpoints already tried are avoided.
    pub avoid_tried: bool,
    /// Whether `x-envoy-attempt-count` is sent: for upstreams that are hops of a mesh (see
    /// [`hops`](crate::base::hops)). A request that comes with one is told its own in any case.
    pub attempt_header: bool,
    /// Whether a back-off that the deadline will end is waited for all the same, as Envoy does: then the caller is told of
    /// the deadline. Without, it is given at once what the last attempt came to.
    pub waits_out: bool,
}

/// Envoy's retry-on terms, and one of llmesh's own. The default is none of them; [`RetryOn::standard`] is what a caller
/// of LLMs wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set of independent terms, named as Envoy names them"
)]
pub struct RetryOn {
    /// `5xx`: any 5xx response, or no response at all.
    pub server_error: bool,
    /// `gateway-error`: 502, 503, 504, or no response at all.
    pub gateway_error: bool,
    /// `reset`: no response at all.
    pub reset: bool,
    /// `reset-before-request`: no response, and nothing of the request was sent.
    pub reset_before_request: bool,
    /// `connect-failure`: no connection could be made.
    pub connect_failure: bool,
    /// `refused-stream`: the peer refused the stream unprocessed.
    pub refused_stream: bool,
    /// `retriable-4xx`: 409, and a 429 that is pacing.
    pub retriable_4xx: bool,
    /// `envoy-ratelimited`: the response carries `x-envoy-ratelimited`.
    pub envoy_ratelimited: bool,
    /// `retriable-status-codes` and bare numbers: these statuses.
    pub statuses: BTreeSet<u16>,
    /// `retriable-status-codes`, in word or by a number: statuses that a route's `x-envoy-retriable-status-codes` lists
    /// ([`RetryHeaders`](crate::base::ext::RetryHeaders)) count too.
    pub listed_statuses: bool,
    /// Answers that carry one of these fields.
    pub headers: Vec<HeaderName>,
    /// `retriable-headers`: names that a route's `x-envoy-retriable-header-names` lists become such fields.
    pub listed_headers: bool,
    /// gRPC terms (`cancelled`, `unavailable`, …): these `grpc-status` values in the response headers.
    pub grpc_statuses: BTreeSet<u16>,
    /// llmesh's own: what the classifier says is worth a retry on the same target (pacing 429, overload, cold start, an
    /// error inside a 200), whatever its status.
    pub llm: bool,
}

/// Exponential back-off with full jitter: before retry `n` (from 1) uniform in `[0, min(base·2^(n−1), max))`.
///
/// Envoy's `RetryStateImpl` with `JitteredExponentialBackOffStrategy`; defaults 25 ms and ten times that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The first upper bound.
    pub base: Duration,
    /// The last upper bound.
    pub max: Duration,
    /// Whether the wait is drawn below the bound; without jitter it is the bound itself.
    pub jitter: bool,
    /// The first upper bound after throttling, where it differs from `base`.
    pub throttle_base: Option<Duration>,
    /// About how long the first wait is where a provider of models asks to slow down and does not say for how long: it means
    /// seconds. Doubled each time, up to eight times as long. `None`: as after any other failure.
    pub pace: Option<Duration>,
}

/// A bound on retries over many requests.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Budget {
    /// Retries are at most this share of requests plus a floor per second.
    Percent {
        /// Retries per request.
        share: Share,
        /// Retries per second that are always allowed.
        min_per_second: u32,
        /// How long a request's deposit counts.
        ttl: Duration,
    },
    /// The AWS standard-mode token bucket (smithy retry specification 2.1).
    TokenBucket {
        /// Tokens at the start and at most.
        capacity: u32,
        /// Price of a retry after a fault.
        fault_cost: u32,
        /// Price of a retry after throttling.
        throttle_cost: u32,
        /// Price of a retry after a timeout.
        timeout_cost: u32,
    },
}

impl Default for Params {
    /// For callers of LLMs: 2 retries of what is worth one ([`RetryOn::standard`]), paid from the
    /// [standard budget](Budget::standard).
    fn default() -> Self {
        Self {
            retries: 2,
            retry_on: RetryOn::standard(),
            per_try_timeout: None,
            backoff: Backoff::default(),
            max_hint: Duration::from_secs(120),
            fallback_hint: Duration::from_secs(5),
            budget: Some(Budget::standard()),
            replay_cap: 1024 * 1024,
            avoid_tried: true,
            attempt_header: false,
            waits_out: false,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(25),
            max: Duration::from_millis(250),
            jitter: true,
            throttle_base: None,
            pace: Some(Duration::from_secs(1)),
        }
    }
}

impl Budget {
    /// 20 % of requests and 3 a second, over 10 s: what every cluster gets unless told otherwise.
    #[must_use]
    pub fn standard() -> Self {
        Self::Percent {
            share: Share::FIFTH,
            min_per_second: 3,
            ttl: Duration::from_secs(10),
        }
    }

    /// A share of requests (may exceed 1) plus a floor per second, over `ttl`.
    #[must_use]
    pub fn percent(share: Ratio, min_per_second: u32, ttl: Duration) -> Self {
        Self::Percent {
            share: share.into(),
            min_per_second,
            ttl,
        }
    }

    /// AWS standard mode: 500 tokens; 14 a fault or timeout, 5 a throttle.
    #[must_use]
    pub fn aws() -> Self {
        Self::TokenBucket {
            capacity: 500,
            fault_cost: 14,
            throttle_cost: 5,
            timeout_cost: 14,
        }
    }
}

impl Backoff {
    /// A back-off from `base`, up to ten times `base`, as Envoy does when only a base is given. Who gives one means it for
    /// providers of models too.
    #[must_use]
    pub fn from_base(base: Duration) -> Self {
        Self {
            base,
            max: base.saturating_mul(10),
            jitter: true,
            throttle_base: None,
            pace: None,
        }
    }

    /// AWS standard mode: from 50 ms after a fault and 1 s after throttling, up to 20 s. Goes with [`Budget::aws`].
    #[must_use]
    pub fn aws() -> Self {
        Self {
            base: Duration::from_millis(50),
            max: Duration::from_secs(20),
            jitter: true,
            throttle_base: Some(Duration::from_secs(1)),
            pace: None,
        }
    }

    /// Sets the first upper bound after throttling.
    #[must_use]
    pub fn with_throttle_base(mut self, base: Duration) -> Self {
        self.throttle_base = Some(base);
        self
    }

    /// Sets about how long the first wait is where a provider of models asks to slow down.
    #[must_use]
    pub fn with_pace(mut self, pace: Duration) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Sets the last upper bound.
    #[must_use]
    pub fn with_max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Sets whether waits are drawn at random below the bound.
    #[must_use]
    pub fn with_jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }
}

impl Params {
    /// What current Istio does for a route without `retries`: 2 retries on
    /// `connect-failure,refused-stream,unavailable,cancelled`, and no budget of the route's own.
    #[must_use]
    pub fn istio() -> Self {
        Self {
            retry_on: RetryOn {
                connect_failure: true,
                refused_stream: true,
                grpc_statuses: BTreeSet::from([1, 14]),
                listed_statuses: true,
                ..RetryOn::default()
            },
            budget: None,
            attempt_header: true,
            waits_out: true,
            ..Self::default()
        }
    }

    /// No retries.
    #[must_use]
    pub fn off() -> Self {
        Self {
            retries: 0,
            ..Self::default()
        }
    }

    /// Sets the number of retries.
    #[must_use]
    pub fn with_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sets what is retried.
    #[must_use]
    pub fn with_retry_on(mut self, retry_on: RetryOn) -> Self {
        self.retry_on = retry_on;
        self
    }

    /// Sets the per-try timeout.
    #[must_use]
    pub fn with_per_try_timeout(mut self, timeout: Duration) -> Self {
        self.per_try_timeout = Some(timeout);
        self
    }

    /// Sets the back-off.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the budget.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Takes the budget away: retries are bounded by their number alone.
    #[must_use]
    pub fn without_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// Sets the longest hint that is waited for.
    #[must_use]
    pub fn with_max_hint(mut self, max: Duration) -> Self {
        self.max_hint = max;
        self
    }

    /// Sets the longest hint that is waited for while another target could answer.
    #[must_use]
    pub fn with_fallback_hint(mut self, max: Duration) -> Self {
        self.fallback_hint = max;
        self
    }

    /// Sets how many body bytes are kept for replay.
    #[must_use]
    pub fn with_replay_cap(mut self, bytes: usize) -> Self {
        self.replay_cap = bytes;
        self
    }

    /// Sets whether tried endpoints are avoided.
    #[must_use]
    pub fn with_avoid_tried(mut self, avoid: bool) -> Self {
        self.avoid_tried = avoid;
        self
    }

    /// Sets whether `x-envoy-attempt-count` is sent.
    #[must_use]
    pub fn with_attempt_header(mut self, send: bool) -> Self {
        self.attempt_header = send;
        self
    }
}
