//! retry

pub mod params;

pub use self::params::Params;
