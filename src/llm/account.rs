//! The account of one attempt: it is closed once, and its cost goes into the request's ledger.

use std::sync::Arc;

use ::http::Extensions;

use crate::{
    base::{
        cost::{Ledger, Spent, Usage},
        ext::EndpointRef,
    },
    body::Context,
    llm::request::Call,
};

/// About how many bytes of a prompt come on a token.
const BYTES_PER_TOKEN: u64 = 4;

/// What one attempt is billed to. Closing it takes it, so that an attempt is noted once.
#[derive(Debug)]
pub struct Account {
    ledger: Ledger,
    spent: Spent,
    /// Input tokens by the size of the prompt.
    prompt: u64,
}

// === impl Account ===

impl Account {
    /// The account of the attempt with this context and these extensions: [`Ledger`], [`EndpointRef`] and [`Call`]. `None`: there
    /// is no ledger, nobody wants to know.
    #[must_use]
    pub fn of(context: Option<&Context>, attempt: &Extensions) -> Option<Self> {
        let ledger = attempt.get::<Ledger>()?.clone();
        let number = context.and_then(Context::attempt).map_or(1, |a| a.number);
        let mut spent = Spent::new(number, Usage::default());
        spent.endpoint = attempt.get::<EndpointRef>().map(|e| e.0);
        let call = attempt.get::<Call>();
        spent.model = call.and_then(|call| call.model.clone());
        Some(Self {
            ledger,
            spent,
            prompt: call.map_or(0, |call| call.prompt_bytes / BYTES_PER_TOKEN),
        })
    }

    /// Notes the cost. `usage` is what the provider said, `output` what was counted on this side; unless the provider's word
    /// is `complete`, the cost is an estimate: the larger of both for the output, and the size of the prompt where the
    /// provider said nothing of the input.
    pub fn close(mut self, model: Option<&str>, usage: Option<Usage>, output: u64, complete: bool) {
        let told = usage.unwrap_or_default();
        self.spent.usage = told;
        if !complete || usage.is_none() {
            self.spent.estimated = true;
            self.spent.usage.output = told.output.max(output);
            if told.input == 0 {
                self.spent.usage.input = self.prompt;
            }
        }
        if let Some(model) = model {
            self.spent.model = Some(Arc::from(model));
        }
        self.ledger.push(self.spent);
    }
}
