//! Every public service against a probing inner service: the tower contract.
//!
//! To add a service, add a `contract!` line in `services.rs`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod broken;
mod foreign;
mod matrix;
mod services;
