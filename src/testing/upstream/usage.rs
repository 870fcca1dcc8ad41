//! What callers used: tokens and attempts per key and model, and which prompts came.
//!
//! Prompt tokens are the words of the conversation; they count once the head of a good answer is sent. Completion
//! tokens are the content events that were handed to the connection, so a caller that hangs up pays for those before.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, request::Parts};
use serde_json::{Value, json};

use super::dialect::Ask;
use crate::base::Counter;

/// What one key used of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// A hash of the caller's key: of `authorization` (without `Bearer`), `x-api-key`, `api-key` or `x-goog-api-key`;
    /// `-` without one.
    pub key: String,
    /// The model without what follows its `@`.
    pub model: String,
    /// Requests that were read whole.
    pub requests: u64,
    /// The same by attempt: the number in `x-envoy-attempt-count`, or `x-stainless-retry-count` + 1, or 1.
    pub attempts: BTreeMap<u64, u64>,
    /// Answers that begun well.
    pub answers: u64,
    /// Words of the prompts of those.
    pub prompt_tokens: u64,
    /// Content tokens sent.
    pub completion_tokens: u64,
    /// Streams that the caller left before their end.
    pub hung_up: u64,
}

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    rows: Mutex<BTreeMap<(String, String), Arc<Row>>>,
    prompts: Mutex<VecDeque<Value>>,
}

#[derive(Debug, Default)]
struct Row {
    requests: Counter,
    attempts: Mutex<BTreeMap<u64, u64>>,
    answers: Counter,
    prompt_tokens: Counter,
    completion_tokens: Counter,
    hung_up: Counter,
}

/// Counts one answer.
#[derive(Clone, Debug)]
pub(super) struct Meter(Arc<Row>);

/// More keys and models than this are counted under `*`.
const MAX_ROWS: usize = 1_000;

const MAX_PROMPTS: usize = 10_000;

/// Attempts above this are counted as this one.
const MAX_ATTEMPT: u64 = 100;

// === impl Ledger ===

impl Ledger {
    /// Counts a request.
    pub(super) fn request(&self, parts: &Parts, ask: &Ask) -> Meter {
        let key = key(&parts.headers).unwrap_or_else(|| "-".to_owned());
        let attempt = attempt(&parts.headers);
        let mut prompts = lock(&self.prompts);
        if prompts.len() == MAX_PROMPTS {
            prompts.pop_front();
        }
        prompts.push_back(json!({
            "prompt": format!("{:016x}", ask.prompt.hash), "key": key, "model": ask.base(),
            "attempt": attempt, "prompt_tokens": ask.prompt.tokens,
        }));
        drop(prompts);
        let mut rows = lock(&self.rows);
        let full = rows.len() >= MAX_ROWS;
        let mut at = (key, ask.base().to_owned());
        if full && !rows.contains_key(&at) {
            at = ("*".to_owned(), "*".to_owned());
        }
        let row = Arc::clone(rows.entry(at).or_default());
        drop(rows);
        row.requests.inc();
        *lock(&row.attempts).entry(attempt).or_insert(0) += 1;
        Meter(row)
    }

    /// The rows, by key and model.
    pub(super) fn rows(&self) -> Vec<Usage> {
        let rows = lock(&self.rows);
        let rows = rows.iter().map(|((key, model), row)| Usage {
            key: key.clone(),
            model: model.clone(),
            requests: row.requests.get(),
            attempts: lock(&row.attempts).clone(),
            answers: row.answers.get(),
            prompt_tokens: row.prompt_tokens.get(),
            completion_tokens: row.completion_tokens.get(),
            hung_up: row.hung_up.get(),
        });
        rows.collect()
    }

    /// The rows and their sum; only those of the caller's own key, if it gives one.
    pub(super) fn usage(&self, headers: &HeaderMap) -> Value {
        let own = key(headers);
        let mut rows = self.rows();
        rows.retain(|row| own.as_ref().is_none_or(|own| *own == row.key));
        let sum = |of: fn(&Usage) -> u64| rows.iter().map(of).sum::<u64>();
        let fields = |row: &Usage| {
            json!({
                "key": row.key, "model": row.model, "requests": row.requests, "attempts": row.attempts,
                "answers": row.answers, "prompt_tokens": row.prompt_tokens,
                "completion_tokens": row.completion_tokens, "hung_up": row.hung_up,
            })
        };
        json!({
            "requests": sum(|r| r.requests),
            "answers": sum(|r| r.answers),
            "prompt_tokens": sum(|r| r.prompt_tokens),
            "completion_tokens": sum(|r| r.completion_tokens),
            "hung_up": sum(|r| r.hung_up),
            "usage": rows.iter().map(fields).collect::<Vec<_>>(),
        })
    }

    /// The last prompts as hashes, oldest first.
    pub(super) fn prompts(&self) -> Value {
        json!({"prompts": *lock(&self.prompts)})
    }

    pub(super) fn clear(&self) {
        lock(&self.rows).clear();
        lock(&self.prompts).clear();
    }
}

// === impl Meter ===

impl Meter {
    /// A good answer begins.
    pub(super) fn answer(&self, ask: &Ask) {
        self.0.answers.inc();
        self.0.prompt_tokens.add(ask.prompt.tokens as u64);
    }

    pub(super) fn tokens(&self, n: usize) {
        self.0.completion_tokens.add(n as u64);
    }

    pub(super) fn hung_up(&self) {
        self.0.hung_up.inc();
    }
}

fn key(headers: &HeaderMap) -> Option<String> {
    let names = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
    let value = names.into_iter().find_map(|name| headers.get(name))?;
    let value = value.as_bytes();
    let value = value.strip_prefix(b"Bearer ").unwrap_or(value);
    Some(format!("{:016x}", xxhash_rust::xxh3::xxh3_64(value)))
}

fn attempt(headers: &HeaderMap) -> u64 {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let attempt = number("x-envoy-attempt-count")
        .or_else(|| Some(number("x-stainless-retry-count")?.saturating_add(1)));
    attempt.unwrap_or(1).min(MAX_ATTEMPT)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
