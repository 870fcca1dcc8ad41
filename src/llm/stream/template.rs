//! The fast path: token events of one stream are alike but for their text, an id and a number.
//!
//! A [`Template`] is made of an event that was read in full and said nothing but content. It keeps the event's bytes, and
//! the places in them where another value of the same kind would have said the same:
//! - texts that the dialects ask only whether they are empty ([`TEXTS`]), and that were not;
//! - texts and numbers that no dialect asks for at all ([`IDLE`]);
//! - token counts beside content, as Gemini sends them in each event: the last such event is kept, and read when its counts
//!   are asked for.
//!
//! An event that is equal byte for byte outside of these places, and has a value of that kind in each of them, is the same
//! JSON with such values replaced: it says what the first one said, and need not be read.

use memchr::memchr;

/// Templates per stream: text, reasoning, tool arguments, and one of another choice.
const SLOTS: usize = 4;
/// Longest event that becomes a template.
const LONGEST: usize = 2 * 1024;
/// Most places in one.
const PLACES: usize = 16;
/// After so many events in a row that fit no template, only one of as many is learned.
const PATIENCE: u32 = 16;

/// Longest number of tokens, in digits: none of them is absurd.
const DIGITS: usize = 9;

/// Keys of texts that are only asked whether they are empty.
const TEXTS: &[&[u8]] = &[
    b"arguments",
    b"completion",
    b"content",
    b"delta",
    b"generation",
    b"input",
    b"outputText",
    b"partial_json",
    b"reasoning",
    b"reasoning_content",
    b"refusal",
    b"response",
    b"signature",
    b"text",
    b"thinking",
    b"tool_plan",
];

/// Keys that are not asked for: none of them passes the sieve.
const IDLE: &[&[u8]] = &[
    b"created",
    b"created_at",
    b"id",
    b"item_id",
    b"logprob",
    b"obfuscation",
    b"p",
    b"responseId",
    b"sequence_number",
    b"system_fingerprint",
];

/// What an event of which only content was said was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Delta {
    pub(super) content: bool,
    pub(super) reasoning: bool,
    /// Token counts came with it, which replace all that came before.
    pub(super) counts: bool,
}

/// The templates of one stream.
#[derive(Debug, Default)]
pub(super) struct Templates {
    list: Vec<Template>,
    /// The one that fitted last.
    last: usize,
    /// The one to be replaced next.
    next: usize,
    /// Events since one fitted.
    misses: u32,
}

#[derive(Debug)]
struct Template {
    name: Vec<u8>,
    data: Vec<u8>,
    places: Vec<Place>,
    delta: Delta,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    from: usize,
    to: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A text that is not empty, without its quotes.
    Text,
    /// Any text, without its quotes.
    AnyText,
    /// Any number.
    Number,
    /// A number of tokens: up to nine digits.
    Count,
}

// === impl Templates ===

impl Templates {
    /// What this event says, if it fits a template.
    pub(super) fn fit(&mut self, name: &[u8], data: &[u8]) -> Option<Delta> {
        let count = self.list.len();
        for turn in 0..count {
            let at = (self.last + turn) % count;
            let template = self.list.get(at)?;
            if template.fits(name, data) {
                self.last = at;
                self.misses = 0;
                return Some(template.delta);
            }
        }
        self.misses = self.misses.saturating_add(1);
        None
    }

    /// Learns an event that was read in full.
    pub(super) fn learn(&mut self, name: &[u8], data: &[u8], delta: Delta) {
        // Counts are read later, without the name.
        let named = delta.counts && !name.is_empty();
        let tired = self.misses > PATIENCE && !self.misses.is_multiple_of(PATIENCE);
        if named || tired || data.len() > LONGEST || name.len() > LONGEST {
            return;
        }
        if self.list.len() < SLOTS {
            self.list.push(Template {
                name: Vec::new(),
                data: Vec::new(),
                places: Vec::new(),
                delta,
            });
            self.next = self.list.len() - 1;
        }
        if let Some(template) = self.list.get_mut(self.next) {
            template.learn(name, data, delta);
            self.last = self.next;
            self.next = (self.next + 1) % SLOTS;
        }
    }
}

// === impl Template ===

impl Template {
    fn fits(&self, name: &[u8], data: &[u8]) -> bool {
        if self.delta.counts && data.len() > 2 * LONGEST {
            return false;
        }
        let (mut rest, mut from) = (data, 0);
        for place in &self.places {
            let same = self.data.get(from..place.from).unwrap_or_default();
            let Some(after) = rest.strip_prefix(same) else {
                return false;
            };
            let Some(len) = place.kind.len(after) else {
                return false;
            };
            (rest, from) = (after.get(len..).unwrap_or_default(), place.to);
        }
        // Most have no name. To compare nothing with nothing costs as much as all the rest, where `memcmp` is by masked loads:
        // an empty slice points nowhere.
        let named = match (name.is_empty(), self.name.is_empty()) {
            (false, false) => self.name == name,
            (a, b) => a == b,
        };
        named && self.data.get(from..) == Some(rest)
    }

    /// `data` is valid JSON.
    fn learn(&mut self, name: &[u8], data: &[u8], delta: Delta) {
        self.name.clear();
        self.name.extend_from_slice(name);
        self.data.clear();
        self.data.extend_from_slice(data);
        self.places.clear();
        self.delta = delta;
        let mut key: &[u8] = b"";
        let mut at = 0;
        while let Some(byte) = data.get(at) {
            let start = at;
            match byte {
                b'"' => {
                    let body = data.get(at + 1..).unwrap_or_default();
                    let Some(len) = text_end(body) else { break };
                    let text = body.get(..len).unwrap_or_default();
                    at += len + 2;
                    if colon_follows(data.get(at..).unwrap_or_default()) {
                        key = text;
                        continue;
                    }
                    self.text(key, start + 1, text);
                    key = b"";
                }
                b'-' | b'0'..=b'9' => {
                    let Some(len) = Kind::Number.len(data.get(at..).unwrap_or_default()) else {
                        break;
                    };
                    at += len;
                    if IDLE.contains(&key) {
                        self.place(start, at, Kind::Number);
                    } else if delta.counts && is_count(key) && len <= DIGITS {
                        self.place(start, at, Kind::Count);
                    }
                    key = b"";
                }
                // The key of a list or an object is not that of its elements.
                b'[' | b'{' => {
                    key = b"";
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    fn text(&mut self, key: &[u8], from: usize, text: &[u8]) {
        if IDLE.contains(&key) {
            self.place(from, from + text.len(), Kind::AnyText);
        } else if TEXTS.contains(&key) && !text.is_empty() {
            self.place(from, from + text.len(), Kind::Text);
        }
    }

    fn place(&mut self, from: usize, to: usize, kind: Kind) {
        if self.places.len() < PLACES {
            self.places.push(Place { from, to, kind });
        }
    }
}

// === impl Kind ===

impl Kind {
    /// How long the value at the beginning of `rest` is; `None` if there is none of this kind.
    fn len(self, rest: &[u8]) -> Option<usize> {
        match self {
            Self::Text => plain_text(rest).filter(|len| *len > 0),
            Self::AnyText => plain_text(rest),
            Self::Number => number(rest),
            Self::Count => {
                let len = number(rest)?;
                let digits = rest.get(..len)?.iter().all(u8::is_ascii_digit);
                (digits && len <= DIGITS).then_some(len)
            }
        }
    }
}

/// The length of a JSON text up to its closing quote, if it is surely valid. Surrogates are left to the reader.
fn plain_text(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut ascii = true;
    loop {
        at += plain_ascii(rest.get(at..)?);
        match rest.get(at)? {
            b'"' => break,
            b'\\' => match rest.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' => {
                    let digits = rest.get(at + 2..at + 6)?;
                    let surrogate = matches!(digits, [b'd' | b'D', second, ..] if *second >= b'8');
                    if surrogate || !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    at += 6;
                }
                _ => return None,
            },
            0x80.. => {
                ascii = false;
                at += 1;
            }
            // The last few bytes before the end of the event.
            0x20.. => at += 1,
            _ => return None,
        }
    }
    let valid = ascii || std::str::from_utf8(rest.get(..at)?).is_ok();
    valid.then_some(at)
}

/// How many bytes of printable ASCII come first, other than quotes and backslashes; of the last seven it does not look.
fn plain_ascii(rest: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES * 0x80;
    // The lowest byte that is marked is one that is less; above it there may be marks by borrow.
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word & HIGH;
    let (eights, _) = rest.as_chunks::<8>();
    for (n, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        let quote = less(word ^ (ONES * u64::from(b'"')), 1);
        let slash = less(word ^ (ONES * u64::from(b'\\')), 1);
        let marks = quote | slash | less(word, 0x20) | word & HIGH;
        if marks != 0 {
            return n * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    eights.len() * 8
}

/// The length of a JSON number.
fn number(rest: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let tail = rest.get(from..).unwrap_or_default();
        let len = tail.iter().take_while(|b| b.is_ascii_digit()).count();
        (len > 0).then_some(from + len)
    };
    let start = usize::from(rest.first() == Some(&b'-'));
    let mut at = match rest.get(start)? {
        b'0' => start + 1,
        _ => digits(start)?,
    };
    if rest.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = rest.get(at) {
        let sign = usize::from(matches!(rest.get(at + 1), Some(b'+' | b'-')));
        at = digits(at + 1 + sign)?;
    }
    // A digit after a leading zero.
    (!rest.get(at).is_some_and(u8::is_ascii_digit)).then_some(at)
}

/// Whether a key's number is a number of tokens.
fn is_count(key: &[u8]) -> bool {
    key.ends_with(b"TokenCount") || key.ends_with(b"tokenCount") || key.ends_with(b"_tokens")
}

/// Where a text ends that is known to be valid.
fn text_end(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = body.get(at..)?;
        let quote = memchr(b'"', rest)?;
        let slashes = body
            .get(..at + quote)?
            .iter()
            .rev()
            .take_while(|b| **b == b'\\')
            .count();
        if slashes % 2 == 0 {
            return Some(at + quote);
        }
        at += quote + 1;
    }
}

fn colon_follows(rest: &[u8]) -> bool {
    rest.trim_ascii_start().first() == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::stream::sieve;

    #[test]
    fn nobody_asks_for_idle_keys() {
        for key in IDLE {
            assert!(!sieve::keeps(std::str::from_utf8(key).unwrap()));
        }
    }

    #[test]
    fn numbers_are_jsons() {
        for (text, len) in [
            ("0,", Some(1)),
            ("-0.5e+10}", Some(8)),
            ("12", Some(2)),
            ("1E5 ", Some(3)),
            ("01", None),
            ("-", None),
            ("1.", None),
            (".5", None),
            ("1e", None),
            ("+1", None),
        ] {
            assert_eq!(number(text.as_bytes()), len, "{text}");
        }
    }

    #[test]
    fn texts_are_jsons() {
        for (text, len) in [
            (&b"abc\"x"[..], Some(3)),
            (b"\"", Some(0)),
            (b"\\n\\\"\"", Some(4)),
            (b"\\u00e9\"", Some(6)),
            (b"\\ud83d\\ude00\"", None),
            (b"\\u00g9\"", None),
            (b"\\x\"", None),
            (b"a\nb\"", None),
            (b"\xc3\xa9\"", Some(2)),
            (b"\xc3\"", None),
            (b"abc", None),
            (b"abc\\", None),
            (b"0123456789abcdef0123\" \"", Some(20)),
            (b"01234567\\\"9\xc3\xa9abcdef\"0123456789", Some(19)),
            (b"0123456\x1f9abcdef\"", None),
            (b"\x7f !#[]^~abcdefgh\"", Some(16)),
        ] {
            assert_eq!(plain_text(text), len, "{}", text.escape_ascii());
        }
    }
}
