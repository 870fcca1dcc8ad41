//! Fallback: other targets for a request that its first one cannot serve.

pub mod params;

pub use self::params::{Credential, Params, Resume, Target};
