//! Floor 1: what one attempt came to, decided once.
//!
//! A [`Class`] is made at the endpoint, once per attempt, and every mechanism reads that one value: retry, breaker,
//! outlier detection, load, metrics, logs. HTTP and gRPC need no more than a status; LLM answers need their body, which
//! is what [`llm`](crate::llm) adds.

pub mod answer;
mod body;
mod classified;
mod failure;
mod future;
pub mod hint;
pub mod http;
pub mod layer;
mod make;
pub mod result;
pub mod service;
pub mod transport;
mod witness;

use std::time::{Duration, SystemTime};

use ::http::{HeaderMap, StatusCode, response};
use bytes::Bytes;

use crate::base::{BoxError, Kind};

#[cfg(feature = "llm")]
pub(crate) use self::future::PATIENCE;
pub(crate) use self::result::class_of_response;
pub use self::{
    answer::ResponseBody, classified::Classified, failure::Failure, future::ResponseFuture,
    http::HttpClassifier, layer::ClassifyLayer, make::MakeClassifier, result::class_of_result,
    service::Classify, witness::AttemptObserver,
};

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Class {
    /// The verdict.
    pub outcome: Outcome,
    /// For an error inside a response ([`Outcome::StreamError`]): what that error means.
    pub inner: Option<Outcome>,
    /// What was seen on the wire: what Envoy's retry and outlier rules look at.
    pub signal: Signal,
    /// How long the provider asked to wait.
    pub hint: Option<Hint>,
    /// When a quota window opens again, where known.
    pub reset_at: Option<SystemTime>,
    /// Who takes the blame.
    pub scope: Scope,
    /// Where the request may go instead. The outcome's rule, unless the provider's answer says more.
    pub elsewhere: FallbackScope,
    /// Whether the same target may be asked again: the outcome's rule, unless `x-should-retry: false` forbids it.
    pub retry_same: bool,
    /// Whether any byte of the request may have reached the upstream.
    pub sent: bool,
    /// Whether the HTTP status alone decided, with no word from the provider: such a class does not overrule a status
    /// that the operator lists for retry.
    pub status_only: bool,
    /// Whether a provider of models asked to slow down: it means seconds, also where it does not say how many.
    pub paced: bool,
    /// The status that the provider's words stand for, where the one on the wire is another: an error inside a 2xx.
    pub stands_for: Option<StatusCode>,
}

/// The verdict on one attempt, in words that hold for every provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Served.
    Success,
    /// Pacing of this key or model: wait and repeat.
    RateLimited,
    /// Traffic grows too fast: wait and slow down.
    RampLimited,
    /// The provider lacks capacity.
    Overloaded,
    /// Money or allowance is gone, with no date.
    QuotaExhausted,
    /// A budget or daily cap with a known reset.
    QuotaWindow,
    /// This request alone is over a limit.
    RequestExceedsLimit,
    /// Over the model's context window.
    ContextLength,
    /// A policy verdict on prompt or output.
    ContentFilter,
    /// The caller's mistake.
    InvalidRequest,
    /// More bytes than the edge takes.
    TooLarge,
    /// Credential bad or expired.
    Auth,
    /// No right to the model, region or network.
    Permission,
    /// Model or deployment absent.
    NotFound,
    /// A lock or concurrency conflict.
    Conflict,
    /// The upstream, or our wait for it, timed out.
    Timeout,
    /// The upstream failed.
    ServerError,
    /// A cold start.
    ModelNotReady,
    /// A bad sample, such as a malformed tool call.
    OutputInvalid,
    /// The caller, or this process, went away.
    Cancelled,
    /// No connection was made; nothing was sent.
    Connect,
    /// The connection died before the response head.
    Reset,
    /// Headers, but no content in time.
    FirstTokenTimeout,
    /// An error inside a 200.
    StreamError,
    /// Idle too long after content.
    StreamStalled,
    /// The end came without a finish marker.
    StreamTruncated,
    /// A frame that cannot be read.
    MalformedStream,
    /// Refused on this side before any upstream was asked (ceiling, breaker, no endpoint, policy).
    Local,
}

/// What was seen on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A response head came.
    Response {
        /// Its HTTP status.
        status: StatusCode,
        /// `grpc-status` in the response headers (a trailers-only answer).
        grpc_status: Option<u16>,
        /// Whether it carries `x-envoy-ratelimited`.
        ratelimited: bool,
    },
    /// No response: this happened instead.
    Error(Kind),
}

/// A wait the provider asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// How long, from the moment the response was read. Not yet capped.
    pub wait: Duration,
    /// Where it was read: a header's name, `google.rpc.RetryInfo`, `message`, `immediate`, ….
    pub source: &'static str,
}

/// Who takes the blame for a failure, and so what must be avoided next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Nobody: the upstream is not at fault.
    #[default]
    None,
    /// The endpoint (and its model).
    Target,
    /// The credential that was used.
    Credential,
    /// The account behind the credential, and all its targets.
    Account,
}

/// Where a failed request may go instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FallbackScope {
    /// Anywhere.
    Any,
    /// Another account of the same provider, or another provider.
    OtherAccount,
    /// A target with a larger window or limit.
    Larger,
    /// Only where the operator allowed it: it routes around a verdict.
    OptIn,
    /// Nowhere.
    None,
}

/// An answer of a [`Classifier`] before the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Decided.
    Done(Class),
    /// More of the body is needed; this is what it would be if nothing more came.
    Wait,
}

/// Decides what one attempt came to. LLM errors appear in any phase, hence the four calls.
pub trait Classifier {
    /// The response head came. `now` is for hints given as dates.
    fn head(&mut self, head: &response::Parts, now: SystemTime) -> Verdict;
    /// A data frame came.
    fn frame(&mut self, chunk: &Bytes) -> Verdict;
    /// Whether what came so far says nothing yet, or no more than that an error begins, so that what follows is worth a longer
    /// wait.
    fn says_nothing(&self) -> bool {
        false
    }
    /// The body ended well.
    fn end(&mut self, trailers: Option<&HeaderMap>) -> Class;
    /// The attempt failed without a response, or the body failed.
    fn error(&mut self, error: &BoxError) -> Class;
}

// === impl Class ===

impl Class {
    /// A class with the outcome's usual scope and retry rule.
    #[must_use]
    pub fn new(outcome: Outcome, signal: Signal) -> Self {
        Self {
            outcome,
            inner: None,
            signal,
            hint: None,
            elsewhere: outcome.elsewhere(),
            reset_at: None,
            scope: outcome.scope(),
            retry_same: outcome.retry_same(),
            sent: !matches!(outcome, Outcome::Connect | Outcome::Local),
            status_only: false,
            paced: false,
            stands_for: None,
        }
    }

    /// Whether the attempt served its purpose.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.outcome == Outcome::Success
    }

    /// Whether the attempt counts as a failure of the endpoint it went to (breaker, load penalty).
    #[must_use]
    pub fn blames_target(&self) -> bool {
        self.scope == Scope::Target
    }
}

// === impl Outcome ===

impl Outcome {
    /// Whether it asks to slow down: more of the same soon makes it worse.
    #[must_use]
    pub fn is_pacing(self) -> bool {
        matches!(
            self,
            Self::ModelNotReady | Self::Overloaded | Self::RampLimited | Self::RateLimited
        )
    }

    /// Whether the same target may be asked again.
    #[must_use]
    pub fn retry_same(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::RampLimited
                | Self::Overloaded
                | Self::Conflict
                | Self::Timeout
                | Self::ServerError
                | Self::ModelNotReady
                | Self::OutputInvalid
                | Self::Connect
                | Self::Reset
                | Self::StreamTruncated
                | Self::MalformedStream
                | Self::StreamError
        )
    }

    /// Whether another target may be asked.
    #[must_use]
    pub fn elsewhere(self) -> FallbackScope {
        match self {
            Self::QuotaExhausted | Self::QuotaWindow | Self::Auth | Self::Permission => {
                FallbackScope::OtherAccount
            }
            Self::RequestExceedsLimit | Self::ContextLength => FallbackScope::Larger,
            Self::ContentFilter | Self::OutputInvalid => FallbackScope::OptIn,
            Self::Success
            | Self::InvalidRequest
            | Self::TooLarge
            | Self::Cancelled
            | Self::StreamStalled => FallbackScope::None,
            Self::RateLimited
            | Self::RampLimited
            | Self::Overloaded
            | Self::NotFound
            | Self::Conflict
            | Self::Timeout
            | Self::ServerError
            | Self::ModelNotReady
            | Self::Connect
            | Self::Reset
            | Self::FirstTokenTimeout
            | Self::StreamError
            | Self::StreamTruncated
            | Self::MalformedStream
            | Self::Local => FallbackScope::Any,
        }
    }

    /// Who usually takes the blame.
    #[must_use]
    pub fn scope(self) -> Scope {
        match self {
            Self::QuotaExhausted | Self::QuotaWindow => Scope::Account,
            Self::Auth | Self::Permission => Scope::Credential,
            Self::Overloaded
            | Self::NotFound
            | Self::Timeout
            | Self::ServerError
            | Self::ModelNotReady
            | Self::Connect
            | Self::Reset
            | Self::FirstTokenTimeout
            | Self::StreamError
            | Self::StreamStalled
            | Self::StreamTruncated
            | Self::MalformedStream => Scope::Target,
            Self::Success
            | Self::RateLimited
            | Self::RampLimited
            | Self::RequestExceedsLimit
            | Self::ContextLength
            | Self::ContentFilter
            | Self::InvalidRequest
            | Self::TooLarge
            | Self::Conflict
            | Self::OutputInvalid
            | Self::Cancelled
            | Self::Local => Scope::None,
        }
    }

    /// A stable, low-cardinality label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::RateLimited => "rate_limited",
            Self::RampLimited => "ramp_limited",
            Self::Overloaded => "overloaded",
            Self::QuotaExhausted => "quota_exhausted",
            Self::QuotaWindow => "quota_window",
            Self::RequestExceedsLimit => "request_exceeds_limit",
            Self::ContextLength => "context_length",
            Self::ContentFilter => "content_filter",
            Self::InvalidRequest => "invalid_request",
            Self::TooLarge => "too_large",
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Timeout => "timeout",
            Self::ServerError => "server_error",
            Self::ModelNotReady => "model_not_ready",
            Self::OutputInvalid => "output_invalid",
            Self::Cancelled => "cancelled",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::FirstTokenTimeout => "first_token_timeout",
            Self::StreamError => "stream_error",
            Self::StreamStalled => "stream_stalled",
            Self::StreamTruncated => "stream_truncated",
            Self::MalformedStream => "malformed_stream",
            Self::Local => "local",
        }
    }
}
