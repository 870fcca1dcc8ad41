//! Server-sent events: lines that end with CR, LF or CRLF, fields, and an empty line after each event.
//!
//! [HTML, 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation), but that `id` and
//! `retry` are of no interest, the last event need not end with an empty line, and two things are seen that a reader of
//! events passes over, since errors come in them: a field `error`, which is an event of this name, and JSON that stands in a
//! line of its own, or in several.
//!
//! An event whose only data line lies in one chunk together with the empty line is looked at in place; anything else is
//! copied until its end has come.

use memchr::{memchr, memchr2};

use super::{
    Fault, Piece, Sink,
    buffer::{Buffer, WHOLE},
    stray::Stray,
};

/// Longest event name that is kept; a longer one is no name of ours.
const NAME_CAP: usize = 64;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A decoder.
#[derive(Debug, Default)]
pub(super) struct Sse {
    /// Bytes of a byte order mark seen, or 3 once it cannot come any more.
    bom: usize,
    /// The last byte was a CR: a LF belongs to it.
    after_cr: bool,
    line: Line,
    name: Vec<u8>,
    data: Buffer,
    /// Whether the event has a data line.
    has_data: bool,
    /// The value of a field `error`, of which readers of events know nothing.
    error: Option<Buffer>,
    /// JSON outside of all fields that is not over.
    stray: Option<Box<Stray>>,
}

/// Where in a line the last chunk ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Line {
    /// At its beginning.
    #[default]
    Start,
    /// In the field's name, of which this is known.
    Field([u8; 5], usize),
    /// After the colon, where one space may come.
    Space(Field),
    /// In the value.
    Value(Field),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Data,
    Error,
    Event,
    /// A comment, or a field without interest.
    Other,
    /// None of the standard's.
    Foreign,
}

// === impl Sse ===

impl Sse {
    /// Looks at the next bytes, and gives each event that is whole to `sink`.
    pub(super) fn feed(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<(), Fault> {
        let mut rest = self.without_bom(chunk);
        while let Some(first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            if self.stray.is_some() || self.strays(*first) {
                rest = self.stray(rest, sink)?;
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', rest) else {
                self.part(rest);
                break;
            };
            let (line, tail) = rest.split_at(end);
            self.after_cr = tail.first() == Some(&b'\r');
            rest = tail.get(1..).unwrap_or_default();
            if self.line != Line::Start {
                self.part(line);
                self.end_line(sink)?;
            } else if line.is_empty() {
                self.dispatch(sink)?;
            } else if !self.has_data
                && self.error.is_none()
                && let Some(value) = data_value(line).filter(|value| value.len() <= WHOLE)
                && let Some((tail, after_cr)) = self.blank(rest)
            {
                (rest, self.after_cr) = (tail, after_cr);
                let given = sink(Piece::Event(&self.name, value));
                self.name.clear();
                given?;
            } else {
                self.part(line);
                self.end_line(sink)?;
            }
        }
        Ok(())
    }

    /// The stream ended: gives what has no end of its own.
    pub(super) fn end(&mut self, sink: &mut impl Sink) -> Result<(), Fault> {
        if self.stray.take().is_some() {
            return sink(Piece::Foreign);
        }
        match self.line {
            Line::Start => {}
            // A known field may have been cut off in its name.
            Line::Field(known, len) if begins_known(known.get(..len).unwrap_or_default()) => {
                self.line = Line::Start;
            }
            _ => self.end_line(sink)?,
        }
        self.give_error(sink)?;
        if !std::mem::take(&mut self.has_data) {
            return Ok(());
        }
        match self.data.event(&self.name) {
            Piece::Event(name, data) => sink(Piece::Cut(name, data)),
            long => sink(long),
        }
    }

    /// Whether JSON begins that is in no field.
    fn strays(&self, first: u8) -> bool {
        matches!(first, b'{' | b'[')
            && self.line == Line::Start
            && !self.has_data
            && self.error.is_none()
    }

    /// Goes on with JSON that is in no field; gives what is left after it.
    fn stray<'a>(&mut self, rest: &'a [u8], sink: &mut impl Sink) -> Result<&'a [u8], Fault> {
        let mut stray = self.stray.take().unwrap_or_default();
        let taken = stray.take(rest);
        let rest = rest.get(taken.len..).unwrap_or_default();
        self.after_cr = taken.after_cr;
        match taken.ended {
            None => self.stray = Some(stray),
            // The rest of its line is none of a field's.
            Some(true) => {
                self.line = Line::Value(Field::Other);
                let given = match stray.json() {
                    Some(json) => sink(Piece::Stray(&self.name, json)),
                    None => sink(Piece::Foreign),
                };
                self.name.clear();
                given?;
            }
            Some(false) => {
                self.line = Line::Start;
                self.name.clear();
                sink(Piece::Foreign)?;
            }
        }
        Ok(rest)
    }

    /// What follows an empty line at the beginning of `rest`, if there is one, and whether that line ended with a CR.
    fn blank<'a>(&self, rest: &'a [u8]) -> Option<(&'a [u8], bool)> {
        let rest = match rest {
            [b'\n', rest @ ..] if self.after_cr => rest,
            rest => rest,
        };
        match rest {
            [b'\n', rest @ ..] => Some((rest, false)),
            [b'\r', rest @ ..] => Some((rest, true)),
            _ => None,
        }
    }

    /// A part of a line, or all of it but its end.
    fn part(&mut self, mut part: &[u8]) {
        if let Line::Start = self.line
            && !part.is_empty()
        {
            self.line = Line::Field([0; 5], 0);
        }
        if let Line::Field(mut known, len) = self.line {
            let colon = memchr(b':', part);
            let (name, rest) = part.split_at(colon.unwrap_or(part.len()));
            let Some(room) = known.get_mut(len..len + name.len()) else {
                self.line = Line::Value(Field::Foreign);
                return;
            };
            room.copy_from_slice(name);
            let len = len + name.len();
            self.line = Line::Field(known, len);
            if colon.is_some() {
                let name = known.get(..len).unwrap_or_default();
                self.line = Line::Space(self.begin(name, true));
            }
            part = rest.get(1..).unwrap_or_default();
        }
        if let (Line::Space(field), Some(first)) = (self.line, part.first()) {
            self.line = Line::Value(field);
            if *first == b' ' {
                part = &part[1..];
            }
        }
        match self.line {
            Line::Value(Field::Data) => self.data.push(part),
            Line::Value(Field::Error) => self.error.get_or_insert_default().push(part),
            Line::Value(Field::Event) => {
                let room = (NAME_CAP - self.name.len().min(NAME_CAP)).min(part.len());
                self.name.extend_from_slice(&part[..room]);
            }
            _ => {}
        }
    }

    fn end_line(&mut self, sink: &mut impl Sink) -> Result<(), Fault> {
        let field = match std::mem::take(&mut self.line) {
            Line::Start => return Ok(()),
            Line::Field(known, len) => self.begin(known.get(..len).unwrap_or_default(), false),
            Line::Space(field) | Line::Value(field) => field,
        };
        match field {
            Field::Foreign => sink(Piece::Foreign),
            Field::Data | Field::Error | Field::Event | Field::Other => Ok(()),
        }
    }

    /// A field's value begins, after a colon or not at all.
    fn begin(&mut self, name: &[u8], colon: bool) -> Field {
        match name {
            b"data" => self.begin_data(),
            // llama.cpp writes `error: {…}`.
            b"error" if colon => {
                match &mut self.error {
                    Some(error) => error.push(b"\n"),
                    None => self.error = Some(Buffer::default()),
                }
                Field::Error
            }
            b"event" => {
                self.name.clear();
                Field::Event
            }
            b"" | b"id" | b"retry" => Field::Other,
            _ => Field::Foreign,
        }
    }

    fn begin_data(&mut self) -> Field {
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b"\n");
        }
        Field::Data
    }

    fn dispatch(&mut self, sink: &mut impl Sink) -> Result<(), Fault> {
        self.give_error(sink)?;
        let given = if std::mem::take(&mut self.has_data) {
            sink(self.data.event(&self.name))
        } else {
            Ok(())
        };
        self.data.clear();
        self.name.clear();
        given
    }

    /// Gives the field `error` that came with the event, which is none of the event's.
    fn give_error(&mut self, sink: &mut impl Sink) -> Result<(), Fault> {
        match self.error.take() {
            Some(error) => sink(match error.get() {
                Some(value) => Piece::Stray(b"error", value),
                None => Piece::Foreign,
            }),
            None => Ok(()),
        }
    }

    fn without_bom<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let mut rest = chunk;
        while let (Some(mark), Some(first)) = (BOM.get(self.bom), rest.first()) {
            if first != mark {
                let seen = std::mem::replace(&mut self.bom, BOM.len());
                self.part(&BOM[..seen]);
                break;
            }
            self.bom += 1;
            rest = &rest[1..];
        }
        rest
    }
}

/// Whether this may be the beginning of the name of a field that is known.
fn begins_known(part: &[u8]) -> bool {
    let known: [&[u8]; 4] = [b"data", b"event", b"id", b"retry"];
    part.len() < 5 && known.iter().any(|name| name.starts_with(part))
}

/// The value of a whole data line.
fn data_value(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data:")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}
