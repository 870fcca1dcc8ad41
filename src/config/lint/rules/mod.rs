//! The rules, one a file.

pub(super) mod amplification;
pub(super) mod anded;
pub(super) mod annotation;
pub(super) mod blocks;
pub(super) mod budget;
pub(super) mod caller_gives_up;
pub(super) mod dead_breaker;
pub(super) mod deny_all;
pub(super) mod ejection_edge;
pub(super) mod fault;
pub(super) mod max_retries;
pub(super) mod no_breaker;
pub(super) mod no_timeout;
pub(super) mod paid_mirror;
pub(super) mod paid_retries;
pub(super) mod pools;
pub(super) mod rate_limit;
pub(super) mod routes;
pub(super) mod small_pool;
pub(super) mod stream_retries;
pub(super) mod subset;
pub(super) mod unknown_callee;
pub(super) mod waits;
