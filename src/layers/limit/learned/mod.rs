//! What providers say is left of their limits, so that a request goes elsewhere before the first 429.
//!
//! Most answers, also good ones, carry how much of each limit is left and when it is full again. [`Learned`] remembers the
//! last word of each target, and [`room`](Learned::room) says whether a request fits there now.
//!
//! # How long a reset is
//!
//! The reset of OpenAI and its copies, of Groq and of Anthropic is the time until the bucket is *full*, and the bucket
//! fills all the while. So what is left at an instant is interpolated between what was left and the limit, and a request is
//! sent away only while that is less than it needs: never for the whole reset, which for a daily bucket may be hours. Where no
//! limit is named, all comes back at the reset; where no reset is named, the bucket is taken to fill in a minute, which is
//! what such limits are in.
//!
//! A request larger than the whole bucket is not sent away: no wait cures it, and the provider says so in an answer of its
//! own. `-1` is unknown, and so is a 0 with neither a limit nor a reset (Azure).
//!
//! [`LearnLayer`] reads the answers; who chooses targets asks for room.
//!
//! It is a hint, not a limit: the answers to requests under way are not known yet, and other processes spend from
//! the same bucket.

mod bucket;
#[cfg(feature = "llm")]
mod layer;
mod read;

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use http::HeaderMap;

#[cfg(feature = "llm")]
pub use self::layer::{Learn, LearnLayer, ResponseFuture};

use self::bucket::Bucket;
use super::keyed::Keyed;
use crate::base::{Fingerprint, time::Instant};

/// How many keys are remembered by default.
const MAX_KEYS: usize = 16_384;

/// The last word of each target about its limits. Shared by reference; bounded: what is not known any more is forgotten,
/// and a key too many is not learned.
pub struct Learned(Keyed<State>);

/// Whose limits: a target, as whom it is asked, and for what model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(Fingerprint);

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Requests,
    Tokens,
    Input,
    Output,
}

/// The tokens of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Of its prompt, estimated.
    pub input: u64,
    /// Of its answer, at most.
    pub output: u64,
    /// Whether `output` is a guess, which alone never makes a request larger than a whole bucket.
    pub guessed: bool,
}

/// Whether a request fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It fits, or nothing is known.
    Fits,
    /// It fits from then on, if nothing else is sent.
    Short {
        /// When.
        until: Instant,
    },
}

/// The buckets of one key.
#[derive(Debug, Default)]
struct State(Mutex<Vec<(usize, Bucket)>>);

// === impl Key ===

impl Key {
    /// A cluster or endpoint, the credential sent there, the model asked for.
    #[must_use]
    pub fn new(target: &str, credential: Option<Fingerprint>, model: Option<&str>) -> Self {
        let credential = credential.map(|c| c.get().to_le_bytes());
        let credential = credential.as_ref().map_or(&[][..], |c| c);
        Self(Fingerprint::of_all([
            target.as_bytes(),
            credential,
            model.unwrap_or_default().as_bytes(),
        ]))
    }
}

// === impl Unit ===

impl Unit {
    fn of(self, need: Need) -> u64 {
        match self {
            Self::Requests => 1,
            Self::Tokens => need.input.saturating_add(need.output),
            Self::Input => need.input,
            Self::Output => need.output,
        }
    }

    /// What of a need is certain.
    fn least(self, need: Need) -> u64 {
        let output = if need.guessed { 0 } else { need.output };
        self.of(Need { output, ..need })
    }
}

// === impl Learned ===

impl Default for Learned {
    fn default() -> Self {
        Self::new(MAX_KEYS)
    }
}

impl Learned {
    /// Nothing learned yet; about so many keys at most.
    #[must_use]
    pub fn new(max_keys: usize) -> Self {
        Self(Keyed::new(max_keys))
    }

    /// Reads the headers of an answer, of any status. `wall` is this host's idea of the time; the answer's own goes
    /// before it.
    pub fn observe(&self, key: Key, headers: &HeaderMap, now: Instant, wall: SystemTime) {
        let seen = read::buckets(headers, now, wall);
        if seen.is_empty() {
            return;
        }
        let idle = |state: &State| state.lock(|known| known.iter().all(|(_, b)| b.is_full(now)));
        let Some(state) = self.0.get(key.0, now, idle) else {
            return;
        };
        state.lock(|known| {
            known.retain(|(row, bucket)| !bucket.is_full(now) && seen.iter().all(|s| s.0 != *row));
            known.extend(seen);
        });
    }

    /// Whether a request fits, as far as is known. Of several buckets that are short, the last to have room decides.
    #[must_use]
    pub fn room(&self, key: Key, need: Need, now: Instant) -> Room {
        let Some(state) = self.0.peek(key.0) else {
            return Room::Fits;
        };
        let until = state.lock(|known| {
            let until = |(_, bucket): &(usize, Bucket)| bucket.short_until(need, now);
            known.iter().filter_map(until).max()
        });
        until.map_or(Room::Fits, |until| Room::Short { until })
    }
}

impl fmt::Debug for Learned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Learned").field(&self.0).finish()
    }
}

// === impl State ===

impl State {
    fn lock<T>(&self, f: impl FnOnce(&mut Vec<(usize, Bucket)>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
