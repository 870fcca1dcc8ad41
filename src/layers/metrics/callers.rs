//! Requests by caller: `llmesh_caller_requests_total`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Counter, counter};

use crate::base::{Refusal, ext::Notes};

/// The label of those who were not let in.
const UNKNOWN: &str = "unknown";

/// The counters of each caller and status. Names are the operator's, so their number is bounded.
#[derive(Default)]
pub(super) struct Callers(Mutex<HashMap<(Arc<str>, u16), Counter>>);

// === impl Callers ===

impl Callers {
    /// Counts a request, if anybody asked whose it is.
    pub(super) fn add(&self, notes: &Notes, status: u16) {
        let Some(caller) = caller(notes) else { return };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = all
            .entry((caller, status))
            .or_insert_with_key(|(caller, status)| {
                let labels = [
                    ("caller", caller.to_string()),
                    ("response_code", status.to_string()),
                ];
                counter!("llmesh_caller_requests_total", &labels)
            });
        counter.increment(1);
    }
}

/// Whose request it was; `None` if nobody asked.
fn caller(notes: &Notes) -> Option<Arc<str>> {
    const NOT_IN: [Refusal; 3] = [Refusal::NoKey, Refusal::UnknownKey, Refusal::SeveralKeys];
    notes.caller.clone().or_else(|| {
        let details = notes.details.as_deref()?;
        let refused = NOT_IN.iter().any(|refusal| refusal.details() == details);
        refused.then(|| UNKNOWN.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_its_callers_or_nobodys() {
        let notes = |name: Option<&str>, details: Option<&str>| Notes {
            caller: name.map(Into::into),
            details: details.map(str::to_owned),
            ..Notes::default()
        };
        for (notes, expected) in [
            (notes(Some("web"), None), Some("web")),
            (notes(Some("web"), Some("client_not_allowed")), Some("web")),
            (notes(None, Some("unknown_api_key")), Some(UNKNOWN)),
            (notes(None, Some("route_not_found")), None),
            (notes(None, None), None),
        ] {
            assert_eq!(caller(&notes).as_deref(), expected);
        }
    }
}
