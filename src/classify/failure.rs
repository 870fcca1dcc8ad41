//! An error that knows its class.

use std::{error::Error as StdError, fmt, io};

use crate::{base::BoxError, classify::Class};

/// The class of a failure, carried by its error: a source of the [`Error`](crate::base::Error) that is raised for it. For failures
/// of which a [`Kind`](crate::base::Kind) says too little: an error event in a stream has a meaning of its own.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What the attempt came to.
    pub class: Class,
    /// Whether the reader of the body was told already: the provider's own error event went before this error.
    pub told: bool,
    source: Option<BoxError>,
}

// === impl Failure ===

impl Failure {
    /// A failure of this class, of which the reader knows nothing yet.
    #[must_use]
    pub fn new(class: Class) -> Self {
        Self {
            class,
            told: false,
            source: None,
        }
    }

    /// Sets whether the reader was told already.
    #[must_use]
    pub fn with_told(mut self, told: bool) -> Self {
        self.told = told;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: BoxError) -> Self {
        self.source = Some(source);
        self
    }

    /// The failure in an error's chain of sources.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(e) = next {
            if let Some(found) = e.downcast_ref::<Self>() {
                return Some(found);
            }
            // An `io::Error` names the source of what it wraps as its own, and so hides what it wraps.
            next = match e.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => e.source(),
            };
        }
        None
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = self.class.inner.unwrap_or(self.class.outcome);
        write!(f, "the attempt's class is {}", outcome.as_str())
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|e| e as &(dyn StdError + 'static))
    }
}
