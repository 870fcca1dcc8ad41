//! What a caller is told whose request was refused for the sake of a key.

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
#[cfg(feature = "llm")]
use http::{
    Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRAILER, TRANSFER_ENCODING},
};

use super::answer::Answer;
#[cfg(feature = "llm")]
use super::caller::Caller;
use crate::base::{Denied, Error, Kind, Refusal};
#[cfg(feature = "llm")]
use crate::{
    base::ext::Record,
    body::Body,
    classify::Outcome,
    llm::{Dialect, caller::Refused, errors},
};

/// Puts the words of the refusal, if that is what the error is, in the place of those of its kind.
pub(super) fn write(error: &Error, answer: &mut Answer, headers: &mut HeaderMap) {
    let Some(refusal) = Refusal::of(error) else {
        if let Some(Denied(details)) = Denied::of(error) {
            answer.details = details.clone();
        }
        return;
    };
    answer.body = refusal.to_string().into();
    answer.details = refusal.details().into();
    if error.kind() == Kind::Unauthorized {
        // RFC 9110 section 11.6.1.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
}

/// Puts the words of this side in place of an upstream's that refuses a key of this side: they may repeat it, and are none of
/// the caller's business. Of LLM calls that was done where their class was read.
#[cfg(feature = "llm")]
pub(super) fn hide(
    response: &mut Response<Body>,
    record: Option<&Record>,
    caller: Option<&Caller>,
) {
    let refused = response.status() == StatusCode::UNAUTHORIZED;
    if !refused || !record.is_some_and(|record| record.note(|n| n.hides_key)) {
        return;
    }
    let status = StatusCode::BAD_GATEWAY;
    let dialect = caller.map_or(Dialect::OpenAi, Caller::dialect);
    let message = errors::message(Outcome::Auth, status);
    *response.status_mut() = status;
    *response.body_mut() = errors::body(dialect, Outcome::Auth, status, message).into();
    let headers = response.headers_mut();
    let told = [
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        TRAILER,
        TRANSFER_ENCODING,
        WWW_AUTHENTICATE,
    ];
    for name in told {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
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
