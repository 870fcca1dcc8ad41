//! What is made of a result for who waits for it.

use std::error::Error as _;

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use http_body::Body as _;

#[cfg(not(feature = "llm"))]
use super::asked::Caller;
#[cfg(feature = "llm")]
use super::caller::Caller;
use super::{
    answer::{Answer, answer, grpc_status},
    asked::AnswersTo,
    limits, refusal,
    wait::whole_seconds,
};
use crate::{
    base::{
        BoxError, Error, Kind, error,
        ext::{Ended, Record},
        hops,
        quota::X_SHOULD_RETRY,
    },
    body::Body,
    classify::class_of_response,
};

const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// In the extensions of a response that a route has made what its caller gets: it is not looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// Whether it was an error. Then it may not say what its text is: operations of the route come first.
    pub(super) local: bool,
}

impl AnswersTo {
    /// The response to a result, for who waits for it.
    pub(super) fn respond(
        self,
        result: Result<Response<Body>, Option<BoxError>>,
        record: Option<&Record>,
    ) -> Response<Body> {
        let caller = self.caller(record);
        let caller = caller.as_ref();
        let (mut response, failed, ended) = match result {
            Ok(mut response) => {
                let failed = self.hop && !class_of_response(&response).is_success();
                let ended = response.extensions_mut().remove::<Ended>();
                #[cfg(feature = "llm")]
                if let Some(caller) = caller {
                    response = caller.response(response, ended);
                }
                #[cfg(feature = "llm")]
                refusal::hide(&mut response, record, caller);
                (response, failed, ended)
            }
            Err(error) => {
                let ended = error.as_ref().and_then(hops::ended_by);
                let response = self.local(error.as_ref(), record, caller, ended);
                (response, self.hop, ended)
            }
        };
        if failed {
            say_final(response.headers_mut(), ended);
        }
        response
    }

    /// The response to an error; `None` is an error that this crate does not know. Without the type of its text.
    fn local(
        self,
        raised: Option<&BoxError>,
        record: Option<&Record>,
        caller: Option<&Caller>,
        ended: Option<Ended>,
    ) -> Response<Body> {
        let error = raised.and_then(|e| error::find(e.as_ref()));
        let retried = record.is_some_and(|r| r.note(|n| n.attempts > 1));
        let mut answer = answer(error.map_or(Kind::Internal, Error::kind), retried);
        let mut headers = HeaderMap::new();
        if let Some(error) = error {
            if let Some(text) = limits::text(error) {
                answer.body = text.into();
            }
            refusal::write(error, &mut answer, &mut headers);
        }
        if let Some(record) = record {
            note(record, &answer, error);
        }
        if answer.overloaded {
            headers.insert(OVERLOADED, HeaderValue::from_static("true"));
        }
        if let Some(wait) = error.and_then(Error::retry_after) {
            headers.insert(RETRY_AFTER, whole_seconds(wait).into());
        }
        if let Some(error) = error {
            limits::write(error, &mut headers);
        }
        let bodiless = matches!(
            answer.status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        );
        let told = in_words(
            raised,
            &answer,
            &mut headers,
            caller.filter(|_| !bodiless),
            ended,
        );
        #[cfg(feature = "llm")]
        let told =
            told.or_else(|| refusal::body(error.filter(|_| !self.grpc), &answer, &mut headers));
        let mut response = Response::new(Body::empty());
        if let Some((status, body)) = told {
            *response.status_mut() = status;
            *response.body_mut() = body;
        } else if self.grpc {
            write_grpc(&answer, &mut headers);
        } else {
            *response.status_mut() = answer.status;
            if !answer.body.is_empty() && !bodiless {
                *response.body_mut() = answer.body.into_owned().into();
            }
        }
        *response.headers_mut() = headers;
        response
    }
}

// === free functions ===

/// The answer in the words of the caller's API.
#[cfg(feature = "llm")]
fn in_words(
    raised: Option<&BoxError>,
    answer: &Answer,
    headers: &mut HeaderMap,
    caller: Option<&Caller>,
    ended: Option<Ended>,
) -> Option<(StatusCode, Body)> {
    caller?.error(raised, answer, headers, ended)
}

#[cfg(not(feature = "llm"))]
fn in_words(
    _: Option<&BoxError>,
    _: &Answer,
    _: &mut HeaderMap,
    caller: Option<&Caller>,
    _: Option<Ended>,
) -> Option<(StatusCode, Body)> {
    match *caller? {}
}

/// Says of a text that says nothing of itself what it is, as Envoy does of local replies.
pub(super) fn type_text(response: &mut Response<Body>) {
    if !response.body().is_end_stream() {
        let entry = response.headers_mut().entry(CONTENT_TYPE);
        entry.or_insert(HeaderValue::from_static("text/plain"));
    }
}

/// Notes an error for the access log.
fn note(record: &Record, answer: &Answer, error: Option<&Error>) {
    if let Some(flag) = answer.flag {
        record.flag(flag);
    }
    record.note(|n| {
        n.details = Some(answer.details.clone().into_owned());
        n.transport_failure = error.and_then(transport_failure);
    });
}

/// Why there was no connection, or none of use, for the log.
fn transport_failure(error: &Error) -> Option<String> {
    let told = matches!(error.kind(), Kind::Connect(_) | Kind::UpstreamProtocol);
    let mut source = error.source().filter(|_| told)?;
    // What is below says more than what is above.
    while let Some(below) = source.source() {
        source = below;
    }
    Some(source.to_string())
}

/// Tells the hop above that no repetition is left here, unless it is told when to come back.
fn say_final(headers: &mut HeaderMap, ended: Option<Ended>) {
    let back = headers.get(X_SHOULD_RETRY).is_some_and(|v| v == "true");
    if let Some(why) = ended.filter(|_| !back) {
        hops::mark_final(headers, why);
    }
}

/// A trailers-only answer.
fn write_grpc(answer: &Answer, headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, grpc_status(answer.status).into());
    if !answer.body.is_empty()
        && let Ok(message) = HeaderValue::try_from(&*answer.body)
    {
        headers.insert(GRPC_MESSAGE, message);
    }
}
