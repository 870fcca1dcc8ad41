//! The shape of the house: floor rules, room sizes, public types.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

mod circles;
mod layering;
mod modules;
mod rooms;
mod source;
mod types;
