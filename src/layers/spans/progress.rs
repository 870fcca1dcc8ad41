//! What the attempts of one call tell each other.

use std::sync::Arc;

use crate::base::time::Instant;

/// What the attempts of one call tell each other.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How many were sent.
    pub(crate) attempts: u32,
    /// When the last one ended.
    pub(crate) ended: Option<Instant>,
    /// Who asked for a wait after it.
    pub(crate) hint: Option<&'static str>,
    /// The cluster that was asked last.
    pub(crate) cluster: Option<Arc<str>>,
    /// Whether the caller has the head of an answer: whatever is sent now goes on with it.
    pub(crate) answered: bool,
}
