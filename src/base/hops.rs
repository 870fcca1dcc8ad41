//! What the hops of a mesh tell each other about repetitions, so that those of several hops do not multiply.
//!
//! Four sends at each of three hops are 64 at the last. Two marks keep that from happening:
//!
//! - *Down*: a request says how often its sender has sent it ([`ATTEMPT_COUNT`], as Envoy does). What is sent again by a hop
//!   above is a retry itself: here it earns no deposit and is not sent again. A caller that makes the number up loses only
//!   retries of its own.
//! - *Up*: an answer that was given up says so ([`FINAL`]), and the hop above does not repeat it, takes the mark out, and says
//!   the same to the hop above itself. Only callers that count their attempts are told: no one else is a hop.

use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::base::{BoxError, Error, ext::Ended};

/// How often the sender of a request has sent it, from 1.
pub const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");

/// On an answer: it is the last word of the hop below, which has tried what it may (`exhausted`) or must not try more
/// (`budget`).
pub const FINAL: HeaderName = HeaderName::from_static("x-llmesh-final");

/// What a request says of how often it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// It comes from a hop that counts its attempts.
    pub counted: bool,
    /// It is a retry of whoever sent it: a hop of a mesh, or an SDK.
    pub again: bool,
}

/// Reads it in one pass over the headers that are there. Of repeated ones the first counts.
#[must_use]
pub fn sent(headers: &HeaderMap) -> Sent {
    let mut sent = Sent::default();
    let mut told = false;
    for (name, value) in headers {
        match name.as_str() {
            "x-envoy-attempt-count" if !sent.counted => {
                sent.counted = true;
                sent.again |= number(value) > 1;
            }
            "x-stainless-retry-count" if !told => {
                told = true;
                sent.again |= number(value) > 0;
            }
            _ => {}
        }
    }
    sent
}

/// Whether a request comes from a hop that counts its attempts.
#[must_use]
pub fn is_from_hop(headers: &HeaderMap) -> bool {
    headers.contains_key(ATTEMPT_COUNT)
}

/// Marks an answer as the last word.
pub fn mark_final(headers: &mut HeaderMap, why: Ended) {
    let why = match why {
        Ended::Exhausted => "exhausted",
        Ended::Budget => "budget",
    };
    headers.insert(FINAL, HeaderValue::from_static(why));
}

/// Takes the mark out of an answer. What it said, if it was there: a word that is not known says as much as `exhausted`.
pub fn take_final(headers: &mut HeaderMap) -> Option<Ended> {
    let why = headers.remove(FINAL)?;
    Some(if why == "budget" {
        Ended::Budget
    } else {
        Ended::Exhausted
    })
}

/// Says on the result that is left why there is no other. An error that is none of this crate says nothing.
pub fn end<R>(result: &mut Result<Response<R>, BoxError>, why: Ended) {
    match result {
        Ok(response) => {
            response.extensions_mut().insert(why);
        }
        Err(error) => {
            if let Some(error) = error.downcast_mut::<Error>() {
                error.set_ended(why);
            }
        }
    }
}

/// What [`end`] said.
#[must_use]
pub fn ended<R>(result: &Result<Response<R>, BoxError>) -> Option<Ended> {
    match result {
        Ok(response) => response.extensions().get::<Ended>().copied(),
        Err(error) => ended_by(error),
    }
}

/// What [`end`] said, of an error.
#[must_use]
pub fn ended_by(error: &BoxError) -> Option<Ended> {
    error.downcast_ref::<Error>().and_then(Error::ended)
}

/// Zero where it cannot be read.
fn number(value: &HeaderValue) -> u32 {
    let count = value.to_str().ok();
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_told_by_its_count() {
        for (name, value, retry) in [
            ("x-envoy-attempt-count", "1", false),
            ("x-envoy-attempt-count", "2", true),
            ("x-envoy-attempt-count", "0", false),
            ("x-envoy-attempt-count", "-2", false),
            ("x-envoy-attempt-count", "two", false),
            ("x-envoy-attempt-count", "99999999999999999999", false),
            ("x-stainless-retry-count", "0", false),
            ("x-stainless-retry-count", "1", true),
            ("x-other", "2", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            let found = sent(&headers);
            assert_eq!(found.again, retry, "{name}: {value}");
            assert_eq!(found.counted, is_from_hop(&headers));
        }
        assert_eq!(sent(&HeaderMap::new()), Sent::default());
    }

    #[test]
    fn the_last_word_is_read_once() {
        let mut headers = HeaderMap::new();
        for why in [Ended::Budget, Ended::Exhausted] {
            mark_final(&mut headers, why);
            assert_eq!(take_final(&mut headers), Some(why));
            assert_eq!(take_final(&mut headers), None);
        }
        headers.insert(FINAL, HeaderValue::from_static("so be it"));
        assert_eq!(take_final(&mut headers), Some(Ended::Exhausted));
    }
}
