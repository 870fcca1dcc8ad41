//! Classes from HTTP and gRPC alone: no body, no provider.
//!
//! This is what `dialect: status-only` means: Envoy's view of a response. It says whether the upstream failed and leaves
//! "may it be repeated?" to the retry rules: all classes are [`status_only`](Class::status_only), and a 429 is not called
//! pacing, since a status alone cannot tell pacing from an empty account. Hints are not read, as Envoy reads none unless
//! told to.

use std::time::SystemTime;

use ::http::{Extensions, HeaderMap, HeaderName, Method, Response, StatusCode, Uri, response};
use bytes::Bytes;

use crate::{
    base::BoxError,
    classify::{Class, Classifier, MakeClassifier, Outcome, Scope, Signal, Verdict, transport},
};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What Envoy leaves on an answer that its rate limiter made.
pub(super) const RATELIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");

/// Classifies by status and `grpc-status`. Both the maker and the classifier of one attempt.
#[derive(Clone, Debug, Default)]
pub struct HttpClassifier {
    head: Option<Class>,
}

// === impl HttpClassifier ===

impl MakeClassifier for HttpClassifier {
    type Classifier = Self;

    fn classifier(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &Extensions) -> Self {
        Self::default()
    }
}

impl Classifier for HttpClassifier {
    fn head(&mut self, head: &response::Parts, _: SystemTime) -> Verdict {
        let class = class_of_head(signal(head));
        self.head = Some(class.clone());
        Verdict::Done(class)
    }

    fn frame(&mut self, _: &Bytes) -> Verdict {
        self.head.clone().map_or(Verdict::Wait, Verdict::Done)
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Class {
        let Some(head) = &self.head else {
            return transport::class_of_error(
                &crate::base::Error::from(crate::base::Kind::Internal).into(),
            );
        };
        match trailers.and_then(grpc_status) {
            Some(code) if head.is_success() => grpc_class(code, head.signal),
            _ => head.clone(),
        }
    }

    fn error(&mut self, error: &BoxError) -> Class {
        match &self.head {
            // The head decided: how the body of an error ended changes nothing.
            Some(head) if !head.is_success() => head.clone(),
            Some(_) => transport::class_of_body_error(error),
            None => transport::class_of_error(error),
        }
    }
}

/// What the head shows to retry and outlier rules.
#[must_use]
pub fn signal(head: &response::Parts) -> Signal {
    signal_in(head.status, &head.headers)
}

/// The same, of a whole response.
pub(crate) fn signal_of<B>(response: &Response<B>) -> Signal {
    signal_in(response.status(), response.headers())
}

fn signal_in(status: StatusCode, headers: &HeaderMap) -> Signal {
    Signal::Response {
        status,
        grpc_status: grpc_status(headers),
        ratelimited: headers.contains_key(RATELIMITED),
    }
}

/// `grpc-status` as a number; `None` if absent or unreadable.
#[must_use]
pub fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

/// What a gRPC status means (gRPC core: "Status codes and their use in gRPC").
#[must_use]
pub fn grpc_outcome(code: u16) -> Outcome {
    match code {
        0 => Outcome::Success,
        1 => Outcome::Cancelled,
        4 => Outcome::Timeout,
        8 => Outcome::RateLimited,
        10 => Outcome::Conflict,
        14 => Outcome::Overloaded,
        // UNKNOWN, INTERNAL, DATA_LOSS, and codes that do not exist.
        2 | 13 | 15 | 17.. => Outcome::ServerError,
        // INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE,
        // UNIMPLEMENTED, UNAUTHENTICATED.
        3 | 5 | 6 | 7 | 9 | 11 | 12 | 16 => Outcome::InvalidRequest,
    }
}

/// What a status means where nothing is known of the service behind it.
#[must_use]
pub fn status_outcome(status: StatusCode) -> Outcome {
    match status.as_u16() {
        ..400 => Outcome::Success,
        408 | 504 | 524 => Outcome::Timeout,
        409 => Outcome::Conflict,
        413 => Outcome::TooLarge,
        499 => Outcome::Cancelled,
        400..500 => Outcome::InvalidRequest,
        503 | 529 => Outcome::Overloaded,
        500.. => Outcome::ServerError,
    }
}

/// The class of a head, by what it shows.
pub(crate) fn class_of_head(signal: Signal) -> Class {
    let Signal::Response {
        status,
        grpc_status,
        ..
    } = signal
    else {
        return Class::new(Outcome::Success, signal);
    };
    let outcome = status_outcome(status);
    match grpc_status {
        Some(code) if outcome == Outcome::Success => grpc_class(code, signal),
        _ => by_status(outcome, signal),
    }
}

fn grpc_class(code: u16, signal: Signal) -> Class {
    by_status(grpc_outcome(code), signal)
}

/// A class of the status alone: no 4xx is the upstream's fault.
fn by_status(outcome: Outcome, signal: Signal) -> Class {
    let mut class = Class::new(outcome, signal);
    class.status_only = true;
    if let Signal::Response { status, .. } = signal
        && status.is_client_error()
    {
        class.scope = Scope::None;
    }
    class
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Error, Kind};

    fn head(status: u16, headers: &[(&'static str, &str)]) -> response::Parts {
        let mut response = ::http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    fn decided(parts: &response::Parts) -> Class {
        match HttpClassifier::default().head(parts, SystemTime::UNIX_EPOCH) {
            Verdict::Done(class) => class,
            Verdict::Wait => panic!("a status is enough"),
        }
    }

    #[test]
    fn statuses_decide_at_the_head() {
        for (status, outcome, scope) in [
            (200, Outcome::Success, Scope::None),
            (304, Outcome::Success, Scope::None),
            (404, Outcome::InvalidRequest, Scope::None),
            (408, Outcome::Timeout, Scope::None),
            (409, Outcome::Conflict, Scope::None),
            (429, Outcome::InvalidRequest, Scope::None),
            (500, Outcome::ServerError, Scope::Target),
            (503, Outcome::Overloaded, Scope::Target),
            (504, Outcome::Timeout, Scope::Target),
            (599, Outcome::ServerError, Scope::Target),
            (999, Outcome::ServerError, Scope::Target),
        ] {
            let class = decided(&head(status, &[]));
            assert_eq!((class.outcome, class.scope), (outcome, scope), "{status}");
            assert!(class.status_only && class.hint.is_none(), "{status}");
        }
    }

    #[test]
    fn grpc_status_is_read_from_headers_and_trailers() {
        let trailers_only = decided(&head(200, &[("grpc-status", "14")]));
        assert_eq!(trailers_only.outcome, Outcome::Overloaded);
        assert_eq!(
            trailers_only.signal,
            Signal::Response {
                status: StatusCode::OK,
                grpc_status: Some(14),
                ratelimited: false
            }
        );
        let mut classifier = HttpClassifier::default();
        let parts = head(200, &[("content-type", "application/grpc")]);
        assert!(matches!(
            classifier.head(&parts, SystemTime::UNIX_EPOCH),
            Verdict::Done(c) if c.is_success()
        ));
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "13".parse().unwrap());
        assert_eq!(
            classifier.end(Some(&trailers)).outcome,
            Outcome::ServerError
        );
        trailers.insert("grpc-status", "0".parse().unwrap());
        assert!(classifier.end(Some(&trailers)).is_success());
        trailers.insert("grpc-status", "x".parse().unwrap());
        assert!(classifier.end(Some(&trailers)).is_success());
    }

    #[test]
    fn a_failed_body_changes_a_success_but_no_failure() {
        let error: BoxError = Error::new(Kind::IdleTimeout).into();
        for (status, outcome) in [(200, Outcome::StreamStalled), (500, Outcome::ServerError)] {
            let mut classifier = HttpClassifier::default();
            let _ = classifier.head(&head(status, &[]), SystemTime::UNIX_EPOCH);
            assert_eq!(classifier.error(&error).outcome, outcome);
        }
        assert_eq!(
            HttpClassifier::default().error(&error).outcome,
            Outcome::Timeout
        );
    }

    #[test]
    fn envoys_rate_limit_mark_is_seen() {
        let class = decided(&head(429, &[("x-envoy-ratelimited", "true")]));
        assert!(matches!(
            class.signal,
            Signal::Response {
                ratelimited: true,
                ..
            }
        ));
    }
}
