//! What is known of an attempt at its response head, and what at its end.
//!
//! Envoy counts at the response head; the failure of a body after it is one more event. An LLM answer may need its
//! body before it is known whose fault it is, so an error whose class is not decided at the head is counted at the
//! end, and so is a stream, whose 200 is no success yet: counted at its head, it would forgive the failures before it. One
//! whose caller goes away counts as nothing. The class comes from [`Classified`]; without a classifier below, from the status and the error.

use std::time::UNIX_EPOCH;

use http::{StatusCode, response};

use super::seen::Observation;
use crate::{
    base::{BoxError, Error, ext::CancelReason},
    body::End,
    classify::{
        Class, Classified, Classifier, Outcome, Scope, Signal, Verdict,
        http::{HttpClassifier, signal},
        transport::{class_of_body_error, class_of_error},
    },
};

/// An attempt that has a response head.
#[derive(Clone, Debug)]
pub struct Phases {
    classified: Option<Classified>,
    /// The class by the head alone.
    plain: Class,
    status: StatusCode,
    counted: bool,
}

// === impl Phases ===

impl Phases {
    /// Reads the head.
    #[must_use]
    pub fn new(head: &response::Parts) -> Self {
        Self {
            classified: head.extensions.get().cloned(),
            plain: plain(head),
            status: head.status,
            counted: false,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
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
    pub fn seen_at_head(&mut self) -> Option<Observation> {
        let class = match self.head() {
            Some(class) => class,
            None if self.open() => return None,
            // Whatever the body says, it is no error to the detector.
            None if self.plain.is_success() => &self.plain,
            None => return None,
        };
        let seen = Observation::of_class(class);
        self.counted = true;
        seen
    }

    /// The class at the end; `None` if the reader went away before anything was decided.
    #[must_use]
    pub fn end(&self, how: &End<'_, BoxError>) -> Option<Class> {
        let class = self.classified.as_ref().and_then(Classified::end);
        match (class, how) {
            (Some(class), End::Dropped) if class.outcome == Outcome::Cancelled => None,
            (Some(class), _) => Some(class.clone()),
            (None, End::Complete) => Some(self.head().unwrap_or(&self.plain).clone()),
            (None, End::Failed(error)) => Some(class_of_body_error(error)),
            (None, End::Dropped) => None,
        }
    }

    /// What to count at the end, where `class` is what [`end`](Self::end) gave.
    #[must_use]
    pub fn seen_at_end<E: 'static>(
        &self,
        how: &End<'_, E>,
        class: Option<&Class>,
    ) -> Option<Observation> {
        let failed = matches!(how, End::Failed(_))
            && class.is_some_and(|c| matches!(c.signal, Signal::Error(_)));
        if self.counted && !failed {
            return None;
        }
        match class {
            None if self.open() => None,
            class => Observation::of_class(class.unwrap_or(&self.plain)),
        }
    }

    /// Whether only the end counts.
    fn open(&self) -> bool {
        self.classified.as_ref().is_some_and(Classified::is_open)
    }
}

/// The class of an attempt that was dropped before its response head; `None` if its caller went away.
///
/// A timeout of this side is the endpoint's silence, whichever of our limits it was.
#[must_use]
pub fn of_drop(given_up: Option<&CancelReason>) -> Option<Class> {
    let kind = given_up.and_then(CancelReason::why)?;
    let mut class = class_of_error(&Error::new(kind).into());
    if class.outcome == Outcome::Timeout {
        class.scope = Scope::Target;
    }
    Some(class)
}

/// The class by status and `grpc-status`.
fn plain(head: &response::Parts) -> Class {
    // It reads no dates, so no clock.
    match HttpClassifier::default().head(head, UNIX_EPOCH) {
        Verdict::Done(class) => class,
        Verdict::Wait => Class::new(Outcome::Success, signal(head)),
    }
}
