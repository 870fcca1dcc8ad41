//! The model that a form names: `multipart/form-data`, as speech, images and files are sent.

use super::{as_name, names::Named};

/// The longest head of a part that is read.
const HEAD: usize = 4096;

/// Reads the parts of a form, and no more of one than where it ends.
#[derive(Debug)]
pub(crate) struct Form {
    /// What stands between parts: a line's end, two dashes, the boundary.
    between: Vec<u8>,
    at: At,
    /// Bytes that are not done with.
    open: Vec<u8>,
    /// Bytes that are.
    read: u64,
    named: Named,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a part's content; whether it is the model.
    Content(bool),
    Head,
    Over,
}

// === impl Form ===

impl Form {
    /// With the boundary that the content type's parameters name.
    pub(crate) fn new(parameters: &str) -> Option<Self> {
        let boundary = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let own = name.trim().eq_ignore_ascii_case("boundary");
            own.then(|| value.trim().trim_matches('"'))
        })?;
        // RFC 2046 section 5.1.1.
        if !(1..=70).contains(&boundary.len()) {
            return None;
        }
        Some(Self {
            between: format!("\r\n--{boundary}").into_bytes(),
            at: At::Content(false),
            // The first part has no content before it.
            open: b"\r\n".to_vec(),
            read: 0,
            named: Named::default(),
        })
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.at == At::Over {
            return;
        }
        self.open.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(next) = self.step(from) {
            from = next;
        }
        let done = from.min(self.open.len());
        self.open.drain(..done);
        self.read += done as u64;
    }

    /// What was said so far.
    pub(super) const fn named(&self) -> &Named {
        &self.named
    }

    /// Whether no part follows.
    pub(super) fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Goes on in the open bytes; the place after what is done with, `None` until more come.
    fn step(&mut self, from: usize) -> Option<usize> {
        let rest = self.open.get(from..)?;
        match self.at {
            At::Over => None,
            At::Content(is_model) => {
                let Some(end) = find(rest, &self.between) else {
                    // Of a file only the bytes are kept that could begin what is between.
                    let most = if is_model { super::MODEL_CAP } else { 0 };
                    let open = most + self.between.len();
                    if rest.len() < open * 2 {
                        return None;
                    }
                    self.at = At::Content(false);
                    if is_model {
                        self.named.note(None, 0..0);
                    }
                    return Some(from + rest.len() - self.between.len());
                };
                if is_model {
                    let text = rest
                        .get(..end)
                        .and_then(|text| std::str::from_utf8(text).ok());
                    let name = text.map(str::to_owned).and_then(as_name);
                    self.named.note(name, 0..0);
                }
                self.at = At::Head;
                Some(from + end + self.between.len())
            }
            At::Head => {
                if rest.starts_with(b"--") {
                    self.at = At::Over;
                    return None;
                }
                let Some(end) = find(rest, b"\r\n\r\n") else {
                    if rest.len() > HEAD {
                        self.at = At::Over;
                    }
                    return None;
                };
                let head = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
                self.at = At::Content(is_model(&head));
                // An empty content ends where the head's own line does.
                Some(from + end + 4)
            }
        }
    }
}

/// Whether a part's head says that it is the field `model`.
fn is_model(head: &str) -> bool {
    head.lines().any(|line| {
        let Some((name, value)) = line.split_once(':') else {
            return false;
        };
        name.trim().eq_ignore_ascii_case("content-disposition")
            && value.split(';').any(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or_default();
                name.trim().eq_ignore_ascii_case("name")
                    && value.trim().trim_matches('"') == "model"
            })
    })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let first = what.first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|b| b == first)?;
        if bytes.get(at..)?.starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
}
