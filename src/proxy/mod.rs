//! The proxy.
//!
//! Listeners, their servers and pages over a [`mesh`](crate::mesh). Connections come in at the seam
//! [`Accept`](listener::Accept) and go out at [`Connect`](connect::Connect), so that all of it can run over a simulated
//! network.
//!
//! [`Proxy::start`] is the whole of it: configuration in, a running proxy out. It can be embedded.
#![doc = ""]
#![doc = include_str!("http.md")]

pub mod admin;
mod dispatch;
pub mod drain;
mod inbound;
pub(crate) mod lines;
pub mod listener;
mod news;
mod options;
#[cfg(feature = "otlp")]
pub mod otlp;
mod own;
mod running;
pub mod server;
mod settings;
mod state;

pub use self::{
    inbound::Inbound,
    options::Options,
    own::Own,
    running::{Proxy, StartError},
};
pub use crate::mesh::{
    BoxFuture, Input, LoadError, Reloader, connect, discovery, pool, registry, reload, snapshot,
    watch,
};
