//! JSON values one after the other: one a line, or the elements of one array.

use memchr::{memchr, memchr2};

use super::{
    Fault, Piece, Sink,
    buffer::{Buffer, WHOLE},
};

/// One JSON value a line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Buffer,
}

/// The elements of one array. A lone object, which is how an error may come in its place, counts as an element.
#[derive(Debug, Default)]
pub(super) struct Array {
    place: Place,
    element: Buffer,
    /// How deep in the element, in brackets; whether in a text of it; whether after a backslash there.
    depth: usize,
    in_text: bool,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    /// Before the array.
    #[default]
    Before,
    /// Between elements.
    Between,
    /// In an element.
    Inside,
    /// In an object that stands in place of the array.
    Alone,
    /// After the array.
    After,
    /// It is no such array, or no more: what follows cannot be read.
    Lost,
}

// === impl Lines ===

impl Lines {
    pub(super) fn feed(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<(), Fault> {
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            if self.line.is_empty() && line.len() <= WHOLE {
                sink(Piece::Event(b"", line))?;
            } else {
                self.line.push(line);
                let given = sink(self.line.event(b""));
                self.line.clear();
                given?;
            }
        }
        if !rest.is_empty() {
            self.line.push(rest);
        }
        Ok(())
    }

    /// The stream ended: gives what has no end of its own.
    pub(super) fn end(&mut self, sink: &mut impl Sink) -> Result<(), Fault> {
        if self.line.is_empty() {
            return Ok(());
        }
        let given = match self.line.event(b"") {
            Piece::Event(name, line) => sink(Piece::Cut(name, line)),
            long => sink(long),
        };
        self.line.clear();
        given
    }
}

// === impl Array ===

impl Array {
    pub(super) fn feed(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<(), Fault> {
        let mut rest = chunk;
        while let Some(byte) = rest.first() {
            if !matches!(self.place, Place::Inside | Place::Alone) {
                self.place = match (self.place, byte) {
                    // What follows the array is none of it.
                    (Place::After | Place::Lost, _) => return Ok(()),
                    (place, b' ' | b'\t' | b'\r' | b'\n') => place,
                    (Place::Before, b'[') | (Place::Between, b',') => Place::Between,
                    (Place::Before, b'{') => Place::Alone,
                    (Place::Between, b'{') => Place::Inside,
                    (Place::Between, b']') => Place::After,
                    _ => {
                        self.place = Place::Lost;
                        return sink(Piece::Broken);
                    }
                };
                if !matches!(self.place, Place::Inside | Place::Alone) {
                    rest = &rest[1..];
                    continue;
                }
            }
            let (len, ended) = self.scan(rest);
            let (part, tail) = rest.split_at(len);
            rest = tail;
            if !ended {
                self.element.push(part);
                break;
            }
            self.place = match self.place {
                Place::Alone => Place::After,
                _ => Place::Between,
            };
            if self.element.is_empty() && len <= WHOLE {
                sink(Piece::Event(b"", part))?;
            } else {
                self.element.push(part);
                let given = sink(self.element.event(b""));
                self.element.clear();
                given?;
            }
        }
        Ok(())
    }

    /// Whether the array was closed. An array that was not cannot be read by whoever waits for it.
    pub(super) fn is_whole(&self) -> bool {
        self.place == Place::After
    }

    /// How much of `rest` belongs to the element, and whether the element ends there.
    fn scan(&mut self, rest: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            if self.in_text {
                if std::mem::take(&mut self.escaped) {
                    at += 1;
                    continue;
                }
                let tail = rest.get(at..).unwrap_or_default();
                let Some(stop) = memchr2(b'"', b'\\', tail) else {
                    return (rest.len(), false);
                };
                self.escaped = tail.get(stop) == Some(&b'\\');
                self.in_text = self.escaped;
                at += stop + 1;
                continue;
            }
            at += 1;
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return (at, true);
                    }
                }
                _ => {}
            }
        }
        (rest.len(), false)
    }
}
