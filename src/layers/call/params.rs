//! Parameters of the call layer.

use crate::llm::DialectMode;

/// What is read of LLM requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Params {
    /// The dialect, where the operator said so.
    pub dialect: DialectMode,
    /// How many bytes of a body are read at most.
    pub cap: usize,
}

impl Default for Params {
    /// The dialect as the request shows it; 1 MiB.
    fn default() -> Self {
        Self {
            dialect: DialectMode::Auto,
            cap: 1024 * 1024,
        }
    }
}

impl Params {
    /// Sets the dialect.
    #[must_use]
    pub fn with_dialect(mut self, dialect: DialectMode) -> Self {
        self.dialect = dialect;
        self
    }

    /// Sets how many bytes of a body are read at most.
    #[must_use]
    pub fn with_cap(mut self, bytes: usize) -> Self {
        self.cap = bytes;
        self
    }
}
