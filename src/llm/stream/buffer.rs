//! The part of an event that has come so far.
//!
//! Up to [`WHOLE`] bytes are kept as they are. Of a longer event (an image, an answer that is repeated whole at the end)
//! long texts are shortened while they come: what is decisive is never a long text. So the length of an event alone decides
//! what of it is read, not the chunks it came in.

use memchr::{memchr, memchr2};

use super::Piece;

/// Longest event that is read as it is.
pub(super) const WHOLE: usize = 64 * 1024;
/// Most of one event that is kept, after its texts were shortened.
const CAP: usize = 1024 * 1024;
/// How much of a text is kept in a longer event.
const TEXT: usize = 1024;
/// A buffer that grew beyond this is given back after its event.
const KEPT: usize = 16 * 1024;

/// A bounded buffer for the JSON of one event.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    shorten: Option<Shorten>,
    over: bool,
}

/// Where in a longer event we are.
#[derive(Clone, Copy, Debug, Default)]
struct Shorten {
    in_text: bool,
    /// How many bytes of an escape are still to come; of `\u` as many again after the `u`.
    escape: u8,
    /// How much of the text was kept.
    kept: usize,
    /// The rest of the text is left out.
    dropping: bool,
}

// === impl Buffer ===

impl Buffer {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.over
    }

    pub(super) fn push(&mut self, part: &[u8]) {
        if self.over {
            return;
        }
        if self.shorten.is_none() && part.len() <= WHOLE - self.bytes.len().min(WHOLE) {
            self.bytes.extend_from_slice(part);
            return;
        }
        if self.shorten.is_none() {
            let whole = std::mem::take(&mut self.bytes);
            self.push_short(&whole);
        }
        self.push_short(part);
        if self.bytes.len() > CAP {
            self.over = true;
            self.bytes = Vec::new();
        }
    }

    /// The event of this name.
    pub(super) fn event<'a>(&'a self, name: &'a [u8]) -> Piece<'a> {
        match self.get() {
            Some(data) => Piece::Event(name, data),
            None => Piece::Long(name),
        }
    }

    /// What came; `None` if it is too long to be read.
    pub(super) fn get(&self) -> Option<&[u8]> {
        (!self.over).then_some(&self.bytes)
    }

    pub(super) fn clear(&mut self) {
        self.over = false;
        self.shorten = None;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }

    fn push_short(&mut self, part: &[u8]) {
        let mut at = self.shorten.unwrap_or_default();
        let mut rest = part;
        while let Some(byte) = rest.first() {
            if self.bytes.len() > CAP {
                break;
            }
            let taken = if at.dropping && at.escape == 0 {
                memchr2(b'"', b'\\', rest).unwrap_or(rest.len())
            } else if !at.in_text {
                let outside = memchr(b'"', rest).unwrap_or(rest.len());
                self.bytes.extend_from_slice(&rest[..outside]);
                outside
            } else {
                0
            };
            if taken > 0 {
                rest = &rest[taken..];
                continue;
            }
            if at.byte(*byte) {
                self.bytes.push(*byte);
            }
            rest = &rest[1..];
        }
        self.shorten = Some(at);
    }
}

// === impl Shorten ===

impl Shorten {
    /// Whether to keep the next byte. A text is cut before a plain ASCII character only: not inside of an escape or of a
    /// longer character, nor between two surrogates.
    fn byte(&mut self, byte: u8) -> bool {
        if !self.in_text {
            self.in_text = byte == b'"';
            return true;
        }
        self.kept += 1;
        if self.escape > 0 {
            let digits = self.escape == 5 && byte == b'u';
            self.escape = match self.escape {
                5 if !digits => 0,
                left => left - 1,
            };
            return !self.dropping;
        }
        match byte {
            b'"' => {
                *self = Self::default();
                return true;
            }
            b'\\' => self.escape = 5,
            b' '..=b'~' if self.kept > TEXT => self.dropping = true,
            _ => {}
        }
        !self.dropping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortened(event: &str, cut: usize) -> String {
        let mut buffer = Buffer::default();
        for part in event.as_bytes().chunks(cut) {
            buffer.push(part);
        }
        String::from_utf8(buffer.get().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        for unit in [
            "a",
            "é",
            "\\n",
            "\\\"",
            "\\\\",
            "\\u00e9",
            "\\ud83d\\ude00",
            "\u{1f600}x",
            "\\\\\\\"a",
        ] {
            let text = unit.repeat(WHOLE / unit.len() + 1);
            let event = format!("{{\"a\": \"{text}\", \"b\": [1, \"\\\\\"]}}");
            let short = shortened(&event, WHOLE * 2);
            let value: serde_json::Value = serde_json::from_str(&short).unwrap();
            assert_eq!(value["b"], serde_json::json!([1, "\\"]), "{unit}");
            assert!(
                serde_json::from_str::<serde_json::Value>(&event).unwrap()["a"]
                    .as_str()
                    .unwrap()
                    .starts_with(value["a"].as_str().unwrap()),
                "{unit}"
            );
            for cut in [1, 7, 1000] {
                assert_eq!(shortened(&event, cut), short, "{unit} {cut}");
            }
            if unit.contains('a') || unit.contains('x') {
                assert!(short.len() < 2 * TEXT, "{unit}: {}", short.len());
            }
        }
    }

    #[test]
    fn what_stays_too_long_is_not_read() {
        let mut buffer = Buffer::default();
        for _ in 0..200_000 {
            buffer.push(b"[1,2,3]");
        }
        assert_eq!(buffer.get(), None);
        assert!(buffer.bytes.capacity() <= KEPT);
        buffer.clear();
        buffer.push(b"{}");
        assert_eq!(buffer.get(), Some(&b"{}"[..]));
    }
}
