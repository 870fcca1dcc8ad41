//! Parameters of the call layer.

use crate::llm::Setting;

/// What is read of LLM requests, and what is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Params {
    /// The dialect, where the operator said so.
    pub dialect: Setting,
    /// Whether usage is asked for on behalf of a caller who did not.
    pub inject_usage: bool,
    /// How many bytes of a body are read at most.
    pub cap: usize,
}

impl Default for Params {
    /// The dialect as the request shows it; nothing added; 1 MiB.
    fn default() -> Self {
        Self {
            dialect: Setting::Auto,
            inject_usage: false,
            cap: 1024 * 1024,
        }
    }
}

impl Params {
    /// Sets the dialect.
    #[must_use]
    pub fn with_dialect(mut self, dialect: Setting) -> Self {
        self.dialect = dialect;
        self
    }

    /// Sets whether usage is asked for.
    #[must_use]
    pub fn with_inject_usage(mut self, inject: bool) -> Self {
        self.inject_usage = inject;
        self
    }
}
