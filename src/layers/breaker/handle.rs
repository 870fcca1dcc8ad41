//! The shared circuit: what all services of one layer, and the admin pages, hold.
//!
//! The state machine stands behind a short mutex. One atomic word beside it says whether the circuit is closed and
//! clean, so that a call that is admitted and succeeds while all is well takes no lock.

use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;

use super::{
    core::{Circuit, Outcome, Rejected, State, Ticket},
    params::Params,
};
use crate::{
    base::{
        Counter, Kind,
        sync::{
            Mutex, MutexGuard,
            atomic::{AtomicU64, Ordering},
        },
        time::Instant,
    },
    classify::{
        Class,
        answer::{Ended, Guard, OnEnd},
    },
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

/// The right to make one call. Dropped without an outcome it counts as given up, which is neutral.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as a cancelled call"]
pub struct Permit {
    handle: Handle,
    ticket: Option<Ticket>,
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
        let ticket = self.0.admit()?;
        Ok(Permit {
            handle: self.clone(),
            ticket: Some(ticket),
        })
    }

    /// The same, with the outcome told by the end of the attempt.
    pub(super) fn admit(&self) -> Result<Guard, Rejected> {
        let ticket = self.0.admit()?;
        Ok(Guard::new(Arc::clone(&self.0) as _, ticket.generation))
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
        self.0.params.store(Arc::new(params));
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
}

// === impl Shared ===

impl Shared {
    fn admit(&self) -> Result<Ticket, Rejected> {
        let gate = self.gate.load(Ordering::Acquire);
        if gate & CLOSED != 0 {
            return Ok(Ticket {
                generation: gate >> 2,
            });
        }
        let mut circuit = self.lock();
        let admitted = circuit.try_acquire(&self.params.load(), Instant::now());
        self.publish(&circuit);
        admitted.inspect_err(|_| self.rejected.inc())
    }

    fn record(&self, ticket: Ticket, outcome: Outcome) {
        let gate = self.gate.load(Ordering::Acquire);
        let nothing_to_do = match outcome {
            Outcome::Success => gate & CLEAN == CLEAN,
            Outcome::Neutral => gate & CLOSED != 0,
            Outcome::Failure => false,
        };
        if nothing_to_do {
            return;
        }
        let mut circuit = self.lock();
        let params = self.params.load();
        let changed = circuit.record(&params, ticket, outcome, Instant::now());
        self.publish(&circuit);
        drop(circuit);
        match changed {
            Some(State::Open) => {
                self.opened.inc();
                tracing::warn!("circuit opened");
            }
            Some(state) => tracing::info!(state = state.as_str(), "circuit changed"),
            None => {}
        }
    }

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

impl OnEnd for Shared {
    fn end(&self, generation: u64, ended: &Ended<'_>) {
        let timeout = matches!(
            ended.why,
            Some(Kind::AttemptTimeout | Kind::DeadlineExceeded | Kind::IdleTimeout)
        );
        let outcome = match ended.class {
            Some(class) => of_class(class),
            None if timeout => Outcome::Failure,
            None => Outcome::Neutral,
        };
        self.record(Ticket { generation }, outcome);
    }
}

// === impl Permit ===

impl Permit {
    /// Hands the outcome in.
    pub fn finish(mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            self.handle.0.record(ticket, outcome);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.handle.0.record(ticket, Outcome::Neutral);
        }
    }
}

fn of_class(class: &Class) -> Outcome {
    if class.is_success() {
        Outcome::Success
    } else if class.blames_target() {
        Outcome::Failure
    } else {
        Outcome::Neutral
    }
}
