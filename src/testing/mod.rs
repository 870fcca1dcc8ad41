//! Test utilities.

pub mod body;
#[cfg(feature = "proxy")]
pub mod fuzz;
pub mod probe;
pub mod upstream;
