//! Whether a request may pass all limits that apply to it: the synchronous core.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use http::{HeaderMap, Request, header::CONTENT_LENGTH};

use super::{
    key,
    params::{Allowance, Limit, Params},
    registry::{self, Registry, State},
};
use crate::{
    base::{
        Error, Kind,
        cost::{Estimate, Prompt},
        ext::{Buffered, Caller},
        quota::{Quota, Refused, Unit},
        time::Instant,
    },
    layers::limit::window::{Reservation, Short},
    llm::{DialectMode, dialect::Api, request::Call},
};

/// The limits of a route with their counts.
pub(super) struct Limits {
    /// Those for everybody.
    all: Vec<Counted>,
    /// Those of one caller each.
    of_callers: BTreeMap<Arc<str>, Vec<Counted>>,
    default_output: u64,
    pub(super) estimate: Arc<dyn Estimate>,
}

type Counted = (Limit, Arc<State>);

/// What a request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    input: u64,
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// The request says how much.
    Named(u64),
    /// A guess, which alone never makes a request impossible.
    Guessed(u64),
}

/// What one request holds of the limits.
pub(super) struct Held(Vec<Taken>);

pub(super) struct Taken {
    pub(super) state: Arc<State>,
    pub(super) reservation: Reservation,
    limit: Limit,
    pub(super) unit: Unit,
    allowance: Allowance,
}

// === impl Limits ===

impl Limits {
    pub(super) fn new(params: &Params, registry: &Registry, estimate: Arc<dyn Estimate>) -> Self {
        let (mut all, mut of_callers) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        for limit in &params.limits {
            let counted = (limit.clone(), registry.state(&limit.name));
            match &limit.caller {
                Some(caller) => of_callers
                    .entry(Arc::clone(caller))
                    .or_default()
                    .push(counted),
                None => all.push(counted),
            }
        }
        Self {
            all,
            of_callers,
            default_output: params.guessed_output(),
            estimate,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.of_callers.is_empty()
    }

    /// Those that may apply to the requests of a caller.
    fn of(&self, caller: Option<&Caller>) -> impl Iterator<Item = &Counted> {
        let own = caller.and_then(|Caller(name)| self.of_callers.get(name));
        self.all.iter().chain(own.into_iter().flatten())
    }

    /// Reserves what the request may cost in every allowance it takes from; in all or in none.
    ///
    /// # Errors
    /// The refusal that lasts longest: who waits that long is not sent away by another limit that was full as well.
    pub(super) fn admit<B>(&self, request: &Request<B>, now: Instant) -> Result<Held, Error> {
        let need = self.need(request);
        let caller = request.extensions().get::<Caller>();
        let mut taken = Vec::new();
        let mut refused: Option<(Refused, &State)> = None;
        for (limit, state) in self.of(caller) {
            for key in key::of(&limit.by, request) {
                for (unit, allowance) in allowances(limit) {
                    let amount = match unit {
                        Unit::Requests => 1,
                        Unit::Tokens => need.under(allowance.amount.get()),
                    };
                    match state.reserve(unit, allowance, key, amount, now) {
                        Ok(reservation) => taken.push(Taken {
                            state: Arc::clone(state),
                            reservation,
                            limit: limit.clone(),
                            unit,
                            allowance,
                        }),
                        Err((short, cell)) => {
                            let quota = registry::quota(limit, unit, allowance, &cell, now);
                            let this = refusal(quota, short, amount);
                            if refused.as_ref().is_none_or(|(r, _)| longer(&this, r)) {
                                refused = Some((this, &**state));
                            }
                        }
                    }
                }
            }
        }
        if let Some((refused, state)) = refused {
            state.stats.refused.inc();
            if refused.wait.is_none() {
                state.stats.too_large.inc();
            }
            return Err(error(refused));
        }
        for (limit, state) in self.of(caller) {
            if taken.iter().any(|t| t.limit.name == limit.name) {
                state.stats.allowed.inc();
            }
        }
        Ok(Held(taken))
    }

    /// What a request may cost. Without a [`Call`] its size is all that is known; and what is no generation has no output.
    fn need<B>(&self, request: &Request<B>) -> Need {
        let guess = Output::Guessed(self.default_output);
        let call = request.extensions().get::<Call>();
        let (bytes, output) = match call {
            Some(call) => (
                call.prompt_bytes,
                call.max_output.map_or(guess, Output::Named),
            ),
            None => {
                let api = Api::of_request(DialectMode::default(), request);
                let output = if api.generates {
                    guess
                } else {
                    Output::Named(0)
                };
                (content_length(request.headers()), output)
            }
        };
        let mut prompt = Prompt::new(bytes).with_model(call.and_then(|call| call.model.as_deref()));
        if let Some(Buffered(body)) = request.extensions().get() {
            prompt = prompt.with_body(body);
        }
        Need {
            input: self.estimate.input(&prompt),
            output,
        }
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.of_callers
                    .values()
                    .flatten()
                    .chain(&self.all)
                    .map(|(limit, _)| limit),
            )
            .finish()
    }
}

// === impl Need ===

impl Need {
    /// What to reserve of an allowance of this size.
    fn under(self, allowance: u64) -> u64 {
        match self.output {
            Output::Named(output) => self.input.saturating_add(output),
            Output::Guessed(output) => {
                let most = allowance.max(self.input);
                self.input.saturating_add(output).min(most)
            }
        }
    }
}

// === impl Held ===

impl Held {
    /// Whether anything is held.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The allowances as they stand.
    pub(super) fn quotas(&self, now: Instant) -> Vec<Quota> {
        let quota =
            |t: &Taken| registry::quota(&t.limit, t.unit, t.allowance, t.reservation.cell(), now);
        self.0.iter().map(quota).collect()
    }

    pub(super) fn take(&mut self) -> Vec<Taken> {
        std::mem::take(&mut self.0)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |t: &Taken| (Arc::clone(&t.limit.name), t.unit, t.reservation.amount());
        f.debug_list().entries(self.0.iter().map(amount)).finish()
    }
}

// === free functions ===

fn allowances(limit: &Limit) -> impl Iterator<Item = (Unit, Allowance)> {
    let requests = limit.requests.map(|a| (Unit::Requests, a));
    let tokens = limit.tokens.map(|a| (Unit::Tokens, a));
    requests.into_iter().chain(tokens)
}

fn refusal(mut quota: Quota, short: Short, asked: u64) -> Refused {
    let wait = match short {
        // Back a nanosecond early is refused again, but zero is no wait that anybody heeds.
        Short::Wait(wait) => Some(wait.max(Duration::from_nanos(1))),
        Short::Never => None,
    };
    quota.reset = wait.unwrap_or(quota.reset);
    Refused { quota, wait, asked }
}

/// Whether `a` lasts longer than `b`. Never lasts longest.
fn longer(a: &Refused, b: &Refused) -> bool {
    match (a.wait, b.wait) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(a), Some(b)) => a > b,
    }
}

fn error(refused: Refused) -> Error {
    let error = Error::new(Kind::RateLimited);
    let error = match refused.wait {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    };
    error.with_source(refused)
}

fn content_length(headers: &HeaderMap) -> u64 {
    headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.trim().parse().ok())
        .unwrap_or(0)
}
