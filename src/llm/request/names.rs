//! What a body says of its model.

use std::{ops::Range, sync::Arc};

/// What a body says of its model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// The first name; `None` in it is a value that is no name.
    pub(crate) first: Option<(Option<Arc<str>>, Range<u64>)>,
    /// Whether a name follows it.
    pub(crate) again: bool,
    /// Whether one that follows differs.
    pub(crate) differs: bool,
}

// === impl Named ===

impl Named {
    /// Notes a name, or a value that is none.
    pub(super) fn note(&mut self, name: Option<Arc<str>>, place: Range<u64>) {
        match &self.first {
            None => self.first = Some((name, place)),
            Some((first, _)) => {
                self.again = true;
                self.differs |= *first != name;
            }
        }
    }

    /// The model, if it is a name.
    pub(crate) fn model(&self) -> Option<&Arc<str>> {
        self.first.as_ref()?.0.as_ref()
    }
}
