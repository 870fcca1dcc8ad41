//! What a caller is told of its mistake, where Envoy would say nothing.

use std::{borrow::Cow, fmt};

/// A sentence for the caller, as the source of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told(pub Cow<'static, str>);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}
