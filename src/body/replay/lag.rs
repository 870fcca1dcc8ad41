//! Whose turn it is while a request body is on its way.

use http::Extensions;

use crate::base::ext::{GivenUp, Held, TryClock};

/// Notes whether an attempt waits for more of the caller's body.
///
/// While it does, the attempt's [`TryClock`] stands still and nothing that runs out is the endpoint's fault
/// ([`GivenUp`]): a caller that uploads slowly must not cost an attempt, nor discredit an endpoint. An upstream that
/// does not read is not waited for here, because then nobody asks for more of the body.
#[derive(Debug)]
pub struct Lag {
    clock: Option<TryClock>,
    given_up: Option<GivenUp>,
    held: Option<Held>,
    lags: bool,
}

// === impl Lag ===

impl Lag {
    /// For the attempt with these extensions; `None` if nobody wants to know.
    #[must_use]
    pub fn of(attempt: &Extensions) -> Option<Self> {
        let clock = attempt.get::<TryClock>().cloned();
        let given_up = attempt.get::<GivenUp>().cloned();
        (clock.is_some() || given_up.is_some()).then_some(Self {
            clock,
            given_up,
            held: None,
            lags: false,
        })
    }

    /// The body was asked for more, and the caller does or does not lag behind.
    pub(super) fn note(&mut self, lags: bool) {
        if self.lags == lags {
            return;
        }
        self.lags = lags;
        self.held = self.clock.as_ref().filter(|_| lags).map(TryClock::hold);
        if let Some(given_up) = &self.given_up {
            given_up.caller_lags(lags);
        }
    }
}
