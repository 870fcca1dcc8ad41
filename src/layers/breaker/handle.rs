//! The shared circuit: what all services of one layer, and the admin pages, hold.
//!
//! The state machine stands behind a short mutex. One atomic word beside it says whether the circuit is closed and
//! clean, so that a call that is admitted and succeeds while all is well takes no lock.

use std::sync::PoisonError;

use arc_swap::ArcSwap;

use super::{
    core::{Circuit, Outcome, Rejected, State, Ticket},
    params::Params,
};
use crate::base::{
    Counter, Kind,
    ext::GivenUp,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// A shared circuit. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    params: ArcSwap<Params>,
    /// `generation << 2 | closed << 1 | clean`, written under the lock.
    gate: AtomicU64,
    circuit: Mutex<Circuit>,
    opened: Counter,
    rejected: Counter,
}

const CLOSED: u64 = 0b10;
/// Closed, no failure in the current row, and no rate rule: a success changes nothing.
const CLEAN: u64 = 0b11;

/// The right to make one call. Dropped without an outcome it counts as given up: neutral, unless the request's
/// [`GivenUp`] names a timeout of this side.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as a cancelled call"]
pub struct Permit {
    handle: Handle,
    ticket: Option<Ticket>,
    given_up: Option<GivenUp>,
}

// === impl Handle ===

impl Handle {
    /// A closed circuit.
    #[must_use]
    pub fn new(params: Params) -> Self {
        let shared = Shared {
            params: ArcSwap::from_pointee(params),
            gate: AtomicU64::new(0),
            circuit: Mutex::default(),
            opened: Counter::default(),
            rejected: Counter::default(),
        };
        shared.publish(&shared.lock());
        Self(Arc::new(shared))
    }

    /// Admits a call now, or refuses it.
    ///
    /// # Errors
    /// If the circuit is open, or half-open with all its probes out.
    pub fn try_acquire(&self) -> Result<Permit, Rejected> {
        let gate = self.0.gate.load(Ordering::Acquire);
        let ticket = if gate & CLOSED != 0 {
            Ticket {
                generation: gate >> 2,
            }
        } else {
            let mut circuit = self.0.lock();
            let admitted = circuit.try_acquire(&self.0.params.load(), Instant::now());
            self.0.publish(&circuit);
            admitted.inspect_err(|_| self.0.rejected.inc())?
        };
        Ok(Permit {
            handle: self.clone(),
            ticket: Some(ticket),
            given_up: None,
        })
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.lock().state(Instant::now())
    }

    /// Closes the circuit. Calls under way no longer count.
    pub fn close(&self) {
        let mut circuit = self.0.lock();
        circuit.close();
        self.0.publish(&circuit);
    }

    /// Replaces the parameters; the state is kept, and the new ones apply from the next call.
    pub fn set_params(&self, params: Params) {
        let circuit = self.0.lock();
        self.0.params.store(std::sync::Arc::new(params));
        self.0.publish(&circuit);
    }

    /// How often it opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.0.opened.get()
    }

    /// How many calls it refused.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.0.rejected.get()
    }

    fn record(&self, ticket: Ticket, outcome: Outcome) {
        let gate = self.0.gate.load(Ordering::Acquire);
        let nothing_to_do = match outcome {
            Outcome::Success => gate & CLEAN == CLEAN,
            Outcome::Neutral => gate & CLOSED != 0,
            Outcome::Failure => false,
        };
        if nothing_to_do {
            return;
        }
        let mut circuit = self.0.lock();
        let params = self.0.params.load();
        let changed = circuit.record(&params, ticket, outcome, Instant::now());
        self.0.publish(&circuit);
        drop(circuit);
        match changed {
            Some(State::Open) => {
                self.0.opened.inc();
                tracing::warn!("circuit opened");
            }
            Some(state) => tracing::info!(state = state.as_str(), "circuit changed"),
            None => {}
        }
    }
}

// === impl Shared ===

impl Shared {
    /// The state stays consistent if a holder panics: no step of [`Circuit`] can panic half-way.
    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, circuit: &Circuit) {
        let closed = u64::from(circuit.is_closed()) << 1;
        let clean = u64::from(circuit.is_clean() && self.params.load().rate.is_none());
        self.gate.store(
            circuit.generation() << 2 | closed | clean,
            Ordering::Release,
        );
    }
}

// === impl Permit ===

impl Permit {
    /// Reads the reason from here if the permit is dropped.
    pub fn with_given_up(mut self, given_up: Option<GivenUp>) -> Self {
        self.given_up = given_up;
        self
    }

    /// Hands the outcome in.
    pub fn finish(mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            self.handle.record(ticket, outcome);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let why = self.given_up.as_ref().and_then(GivenUp::why);
            let outcome = match why {
                Some(Kind::AttemptTimeout | Kind::DeadlineExceeded | Kind::IdleTimeout) => {
                    Outcome::Failure
                }
                _ => Outcome::Neutral,
            };
            self.handle.record(ticket, outcome);
        }
    }
}
