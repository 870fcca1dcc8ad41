//! One attempt in flight: counts it on its endpoint from the pick to the end of the response body, and tells the
//! endpoint what came of it.

use std::sync::Arc;

use bytes::Bytes;
use http::response;

use super::{endpoint::Endpoint, params::EwmaParams, set::EndpointSet};
use crate::{
    base::{BoxError, Kind, ext::CancelReason, time::Instant},
    body::{End, Observe},
    classify::{Class, Outcome, Signal, transport::class_of_error},
    layers::outlier::{
        Observation,
        phases::{self, Phases},
    },
};

/// An attempt. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Flight {
    set: EndpointSet,
    endpoint: Arc<Endpoint>,
    /// The model that was asked for.
    model: Option<Arc<str>>,
    given_up: Option<CancelReason>,
    started: Instant,
    /// The estimate's parameters, if the policy wants one.
    ewma: Option<EwmaParams>,
    /// Whether a response head or an error came.
    answered: bool,
}

/// Watches the response body of an attempt.
#[derive(Debug)]
pub struct Watch {
    flight: Flight,
    phases: Phases,
    /// Whether the latency, or a penalty in its place, is recorded.
    measured: bool,
}

// === impl Flight ===

impl Flight {
    pub(super) fn start(
        set: EndpointSet,
        endpoint: Arc<Endpoint>,
        model: Option<Arc<str>>,
        given_up: Option<CancelReason>,
        now: Instant,
    ) -> Self {
        let ewma = set.ewma();
        endpoint.stats().rq_total.inc();
        endpoint.stats().rq_active.inc();
        Self {
            set,
            endpoint,
            model,
            given_up,
            started: now,
            ewma,
            answered: false,
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// No response came.
    pub(super) fn failed(mut self, error: &BoxError) {
        self.answered = true;
        self.without_answer(&class_of_error(error));
    }

    /// A response head came.
    pub(super) fn head(mut self, head: &response::Parts) -> Watch {
        self.answered = true;
        let mut phases = Phases::new(head);
        let stats = self.endpoint.stats();
        if phases.status().is_server_error() {
            stats.rq_error.inc();
        } else {
            stats.rq_success.inc();
        }
        self.record(phases.seen_at_head());
        let measured = phases.head().is_some_and(|class| self.penalize(class));
        Watch {
            flight: self,
            phases,
            measured,
        }
    }

    fn without_answer(&self, class: &Class) {
        let seen = Observation::of_class(class);
        let stats = self.endpoint.stats();
        if seen.is_some() {
            stats.rq_error.inc();
        }
        if seen == Some(Observation::Timeout) {
            stats.rq_timeout.inc();
        }
        match seen {
            // There is nobody at the address, for no model.
            Some(seen) if matches!(class.signal, Signal::Error(Kind::Connect(_))) => {
                self.set.record(&self.endpoint, seen, Instant::now());
            }
            seen => self.record(seen),
        }
        self.penalize(class);
    }

    fn record(&self, seen: Option<Observation>) {
        let (Some(seen), now) = (seen, Instant::now()) else {
            return;
        };
        if let Some(model) = &self.model {
            self.set.record_model(&self.endpoint, model, seen, now);
            if seen.status() >= 500 {
                return;
            }
        }
        self.set.record(&self.endpoint, seen, now);
    }

    /// A failure of the endpoint, or its wish to be left alone, counts as a long latency. Returns whether it did.
    fn penalize(&self, class: &Class) -> bool {
        let shuns = class.blames_target()
            || matches!(class.outcome, Outcome::RateLimited | Outcome::RampLimited);
        if let Some(ewma) = self.ewma.filter(|_| shuns) {
            let wait = class
                .hint
                .map_or(ewma.penalty, |h| h.wait.max(ewma.penalty));
            self.endpoint.load().record(&ewma, wait, Instant::now());
        }
        shuns
    }

    fn measure(&self) {
        if let Some(ewma) = self.ewma {
            let now = Instant::now();
            let took = now.saturating_duration_since(self.started);
            self.endpoint.load().record(&ewma, took, now);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.answered
            && let Some(class) = phases::of_drop(self.given_up.as_ref())
        {
            self.without_answer(&class);
        }
        self.endpoint.stats().rq_active.dec();
    }
}

// === impl Watch ===

impl Observe<BoxError> for Watch {
    fn data(&mut self, _: &Bytes) {
        if !self.measured && self.phases.status().is_success() {
            self.flight.measure();
            self.measured = true;
        }
    }

    fn end(self, how: End<'_, BoxError>) {
        let class = self.phases.end(&how);
        self.flight
            .record(self.phases.seen_at_end(&how, class.as_ref()));
        if let Some(class) = &class {
            let decided_at_head = self.phases.head().is_some_and(|head| head == class);
            let penalized = !decided_at_head && self.flight.penalize(class);
            if !penalized && !self.measured && class.is_success() {
                self.flight.measure();
            }
        }
    }
}
