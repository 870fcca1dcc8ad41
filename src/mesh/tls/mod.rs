//! TLS towards endpoints (rustls).
//!
//! A cluster that has a [`Tls`](crate::model::tls::Tls) has one `Client`, and each of its connections goes through it: a
//! connection of whatever kind below (see [`Connect`](super::connect::Connect)) is given, one that is encrypted comes back,
//! with the protocol that was agreed upon. It is never the other way round: where TLS cannot be spoken there is no
//! connection.
//!
//! Certificates, keys and authorities are read from files and secrets when the cluster is made and again whenever they
//! change. New connections use the new ones; those that are open, and what is under way on them, are not touched. What is
//! read and is not good changes nothing.
//!
//! Without the feature `tls`, which only the demo's build is without, whatever needs TLS is refused.

#[cfg(feature = "tls")]
mod client;
mod failure;
mod given;
mod offer;
#[cfg(feature = "tls")]
mod pinned;
#[cfg(feature = "tls")]
mod provider;
#[cfg(feature = "tls")]
mod reason;
#[cfg(feature = "tls")]
mod roots;
#[cfg(feature = "tls")]
mod stream;
#[cfg(feature = "tls")]
mod verify;
#[cfg(not(feature = "tls"))]
mod without;

pub use self::given::{Defaults, InForce, Pair};
#[cfg(not(feature = "tls"))]
pub(crate) use self::without::{Client, Store};
#[cfg(feature = "tls")]
pub(crate) use self::{client::Client, roots::Store};
pub(crate) use self::{
    failure::{Failure, Refusal, What},
    offer::Offer,
};
