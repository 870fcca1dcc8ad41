//! The shape of the crate: which module may use which, sizes of files, public types, what documents say.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

mod circles;
mod documents;
mod extensions;
mod layering;
mod modules;
mod rooms;
mod source;
mod types;
