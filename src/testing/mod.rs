//! Test utilities.

pub mod body;
#[cfg(feature = "serve")]
pub mod fuzz;
pub mod probe;
pub mod upstream;
