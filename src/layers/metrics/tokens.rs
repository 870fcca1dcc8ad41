//! What LLM calls cost: `llmesh_llm_tokens_total`, by direction and model.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Counter, counter};

use crate::base::cost::Spent;

/// How many models have a label of their own.
const MODELS: usize = 64;
/// The label of all others.
const OTHER: &str = "other";

/// The counters of each model.
///
/// Callers choose the model that they ask for, but only one whose provider counted tokens for it gets a label; so callers
/// cannot grow the number of series, nor use up the labels.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<Arc<str>, Pair>>);

#[derive(Clone)]
struct Pair {
    input: Counter,
    output: Counter,
}

// === impl Tokens ===

impl Tokens {
    /// Counts an attempt.
    pub(super) fn add(&self, spent: &Spent) {
        let pair = self.pair(spent);
        pair.input.increment(spent.usage.input);
        pair.output.increment(spent.usage.output);
    }

    fn pair(&self, spent: &Spent) -> Pair {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let model = spent.model.as_deref().unwrap_or(OTHER);
        if let Some(pair) = all.get(model) {
            return pair.clone();
        }
        let named = all.keys().filter(|name| ***name != *OTHER).count();
        let counted = !spent.estimated && spent.usage.total() > 0;
        let model = if counted && named < MODELS {
            model
        } else {
            OTHER
        };
        all.entry(model.into())
            .or_insert_with(|| Pair::new(model))
            .clone()
    }
}

// === impl Pair ===

impl Pair {
    fn new(model: &str) -> Self {
        let counter = |direction| {
            let labels = [("direction", direction), ("model", model.to_owned())];
            counter!("llmesh_llm_tokens_total", &labels)
        };
        Self {
            input: counter("input".to_owned()),
            output: counter("output".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cost::Usage;

    fn spent(model: &str, estimated: bool) -> Spent {
        let mut spent = Spent::new(1, Usage::new(3, 4));
        spent.model = Some(model.into());
        spent.estimated = estimated;
        spent
    }

    #[test]
    fn only_models_that_were_counted_have_a_label_and_only_so_many() {
        let tokens = Tokens::default();
        let names = || -> Vec<String> {
            let all = tokens.0.lock().unwrap();
            all.keys().map(ToString::to_string).collect()
        };
        for n in 0..100 {
            tokens.add(&spent(&format!("made up {n}"), true));
        }
        assert_eq!(names(), [OTHER]);
        for n in 0..100 {
            tokens.add(&spent(&format!("real {n}"), false));
        }
        assert_eq!(names().len(), MODELS + 1);
        assert!(names().iter().all(|n| n == OTHER || n.starts_with("real")));
    }
}
