//! Test utilities.

pub mod body;
pub mod probe;
pub mod upstream;
