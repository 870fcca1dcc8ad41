//! What a caller is told whose request was refused for the sake of a key.

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
#[cfg(feature = "llm")]
use http::{StatusCode, header::CONTENT_TYPE};

use super::answer::Answer;
use crate::base::{Error, Kind, Refusal};
#[cfg(feature = "llm")]
use crate::{
    body::Body,
    classify::Outcome,
    llm::{caller::Refused, errors},
};

/// Puts the words of the refusal, if that is what the error is, in the place of those of its kind.
pub(super) fn write(error: &Error, answer: &mut Answer, headers: &mut HeaderMap) {
    let Some(refusal) = Refusal::of(error) else {
        return;
    };
    answer.body = refusal.to_string().into();
    answer.details = refusal.details().into();
    if error.kind() == Kind::Unauthorized {
        // RFC 9110 section 11.6.1.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
}

/// The body of the refusal in the words of the API that was called, where it is known though the request is no LLM call.
#[cfg(feature = "llm")]
pub(super) fn body(
    error: Option<&Error>,
    answer: &Answer,
    headers: &mut HeaderMap,
) -> Option<(StatusCode, Body)> {
    let dialect = Refused::of(error?)?.dialect?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = errors::body(dialect, Outcome::Local, answer.status, &answer.body);
    Some((answer.status, body.into()))
}
