//! Every public service against a probing inner service: the tower contract.
//!
//! To add a service, add a `contract!` line in `services.rs`.

mod broken;
mod matrix;
mod services;
