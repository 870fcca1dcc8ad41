//! Where an attempt's class can be read.

use std::sync::{Arc, OnceLock};

use crate::classify::Class;

/// The class of an attempt, in the extensions of its response.
///
/// A layer below [`Classify`](super::Classify) that knows more than a classifier can (it holds streams back until their first content) leaves
/// one itself: then that one counts, and nothing is held back any more.
#[derive(Clone, Debug, Default)]
pub struct Classified(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    open: bool,
    head: OnceLock<Class>,
    end: OnceLock<Class>,
}

// === impl Classified ===

impl Classified {
    /// For an answer of which the head says nothing: only its end counts.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::new(Cells {
            open: true,
            ..Cells::default()
        }))
    }

    /// Whether only the end counts.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.open
    }

    /// What is known when the response is handed on: decided at the head, or after holding back the body's beginning.
    #[must_use]
    pub fn head(&self) -> Option<&Class> {
        self.0.head.get()
    }

    /// What it came to in the end; `None` while the body runs.
    #[must_use]
    pub fn end(&self) -> Option<&Class> {
        self.0.end.get()
    }

    /// Decides at the head. Only the first call counts.
    pub fn set_head(&self, class: Class) {
        let _ = self.0.head.set(class);
    }

    /// Decides at the end. Only the first call counts.
    pub fn set_end(&self, class: Class) {
        let _ = self.0.end.set(class);
    }
}
