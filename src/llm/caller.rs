//! What a caller may use, and how one is refused.

use std::sync::Arc;

use super::{Dialect, glob::Glob};
use crate::base::{Error, Refusal};

/// The models that the request's caller may use, by the names that callers write. In the extensions of requests; absent means
/// all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed(Arc<[Glob]>);

/// A refusal, with the dialect in which its caller is told of it where the request does not show one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct Refused {
    /// Why.
    #[source]
    pub refusal: Refusal,
    /// Whose words; `None`: plain text.
    pub dialect: Option<Dialect>,
}

// === impl Allowed ===

impl Allowed {
    /// Those that one of the patterns is for.
    #[must_use]
    pub fn new(models: impl Into<Arc<[Glob]>>) -> Self {
        Self(models.into())
    }

    /// Those that are named in full.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|glob| glob.is_name())
            .map(Glob::as_str)
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.0.iter().any(|glob| glob.matches(model))
    }
}

// === impl Refused ===

impl Refused {
    /// The refusal that an error is raised for.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }
}
