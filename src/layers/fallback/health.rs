//! What is known of targets, over all requests: cooldowns, and a breaker for each model at each cluster.
//!
//! - A target whose breaker is open or that cools down is passed over: the request goes on to the next one at once.
//! - A breaker opens after [`Params::breaker`]'s failures in a row, as they are known at the *end* of the answers, and lets
//!   one probe at a time through after at most 10 s: a target that has healed is asked again within 15 s, as long as
//!   there is traffic. A probe is one send, without retries, and may be a stream; the others go to the next target until it
//!   has ended.
//! - Only [targets](crate::classify::Scope::Target) that are to blame fail. A caller's mistake, a 429, an empty account and a
//!   caller that went away say nothing of the target's health.
//! - All is kept by model and key, never by address: one address may serve many models.
//!
//! The state belongs outside of configurations: keep the handle, and a reload loses nothing. It is bounded.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use super::judging::Params;
use super::{
    cooldown::{Cooldowns, Out},
    who::TargetId,
};
use crate::{
    base::time::{Instant, wall_now},
    classify::{Class, Outcome},
    layers::breaker::{self, Circuit, State, Ticket},
};

/// How many failing targets are watched. Callers choose the models, so the one that is best makes room for the next.
const MOST_CIRCUITS: usize = 1024;

/// A shared store. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    params: Params,
    state: Mutex<Store>,
}

#[derive(Debug, Default)]
struct Store {
    cooldowns: Cooldowns,
    /// Those that are not clean.
    circuits: HashMap<Target, Watched>,
}

#[derive(Debug)]
struct Watched {
    circuit: Circuit,
    used: Instant,
}

/// What has a breaker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Target {
    cluster: Arc<str>,
    model: Option<Arc<str>>,
}

/// The right to ask a target once, to be handed back with what came of it. Dropped, it says nothing.
#[derive(Debug)]
#[must_use = "a pass that is dropped counts as a cancelled call"]
pub struct Pass {
    health: Health,
    who: TargetId,
    ticket: Option<Ticket>,
    probe: bool,
    sent: Instant,
}

// === impl Health ===

impl Health {
    /// A store in which all are well.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self(Arc::new(Shared {
            params,
            state: Mutex::default(),
        }))
    }

    /// Lets a request ask this target, or says until when it is not asked.
    ///
    /// # Errors
    /// If it cools down, its breaker is open, or a probe is under way.
    pub fn admit(&self, who: &TargetId, now: Instant) -> Result<Pass, Out> {
        let mut store = self.lock();
        if let Some(out) = store.cooldowns.out(who, now) {
            return Err(out);
        }
        let breaker = &self.0.params.breaker;
        let acquired = match store.circuits.get_mut(&Target::of(who)) {
            Some(watched) => {
                watched.used = now;
                watched.circuit.try_acquire(breaker, now)
            }
            None => Circuit::default().try_acquire(breaker, now),
        };
        let ticket = acquired.map_err(|rejected| Out {
            // While a probe is out, nobody knows.
            until: now + rejected.retry_after.unwrap_or(breaker.max_open_for),
            known: false,
        })?;
        let leased = store.cooldowns.probe(who, now);
        let probe = leased || store.is_ill(who);
        Ok(self.pass(who, Some(ticket), probe, now))
    }

    /// Lets a request ask this target whatever is known of it.
    pub fn admit_anyway(&self, who: &TargetId, now: Instant) -> Pass {
        let probe = self.lock().is_ill(who);
        self.pass(who, None, probe, now)
    }

    /// Until when this target is not to be asked; `None`: it may be asked. Takes nothing.
    #[must_use]
    pub fn out(&self, who: &TargetId, now: Instant) -> Option<Out> {
        let store = self.lock();
        store.cooldowns.out(who, now).or_else(|| {
            let watched = store.circuits.get(&Target::of(who))?;
            // A copy, so that no probe is taken.
            let rejected = watched
                .circuit
                .clone()
                .try_acquire(&self.0.params.breaker, now)
                .err()?;
            Some(Out {
                until: now
                    + rejected
                        .retry_after
                        .unwrap_or(self.0.params.breaker.max_open_for),
                known: false,
            })
        })
    }

    /// The breaker of this target, for admin pages.
    #[must_use]
    pub fn state(&self, who: &TargetId, now: Instant) -> State {
        let store = self.lock();
        store
            .circuits
            .get(&Target::of(who))
            .map_or(State::Closed, |watched| watched.circuit.state(now))
    }

    /// Notes an attempt that another one follows on the same target: only cooldowns learn from it.
    pub fn note(&self, who: &TargetId, class: &Class) {
        self.lock()
            .cooldowns
            .note(&self.0.params, who, class, Instant::now(), wall_now());
    }

    fn pass(&self, who: &TargetId, ticket: Option<Ticket>, probe: bool, now: Instant) -> Pass {
        Pass {
            health: self.clone(),
            who: who.clone(),
            ticket,
            probe,
            sent: now,
        }
    }

    fn record(
        &self,
        who: &TargetId,
        ticket: Option<Ticket>,
        outcome: breaker::Outcome,
        now: Instant,
    ) {
        let target = Target::of(who);
        let params = &self.0.params.breaker;
        let mut store = self.lock();
        let changed = match (store.circuits.get_mut(&target), ticket) {
            (None, _) if outcome != breaker::Outcome::Failure => return,
            (None, None) => return,
            (None, Some(_)) => {
                store.make_room();
                let mut circuit = Circuit::default();
                let changed = match circuit.try_acquire(params, now) {
                    Ok(ticket) => circuit.record(params, ticket, outcome, now),
                    Err(_) => None,
                };
                let watched = Watched { circuit, used: now };
                store.circuits.insert(target.clone(), watched);
                changed
            }
            (Some(w), Some(ticket)) => w.circuit.record(params, ticket, outcome, now),
            // Asked against all odds: an answer is proof enough, a failure is no news.
            (Some(w), None) => (outcome == breaker::Outcome::Success).then(|| {
                w.circuit.close();
                State::Closed
            }),
        };
        let Some(watched) = store.circuits.get(&target) else {
            return;
        };
        if watched.circuit.is_clean() {
            store.circuits.remove(&target);
        }
        drop(store);
        match changed {
            Some(State::Open) => {
                tracing::warn!(cluster = %who.cluster, model = who.model.as_deref(), "target left alone");
            }
            Some(_) => {
                tracing::info!(cluster = %who.cluster, model = who.model.as_deref(), "target back in service");
            }
            None => {}
        }
    }

    /// A panic while the lock was held leaves plain data behind, which stays usable.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Store ===

impl Store {
    /// Whether the target's breaker is not closed.
    fn is_ill(&self, who: &TargetId) -> bool {
        self.circuits
            .get(&Target::of(who))
            .is_some_and(|watched| !watched.circuit.is_closed())
    }

    /// Makes room for one more circuit, in place of the one that was used longest ago, those first that are not open.
    fn make_room(&mut self) {
        if self.circuits.len() < MOST_CIRCUITS {
            return;
        }
        let least = |watched: &Watched| (!watched.circuit.is_closed(), watched.used);
        let found = self.circuits.iter().min_by_key(|(_, w)| least(w));
        if let Some(target) = found.map(|(target, _)| target.clone()) {
            self.circuits.remove(&target);
        }
    }
}

// === impl Target ===

impl Target {
    fn of(who: &TargetId) -> Self {
        Self {
            cluster: Arc::clone(&who.cluster),
            model: who.model.clone(),
        }
    }
}

// === impl Pass ===

impl Pass {
    /// Whether it is a probe of a target that is known to fail: one send says enough.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// Hands in what came of it.
    pub fn finish(mut self, class: &Class) {
        let now = Instant::now();
        if class.is_success() {
            self.health
                .lock()
                .cooldowns
                .succeeded(&self.who, self.sent, now);
        } else {
            self.health.note(&self.who, class);
        }
        let ticket = self.ticket.take();
        self.health.record(&self.who, ticket, says(class), now);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let neutral = breaker::Outcome::Neutral;
            self.health
                .record(&self.who, Some(ticket), neutral, Instant::now());
        }
    }
}

/// What a class says of the target's health.
fn says(class: &Class) -> breaker::Outcome {
    if class.is_success() {
        breaker::Outcome::Success
    } else if class.blames_target() && class.outcome != Outcome::Cancelled {
        breaker::Outcome::Failure
    } else {
        breaker::Outcome::Neutral
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
