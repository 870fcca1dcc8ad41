//! Parameters of the token limit layer.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use http::HeaderName;

/// Output tokens reserved where neither the request nor the parameters say.
const DEFAULT_OUTPUT: u64 = 1024;

/// All limits of a route, in order. A request must pass every one that applies to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Params {
    /// The limits.
    pub limits: Vec<Limit>,
    /// Output tokens reserved for a request that names no maximum; 1,024 if not set. A guess that does not fit a whole allowance
    /// is cut down to it.
    pub default_output: Option<NonZeroU64>,
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limit {
    /// What its counts are kept under, across reloads.
    pub name: Arc<str>,
    /// What one allowance is for.
    pub by: By,
    /// Requests allowed in a period.
    pub requests: Option<Allowance>,
    /// Tokens allowed in a period, input and output.
    pub tokens: Option<Allowance>,
    /// The only caller that it is for, by name.
    pub caller: Option<Arc<str>>,
}

/// So much in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How much.
    pub amount: NonZeroU64,
    /// In how long.
    pub per: Duration,
}

/// What one allowance is for. A request that lacks it is not limited.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// Everything that takes the route.
    Route,
    /// Each value of a header; with `value`, only that one.
    Header {
        /// The header.
        name: HeaderName,
        /// The only value that is limited.
        value: Option<String>,
    },
    /// Each key the callers send (`authorization`, `x-api-key`, `api-key`, `x-goog-api-key`, `?key=`), kept as a hash. A request
    /// with several takes from the allowance of each.
    Credential,
    /// Each model asked for.
    Model,
    /// Each caller who is known by name ([`Caller`](crate::base::ext::Caller)).
    Caller,
}

// === impl Limit ===

impl Limit {
    /// A limit that allows everything, until told otherwise.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, by: By) -> Self {
        Self {
            name: name.into(),
            by,
            requests: None,
            tokens: None,
            caller: None,
        }
    }

    /// Sets the only caller that it is for.
    #[must_use]
    pub fn with_caller(mut self, name: impl Into<Arc<str>>) -> Self {
        self.caller = Some(name.into());
        self
    }

    /// Sets how many requests are allowed.
    #[must_use]
    pub fn with_requests(mut self, amount: NonZeroU64, per: Duration) -> Self {
        self.requests = Some(Allowance { amount, per });
        self
    }

    /// Sets how many tokens are allowed.
    #[must_use]
    pub fn with_tokens(mut self, amount: NonZeroU64, per: Duration) -> Self {
        self.tokens = Some(Allowance { amount, per });
        self
    }
}

impl Params {
    /// These limits.
    #[must_use]
    pub fn new(limits: impl IntoIterator<Item = Limit>) -> Self {
        Self {
            limits: limits.into_iter().collect(),
            default_output: None,
        }
    }

    /// The output tokens of a request that names no maximum.
    #[must_use]
    pub fn guessed_output(&self) -> u64 {
        self.default_output.map_or(DEFAULT_OUTPUT, Into::into)
    }

    /// Sets how many output tokens are reserved for a request that names no maximum.
    #[must_use]
    pub fn with_default_output(mut self, tokens: NonZeroU64) -> Self {
        self.default_output = Some(tokens);
        self
    }
}
