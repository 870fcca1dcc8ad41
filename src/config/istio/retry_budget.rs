//! `retryBudget`.

use std::time::Duration;

use crate::{
    base::Ratio,
    config::decode::{Field, Least},
    layers::retry::params::Budget,
};

/// The budget's life where no `budgetInterval` is given.
const INTERVAL: Duration = Duration::from_secs(10);

/// Istio's `minRetryConcurrency` where it is not given.
const FLOOR: u32 = 3;

/// Reads a `retryBudget`.
///
/// Istio's counts retries under way against requests under way; ours counts both over an interval, so that many short
/// retries weigh as much as a few long ones.
pub(super) fn read(field: &Field<'_>) -> Option<Budget> {
    let object = field.object()?;
    let percent = object.get("percent").map(|percent| percent.percent());
    let floor = object.get("minRetryConcurrency").map(|floor| floor.u32());
    let interval = object
        .get("budgetInterval")
        .map(|interval| interval.duration(Least::Zero));
    let percent = percent.unwrap_or(Some(20.0))?;
    let floor = floor.unwrap_or(Some(FLOOR))?;
    let interval = interval.unwrap_or(Some(Duration::ZERO))?;
    let interval = if interval.is_zero() {
        INTERVAL
    } else {
        interval
    };
    let message = format!(
        "llmesh counts retries over {interval:?} instead of retries under way: at most {percent} % of requests plus {floor} a second"
    );
    field
        .report()
        .note(&field.place(), "retry-budget-over-time", message, "");
    let share = Ratio::from_percent(percent).ok()?;
    Some(Budget::percent(share, floor, interval))
}
