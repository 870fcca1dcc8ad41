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

mod client;
mod failure;
mod pinned;
mod provider;
mod roots;
mod stream;
mod verify;

pub use self::roots::{Defaults, InForce, Pair};
pub(crate) use self::{
    client::{Client, Offer},
    failure::{Failure, What},
    roots::Store,
    stream::Refusal,
};
