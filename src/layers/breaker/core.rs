//! The state machine: pure, told the time and the parameters at each step.

use std::time::Duration;

use super::{params::Params, window::Window};
use crate::base::time::Instant;

/// What a circuit does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Serving.
    Closed,
    /// Rejecting.
    Open,
    /// Probing.
    HalfOpen,
}

/// What a call says of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It serves.
    Success,
    /// It failed.
    Failure,
    /// Nothing.
    Neutral,
}

/// The right to make one call, to be handed back with its outcome.
#[derive(Debug)]
#[must_use = "every admitted call must be recorded, or a probe's permit is lost"]
pub struct Ticket {
    pub(super) generation: u64,
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// How long the circuit stays open; `None` while probes are under way.
    pub retry_after: Option<Duration>,
}

/// One circuit.
#[derive(Clone, Debug)]
pub struct Circuit {
    phase: Phase,
    /// Grows at each change of state; tickets of another generation are ignored.
    generation: u64,
    /// How often it opened since it was last closed.
    trips: u32,
    window: Window,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { out: u32, succeeded: u32 },
}

// === impl State ===

impl State {
    /// A stable label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

// === impl Circuit ===

impl Default for Circuit {
    fn default() -> Self {
        Self {
            phase: Phase::Closed { failures: 0 },
            generation: 0,
            trips: 0,
            window: Window::default(),
        }
    }
}

impl Circuit {
    /// Admits a call at `now`, or refuses it.
    ///
    /// # Errors
    /// If the circuit is open, or half-open with all its probes out.
    pub fn try_acquire(&mut self, params: &Params, now: Instant) -> Result<Ticket, Rejected> {
        let probes = params.probes.max(1);
        if let Phase::Open { until } = self.phase {
            if now < until {
                return Err(Rejected {
                    retry_after: Some(until - now),
                });
            }
            self.enter(Phase::HalfOpen {
                out: 0,
                succeeded: 0,
            });
        }
        match &mut self.phase {
            // The number of probes was lowered while half-open, to what has succeeded already.
            Phase::HalfOpen { succeeded, .. } if *succeeded >= probes => self.close(),
            Phase::HalfOpen { out, succeeded } if *out + *succeeded >= probes => {
                return Err(Rejected { retry_after: None });
            }
            Phase::HalfOpen { out, .. } => *out += 1,
            Phase::Closed { .. } | Phase::Open { .. } => {}
        }
        Ok(Ticket {
            generation: self.generation,
        })
    }

    /// Takes the outcome of an admitted call. Returns the new state if it changed.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a ticket is good for one outcome"
    )]
    pub fn record(
        &mut self,
        params: &Params,
        ticket: Ticket,
        outcome: Outcome,
        now: Instant,
    ) -> Option<State> {
        if ticket.generation != self.generation {
            return None;
        }
        match &mut self.phase {
            Phase::Closed { .. } => self.record_closed(params, outcome, now),
            // No ticket is of an open period's generation.
            Phase::Open { .. } => None,
            Phase::HalfOpen { out, succeeded } => {
                *out = out.saturating_sub(1);
                match outcome {
                    Outcome::Neutral => return None,
                    Outcome::Failure => self.open(params, now),
                    Outcome::Success => {
                        *succeeded += 1;
                        if *succeeded < params.probes.max(1) {
                            return None;
                        }
                        self.close();
                    }
                }
                Some(self.phase.state())
            }
        }
    }

    /// Closes it, as if it were new. Calls under way no longer count.
    pub fn close(&mut self) {
        self.trips = 0;
        self.window.clear();
        self.enter(Phase::Closed { failures: 0 });
    }

    /// The state at `now`. An open circuit whose time has passed will admit the next call as a probe: half-open.
    #[must_use]
    pub fn state(&self, now: Instant) -> State {
        match self.phase {
            Phase::Open { until } if now >= until => State::HalfOpen,
            phase => phase.state(),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    /// Whether it is closed and the last call that counted was no failure.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self.phase, Phase::Closed { failures: 0 })
    }

    fn record_closed(&mut self, params: &Params, outcome: Outcome, now: Instant) -> Option<State> {
        let Phase::Closed { failures } = &mut self.phase else {
            return None;
        };
        let failed = match outcome {
            Outcome::Neutral => return None,
            Outcome::Success => {
                *failures = 0;
                false
            }
            Outcome::Failure => {
                *failures = failures.saturating_add(1);
                true
            }
        };
        let in_a_row = failed && params.consecutive.is_some_and(|n| *failures >= n.max(1));
        if in_a_row || self.rate_exceeded(params, failed, now) {
            self.open(params, now);
            return Some(State::Open);
        }
        None
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of calls in a window")]
    fn rate_exceeded(&mut self, params: &Params, failed: bool, now: Instant) -> bool {
        let Some(rate) = params.rate else {
            return false;
        };
        self.window.record(rate.window, failed, now);
        let seen = self.window.totals(rate.window, now);
        seen.failures > 0
            && seen.calls >= u64::from(rate.min_calls)
            && seen.failures as f64 >= rate.threshold.get() * seen.calls as f64
    }

    fn open(&mut self, params: &Params, now: Instant) {
        let doublings = self.trips.min(31);
        let time = params
            .open_for
            .saturating_mul(1 << doublings)
            .min(params.max_open_for);
        self.trips = self.trips.saturating_add(1);
        self.enter(Phase::Open { until: now + time });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

// === impl Phase ===

impl Phase {
    fn state(self) -> State {
        match self {
            Self::Closed { .. } => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen { .. } => State::HalfOpen,
        }
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
