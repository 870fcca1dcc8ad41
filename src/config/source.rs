//! A text to be read, and how it came to be.

use std::fmt;

use super::layer::Layer;

/// A text to be read.
///
/// `Debug` shows how long the text is, not the text: it may hold secrets.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// What diagnostics call it: a path.
    pub name: String,
    /// YAML or JSON, several documents.
    pub text: String,
    /// Whether its resources win over those of other sources for the same host.
    pub layer: Layer,
    /// Why the text is not all of it.
    pub(super) unread: Option<Unread>,
}

/// Why a file's text is not all that it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is no UTF-8; the text is what could be made of it.
    NotUtf8,
    /// It has this many bytes; the text is its beginning.
    TooLarge(u64),
    /// It could not be read; there is no text.
    Failed(String),
}

// === impl Source ===

impl Source {
    /// A text.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            layer: Layer::default(),
            unread: None,
        }
    }

    /// The same text as an overlay.
    #[must_use]
    pub fn as_overlay(mut self) -> Self {
        self.layer = Layer::Overlay;
        self
    }

    /// The same text as one that is there unless a file says otherwise.
    #[must_use]
    pub fn as_built_in(mut self) -> Self {
        self.layer = Layer::BuiltIn;
        self
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("bytes", &self.text.len())
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}
