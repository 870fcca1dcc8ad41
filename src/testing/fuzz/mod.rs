//! Fuzz targets: what reads input that others wrote, and what must hold for any such input.
//!
//! Each target is a pure function that panics where a property fails. `tests/fuzz` runs them under libFuzzer, and
//! `tests/props/corpus.rs` replays their committed corpus, with mutations, in every test run. Inputs are text of a simple
//! shape, so that a corpus can be read and written by hand.

mod coding;
mod config;
mod deadline;
mod duration;
mod hint;
mod llm;
mod retry_on;
mod route;
mod sanitize;
mod sniff;
mod stream;
mod text;
mod trace;

pub use self::{
    coding::coding, config::config, deadline::deadline, duration::duration, hint::hint, llm::llm,
    retry_on::retry_on, route::route, sanitize::sanitize, sniff::sniff, stream::stream,
    trace::trace,
};

/// A target.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 12] = [
    ("coding", coding),
    ("config", config),
    ("deadline", deadline),
    ("duration", duration),
    ("hint", hint),
    ("llm", llm),
    ("retry_on", retry_on),
    ("route", route),
    ("sanitize", sanitize),
    ("sniff", sniff),
    ("stream", stream),
    ("trace", trace),
];
