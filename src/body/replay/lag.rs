//! Whose turn it is while a request body is on its way.

use http::Extensions;

use crate::{
    base::ext::{Allowance, CancelCause, Held, TryClock},
    body::context::Context,
};

/// Notes whether an attempt waits for more of the caller's body.
///
/// While it does, the attempt's [`TryClock`] and the request's [`Allowance`] stand still and nothing that runs out is the
/// endpoint's fault ([`CancelCause`]): a caller that uploads slowly must not cost an attempt, nor discredit an endpoint. An
/// upstream that does not read is not waited for here, because then nobody asks for more of the body.
#[derive(Debug)]
pub(super) struct Lag {
    clocks: Vec<TryClock>,
    cause: Option<CancelCause>,
    held: Vec<Held>,
    lags: bool,
}

// === impl Lag ===

impl Lag {
    /// For the attempt with this context and these extensions; `None` if nobody wants to know.
    pub(super) fn of(context: &mut Context, attempt: &Extensions) -> Option<Self> {
        let allowance = attempt.get::<Allowance>();
        let whole = allowance.into_iter().flat_map(Allowance::clocks);
        let clocks: Vec<_> = context
            .try_clock()
            .into_iter()
            .chain(whole)
            .cloned()
            .collect();
        let cause = if context.is_ours() {
            Some(context.cancel_cause_mut().clone())
        } else {
            context.cancel_cause().cloned()
        };
        (!clocks.is_empty() || cause.is_some()).then_some(Self {
            clocks,
            cause,
            held: Vec::new(),
            lags: false,
        })
    }

    /// The body was asked for more, and the caller does or does not lag behind.
    pub(super) fn note(&mut self, lags: bool) {
        if self.lags == lags {
            return;
        }
        self.lags = lags;
        self.held.clear();
        if lags {
            self.held.extend(self.clocks.iter().map(TryClock::hold));
        }
        if let Some(cause) = &self.cause {
            cause.caller_lags(lags);
        }
    }
}
