//! Spans: what a request was, how often it was sent, to whom and why, and when its last byte was out.
//!
//! They are made through OpenTelemetry's API (feature `otel`), for whatever SDK the process has; with none there are no spans,
//! and trace headers pass as they came. Without the feature these layers do nothing but what
//! [`InjectLayer`](crate::trace::InjectLayer) does.
//!
//! | span | kind | from | to |
//! |---|---|---|---|
//! | of a request that came in ([`ServerSpanLayer`], [`context::ServerLayer`](crate::context::ServerLayer)) | server | its head | the end of its answer's body |
//! | of the call ([`CallSpanLayer`]): `chat {model}` and its like for models, else the method | client for models, else internal | the call was read | the end of the body, all attempts, waits and targets included |
//! | of an attempt ([`AttemptSpanLayer`]) | client | it is sent | the end of its body, or that another one follows |
//!
//! The parent of a call is the process's current span (also that of `tracing-opentelemetry`), else the caller's. What goes out
//! as `traceparent` (or B3) is the attempt's span if that is exported, else what came in. A trace that begins here and is not
//! sampled is told as that (flag 00), so that nobody further on exports a part of it.
//!
//! A call for which a [`ServerSpanLayer`] stands above, and which is for no model, has no span of its own: that one says all.
//! Retries, fallbacks, resumptions and refusals are events of the call's span.
//!
//! A span that is not recorded costs its beginning, and what is below it nothing: it is decided once. Attributes hold no
//! header but the request id and the user agent, no query, no prompt and no answer.

#![cfg_attr(
    not(feature = "otel"),
    allow(
        clippy::redundant_clone,
        dead_code,
        unreachable_code,
        unused_variables,
        reason = "without `otel` there is no span, and the compiler knows"
    )
)]

mod attached;
mod attempt;
mod attribute;
mod call;
mod ending;
#[cfg(feature = "llm")]
mod genai;
mod kind;
mod names;
mod progress;
mod server;
mod service;
#[cfg_attr(not(feature = "otel"), path = "no_span.rs")]
mod span;

#[cfg(feature = "otel")]
pub use self::span::Decided;
pub use self::{
    attached::Attached,
    attempt::{AttemptSpan, AttemptSpanLayer},
    call::{CallSpan, CallSpanLayer},
    server::Serving,
    service::{Late, ServerSpan, ServerSpanLayer, SpanFuture},
};
pub(crate) use self::{
    server::How,
    span::{Span, current},
};
