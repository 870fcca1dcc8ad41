//! Parameters of the deadline layer.

use std::time::Duration;

/// How long a request may take, over all attempts and the whole response body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Params {
    /// The limit; `None` is no limit of our own.
    pub timeout: Option<Duration>,
    /// Whether the caller's `x-envoy-expected-rq-timeout-ms` and `grpc-timeout` may shorten it. They never lengthen it.
    pub honour_caller: bool,
    /// Whether a request that says nothing of its time is told it, in `x-envoy-expected-rq-timeout-ms`. What a request says
    /// itself is put right in any case, and a gRPC request is told in `grpc-timeout`. Not needed above a
    /// [`PropagateLayer`](super::PropagateLayer), which tells each attempt.
    pub tell: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            timeout: None,
            honour_caller: true,
            tell: false,
        }
    }
}

impl Params {
    /// Sets the limit.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets whether the caller's own deadline headers are read.
    #[must_use]
    pub fn with_honour_caller(mut self, honour: bool) -> Self {
        self.honour_caller = honour;
        self
    }

    /// Sets whether a request that says nothing of its time is told it.
    #[must_use]
    pub fn with_tell(mut self, tell: bool) -> Self {
        self.tell = tell;
        self
    }
}
