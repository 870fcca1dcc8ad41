//! Takes endpoints that keep failing out of a set for a while: Istio's `outlierDetection`, with Envoy's rules.
//!
//! Each *attempt* counts on the endpoint it went to. A row of errors ejects the endpoint; a periodic sweep lets it
//! back in. The rules follow Envoy's outlier detector:
//!
//! - A 5xx response (or a gRPC status that maps to one) counts into the 5xx counter, a 502, 503 or 504 also into the
//!   gateway counter. Any other response sets both to zero. A timeout counts as a 504, a failed or reset connection
//!   as a 503, unless local failures are split off into a counter of their own.
//! - What this side did (ceilings, policy, a caller that went away) never counts, nor does a caller's mistake.
//! - An endpoint is ejected if it is not already, and if with it at most
//!   [`max_ejection_percent`](Params::max_ejection_percent) of the set is out: 10 % needs ten endpoints
//!   ([`can_ever_eject`]).
//! - The n-th ejection lasts n times the base, at most 300 s or the base. It ends at the first sweep after that.
//!   A sweep that finds an endpoint in service lowers n by one.
//!
//! Sweeps are not a task: they are applied, each at its own instant, when the set is next looked at. An ejection takes
//! effect at once.
//!
//! The [balancer](crate::layers::balance) uses the [`Detector`] over its endpoints. [`OutlierLayer`] is for sets kept
//! elsewhere: one layer for each member of a [`Group`].
//!
//! # Examples
//! ```
//! use llmesh::outlier::{Group, Params};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let group = Group::new(Params::default().with_max_ejection_percent(50));
//! let (first, second) = (group.layer("10.0.0.1:80"), group.layer("10.0.0.2:80"));
//! // `first.layer(client_a)`, `second.layer(client_b)`: an ejected one answers with `Kind::NoEndpoints`.
//! # let _ = (first, second);
//! # }
//! ```

pub mod detector;
pub mod ejection;
pub mod future;
pub mod group;
pub mod layer;
pub mod params;
pub mod phases;
pub mod seen;
pub mod service;

pub use self::{
    detector::{Detector, Ejected, Host, Member, Reason, Stats},
    ejection::can_ever_eject,
    future::ResponseFuture,
    group::Group,
    layer::OutlierLayer,
    params::Params,
    phases::Phases,
    seen::Observation,
    service::Outlier,
};
