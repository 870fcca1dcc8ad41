//! The part of an event that has come so far.

/// Most of one event that is kept.
const CAP: usize = 1024 * 1024;
/// A buffer that grew beyond this is given back after its event.
const KEPT: usize = 16 * 1024;

/// A bounded buffer.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    over: bool,
}

// === impl Buffer ===

impl Buffer {
    pub(super) fn push(&mut self, part: &[u8]) {
        if self.over || part.len() > CAP - self.bytes.len() {
            self.over = true;
            self.bytes = Vec::new();
            return;
        }
        self.bytes.extend_from_slice(part);
    }

    /// The event; `None` if it is too long to be read.
    pub(super) fn get(&self) -> Option<&[u8]> {
        (!self.over).then_some(&self.bytes)
    }

    pub(super) fn clear(&mut self) {
        self.over = false;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}
