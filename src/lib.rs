//! The service mesh for AI traffic as a library: composable tower layers, the Istio resources a team already has, and one
//! proxy made of the same parts.
//!
//! A generic mesh does not know that a 429 may be pacing or an empty account, that a 200 may carry an error, or that a
//! retry costs money. These layers do, and are exact about the rest: one deadline over all attempts, permits that last
//! as long as the stream, outcomes decided when the body ends.
//!
//! # One layer
//!
//! Every mechanism has the same four names (`Params`, the layer, the service, its future) and wraps any
//! `Service<http::Request<B>>`:
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use llmesh::{
//!     deadline::{self, DeadlineLayer},
//!     retry::{self, RetryLayer},
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), llmesh::base::BoxError> {
//! let upstream = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello"))) });
//! let service = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(deadline::Params::default().with_timeout(Duration::from_secs(30))))
//!     .layer(RetryLayer::new(retry::Params::default().with_retries(3)))
//!     .service(upstream);
//! let response = service.oneshot(Request::new(Full::<Bytes>::from("{}"))).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`deadline`] | one limit over all attempts and the whole body; told to the upstream, shortened by the caller |
//! | [`retry`] | Envoy's conditions and LLM verdicts, hints, back-off, budgets, replayable bodies |
//! | [`breaker`] | a circuit breaker: consecutive failures or a failure rate |
//! | [`outlier`] | Istio's `outlierDetection` |
//! | [`balance`] | an endpoint per attempt: random, round robin, least request, peak EWMA, consistent hash |
//! | [`route`] | Istio's HTTP matches, weighted destinations, rewrites, redirects |
//! | [`trace`] | W3C and B3 context in and out, `x-request-id` |
//! | [`spans`] | OpenTelemetry spans: inbound, per call (GenAI), per attempt |
//! | [`limit`] | ceilings whose permits last to the body's end; requests and tokens per minute, reserved and settled; what providers say is left |
//! | [`context`] | an inbound request's trace, deadline and baggage on every outbound one |
//! | [`respond`] | errors to responses, with Envoy's statuses, bodies and flags |
//! | [`metrics`] | one summary per request at its real end: access log, standard metrics |
//! | [`classify`] | what an attempt came to, decided once |
//! | [`stream`] | LLM streams: held back until they have content, timed, whole or failed |
//!
//! # All of them
//!
//! [`stack`] has the canonical order and what depends on it, and [`stack::client`] puts it over any client. With feature
//! `mesh`, `mesh::Mesh` is a mesh inside a service, from Istio files in three lines:
//!
//! ```text
//! let mesh = Mesh::from_path("mesh/").await?;
//! let client = mesh.reqwest(reqwest::Client::new()); // client.post(..).send(); or mesh.client()
//! let app = router.layer(mesh.server_layer());
//! ```
//!
//! With feature `config`, `config::load` reads
//! VirtualServices, DestinationRules, ServiceEntries and their kin into a [`model`]; with feature `serve`,
//! `proxy::Proxy` serves one; the `llmesh` binary (feature `bin`) is its command line.
//!
//! # Features
//!
//! | feature | buys |
//! |---|---|
//! | `llm` (default) | classification of LLM provider answers, and the composed stacks |
//! | `metrics` | standard metrics over the `metrics` facade |
//! | `otel` | spans through the OpenTelemetry API, trace formats as its propagators |
//! | `otlp` | an OTLP exporter for them |
//! | `config` | Istio and Kubernetes YAML to parameters, with diagnostics |
//! | `hyper` | layers over a hyper-util client |
//! | `reqwest` | layers over a reqwest client; reqwest's own requests through a mesh |
//! | `mesh` | a mesh at work inside a process: the mesh client, pools, discovery, hot reload |
//! | `regex` | regular expressions in the router (comes with `config`) |
//! | `serve` | the proxy, as a library |
//! | `bin` | the `llmesh` binary and its command line |
//! | `demo` | the same without TLS, which is soon built: for `llmesh demo` |
//! | `test-util` | a scripted LLM upstream, scripted bodies, a probe for the tower contract |
//!
//! A feature adds to what there is; it never changes what another does.

/// The README's code, compiled and run as it stands.
#[cfg(all(doctest, feature = "mesh", feature = "reqwest", feature = "test-util"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod base;
pub mod body;
pub mod classify;
#[cfg(feature = "_bin")]
pub mod cli;
#[cfg(feature = "hyper")]
pub mod client;
#[cfg(feature = "config")]
pub mod config;
pub mod layers;
#[cfg(feature = "llm")]
pub mod llm;
#[cfg(feature = "_mesh")]
pub mod mesh;
pub mod model;
#[cfg(feature = "_serve")]
pub mod proxy;
#[cfg(feature = "llm")]
pub mod stack;
#[cfg(feature = "test-util")]
pub mod testing;

pub use crate::layers::{
    authz, balance, breaker, context, deadline, limit, metrics, outlier, respond, retry, route,
    spans, trace,
};
#[cfg(feature = "llm")]
pub use crate::layers::{call, callers, fallback, models, stream, usage};
