//! Trace context propagation: who asked whom, told onwards in the words the caller used.
//!
//! A mesh sees every hop, but a trace only holds together if each hop passes the caller's context on. [`TraceLayer`]
//! reads it once per request, makes sure of an `x-request-id`, and leaves a [`Context`] in the request's extensions. Nothing
//! is exported here, and so no span is made up: what goes out names the caller's span or, with feature `otel` and a provider,
//! one of [`spans`](crate::layers::spans). Without those, trace headers pass as they came, and [`InjectLayer`] writes the
//! caller's context where a request has lost it.
//!
//! | format | headers | read when |
//! |---|---|---|
//! | W3C Trace Context level 2 | `traceparent`, `tracestate` | first |
//! | B3 single | `b3` | no valid W3C context |
//! | B3 multi | `x-b3-traceid` … `x-b3-flags` | no valid single header |
//! | others | `x-request-id`, `x-ot-span-context`, `x-cloud-trace-context`, `grpc-trace-bin`, `x-datadog-*`, `sw8` | passed on untouched |
//!
//! Spans are told in the formats that came in; where none did, in those of [`Params::formats`] (W3C and B3 multi, so that
//! services of either kind join).
//!
//! # Examples
//! ```
//! use llmesh::{base::SharedRng, trace::{self, Params}};
//!
//! let mut headers = http::HeaderMap::new();
//! headers.insert("b3", http::HeaderValue::from_static("463ac35c9f6413ad-a2fb4a1d1a96d312-1"));
//! let rng = SharedRng::seeded(1);
//! let context = trace::begin(&mut headers, &Params::default(), &rng);
//! trace::inject(&context.child(&rng), &mut headers);
//! let sent = headers["b3"].to_str().unwrap();
//! assert!(sent.starts_with("463ac35c9f6413ad-") && sent.ends_with("-1-a2fb4a1d1a96d312"));
//! ```

mod b3;
mod begin;
mod context;
mod digits;
mod ids;
mod layer;
mod legacy;
#[cfg(feature = "otel")]
pub mod otel;
mod params;
mod propagation;
pub mod request_id;
mod service;
#[cfg_attr(not(feature = "otel"), path = "no_tracer.rs")]
mod tracer;
mod w3c;

pub use self::{
    begin::begin,
    context::{Context, Extracted, Formats, SpanId, TraceId},
    layer::{InjectLayer, TraceLayer},
    legacy::Carried,
    params::Params,
    propagation::{extract, inject},
    service::{Inject, Trace},
    tracer::Tracer,
};
