//! JSON that stands outside of the framing's grammar: where its end is.

use super::buffer::Buffer;

/// JSON that has begun.
#[derive(Debug, Default)]
pub(super) struct Stray {
    bytes: Buffer,
    depth: Depth,
    /// Whether only blanks came since the last line began, and whether the last byte was a CR.
    blank: bool,
    after_cr: bool,
}

/// How deep in brackets a place is; whether in a text, and after a backslash there.
#[derive(Debug, Default)]
pub(super) struct Depth {
    brackets: usize,
    in_text: bool,
    escaped: bool,
}

/// What of some bytes belongs to it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) len: usize,
    /// `Some` if it ends there: as JSON does, or as no JSON can.
    pub(super) ended: Option<bool>,
    /// Whether its last byte is a CR.
    pub(super) after_cr: bool,
}

// === impl Stray ===

impl Stray {
    /// Takes what belongs to it. An empty line, or a line break in a text, ends what is no JSON.
    pub(super) fn take(&mut self, rest: &[u8]) -> Taken {
        for (at, byte) in rest.iter().enumerate() {
            let newline = match byte {
                b'\r' => true,
                b'\n' => !self.after_cr,
                _ => false,
            };
            self.after_cr = *byte == b'\r';
            let failed = newline && (self.blank || self.depth.in_text);
            self.blank = newline || self.blank && matches!(byte, b' ' | b'\t' | b'\n');
            if failed || self.depth.pass(*byte) {
                self.bytes.push(rest.get(..=at).unwrap_or_default());
                return Taken {
                    len: at + 1,
                    ended: Some(!failed),
                    after_cr: self.after_cr,
                };
            }
        }
        self.bytes.push(rest);
        Taken {
            len: rest.len(),
            ended: None,
            after_cr: self.after_cr,
        }
    }

    /// What came; `None` if it is too long to be read.
    pub(super) fn json(&self) -> Option<&[u8]> {
        self.bytes.get()
    }
}

// === impl Depth ===

impl Depth {
    /// Whether this byte closes the outermost bracket.
    fn pass(&mut self, byte: u8) -> bool {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.brackets += 1,
            b'}' | b']' => {
                self.brackets = self.brackets.saturating_sub(1);
                return self.brackets == 0;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The JSON, and what is left; `None`: it is none, or not over.
    fn taken(text: &str) -> Option<(String, &str)> {
        let mut whole = Stray::default();
        let taken = whole.take(text.as_bytes());
        let mut bytes = Stray::default();
        let mut len = 0;
        let mut ended = None;
        for byte in text.as_bytes().chunks(1) {
            let one = bytes.take(byte);
            len += one.len;
            ended = one.ended;
            if ended.is_some() {
                break;
            }
        }
        assert_eq!((len, ended), (taken.len, taken.ended), "{text}");
        let json = String::from_utf8(whole.json()?.to_vec()).unwrap();
        (taken.ended == Some(true)).then_some((json, &text[taken.len..]))
    }

    #[test]
    fn json_ends_with_its_last_bracket() {
        for (text, json, rest) in [
            ("{} x", "{}", " x"),
            ("[1,{\"a\":\"]}\\\"\"}]\n", "[1,{\"a\":\"]}\\\"\"}]", "\n"),
            (
                "{\r\n \"a\": [\r\n ]\r\n}\r\n\r\n",
                "{\r\n \"a\": [\r\n ]\r\n}",
                "\r\n\r\n",
            ),
            ("[DONE]\n\n", "[DONE]", "\n\n"),
        ] {
            assert_eq!(taken(text), Some((json.to_owned(), rest)), "{text}");
        }
        for none in [
            "{\"a",
            "{\n\ndata: x}",
            "{\r\rx}",
            "{\n \n}",
            "{\"a\nb\"}",
            "{\r\n\r\n}",
        ] {
            assert_eq!(taken(none), None, "{none}");
        }
    }
}
