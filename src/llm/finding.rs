//! What a signal means.

use std::time::SystemTime;

use crate::classify::{FallbackScope, Outcome, Scope};

/// An outcome, and where it differs from that outcome's usual rules.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) outcome: Outcome,
    pub(crate) scope: Scope,
    pub(crate) elsewhere: FallbackScope,
    pub(crate) retry_same: bool,
    pub(crate) reset_at: Option<SystemTime>,
    /// Repeat at once where no wait is asked for.
    pub(crate) immediate: bool,
    /// Nothing but the HTTP status was known.
    pub(crate) status_only: bool,
}

// === impl Finding ===

impl From<Outcome> for Finding {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            scope: outcome.scope(),
            elsewhere: outcome.elsewhere(),
            retry_same: outcome.retry_same(),
            reset_at: None,
            immediate: outcome == Outcome::OutputInvalid,
            status_only: false,
        }
    }
}

/// A quota that opens again.
pub(super) fn window(scope: Scope, reset_at: Option<SystemTime>) -> Finding {
    Finding {
        scope,
        reset_at,
        ..Outcome::QuotaWindow.into()
    }
}
