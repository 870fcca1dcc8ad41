//! A mesh at work.
//!
//! Connections, names, files, and the state that outlives a configuration: everything between a [`MeshModel`](crate::model::MeshModel)
//! and an answered request that is the same for a proxy and for a client inside a process. Connections are made at the
//! seam [`Connect`](connect::Connect) and names resolved at [`Resolve`](discovery::Resolve), so that all of it can run over
//! a simulated network.
//!
//! [`Mesh`] is the whole of it for a Rust service, [`MeshClient`] what its code calls.
#![doc = ""]
#![cfg_attr(feature = "reqwest", doc = include_str!("inside.md"))]

use std::pin::Pin;

mod asked;
mod authorize;
mod client;
pub mod connect;
pub mod discovery;
mod exposed;
mod given;
mod handle;
mod hop;
mod inner;
mod keys;
mod load_error;
mod passthrough;
pub mod path;
pub mod pool;
mod proxied;
pub mod registry;
pub mod reload;
#[cfg(feature = "reqwest")]
mod reqwest;
pub mod sanitize;
pub mod snapshot;
pub mod tls;
mod upgrade;
pub mod watch;

#[cfg(feature = "reqwest")]
pub use self::reqwest::{MeshRequest, MeshReqwest};
pub use self::{
    authorize::{AuthorizationLayer, Authorized, Authorizing},
    client::{MeshClient, Responding},
    given::Pem,
    handle::{Builder, Mesh},
    inner::UnknownHosts,
    proxied::{BadProxy, Network, UpstreamProxy},
    reload::{Input, LoadError, Reloader},
    sanitize::{Refusal, canonical},
};
#[cfg(feature = "_serve")]
pub(crate) use self::{sanitize::request_trailers, upgrade::Upgrade};

/// A boxed future, as the object-safe seams return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
