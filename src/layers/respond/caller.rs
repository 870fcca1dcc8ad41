//! Answers to LLM calls: statuses, bodies and headers in the words of the caller's API.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRAILER, TRANSFER_ENCODING,
        WWW_AUTHENTICATE,
    },
};

use super::{
    answer::Answer,
    limits,
    told::ErrorEventBody,
    verdict::{repeat, strip, write_class, write_effort, write_repeat},
};
use crate::{
    base::{
        BoxError, Error, Kind,
        error::find,
        ext::{AnsweredBy, Ended, Notes, OurKey, Record},
    },
    body::Body,
    classify::{Class, Classified, Failure, Outcome, Signal, transport::class_of_error},
    llm::{
        Dialect, errors,
        status::{KeyOwner, client_status},
        stream::{Framing, ReadAs, Spoken},
    },
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_DESTINATION: &str = "The destination of this route does not exist.";
const AWS_ERROR: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// A caller of an LLM API.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) dialect: Dialect,
    /// Whether the request is an LLM call. What an upstream answers to another one passes as it is.
    pub(super) calls: bool,
    /// Whether the path says that the answer is a stream.
    pub(super) streaming: bool,
    /// Whether answers carry `x-llmesh-*` headers.
    pub(super) headers: bool,
    /// Whether answers pass as they are, and errors are Envoy's.
    pub(super) verbatim: bool,
    pub(super) record: Record,
}

// === impl Caller ===

impl Caller {
    /// Whose words the caller knows.
    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The body and headers of an answer to an error; the status may be changed.
    pub(super) fn error(
        &self,
        error: Option<&BoxError>,
        answer: &Answer,
        headers: &mut HeaderMap,
        ended: Option<Ended>,
    ) -> Option<(StatusCode, Body)> {
        if self.verbatim {
            return None;
        }
        let notes = self.record.snapshot();
        let known = error.and_then(|e| find(e.as_ref()).map(|known| (e, known)));
        let class = known.map_or_else(
            || Class::new(Outcome::Local, Signal::Error(Kind::Internal)),
            |(error, _)| class_of_error(error),
        );
        let failure = known.and_then(|(error, _)| Failure::find(error.as_ref()));
        // Envoy's status where Envoy has the condition; an error event is what it says.
        let status = match failure {
            Some(_) => client_status(&class, Some(self.dialect), owner(&notes, None)),
            None => answer.status,
        };
        let outcome = known
            .and_then(|(_, known)| refusal(known))
            .or(class.inner)
            .unwrap_or(class.outcome);
        let message = match known {
            // Envoy says nothing, where the caller of an API looks for a sentence.
            Some((_, known)) if known.kind() == Kind::NoCluster => NO_DESTINATION,
            _ if failure.is_some() || answer.body.is_empty() => errors::message(outcome, status),
            _ => &answer.body,
        };
        let asked = known.and_then(|(_, known)| Error::retry_after(known));
        let wait = asked.or_else(|| class.hint.map(|hint| hint.wait));
        write_repeat(headers, repeat(&class, wait, ended));
        self.write_class(headers, &class, &notes);
        Some((status, self.body(headers, outcome, status, message)))
    }

    /// An upstream's answer, as the caller gets it.
    pub(super) fn response(
        &self,
        mut response: Response<Body>,
        ended: Option<Ended>,
    ) -> Response<Body> {
        if self.verbatim || !self.calls {
            return response;
        }
        let notes = self.record.snapshot();
        strip(response.headers_mut());
        let class = response
            .extensions()
            .get::<Classified>()
            .and_then(Classified::head)
            .cloned();
        match class {
            Some(class) if !class.is_success() => self.failed(response, &class, &notes, ended),
            _ => {
                if self.headers {
                    write_effort(response.headers_mut(), &notes);
                }
                self.watched(response)
            }
        }
    }

    /// An answer that is a failure: the class's status and headers; the provider's own body, but for what it says of a key
    /// that is not the caller's and for an error event that would have begun a stream.
    fn failed(
        &self,
        mut response: Response<Body>,
        class: &Class,
        notes: &Notes,
        ended: Option<Ended>,
    ) -> Response<Body> {
        if let Signal::Response {
            grpc_status: Some(_),
            ..
        } = class.signal
        {
            return response;
        }
        let owner = owner(notes, Some(&response));
        let (was, status) = (
            response.status(),
            client_status(class, Some(self.dialect), owner),
        );
        let outcome = class.inner.unwrap_or(class.outcome);
        let secret =
            owner == KeyOwner::Gateway && matches!(outcome, Outcome::Auth | Outcome::Permission);
        let stream = was.is_success() && !status.is_success() && self.framing(&response).is_some();
        // Half of an answer is no error's body, and its own error would hide the status.
        let cut = was.is_success() && matches!(class.signal, Signal::Error(_));
        *response.status_mut() = status;
        let wait = class.hint.map(|hint| hint.wait);
        write_repeat(response.headers_mut(), repeat(class, wait, ended));
        self.write_class(response.headers_mut(), class, notes);
        if secret || stream || cut {
            let message = errors::message(outcome, status);
            let headers = response.headers_mut();
            for of_body in [
                CONTENT_ENCODING,
                CONTENT_LENGTH,
                TRAILER,
                TRANSFER_ENCODING,
                WWW_AUTHENTICATE,
            ] {
                headers.remove(of_body);
            }
            let body = self.body(headers, outcome, status, message);
            return response.map(|_| body);
        }
        self.watched(response)
    }

    /// A stream that tells its reader when it fails.
    fn watched(&self, response: Response<Body>) -> Response<Body> {
        let Some(framing) = self.framing(&response) else {
            return response;
        };
        // Its events may be another API's than the path's.
        let spoken = response.extensions().get::<Spoken>();
        let dialect = spoken.map_or(self.dialect, |Spoken(dialect)| *dialect);
        response.map(|body| Body::new(ErrorEventBody::new(body, dialect, framing)))
    }

    /// The framing of an answer into which an event can be put.
    fn framing(&self, response: &Response<Body>) -> Option<Framing> {
        let headers = response.headers();
        // Of a length that was announced, or in a coding that is not ours to write.
        if headers.contains_key(CONTENT_LENGTH)
            || headers
                .get(CONTENT_ENCODING)
                .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
        {
            return None;
        }
        let framing = Framing::of_response(response, self.dialect)?;
        let certain = response.extensions().get::<ReadAs>().is_some()
            || (framing != Framing::JsonArray && headers.contains_key(CONTENT_TYPE));
        (certain || self.streaming).then_some(framing)
    }

    fn write_class(&self, headers: &mut HeaderMap, class: &Class, notes: &Notes) {
        if self.headers {
            write_class(headers, class, notes);
        }
    }

    fn body(
        &self,
        headers: &mut HeaderMap,
        outcome: Outcome,
        status: StatusCode,
        message: &str,
    ) -> Body {
        headers.insert(CONTENT_TYPE, JSON);
        if self.dialect == Dialect::Bedrock {
            let name = errors::exception(outcome, status);
            if let Ok(name) = HeaderValue::try_from(name) {
                headers.insert(AWS_ERROR, name);
            }
        }
        errors::body(self.dialect, outcome, status, message).into()
    }
}

/// What a refusal of this side is called, where its status would say something else: who has no target is not overloaded,
/// and a request over the whole limit is not too early.
fn refusal(error: &Error) -> Option<Outcome> {
    match error.kind() {
        Kind::NoCluster | Kind::NoEndpoints | Kind::UnknownHost | Kind::Withheld => {
            Some(Outcome::ServerError)
        }
        Kind::RateLimited if limits::refused(error).is_some_and(|r| r.wait.is_none()) => {
            Some(Outcome::RequestExceedsLimit)
        }
        _ => None,
    }
}

/// Whose key the upstream judged.
fn owner(notes: &Notes, response: Option<&Response<Body>>) -> KeyOwner {
    let extensions = response.map(Response::extensions);
    let marked = extensions.is_some_and(|e| e.get::<OurKey>().is_some());
    let by = extensions.and_then(|e| e.get::<AnsweredBy>());
    let by = by.or(notes.answered_by.as_ref());
    if marked || by.map_or(notes.our_key, |by| by.our_key) {
        KeyOwner::Gateway
    } else {
        KeyOwner::Caller
    }
}
