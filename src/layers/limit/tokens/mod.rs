//! Limits on requests and tokens per minute.

pub mod params;

pub use self::params::{By, Limit, Params};
