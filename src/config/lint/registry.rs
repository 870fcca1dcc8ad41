//! Every rule there is, by its name.

use super::{catalog, check::Check, rule::Rule, rules};

/// The rules that are looked for in all resources together.
pub(super) static CHECKS: [&Check; 21] = [
    &rules::caller_gives_up::CHECK,
    &rules::no_timeout::CHECK,
    &rules::waits::CHECK,
    &rules::amplification::CHECK,
    &rules::budget::CHECK,
    &rules::stream_retries::CHECK,
    &rules::paid_retries::CHECK,
    &rules::paid_mirror::CHECK,
    &rules::no_breaker::CHECK,
    &rules::dead_breaker::CHECK,
    &rules::ejection_edge::CHECK,
    &rules::small_pool::CHECK,
    &rules::blocks::CHECK,
    &rules::max_retries::CHECK,
    &rules::fault::CHECK,
    &rules::subset::CHECK,
    &rules::anded::CHECK,
    &rules::deny_all::CHECK,
    &rules::rate_limit::CHECK,
    &rules::annotation::CHECK,
    &rules::unknown_callee::CHECK,
];

/// Every rule: those of the linter, then those of the loader.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    CHECKS
        .iter()
        .map(|check| &check.rule)
        .chain(catalog::ALL.iter().copied().flatten())
}

/// A rule by its name.
#[must_use]
pub fn find(id: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.id == id)
}
