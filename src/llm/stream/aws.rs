//! AWS event-stream frames (`application/vnd.amazon.eventstream`).
//!
//! ```text
//! total length u32 | headers length u32 | CRC-32 of these | headers | payload | CRC-32 of all before
//! ```
//!
//! Numbers are big-endian. A header is a name (length u8), a type (u8) and a value; types other than text are skipped.
//! A frame whose last checksum is wrong is passed over as one that cannot be read; after lengths that cannot be nothing can.
//! Frames above 1 MiB are passed over too.

use serde_json::{Map, Value};

use super::{Fault, Piece, Sink, sieve};

/// Longest frame that is read.
const CAP: usize = 1024 * 1024;
/// Longest frame that there can be: 24 MiB of payload, with room.
const LONGEST: usize = 32 * 1024 * 1024;
/// The first byte of that.
const LONGEST_BEGINS: u8 = 2;
const PRELUDE: usize = 12;
/// A prelude and the last checksum.
const LEAST: usize = PRELUDE + 4;
/// A buffer that grew beyond this is given back after its frame.
const KEPT: usize = 16 * 1024;

/// A decoder.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// How much of a frame that is not read is still to come.
    skip: usize,
    /// Where frames begin is not known, or not any more.
    lost: bool,
}

/// The length of a frame.
enum Length {
    Is(usize),
    /// Its prelude is not there yet.
    Wait,
    /// It is none.
    Lost,
}

/// The headers of a frame that matter.
#[derive(Debug, Default)]
struct Headers<'a> {
    message: &'a [u8],
    event: &'a [u8],
    exception: &'a [u8],
    error_code: &'a [u8],
    error_message: &'a [u8],
}

// === impl Frames ===

impl Frames {
    pub(super) fn feed(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<(), Fault> {
        let mut rest = chunk;
        while !rest.is_empty() && !self.lost {
            if self.skip > 0 {
                let (skipped, tail) = rest.split_at(self.skip.min(rest.len()));
                (self.skip, rest) = (self.skip - skipped.len(), tail);
                continue;
            }
            let len = match self.length(&mut rest) {
                Length::Is(len) => len,
                Length::Wait => break,
                Length::Lost => {
                    self.lost = true;
                    self.buffer = Vec::new();
                    return sink(Piece::Broken);
                }
            };
            if len > CAP {
                self.skip = len - self.buffer.len();
                self.buffer.clear();
                sink(Piece::Long(b""))?;
                continue;
            }
            if self.buffer.is_empty()
                && let Some((frame, tail)) = rest.split_at_checked(len)
            {
                rest = tail;
                read(frame, sink)?;
                continue;
            }
            let (part, tail) = rest.split_at((len - self.buffer.len()).min(rest.len()));
            self.buffer.extend_from_slice(part);
            rest = tail;
            if self.buffer.len() == len {
                let given = read(&self.buffer, sink);
                if self.buffer.capacity() > KEPT {
                    self.buffer = Vec::new();
                }
                self.buffer.clear();
                given?;
            }
        }
        Ok(())
    }

    /// The length of the frame that begins with the buffer and goes on with `rest`, once its prelude is there. Takes of
    /// `rest` what completes a prelude that was cut.
    fn length(&mut self, rest: &mut &[u8]) -> Length {
        let missing = PRELUDE.saturating_sub(self.buffer.len());
        if !self.buffer.is_empty() || rest.len() < PRELUDE {
            let (part, tail) = rest.split_at(missing.min(rest.len()));
            self.buffer.extend_from_slice(part);
            *rest = tail;
        }
        let prelude = if self.buffer.is_empty() {
            *rest
        } else {
            &self.buffer
        };
        // The first byte of a length is all that need be seen of what is no frame.
        if prelude.first().is_some_and(|first| *first > LONGEST_BEGINS) {
            return Length::Lost;
        }
        let Some(prelude) = prelude.get(..PRELUDE) else {
            return Length::Wait;
        };
        let len = number(prelude, 0) as usize;
        let headers = number(prelude, 4) as usize;
        let plausible = (LEAST..=LONGEST).contains(&len) && headers <= len - LEAST;
        if !plausible || crc32(&prelude[..8]) != number(prelude, 8) {
            return Length::Lost;
        }
        Length::Is(len)
    }
}

/// Reads a frame of which the prelude was checked.
fn read(frame: &[u8], sink: &mut impl Sink) -> Result<(), Fault> {
    let body = frame.len() - 4;
    let end = PRELUDE + number(frame, 4) as usize;
    let sound = crc32(&frame[..body]) == number(frame, body);
    let headers = headers(frame.get(PRELUDE..end).unwrap_or_default()).filter(|_| sound);
    let Some(headers) = headers else {
        return sink(Piece::Broken);
    };
    let payload = frame.get(end..body).unwrap_or_default();
    match headers.message {
        b"event" | b"" => sink(Piece::Event(headers.event, payload)),
        b"exception" => Err(Fault::Error(exception(headers.exception, payload))),
        _ => {
            let mut error = Map::new();
            error.insert("__type".to_owned(), type_name(headers.error_code));
            let message = String::from_utf8_lossy(headers.error_message);
            error.insert("message".to_owned(), message.into());
            Err(Fault::Error(error.into()))
        }
    }
}

/// The error body that the exception would have had as a response.
fn exception(name: &[u8], payload: &[u8]) -> Value {
    let mut error = match sieve::read_whole(payload) {
        Some(Value::Object(error)) => error,
        _ => {
            let words = String::from_utf8_lossy(payload);
            let words = sieve::bounded(&words).into();
            Map::from_iter([("message".to_owned(), words)])
        }
    };
    error.insert("__type".to_owned(), type_name(name));
    error.into()
}

/// In headers the names begin with a small letter, in responses with a capital one.
fn type_name(name: &[u8]) -> Value {
    let mut name = String::from_utf8_lossy(name).into_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    name.into()
}

/// The headers; `None` if they are not well formed.
fn headers(mut rest: &[u8]) -> Option<Headers<'_>> {
    let mut headers = Headers::default();
    while let Some((len, tail)) = rest.split_first() {
        let (name, tail) = tail.split_at_checked(usize::from(*len))?;
        let (kind, tail) = tail.split_first()?;
        let (len, tail) = match kind {
            0 | 1 => (0, tail),
            2 => (1, tail),
            3 => (2, tail),
            4 => (4, tail),
            5 | 8 => (8, tail),
            6 | 7 => {
                let (len, tail) = tail.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*len)), tail)
            }
            9 => (16, tail),
            _ => return None,
        };
        let (value, tail) = tail.split_at_checked(len)?;
        rest = tail;
        let place = match name {
            b":message-type" => &mut headers.message,
            b":event-type" => &mut headers.event,
            b":exception-type" => &mut headers.exception,
            b":error-code" => &mut headers.error_code,
            b":error-message" => &mut headers.error_message,
            _ => continue,
        };
        if *kind == 7 {
            *place = value;
        }
    }
    Some(headers)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk());
    four.map_or(0, |four| u32::from_be_bytes(*four))
}

/// Whether a body that begins so is made of frames: the lengths of the first one, and their checksum.
pub(crate) fn is_prelude(prelude: &[u8; PRELUDE]) -> bool {
    let len = number(prelude, 0) as usize;
    let headers = number(prelude, 4) as usize;
    let plausible = (LEAST..=LONGEST).contains(&len) && headers <= len - LEAST;
    plausible && crc32(&prelude[..8]) == number(prelude, 8)
}

// === CRC-32 ===

/// Tables of CRC-32 (IEEE 802.3), eight bytes a step.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                0xedb8_8320 ^ crc >> 1
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut step = 1;
    while step < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[step - 1][byte];
            tables[step][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        step += 1;
    }
    tables
}

fn crc32(bytes: &[u8]) -> u32 {
    let at = |table: usize, byte: u32| TABLES[table][(byte & 0xff) as usize];
    let mut crc = u32::MAX;
    let (eights, rest) = bytes.as_chunks::<8>();
    for [a, b, c, d, e, f, g, h] in eights {
        let low = crc ^ u32::from_le_bytes([*a, *b, *c, *d]);
        let high = u32::from_le_bytes([*e, *f, *g, *h]);
        crc = at(7, low)
            ^ at(6, low >> 8)
            ^ at(5, low >> 16)
            ^ at(4, low >> 24)
            ^ at(3, high)
            ^ at(2, high >> 8)
            ^ at(1, high >> 16)
            ^ at(0, high >> 24);
    }
    for byte in rest {
        crc = at(0, crc ^ u32::from(*byte)) ^ crc >> 8;
    }
    !crc
}
