//! The truth about LLM streams: when one commits, whether it is alive, whether it is whole.

pub mod params;

pub use self::params::{Clocks, Params};
