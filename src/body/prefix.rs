//! The first bytes of a request body, for those who must look before they route.
//!
//! A model name or a token estimate stands in the first kilobytes of the JSON; reading them must not cost the body its
//! streaming, its trailers or its errors. What was read is sent on first, from the same memory.

use std::ops::ControlFlow;

use bytes::Bytes;
use http_body::Body;

use super::peek::{Held, Peek, Stopped};

/// How many bytes are read if nobody says otherwise.
pub const DEFAULT_MAX: usize = 64 * 1024;

/// What [`read_prefix`] found.
#[derive(Debug)]
pub struct Prefix {
    /// The first bytes, at most the maximum.
    pub bytes: Bytes,
    /// Whether this is all of the body: it ended well within the maximum.
    pub whole: bool,
}

/// Reads up to `max` bytes (or to the body's end or failure) and gives back a body that yields everything, in order.
///
/// A failure is not lost: the returned body yields what came before it, then the error.
///
/// # Cancel safety
/// Not cancel safe: dropping the future drops the body.
pub async fn read_prefix<B: Body<Data = Bytes>>(body: B, max: usize) -> (Prefix, Held<B>) {
    let mut peek = Peek::with_limit(body, max);
    // A peer must not shorten the prefix by sending tiny frames: many small ones are joined, and reading goes on.
    while peek.until(|_| ControlFlow::<()>::Continue(())).await == Stopped::Full
        && peek.held_bytes() < max
    {
        peek.join();
    }
    let mut held = peek.into_body();
    let bytes = held.join();
    let prefix = Prefix {
        whole: held.ended() && bytes.len() <= max,
        bytes: bytes.slice(..bytes.len().min(max)),
    };
    (prefix, held)
}
