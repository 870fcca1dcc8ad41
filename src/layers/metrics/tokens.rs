//! What LLM calls cost: `llmesh_llm_tokens_total`, by direction, model and, where callers are known, caller.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Counter, Label, counter};

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
pub(super) struct Tokens(Mutex<HashMap<Key, Pair>>);

/// A model, and the caller's name.
type Key = (Arc<str>, Option<Arc<str>>);

#[derive(Clone)]
struct Pair {
    input: Counter,
    output: Counter,
}

// === impl Tokens ===

impl Tokens {
    /// Counts an attempt of a caller. Names of callers are the operator's.
    pub(super) fn add(&self, spent: &Spent, caller: Option<&Arc<str>>) {
        let pair = self.pair(spent, caller);
        pair.input.increment(spent.usage.input);
        pair.output.increment(spent.usage.output);
    }

    fn pair(&self, spent: &Spent, caller: Option<&Arc<str>>) -> Pair {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let other = || Arc::from(OTHER);
        let model = spent.model.clone().unwrap_or_else(other);
        let key = (model, caller.cloned());
        if let Some(pair) = all.get(&key) {
            return pair.clone();
        }
        let (model, caller) = key;
        let named: BTreeSet<&str> = all.keys().map(|(name, _)| &**name).collect();
        let known = named.contains(&*model);
        let room = named.iter().filter(|name| **name != OTHER).count() < MODELS;
        let counted = !spent.estimated && spent.usage.total() > 0;
        let model = if counted && (known || room) {
            model
        } else {
            other()
        };
        all.entry((model, caller))
            .or_insert_with_key(|(model, caller)| Pair::new(model, caller.as_deref()))
            .clone()
    }
}

// === impl Pair ===

impl Pair {
    fn new(model: &str, caller: Option<&str>) -> Self {
        let counter = |direction| {
            let mut labels = vec![
                Label::new("direction", direction),
                Label::new("model", model.to_owned()),
            ];
            labels.extend(caller.map(|caller| Label::new("caller", caller.to_owned())));
            counter!("llmesh_llm_tokens_total", labels)
        };
        Self {
            input: counter("input"),
            output: counter("output"),
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
            all.keys().map(|(model, _)| model.to_string()).collect()
        };
        for n in 0..100 {
            tokens.add(&spent(&format!("made up {n}"), true), None);
        }
        assert_eq!(names(), [OTHER]);
        for n in 0..100 {
            tokens.add(&spent(&format!("real {n}"), false), None);
        }
        assert_eq!(names().len(), MODELS + 1);
        assert!(names().iter().all(|n| n == OTHER || n.starts_with("real")));
        let web = Arc::from("web");
        tokens.add(&spent("real 1", false), Some(&web));
        tokens.add(&spent("real 99", false), Some(&web));
        let all = tokens.0.lock().unwrap();
        assert!(all.contains_key(&(Arc::from("real 1"), Some(Arc::clone(&web)))));
        assert!(all.contains_key(&(Arc::from(OTHER), Some(web))));
    }
}
