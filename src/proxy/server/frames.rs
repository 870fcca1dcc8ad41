//! Where in its messages an HTTP/1 connection is.
//!
//! hyper passes over two things that RFC 9112 has a strict server refuse, and leaves no trace of them: of a length beside
//! chunks it takes the length out of the head (section 6.3), and in the extension of a chunk it reads any byte but LF
//! (section 7.1.1). So the socket follows the frames too, and only to refuse: nothing is ever read by what is found here.
//! Where hyper is known to refuse a message by itself, or this page cannot follow, it stops looking.

use std::mem;

/// How much of a line is kept: the fields that frame are shorter.
const LINE: usize = 256;

/// What kind of line comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Of a head: the first one, or an empty one before it.
    #[default]
    Request,
    /// Of a head: a field.
    Field,
    /// The size of a chunk.
    Size,
    /// Of the trailers.
    Trailer,
}

/// Follows the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    kind: Kind,
    /// Bytes of a body or a chunk that come before the next line.
    skip: u64,
    /// The line so far, cut off at `LINE`.
    line: Vec<u8>,
    /// Whether the head has a length, and which.
    length: Option<Option<u64>>,
    chunked: bool,
    /// Heads that were complete.
    heads: u64,
    framed_twice: Option<u64>,
    lost: bool,
}

// === impl Frames ===

impl Frames {
    /// The first head, counted from 1, with a length beside chunks.
    pub(super) fn framed_twice(&self) -> Option<u64> {
        self.framed_twice
    }

    /// Whether all that came are whole requests.
    pub(super) fn is_whole(&self) -> bool {
        self.kind == Kind::Request && self.skip == 0 && self.line.is_empty() && !self.lost
    }

    /// Follows the next bytes.
    ///
    /// # Errors
    /// How many of them are good, if behind a chunk's size there is a control character.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while let Some(rest) = bytes
            .get(at..)
            .filter(|rest| !rest.is_empty() && !self.lost)
        {
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip).map_or(rest.len(), |n| n.min(rest.len()));
                self.skip -= skipped as u64;
                at += skipped;
                continue;
            }
            let end = rest.iter().position(|b| *b == b'\n');
            let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if self.kind == Kind::Size && !is_size(piece) {
                return Err(at);
            }
            if end.is_some() && self.line.is_empty() {
                at += piece.len() + 1;
                let line = piece.get(..LINE).unwrap_or(piece);
                self.line_ends(line.strip_suffix(b"\r").unwrap_or(line));
                continue;
            }
            let room = LINE.saturating_sub(self.line.len()).min(piece.len());
            self.line
                .extend_from_slice(piece.get(..room).unwrap_or_default());
            at += piece.len();
            if end.is_some() {
                at += 1;
                let line = mem::take(&mut self.line);
                self.line_ends(line.strip_suffix(b"\r").unwrap_or(&line));
                self.line = line;
                self.line.clear();
            }
        }
        Ok(())
    }

    fn line_ends(&mut self, line: &[u8]) {
        match self.kind {
            Kind::Request if line.is_empty() => {}
            Kind::Request => self.kind = Kind::Field,
            Kind::Field if line.is_empty() => self.head_ends(),
            Kind::Field => self.field(line),
            Kind::Size => match size(line) {
                Some(0) => self.kind = Kind::Trailer,
                // And the end of its line.
                Some(size) => self.skip = size.saturating_add(2),
                None => self.lost = true,
            },
            Kind::Trailer if line.is_empty() => self.kind = Kind::Request,
            Kind::Trailer => {}
        }
    }

    fn field(&mut self, line: &[u8]) {
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return;
        }
        let colon = line.iter().position(|b| *b == b':');
        let Some((name, value)) = colon.and_then(|at| line.split_at_checked(at)) else {
            return;
        };
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        // A line that was cut off here is none that this could tell.
        let whole = line.len() < LINE;
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value).ok().filter(|_| whole);
            self.length = Some(digits.and_then(|digits| digits.parse().ok()));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = value.eq_ignore_ascii_case(b"chunked");
            // Every other coding is refused, and the connection ends.
            self.lost |= !self.chunked || !whole;
        }
    }

    fn head_ends(&mut self) {
        self.heads += 1;
        let (length, chunked) = (self.length.take(), mem::take(&mut self.chunked));
        self.kind = if chunked { Kind::Size } else { Kind::Request };
        match length {
            Some(_) if chunked => {
                self.framed_twice.get_or_insert(self.heads);
            }
            Some(Some(length)) => self.skip = length,
            // A length that is none.
            Some(None) => self.lost = true,
            None => {}
        }
    }
}

// === free functions ===

/// Whether a piece of the line with a chunk's size holds no control characters, but for tabs and a CR at its end: whether LF
/// is behind that is hyper's to see.
fn is_size(piece: &[u8]) -> bool {
    let text = piece.strip_suffix(b"\r").unwrap_or(piece);
    text.iter().all(|b| !b.is_ascii_control() || *b == b'\t')
}

/// The size of a chunk; `None` if it is none.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let digits = std::str::from_utf8(line.get(..digits)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
    }

    /// What came of it, fed whole and byte by byte.
    fn follow(text: &str) -> (Option<u64>, Result<(), usize>) {
        let mut whole = Frames::default();
        let all = whole.follow(text.as_bytes());
        let mut bytewise = Frames::default();
        let one = text
            .bytes()
            .enumerate()
            .find_map(|(at, b)| bytewise.follow(&[b]).err().map(|_| at));
        assert_eq!(all.is_err(), one.is_some(), "{text:?}");
        assert_eq!(whole.framed_twice(), bytewise.framed_twice(), "{text:?}");
        (whole.framed_twice(), all)
    }

    #[test]
    fn a_length_beside_chunks_is_found_wherever_it_stands() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let post =
            "\r\nPOST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = body("3;x=\"y\"\r\na\r\n\r\n0A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n");
        for (fields, found) in [
            ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", true),
            ("TRANSFER-ENCODING:\tChunked \r\ncontent-length:3\r\n", true),
            ("Transfer-Encoding: chunked\nContent-Length: 3\n", true),
            ("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", true),
            ("Transfer-Encoding: chunked\r\n", false),
            ("Content-Length: 0\r\n", false),
            ("Transfer_Encoding: chunked\r\nContent-Length: 0\r\n", false),
            (
                "X: Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
                false,
            ),
        ] {
            for (before, n) in [("", 1), (get, 2), (post, 2), (&chunks, 2)] {
                let text = format!("{before}POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
                assert_eq!(follow(&text), (found.then_some(n), Ok(())), "{text:?}");
            }
        }
    }

    #[test]
    fn a_request_is_whole_at_its_end_alone() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let post = "\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        let chunks = body("3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n");
        for text in [get, post, &chunks] {
            for end in 3..=text.len() {
                let mut frames = Frames::default();
                frames.follow(get.as_bytes()).unwrap();
                frames.follow(&text.as_bytes()[..end]).unwrap();
                assert_eq!(frames.is_whole(), end == text.len(), "{:?}", &text[..end]);
            }
        }
        let mut lost = Frames::default();
        lost.follow(b"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n")
            .unwrap();
        assert!(!lost.is_whole());
    }

    #[test]
    fn control_characters_behind_a_size_are_found() {
        let head = body("").len();
        for (chunks, good) in [
            ("3;a\0\r\nabc\r\n", Err(head)),
            ("3\r\nabc\r\n2;\x01\r\n", Err(head + 8)),
            ("3;a=\"\x7f\"\r\n", Err(head)),
            ("3 \t;\ta\r\n\0\0\0\r\n0\r\n\r\n", Ok(())),
            ("3;\u{e9}\r\nabc\r\n", Ok(())),
            ("0\r\nX: \0\r\n\r\n", Ok(())),
        ] {
            assert_eq!(follow(&body(chunks)).1, good, "{chunks:?}");
        }
    }

    #[test]
    fn what_hyper_refuses_is_followed_no_further() {
        for text in [
            "POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            &body("z\r\n"),
        ] {
            let text = format!("{text}{}", body("3;\0\r\n"));
            assert_eq!(follow(&text), (None, Ok(())), "{text:?}");
        }
    }
}
