//! What ended the repetitions of a request.

/// Why a repetition that would have been worth one was not made: the caller's would be no better. In the extensions of the
/// response, or in the [`Error`](crate::base::Error), that is left ([`hops`](crate::base::hops)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All retries of the request are used up, or there is no time for another.
    Exhausted,
    /// What bounds the retries of many requests is spent.
    Budget,
}
