//! What is known of an attempt at its response head, and what at its end.
//!
//! Envoy counts at the response head; the failure of a body after it is one more event. An LLM answer may need its
//! body before it is known whose fault it is, so an error whose class is not decided at the head is counted at the
//! end. The class comes from [`Classified`]; without a classifier below, from the status and the kind of error.

use http::{Response, StatusCode};

use super::seen::Seen;
use crate::{
    base::{
        Error, Kind,
        error::{self, ResetReason},
        ext::GivenUp,
    },
    body::End,
    classify::{Class, Classified, Outcome, Signal},
};

/// An attempt that has a response head.
#[derive(Clone, Debug)]
pub struct Phases {
    classified: Option<Classified>,
    /// The class by the head alone.
    plain: Class,
    counted: bool,
}

// === impl Phases ===

impl Phases {
    /// Reads the head.
    #[must_use]
    pub fn new<B>(response: &Response<B>) -> Self {
        Self {
            classified: response.extensions().get().cloned(),
            plain: of_head(response),
            counted: false,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.plain.signal {
            Signal::Response { status, .. } => status,
            Signal::Error(_) => StatusCode::OK,
        }
    }

    /// The class, if it is decided at the head.
    #[must_use]
    pub fn head(&self) -> Option<&Class> {
        match &self.classified {
            Some(classified) => classified.head(),
            None => Some(&self.plain),
        }
    }

    /// What to count at the head.
    #[must_use]
    pub fn seen_at_head(&mut self) -> Option<Seen> {
        let class = match self.head() {
            Some(class) => class,
            // Whatever the body says, it is no error to the detector.
            None if self.plain.is_success() => &self.plain,
            None => return None,
        };
        let seen = Seen::of_class(class);
        self.counted = true;
        seen
    }

    /// The class at the end; `None` if the reader went away before anything was decided.
    #[must_use]
    pub fn end<E: 'static>(&self, how: &End<'_, E>) -> Option<Class> {
        if let Some(class) = self.classified.as_ref().and_then(Classified::end) {
            return Some(class.clone());
        }
        match how {
            End::Complete => Some(self.head().unwrap_or(&self.plain).clone()),
            End::Failed(e) => Some(of_error(error::find_any(*e))),
            End::Dropped => None,
        }
    }

    /// What to count at the end, where `class` is what [`end`](Self::end) gave.
    #[must_use]
    pub fn seen_at_end<E: 'static>(&self, how: &End<'_, E>, class: Option<&Class>) -> Option<Seen> {
        let failed = matches!(how, End::Failed(_))
            && class.is_some_and(|c| matches!(c.signal, Signal::Error(_)));
        if self.counted && !failed {
            return None;
        }
        Seen::of_class(class.unwrap_or(&self.plain))
    }
}

/// The class of an attempt that failed with this error; `None` is an error that is none of ours: the transport's.
#[must_use]
pub fn of_error(error: Option<&Error>) -> Class {
    let foreign = Kind::Reset {
        reason: ResetReason::Terminated,
        sent: true,
    };
    let kind = error.map_or(foreign, Error::kind);
    let outcome = match kind {
        Kind::AttemptTimeout | Kind::DeadlineExceeded | Kind::IdleTimeout => Outcome::Timeout,
        Kind::FirstTokenTimeout => Outcome::FirstTokenTimeout,
        Kind::Connect(_) => Outcome::Connect,
        Kind::Reset { .. } => Outcome::Reset,
        Kind::StreamTruncated => Outcome::StreamTruncated,
        Kind::UpstreamProtocol => Outcome::MalformedStream,
        Kind::BadRequest => Outcome::InvalidRequest,
        Kind::BodyTooLarge => Outcome::TooLarge,
        Kind::Canceled => Outcome::Cancelled,
        Kind::CircuitOpen
        | Kind::FaultAbort(_)
        | Kind::Forbidden
        | Kind::Internal
        | Kind::NoCluster
        | Kind::NoEndpoints
        | Kind::NoRoute
        | Kind::Overflow
        | Kind::RateLimited
        | Kind::Unauthorized
        | Kind::UnknownHost => Outcome::Local,
    };
    Class::new(outcome, Signal::Error(kind))
}

/// The class of an attempt that was dropped before its response head; `None` if its caller went away.
#[must_use]
pub fn of_drop(given_up: Option<&GivenUp>) -> Option<Class> {
    let kind = given_up.and_then(GivenUp::why)?;
    Some(of_error(Some(&Error::new(kind))))
}

fn of_head<B>(response: &Response<B>) -> Class {
    let number = |name| {
        let value = response.headers().get(name)?;
        value.to_str().ok()?.trim().parse::<u16>().ok()
    };
    let grpc_status = number("grpc-status");
    let status = response.status();
    let signal = Signal::Response {
        status,
        grpc_status,
        ratelimited: response.headers().contains_key("x-envoy-ratelimited"),
    };
    let status = match grpc_status {
        Some(_) => Seen::of_class(&Class::new(Outcome::Success, signal)).map_or(200, Seen::status),
        None => status.as_u16(),
    };
    let outcome = match status {
        429 => Outcome::RateLimited,
        400..=499 => Outcome::InvalidRequest,
        500.. => Outcome::ServerError,
        _ => Outcome::Success,
    };
    Class::new(outcome, signal)
}
