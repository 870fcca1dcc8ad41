//! What is known of an answer, and of an event of it.

use bytes::Bytes;

/// What is known of the answer.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What it says so far.
    pub(super) text: String,
    /// In how many events.
    pub(super) pieces: u64,
    /// Whether the caller was shown anything of it but its beginning.
    pub(super) shown: bool,
    /// Whether it holds more than text: a call of a tool, several answers.
    pub(super) more: bool,
    /// Whether its finish marker was seen.
    pub(super) finished: bool,
    /// Output of the parts before this one, in events: about tokens. `None` in the first part.
    pub(super) before: Option<u64>,
}

/// What an event is, once looked at.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    /// It is an error.
    pub(super) fault: bool,
    /// It says this.
    pub(super) text: Option<String>,
    /// It begins what has begun: leave it out.
    pub(super) stale: bool,
    /// It was changed.
    pub(super) changed: bool,
    /// What has to go before it.
    pub(super) first: Option<Bytes>,
}
