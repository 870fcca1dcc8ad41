//! Which answer comes next: a fixed one, a sequence, a function of the request, or what the request's headers ask.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;

use super::{answer::Answer, bad_directive::BadDirective, plan::Steps, seen::SeenRequest};
use crate::base::time::Instant;

/// A listener's plan: some answers in order, then a default; or a function.
pub struct Script {
    plan: Plan,
    at: AtomicUsize,
}

enum Plan {
    Fixed { first: Steps, then: Box<Answer> },
    By(Box<dyn Fn(&SeenRequest) -> Answer + Send + Sync>),
}

/// How far each keyed sequence has come. Cloning shares it, so that a retry that lands on another listener goes on
/// where the first left off. The oldest of more than 100,000 keys is forgotten.
#[derive(Clone, Debug, Default)]
pub struct Sequences(Arc<Mutex<Positions>>);

#[derive(Debug, Default)]
struct Positions {
    at: HashMap<String, Position>,
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Position {
    at: usize,
    since: Instant,
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
            Plan::Fixed { first, then } if first.is_empty() && then.times.is_none() => {
                Answer::clone(then)
            }
            Plan::Fixed { first, then } => {
                let at = self.at.fetch_add(1, Ordering::Relaxed);
                match first.at(at) {
                    Ok(answer) => answer.clone(),
                    Err(after) if then.times.is_none_or(|times| after < times) => {
                        Answer::clone(then)
                    }
                    Err(_) => Answer::ok(),
                }
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

    /// Reads `503;times=2,429;retry-after-ms=300,200`, `503,200,loop` or `429,500,hold`: the grammar of
    /// `x-mock-sequence`.
    fn from_str(text: &str) -> Result<Self, BadDirective> {
        Ok(Self {
            plan: Plan::Fixed {
                first: Steps::parse(text, &Answer::ok())?,
                then: Box::default(),
            },
            at: AtomicUsize::new(0),
        })
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

    /// Forgets all keys.
    pub(super) fn clear(&self) {
        let mut positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *positions = Positions::default();
    }

    /// The position of `key`, which moves on by one.
    fn advance(&self, key: &str) -> usize {
        self.with(key, |position| {
            position.at += 1;
            position.at - 1
        })
    }

    /// How long ago `key` was first seen.
    fn age(&self, key: &str) -> Duration {
        self.with(key, |position| position.since.elapsed())
    }

    fn with<T>(&self, key: &str, f: impl FnOnce(&mut Position) -> T) -> T {
        let mut positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Positions { at, order } = &mut *positions;
        if let Some(position) = at.get_mut(key) {
            return f(position);
        }
        if order.len() >= MAX_KEYS
            && let Some(oldest) = order.pop_front()
        {
            at.remove(&oldest);
        }
        order.push_back(key.to_owned());
        f(at.entry(key.to_owned()).or_insert_with(|| Position {
            at: 0,
            since: Instant::now(),
        }))
    }
}

/// The answer that the request's own headers ask for, or `None` if none of them steers. State without a key is keyed by
/// the text of the headers; the items of a sequence override the other headers, and after its end those alone hold.
pub(super) fn steered(
    headers: &HeaderMap,
    sequences: &Sequences,
) -> Result<Option<Answer>, BadDirective> {
    let mut answer = None;
    let (mut sequence, mut key, mut text) = (None, None, String::new());
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
            _ => {
                answer
                    .get_or_insert_with(Answer::ok)
                    .set(directive, value)?;
                text.push_str(directive);
                text.push_str(value);
            }
        }
    }
    if let Some(sequence) = sequence {
        let base = answer.get_or_insert_with(Answer::ok);
        let steps = Steps::parse(sequence, base)?;
        let key = key.unwrap_or(sequence);
        if let Ok(item) = steps.at(sequences.advance(key)) {
            *base = item.clone();
        }
        return Ok(answer.map(|answer| flapped(answer, key, sequences)));
    }
    Ok(answer.map(|answer| in_turn(answer, key.unwrap_or(&text), sequences)))
}

/// The answer that a model's name asks for: the grammar of `x-mock-sequence`, except that a single item holds for ever.
/// `name` is the whole name, whose state it is, and `key` the request's `x-mock-key`.
pub(super) fn planned(
    name: &str,
    plan: &str,
    key: Option<&str>,
    sequences: &Sequences,
) -> Result<Answer, BadDirective> {
    let steps = Steps::parse(plan, &Answer::ok())?;
    let key = key.map_or_else(|| name.to_owned(), |key| format!("{name} {key}"));
    if let Some(only) = steps.only() {
        return Ok(flapped(only.clone(), &key, sequences));
    }
    let at = sequences.advance(&key);
    let answer = steps.at(at).cloned().unwrap_or_default();
    Ok(flapped(answer, &key, sequences))
}

/// The answer while its `times` last, a good one afterwards.
fn in_turn(answer: Answer, key: &str, sequences: &Sequences) -> Answer {
    match answer.times {
        Some(times) if sequences.advance(key) >= times => Answer::ok(),
        _ => flapped(answer, key, sequences),
    }
}

/// The answer, or a good one in every second of its periods.
pub(super) fn flapped(answer: Answer, key: &str, sequences: &Sequences) -> Answer {
    match answer.flap {
        Some(period) if !period.is_zero() => {
            let age = sequences.age(&format!("flap {key}"));
            let periods = age.as_nanos() / period.as_nanos();
            if periods.is_multiple_of(2) {
                answer
            } else {
                Answer::ok()
            }
        }
        _ => answer,
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
