//! Where a stream stands, and how an error event gets into it.
//!
//! A stream may break anywhere. An event that begins in the middle of another would be read as a part of it, so the bytes
//! that were passed on are followed as far as the framing needs: no more is kept than a few bytes.

use ::http::StatusCode;
use bytes::{Bytes, BytesMut};

use super::{body, event};
use crate::{
    classify::Outcome,
    llm::{Dialect, stream::Framing},
};

/// The place that a stream has come to.
#[derive(Clone, Debug)]
pub struct Place {
    framing: Framing,
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    /// SSE and NDJSON: the last bytes, the newest last; how many there were, up to three.
    Text { last: [u8; 3], seen: usize },
    /// A JSON array.
    Array(Array),
    /// Binary frames.
    Frames(Frames),
}

#[derive(Clone, Copy, Debug, Default)]
struct Array {
    depth: u32,
    string: bool,
    escaped: bool,
    /// The last byte that is no white space.
    last: u8,
}

/// A frame begins with its length, big-endian.
#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    length: [u8; 4],
    /// Bytes of the current frame so far.
    had: u64,
    /// It cannot be told any more where frames begin.
    lost: bool,
}

// === impl Place ===

impl Place {
    /// The beginning of a stream.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let at = match framing {
            Framing::JsonArray => At::Array(Array::default()),
            Framing::EventStream => At::Frames(Frames::default()),
            Framing::Sse | Framing::NdJson => At::Text {
                last: [0; 3],
                seen: 0,
            },
        };
        Self { framing, at }
    }

    /// Follows bytes that the caller gets.
    pub fn pass(&mut self, chunk: &[u8]) {
        match &mut self.at {
            At::Text { last, seen } => {
                let from = chunk.len().saturating_sub(last.len());
                for byte in chunk.iter().skip(from) {
                    last.rotate_left(1);
                    last[2] = *byte;
                }
                *seen = seen.saturating_add(chunk.len()).min(last.len());
            }
            At::Array(array) => chunk.iter().for_each(|byte| array.pass(*byte)),
            At::Frames(frames) => frames.pass(chunk),
        }
    }

    /// The error event as the next bytes, with what first ends a line or event that was cut. `None` where nothing can be
    /// added that would be read: in the middle of an array's element or of a binary frame, and after an array's end.
    #[must_use]
    pub fn error(
        &self,
        dialect: Dialect,
        outcome: Outcome,
        status: StatusCode,
        message: &str,
    ) -> Option<Bytes> {
        let (before, after) = match &self.at {
            At::Text { last, seen } => (self.ending(*last, *seen), ""),
            At::Array(array) => {
                let element = body(dialect, outcome, status, message);
                let before = array.before()?;
                return Some([before, &element[..], b"]"].concat().into());
            }
            At::Frames(frames) if frames.had > 0 || frames.lost => return None,
            At::Frames(_) => ("", ""),
        };
        let event = event(dialect, self.framing, outcome, status, message);
        let mut out = BytesMut::with_capacity(before.len() + event.len() + after.len());
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(&event);
        out.extend_from_slice(after.as_bytes());
        Some(out.freeze())
    }

    /// What ends the line, or the event, in which the stream stands.
    fn ending(&self, last: [u8; 3], seen: usize) -> &'static str {
        match (self.framing, last) {
            _ if seen == 0 => "",
            (Framing::NdJson, [.., b'\n']) => "",
            (Framing::NdJson, _) => "\n",
            (_, [.., b'\n', b'\n'] | [.., b'\r', b'\r'] | [b'\n', b'\r', b'\n']) => "",
            // Empty lines too many are nothing; after a lone CR the first LF may be its second half.
            _ => "\n\n",
        }
    }
}

// === impl Array ===

impl Array {
    fn pass(&mut self, byte: u8) {
        if self.string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.string = true,
            b'[' | b'{' => self.depth = self.depth.saturating_add(1),
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            b' ' | b'\t' | b'\n' | b'\r' => return,
            _ => {}
        }
        self.last = byte;
    }

    fn before(self) -> Option<&'static [u8]> {
        match (self.depth, self.last) {
            (0, 0) => Some(b"["),
            (1, b'[' | b',') => Some(b""),
            (1, b'}') => Some(b","),
            _ => None,
        }
    }
}

// === impl Frames ===

impl Frames {
    fn pass(&mut self, mut chunk: &[u8]) {
        while !self.lost
            && let Some((first, rest)) = chunk.split_first()
        {
            if let Some(slot) = usize::try_from(self.had)
                .ok()
                .and_then(|at| self.length.get_mut(at))
            {
                *slot = *first;
                self.had += 1;
                chunk = rest;
                continue;
            }
            let length = u64::from(u32::from_be_bytes(self.length));
            // A prelude, its checksum and the message's take 16 bytes.
            if length < 16 {
                self.lost = true;
                return;
            }
            let take = (length - self.had).min(chunk.len() as u64);
            self.had += take;
            chunk = usize::try_from(take)
                .ok()
                .and_then(|take| chunk.get(take..))
                .unwrap_or_default();
            if self.had == length {
                *self = Self::default();
            }
        }
    }
}
