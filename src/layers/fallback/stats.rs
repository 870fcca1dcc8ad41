//! What the fallback layer counts.

use crate::base::Counter;

/// Counters of a fallback layer, shared by its services.
#[derive(Debug, Default)]
pub struct Stats {
    /// Targets asked after another one had failed.
    pub fallbacks: Counter,
    /// Requests that another target than the first one asked served.
    pub rescued: Counter,
    /// Requests that did not begin at the route's own target, because it is failing, cools down or has no room.
    pub passed_over: Counter,
    /// Of those, the ones that passed a target over that is well: what it said is left of its limits is too little.
    pub steered: Counter,
    /// Requests that no target served although more than one was asked.
    pub exhausted: Counter,
    /// Fallbacks not made because the budget was empty.
    pub budget_exhausted: Counter,
    /// Requests refused because all targets are known to refuse for longer than the caller waits.
    pub refused: Counter,
    /// Streams that were cut and that another target went on with.
    pub resumed: Counter,
    /// Streams that were cut and that no target went on with, although it was wanted.
    pub not_resumed: Counter,
}
