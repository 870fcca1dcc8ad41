//! Stops calling what keeps failing, and tries again with care.
//!
//! Calling a target that is down costs its callers time and hinders its recovery. A breaker watches outcomes and,
//! once the target fails too often, refuses calls at once with
//! [`Kind::CircuitOpen`](crate::base::Kind::CircuitOpen) and the time left.
//!
//! ```text
//!            failures in a row, or a failure rate
//!   closed ────────────────────────────────────────▶ open
//!     ▲                                             │  ▲
//!     │ all probes succeed         open time passed │  │ a probe fails: twice the open time
//!     └────────────────── half-open ◀───────────────┘  │
//!                              └───────────────────────┘
//! ```
//!
//! - An outcome is known at the *end of the body*: a stream that dies is a failure, whatever its status was.
//! - Only a failure of the target counts ([`Class::blames_target`](crate::classify::Class::blames_target)). An answer
//!   that is neither a success nor the target's fault (a 429, an empty account, the caller's mistake) is neutral: it
//!   says nothing of the target's health, so it neither adds to a row of failures nor breaks one.
//! - A call that its caller drops is neutral and gives its probe permit back; one dropped for a timeout of this side
//!   ([`CancelReason`](crate::base::ext::CancelReason)) is a failure.
//! - A call counts only in the period in which it was admitted: a result that arrives after the state has changed is
//!   ignored.
//!
//! Clones of a [`BreakerLayer`] and the services that it makes share one circuit; make one layer for each target.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//! use llmesh::breaker::{BreakerLayer, Params};
//!
//! let layer = BreakerLayer::new(
//!     Params::default()
//!         .with_consecutive(Some(5))
//!         .with_open_for(Duration::from_secs(1), Duration::from_secs(60)),
//! );
//! let handle = layer.handle().clone(); // for an admin page
//! # let _ = handle;
//! ```

pub mod core;
pub mod handle;
pub mod layer;
pub mod params;
pub mod service;
pub mod window;

pub use self::{
    core::{Circuit, Outcome, Rejected, State, Ticket},
    handle::{Handle, Permit},
    layer::BreakerLayer,
    params::{Params, Rate},
    service::Breaker,
};
