//! A directive that cannot be read.

use std::fmt;

/// A directive that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadDirective {
    pub(super) name: String,
    pub(super) expected: &'static str,
}

// === impl BadDirective ===

impl BadDirective {
    pub(super) fn new(name: &str, expected: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            expected,
        }
    }
}

impl fmt::Display for BadDirective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: expected {}", self.name, self.expected)
    }
}

impl std::error::Error for BadDirective {}
