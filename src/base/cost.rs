//! What an attempt cost, in tokens.
//!
//! A generation is billed by the attempt, whatever became of it: also if its stream was cut, its caller hung up or another
//! attempt answered in its place. So each attempt leaves one [`Spent`] in the request's [`Ledger`], and limits, metrics and
//! logs read the same numbers.

use std::{
    fmt,
    net::SocketAddr,
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
};

/// Token counts of one answer, in one normal form for all providers: cached tokens are inside the input, reasoning tokens
/// inside the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input: u64,
    /// All output tokens, reasoning included.
    pub output: u64,
    /// Input tokens read from a cache.
    pub cache_read: Option<u64>,
    /// Input tokens written to a cache.
    pub cache_write: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<u64>,
}

/// What one attempt cost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spent {
    /// Its number, from 1, over all targets.
    pub attempt: u32,
    /// The endpoint that was asked.
    pub endpoint: Option<SocketAddr>,
    /// The model that answered, as the answer says; else the one that was asked for.
    pub model: Option<Arc<str>>,
    /// The counts.
    pub usage: Usage,
    /// Whether they are an estimate: the answer ended before its usage came.
    pub estimated: bool,
}

/// What all attempts of one request cost, in the order in which they ended. Each attempt is noted exactly once.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Spent>>>);

/// What a prompt's input tokens are estimated from.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Prompt<'a> {
    /// The model asked for.
    pub model: Option<&'a str>,
    /// How many bytes of text it has, as far as known; else the size of the request body.
    pub bytes: u64,
    /// The request body, where it was read.
    pub body: Option<&'a [u8]>,
}

/// Estimates how many input tokens a prompt has, before it is sent.
///
/// Limits reserve the estimate and settle with what the provider counted, so it need not be right; one that is too low lets
/// requests in that the limit then has to make up for. The default is [`BytesPerToken`]. Whoever needs exact numbers wraps
/// a tokenizer, and falls back where there is no text:
///
/// ```
/// use llmesh::base::cost::{BytesPerToken, Estimate, Prompt};
///
/// /// Counts words: put a real tokenizer here.
/// struct Words;
///
/// impl Estimate for Words {
///     fn input(&self, prompt: &Prompt<'_>) -> u64 {
///         match prompt.body.and_then(|body| std::str::from_utf8(body).ok()) {
///             Some(text) => text.split_whitespace().count() as u64,
///             None => BytesPerToken::default().input(prompt),
///         }
///     }
/// }
///
/// assert_eq!(Words.input(&Prompt::new(24)), 6);
/// assert_eq!(Words.input(&Prompt::new(11).with_body(b"hello there")), 2);
/// ```
pub trait Estimate: Send + Sync {
    /// The estimate. It is called once a request, before anything is sent: it should take microseconds.
    fn input(&self, prompt: &Prompt<'_>) -> u64;
}

/// So many bytes a token, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesPerToken(pub NonZeroU64);

// === impl Prompt ===

impl<'a> Prompt<'a> {
    /// A prompt of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }

    /// Sets the model.
    #[must_use]
    pub fn with_model(mut self, model: Option<&'a str>) -> Self {
        self.model = model;
        self
    }

    /// Sets the request body.
    #[must_use]
    pub fn with_body(mut self, body: &'a [u8]) -> Self {
        self.body = Some(body);
        self
    }
}

// === impl BytesPerToken ===

impl Default for BytesPerToken {
    /// Four: English text has about four characters a token (OpenAI, "What are tokens and how to count them?").
    fn default() -> Self {
        Self(NonZeroU64::MIN.saturating_add(3))
    }
}

impl Estimate for BytesPerToken {
    fn input(&self, prompt: &Prompt<'_>) -> u64 {
        prompt.bytes.div_ceil(self.0.get())
    }
}

// === impl Usage ===

impl Usage {
    /// These counts, nothing known of caches and reasoning.
    #[must_use]
    pub fn new(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            ..Self::default()
        }
    }

    /// Input and output.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

// === impl Spent ===

impl Spent {
    /// The cost of an attempt of which nothing else is known.
    #[must_use]
    pub fn new(attempt: u32, usage: Usage) -> Self {
        Self {
            attempt,
            endpoint: None,
            model: None,
            usage,
            estimated: false,
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// Notes an attempt.
    pub fn push(&self, spent: Spent) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(spent);
    }

    /// All that was noted so far.
    #[must_use]
    pub fn all(&self) -> Vec<Spent> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The sum over all attempts so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .fold(0, |sum, s| sum.saturating_add(s.usage.total()))
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}
