//! Blanks that were put before lines, so that places can be told as they are in the file.

use std::collections::BTreeMap;

/// How many blanks were put before which line, from 1.
#[derive(Debug, Default)]
pub(super) struct Padding(BTreeMap<usize, usize>);

// === impl Padding ===

impl Padding {
    /// The blanks before a line.
    pub(super) fn before(&self, line: usize) -> usize {
        self.0.get(&line).copied().unwrap_or_default()
    }

    /// Puts `blanks` before a line.
    pub(super) fn insert(&mut self, line: usize, blanks: usize) {
        self.0.insert(line, blanks);
    }

    /// How many lines have blanks before them.
    pub(super) fn lines(&self) -> usize {
        self.0.len()
    }
}
