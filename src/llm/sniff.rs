//! What a body is, told by its first bytes.
//!
//! Content decides, not the label: a stream comes as `application/json`, a completion as `text/plain`, an error page as
//! `text/event-stream`. What a content type says decides only where the bytes leave it open. White space, a byte order
//! mark and comments say nothing, however long they last.

use super::{
    content::Content,
    dialect::Dialect,
    stream::{Framing, is_prelude},
};

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A stream of events.
    Stream(Framing),
    /// One JSON value.
    Json,
    /// A page.
    Html,
    /// None of these.
    Unknown,
}

/// Finds out what a body is.
#[derive(Debug)]
pub(crate) struct Sniff {
    label: Content,
    /// Whether an array is a stream: Gemini without `alt=sse`.
    arrays: bool,
    /// Whether JSON goes on in further lines, as far as the API tells; whether a stream was asked for.
    lines: bool,
    streams: bool,
    /// Whether blanks came before all else, and comments.
    skipped: bool,
    commented: bool,
    /// The bytes from the first one of meaning on.
    bytes: Vec<u8>,
    value: Value,
}

/// Where in a JSON value we are.
#[derive(Debug, Default)]
struct Value {
    at: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// It is whole.
    over: bool,
    /// A line break followed it.
    broken: bool,
}

/// How much is looked at of what is no JSON, and of JSON.
const CAP: usize = 8192;
const JSON_CAP: usize = 64 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Fields of server-sent events. `error` is none, and servers send it.
const FIELDS: &[&str] = &["data", "event", "id", "retry", "error"];

/// How pages begin.
const PAGES: &[&str] = &[
    "<!doctype html",
    "<html",
    "<head>",
    "<body",
    "<title>",
    "<center>",
    "<h1>",
];

// === impl Sniff ===

impl Sniff {
    /// For an answer with this label. `streams`: whether a stream was asked for, by the path or in the body.
    pub(crate) fn new(
        label: Content,
        dialect: Option<Dialect>,
        by_path: bool,
        streams: bool,
    ) -> Self {
        Self {
            label,
            arrays: by_path && dialect == Some(Dialect::Gemini),
            lines: matches!(dialect, Some(Dialect::Ollama | Dialect::Cohere)),
            streams,
            skipped: false,
            commented: false,
            bytes: Vec::new(),
            value: Value::default(),
        }
    }

    /// Looks at the next bytes. `None`: they leave it open.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Option<Found> {
        let mut rest = chunk;
        if BOM.starts_with(&self.bytes) {
            self.bytes.extend_from_slice(rest);
            let mut meaning = &*self.bytes;
            if BOM.starts_with(meaning) {
                return None;
            }
            meaning = meaning.strip_prefix(BOM).unwrap_or(meaning);
            meaning = meaning.trim_ascii_start();
            self.skipped |= meaning.len() < self.bytes.len();
            self.bytes = meaning.to_vec();
            rest = &[];
        }
        self.bytes.extend_from_slice(rest);
        self.drop_comments();
        self.look(false)
    }

    /// The body is over, or no more of it is looked at.
    pub(crate) fn end(&mut self) -> Found {
        let found = self.look(true);
        found.unwrap_or_else(|| {
            if self.bytes.is_empty() {
                self.label()
            } else {
                Found::Unknown
            }
        })
    }

    /// Whether nothing came that says anything.
    pub(crate) fn is_blank(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What it is if nothing but its label can be read.
    pub(crate) fn label(&self) -> Found {
        match self.label {
            Content::Stream(framing) => Found::Stream(framing),
            _ => Found::Unknown,
        }
    }

    /// Whether the label promises a stream.
    pub(crate) fn is_promised(&self) -> bool {
        matches!(self.label, Content::Stream(_))
    }

    /// Comments say nothing, except that their label may be right.
    fn drop_comments(&mut self) {
        if self.label == Content::Stream(Framing::Sse) {
            return;
        }
        while self.bytes.first() == Some(&b':')
            && let Some(end) = self.bytes.iter().position(|b| matches!(b, b'\r' | b'\n'))
        {
            let rest = self.bytes.get(end..).unwrap_or_default();
            self.bytes = rest.trim_ascii_start().to_vec();
            self.commented = true;
        }
    }

    fn look(&mut self, over: bool) -> Option<Found> {
        let found = match self.bytes.first()? {
            b'{' if self.commented => Some(Found::Stream(Framing::Sse)),
            b'{' => self.object(over),
            b'[' => self.array(),
            b'<' => self.page(over),
            0 | 1 if !self.skipped => prelude(&self.bytes),
            _ => self.fields(over),
        };
        let full = self.bytes.len() >= CAP && self.bytes.first() != Some(&b'{');
        found.or_else(|| (over || full).then_some(self.unknown()))
    }

    /// What is none of these by its bytes.
    fn unknown(&self) -> Found {
        match self.label {
            // Names of fields that nobody knows are allowed.
            Content::Stream(Framing::Sse)
                if self.bytes.first().is_some_and(u8::is_ascii_alphabetic) =>
            {
                Found::Stream(Framing::Sse)
            }
            _ => Found::Unknown,
        }
    }

    fn object(&mut self, over: bool) -> Option<Found> {
        match self.bytes.get(1..)?.trim_ascii_start().first() {
            None => return None,
            Some(b'"' | b'}') => {}
            Some(_) => return Some(Found::Unknown),
        }
        if self.arrays {
            return Some(Found::Stream(Framing::JsonArray));
        }
        if self.label == Content::Stream(Framing::NdJson) {
            return Some(Found::Stream(Framing::NdJson));
        }
        let next = self.value.scan(&self.bytes);
        let one_line = !self.value.broken || self.value.over;
        if self.value.over && self.value.broken && (next == Some(b'{') || (self.lines && !over)) {
            return Some(Found::Stream(Framing::NdJson));
        }
        // Lines come one at a time; what is one value goes on until its end.
        let open = (self.lines || self.streams)
            && one_line
            && next.is_none()
            && self.bytes.len() < JSON_CAP;
        (over || !open).then_some(Found::Json)
    }

    fn array(&self) -> Option<Found> {
        let next = self.bytes.get(1..)?.trim_ascii_start().first()?;
        Some(match next {
            b'{' | b']' if self.arrays => Found::Stream(Framing::JsonArray),
            b'{' => Found::Json,
            _ => Found::Unknown,
        })
    }

    fn page(&self, over: bool) -> Option<Found> {
        let text = self.bytes.get(..CAP).unwrap_or(&self.bytes);
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        if self.label == Content::Html {
            let next = text.as_bytes().get(1)?;
            let tag = next.is_ascii_alphabetic() || matches!(next, b'!' | b'?');
            return Some(if tag { Found::Html } else { Found::Unknown });
        }
        let mut text = text.as_str();
        // What may stand before the page itself.
        while let Some(close) = [("<?xml", "?>"), ("<!--", "-->")]
            .into_iter()
            .find_map(|(open, close)| text.starts_with(open).then_some(close))
        {
            let (_, rest) = text.split_once(close)?;
            text = rest.trim_start();
        }
        if PAGES.iter().any(|page| text.starts_with(page)) {
            return Some(Found::Html);
        }
        let begins = |whole: &&str| whole.starts_with(text);
        let open = !over && (PAGES.iter().any(&begins) || begins(&"<?xml") || begins(&"<!--"));
        (!open).then_some(Found::Unknown)
    }

    /// Lines of server-sent events. Names that are ordinary words need a `data:` beside them, unless the label says the same.
    fn fields(&self, over: bool) -> Option<Found> {
        const SSE: Found = Found::Stream(Framing::Sse);
        let labelled = self.label == Content::Stream(Framing::Sse);
        let mut rest = &*self.bytes;
        let mut begun = self.commented;
        loop {
            rest = rest.trim_ascii_start();
            let end = rest.iter().position(|b| matches!(b, b'\r' | b'\n'));
            let line = rest.get(..end.unwrap_or(rest.len()))?;
            let colon = line.iter().position(|b| *b == b':');
            let name = line.get(..colon.unwrap_or(line.len()))?;
            let is = |field: &&&str| match colon {
                Some(_) => field.as_bytes() == name,
                None => end.is_none() && !over && field.as_bytes().starts_with(name),
            };
            let field = FIELDS.iter().find(is).map(|field| (*field, colon));
            match field {
                _ if colon == Some(0) && labelled => return Some(SSE),
                _ if line.is_empty() => return None,
                _ if colon == Some(0) => {}
                Some((_, None)) => return None,
                Some(("data", _)) => return Some(SSE),
                Some(_) if labelled => return Some(SSE),
                Some(("error", Some(at))) => {
                    return match line.get(at + 1..)?.trim_ascii_start().first() {
                        Some(b'{') => Some(SSE),
                        None if end.is_none() && !over => None,
                        _ => Some(Found::Unknown),
                    };
                }
                Some(_) => {}
                // JSON outside of any event, as an error may come.
                None if begun && line.first() == Some(&b'{') => return Some(SSE),
                None => return Some(self.unknown()),
            }
            begun = true;
            rest = rest.get(end? + 1..)?;
        }
    }
}

// === impl Value ===

impl Value {
    /// Goes on with all bytes so far; gives the first one of meaning after the value.
    fn scan(&mut self, bytes: &[u8]) -> Option<u8> {
        while let Some(byte) = bytes.get(self.at) {
            if self.over && !byte.is_ascii_whitespace() {
                return Some(*byte);
            }
            self.at += 1;
            if self.in_text {
                match byte {
                    _ if std::mem::take(&mut self.escaped) => {}
                    b'\\' => self.escaped = true,
                    b'"' => self.in_text = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.over = self.depth == 0;
                }
                b'\n' => self.broken = true,
                _ => {}
            }
            if self.broken && !self.over {
                // A value over several lines.
                return None;
            }
        }
        None
    }
}

/// Whether it is the beginning of a frame of AWS.
fn prelude(bytes: &[u8]) -> Option<Found> {
    let prelude = bytes.first_chunk()?;
    Some(if is_prelude(prelude) {
        Found::Stream(Framing::EventStream)
    } else {
        Found::Unknown
    })
}

#[cfg(test)]
mod tests;
