//! HTTP clients as services that layers go over.
//!
//! A layer wraps any `Service<http::Request<B>>`. These adapters make one of the two clients that Rust services use, and
//! tell the layers what a failure of theirs was. For a client with all of the mesh in it, see
//! `mesh::MeshClient` (feature `mesh`).

pub mod hyper;
#[cfg(feature = "reqwest")]
pub mod reqwest;
