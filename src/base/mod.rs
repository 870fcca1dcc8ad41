//! What every other module is built on.
//!
//! Errors, the extension types that layers leave for each other, validated numbers, the one clock and the one
//! source of entropy. Nothing here knows HTTP routing, providers or configuration.

mod attempt;
pub mod ceiling;
mod clock;
pub mod cost;
pub mod counter;
pub mod durations;
pub mod error;
pub mod ext;
pub mod fingerprint;
pub mod hops;
#[cfg(feature = "llm")]
mod late;
pub mod num;
pub mod operator;
pub(crate) mod order;
pub mod quota;
mod ready;
pub mod refusal;
#[cfg(feature = "_mesh")]
pub(crate) mod relay;
pub mod rng;
pub mod secrets;
pub(crate) mod sync;
pub mod time;
mod told;
mod until;

#[cfg(feature = "llm")]
pub use self::late::Late;
pub use self::{
    ceiling::{Ceiling, Permit},
    counter::Counter,
    durations::Durations,
    error::{BoxError, Error, Kind},
    fingerprint::Fingerprint,
    num::{Ratio, Share},
    ready::Called,
    refusal::{Denied, Refusal},
    rng::SharedRng,
    told::Told,
};

#[cfg(feature = "_mesh")]
pub(crate) use self::relay::{Relay, muted};
