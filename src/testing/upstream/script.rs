//! Which answer comes next: a fixed one, a sequence, a function of the request, or what the request's headers ask.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::HeaderMap;

use super::{answer::Answer, directive::BadDirective, seen::SeenRequest};

/// A listener's plan: some answers in order, then a default; or a function.
pub struct Script {
    plan: Plan,
    at: AtomicUsize,
}

enum Plan {
    Fixed {
        first: Vec<Answer>,
        then: Box<Answer>,
    },
    By(Box<dyn Fn(&SeenRequest) -> Answer + Send + Sync>),
}

/// How far each keyed sequence has come. Cloning shares it, so that a retry that lands on another listener goes on
/// where the first left off. The oldest of more than 100,000 keys is forgotten.
#[derive(Clone, Debug, Default)]
pub struct Sequences(Arc<Mutex<Positions>>);

#[derive(Debug, Default)]
struct Positions {
    at: HashMap<String, usize>,
    order: VecDeque<String>,
}

const MAX_KEYS: usize = 100_000;

/// The prefix of request headers that steer the answer.
const PREFIX: &str = "x-mock-";

// === impl Script ===

impl Script {
    /// The same answer to all.
    #[must_use]
    pub fn always(answer: Answer) -> Self {
        Self::sequence([]).then(answer)
    }

    /// These answers, one a request, in order; after them good ones.
    #[must_use]
    pub fn sequence(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            plan: Plan::Fixed {
                first: answers.into_iter().collect(),
                then: Box::default(),
            },
            at: AtomicUsize::new(0),
        }
    }

    /// What follows the sequence. No effect on a function.
    #[must_use]
    pub fn then(mut self, answer: Answer) -> Self {
        if let Plan::Fixed { then, .. } = &mut self.plan {
            **then = answer;
        }
        self
    }

    /// A function of the request.
    #[must_use]
    pub fn by(answer: impl Fn(&SeenRequest) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            plan: Plan::By(Box::new(answer)),
            at: AtomicUsize::new(0),
        }
    }

    /// The next answer. `seen` is only built for a function.
    pub(super) fn next(&self, seen: impl FnOnce() -> SeenRequest) -> Answer {
        match &self.plan {
            Plan::By(answer) => answer(&seen()),
            Plan::Fixed { first, then } if first.is_empty() => Answer::clone(then),
            Plan::Fixed { first, then } => {
                let at = self.at.fetch_add(1, Ordering::Relaxed);
                first.get(at).unwrap_or(then).clone()
            }
        }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::always(Answer::ok())
    }
}

impl From<Answer> for Script {
    fn from(answer: Answer) -> Self {
        Self::always(answer)
    }
}

impl FromStr for Script {
    type Err = BadDirective;

    /// Reads `503,429;retry-after-ms=300,200`: the grammar of `x-mock-sequence`.
    fn from_str(text: &str) -> Result<Self, BadDirective> {
        let answers: Result<Vec<_>, _> = text.split(',').map(str::parse).collect();
        Ok(Self::sequence(answers?))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.plan {
            Plan::By(_) => f.write_str("Script::by(…)"),
            Plan::Fixed { first, then } => f
                .debug_struct("Script")
                .field("sequence", first)
                .field("then", then)
                .field("at", &self.at)
                .finish(),
        }
    }
}

// === impl Sequences ===

impl Sequences {
    /// No key has begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The position of `key`, which moves on by one.
    fn advance(&self, key: &str) -> usize {
        let mut positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = positions.at.get_mut(key) {
            *at += 1;
            return *at - 1;
        }
        if positions.order.len() >= MAX_KEYS
            && let Some(oldest) = positions.order.pop_front()
        {
            positions.at.remove(&oldest);
        }
        positions.at.insert(key.to_owned(), 1);
        positions.order.push_back(key.to_owned());
        0
    }
}

/// The answer that the request's own headers ask for, or `None` if none of them steers. A sequence without a key is
/// keyed by its own text; its items override the other headers, and after its end those alone hold.
pub(super) fn steered(
    headers: &HeaderMap,
    sequences: &Sequences,
) -> Result<Option<Answer>, BadDirective> {
    let mut answer = None;
    let (mut sequence, mut key) = (None, None);
    for (name, value) in headers {
        let Some(directive) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        let value = value
            .to_str()
            .map_err(|_| BadDirective::new(directive, "visible ASCII"))?;
        match directive {
            "sequence" => sequence = Some(value),
            // A key alone steers nothing: it may be on every request of a caller.
            "key" => key = Some(value),
            _ => answer
                .get_or_insert_with(Answer::ok)
                .set(directive, value)?,
        }
    }
    if let Some(sequence) = sequence {
        let answer = answer.get_or_insert_with(Answer::ok);
        let at = sequences.advance(key.unwrap_or(sequence));
        if let Some(item) = sequence.split(',').nth(at) {
            answer.apply(item)?;
        }
    }
    Ok(answer)
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
