//! Test utilities.

pub mod body;
#[cfg(feature = "_serve")]
pub mod fuzz;
pub mod probe;
pub mod upstream;
