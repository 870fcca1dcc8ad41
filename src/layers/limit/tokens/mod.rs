//! Limits on requests and tokens per minute: reserve an estimate, settle with the truth.
//!
//! What a generation costs is known when it is over, and by then a hundred others have been let in. So a request reserves
//! what it may cost at most (its prompt, estimated, and the output tokens it asks for) before anything is sent, and is
//! refused at once if that does not fit. When its body ends, fails or is dropped, the reservation is settled with what the
//! attempts really cost: the rest is given back, an excess is charged.
//!
//! As long as no request costs more than it reserved, no stretch of one period lets in more than the limit, whatever comes
//! at once and whoever hangs up ([`window`](super::window) has the reasons and the price). A request that costs more, since
//! its prompt was estimated too low, leaves a debt that later requests wait for.
//!
//! # What is settled
//!
//! The sum of the request's [`Ledger`](crate::base::cost::Ledger): all attempts, also failed ones and those of fallback
//! targets, since all of them are billed. Estimates in it are taken and counted as such. Nothing noted means nothing was
//! spent and everything is given back; only where an answer was a success and some of it was passed on, yet nobody noted a
//! cost (no layer beneath watches the stream), the reservation itself is taken for the cost.
//!
//! What becomes of it is the same for every end: the future dropped before the answer, the body dropped, an error.
//! An attempt that is still under way when the request is over, such as a hedge, is not counted.
//!
//! # Who is limited
//!
//! [`By`] says what one allowance is for. A credential is never kept, only its hash; a caller who sends several pays from the
//! allowance of each, so that adding a second key does not get around the first. The number of keys is bounded
//! ([`Registry`]); beyond it new keys share one allowance.
//!
//! # Reload
//!
//! Counts live in a [`Registry`], by the name of the limit and the key, outside the layer. A layer with changed
//! parameters made from the same registry goes on with them.
//!
//! # Errors
//!
//! [`Kind::RateLimited`](crate::base::Kind), with the wait and a [`Refused`](crate::base::quota::Refused) as source. A
//! request that is larger than a whole allowance has no wait: it will never fit. There is no queue.
//!
//! ```
//! use std::{num::NonZeroU64, time::Duration};
//!
//! use llmesh::limit::tokens::{By, Limit, Params, Registry, TokenLimitLayer};
//!
//! let minute = Duration::from_secs(60);
//! let limit = Limit::new("per key", By::Credential).with_tokens(NonZeroU64::new(10_000).unwrap(), minute);
//! let registry = Registry::default();
//! let layer = TokenLimitLayer::new(Params::new([limit])).with_registry(&registry);
//! # drop(layer);
//! ```
#![doc = ""]
#![doc = include_str!("guarantees.md")]

mod admit;
mod key;
mod layer;
pub mod params;
mod registry;
mod service;
mod settle;

pub use self::{
    layer::TokenLimitLayer,
    params::{By, Limit, Params},
    registry::{Registry, Stats},
    service::{ResponseBody, ResponseFuture, TokenLimit},
};
