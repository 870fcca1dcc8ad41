//! The layers in their canonical order.
//!
//! ```text
//! shell      TRACE ▸ METRICS ▸ RESPOND             context in; one summary a request; responses to what fails before a route
//! dispatch   ROUTE                                 virtual host, route, weighted cluster drawn once
//! route      RESPOND ▸ SERVED ▸ DEADLINE ▸ RETRY   per weighted destination; errors become responses [seam]
//!  attempt     SPAN ▸ DEADLINE propagate           its own span, what is left of the time
//! cluster    CONCURRENCY ▸ BALANCE                 ceilings, then an endpoint, avoiding those tried [seam]
//! endpoint   COUNT ▸ CLASSIFY ▸ STREAM ▸ pool      one class an attempt, read by all above; streams made honest
//! ```
//!
//! What comes in for an application goes through TRACE ▸ METRICS ▸ RESPOND ▸ AUTHZ ▸ TRACE inject instead: see [`inbound`](inbound()).
//!
//! Where an LLM policy applies, the route is as [`LlmRules`] draw it: within the deadline the call is read, tokens are limited,
//! and a chain of targets is asked, each with its own RETRY.
//!
//! Order matters:
//!
//! - TRACE stands outermost, so that the access log has the request id that it made.
//! - METRICS stands outside RESPOND, so that the summary has the status that the caller got.
//! - RESPOND stands in the route, where its policy is known and so that its header operations apply to what is made of errors;
//!   that of the shell passes what a route has answered.
//! - One DEADLINE spans all attempts, waits and the response body; RETRY therefore stands inside it.
//! - RETRY pays from the cluster's budget, which all routes to it share: an outage is the cluster's, not a route's.
//! - The cluster is drawn before RETRY, so attempts change the endpoint and never the version.
//! - CONCURRENCY is per attempt and inside RETRY: a refusal there is final (`UO`), never retried.
//! - CLASSIFY stands at the endpoint, below everything that reads its class.
//! - STREAM stands below CLASSIFY: it turns an error at the beginning of a stream into the response or error that it is, before
//!   anybody has read the head, and knows at the end what the stream came to.
//!
//! A client inside a service has CONTEXT outermost and, unless asked otherwise, no RESPOND: see [`inside`] and, for those
//! without configuration, [`client`].
//!
//! Stacks are static inside and boxed at the two seams, so types stay nameable and builds short.
#![doc = ""]
#![cfg_attr(
    all(feature = "reqwest", feature = "test-util"),
    doc = include_str!("alone.md")
)]

mod client;
mod cluster;
mod count;
mod inbound;
mod llm;
mod outbound;
mod parts;
mod route;
mod seam;
mod served;

pub use self::{
    client::{ClientLayer, ClientParams, client},
    cluster::{Cluster, EndpointService, endpoint},
    count::{Count, CountLayer, Counters},
    inbound::inbound,
    outbound::{Outbound, inside, outbound},
    parts::{LlmRules, LlmState, LlmTarget, RouteStack},
    route::missing,
    seam::{Boxed, BoxedFuture},
    served::{Served, ServedLayer},
};
