//! The shape of the house: floor rules, room sizes, public types.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

mod documents;
mod layering;
mod rooms;
mod source;
mod types;
