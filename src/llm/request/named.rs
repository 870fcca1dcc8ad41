//! The model that a request names, read as its body comes in.
//!
//! Who chooses a route or renames a model cannot wait for all of a body, and need not: this reads member by member as bytes
//! arrive, keeps nothing but the member at hand, and stops asking for more once the model is known. SDKs send `messages`
//! before `model`, so the name may stand behind megabytes.
//!
//! What follows is read too, as it passes ([`Sole`](super::sole::Sole)): of a member that stands twice some parsers take the first and some the
//! last, and some take `Model` for `model`. A body that names two models would be routed by one and served by the other, so
//! it fails before its end is sent.

use std::ops::ControlFlow;

use ::http::{
    HeaderMap, Method,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    request::Parts,
};

pub(crate) use super::names::Named;
use super::{as_name, form::Form, scan};
use crate::{
    base::{Error, Kind, Told},
    body::{
        Body as Whole, Peek,
        peek::{Held, Stopped},
    },
};

/// How much of a body is read for its model. What a larger one names later is not known.
pub(crate) const READ: usize = 4 * 1024 * 1024;

/// The longest key that can say `model`: with all of it escaped, and its quotes.
const KEY: usize = 32;

/// The longest value that can be a name, escaped, with its quotes.
const VALUE: usize = super::MODEL_CAP * 6 + 2;

/// A reader of the names in one body.
#[derive(Debug)]
pub(crate) enum Naming {
    /// One JSON object.
    Json(Json),
    /// A form, such as the ones that carry sound.
    Form(Form),
}

/// Reads the members of an object, and no more of a value than whether it is over.
#[derive(Debug, Default)]
pub(crate) struct Json {
    at: At,
    role: Role,
    escaped: bool,
    depth: u32,
    /// Bytes read.
    read: u64,
    /// The key or name at hand, with its quotes, as far as it can be one.
    kept: Vec<u8>,
    begin: u64,
    /// Whether the member at hand is the model.
    is_model: bool,
    named: Named,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the object; so many bytes of a byte order mark were read.
    #[default]
    Begin,
    Mark(u8),
    Key,
    Colon,
    Value,
    Text,
    Nested,
    Scalar,
    Comma,
    /// The object is over, or it is none.
    Over,
}

/// What a string is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Key,
    Value,
    Inside,
}

/// Reads as much of a body as tells its model, at most [`READ`] bytes. The body comes back whole.
///
/// # Cancel safety
/// Dropping the future drops the body.
pub(crate) async fn find(mut naming: Naming, body: Whole) -> (Naming, Held<Whole>) {
    let mut peek = Peek::with_limit(body, READ);
    loop {
        let stopped = peek.until(|frame| match frame.data_ref() {
            Some(data) => {
                naming.push(data);
                if naming.is_settled() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            }
            None => ControlFlow::Continue(()),
        });
        // Tiny frames do not shorten what is read.
        if stopped.await != Stopped::Full || peek.held_bytes() >= READ {
            return (naming, peek.into_body());
        }
        peek.join();
    }
}

/// What a caller is told whose body names two models.
pub(crate) fn contradiction() -> Error {
    Error::new(Kind::BadRequest)
        .with_source(Told("the request's body names its model twice".into()))
}

// === impl Naming ===

impl Naming {
    /// For the body of a request; `None` if it is not read: compressed, neither JSON nor a form, or no POST.
    ///
    /// JSON comes under many labels, its own, none and that of curl. What streams both ways must not wait.
    pub(crate) fn of(head: &Parts) -> Option<Self> {
        if head.method != Method::POST || is_coded(&head.headers) {
            return None;
        }
        let Some(kind) = head.headers.get(CONTENT_TYPE) else {
            return Some(Self::Json(Json::default()));
        };
        let kind = kind.to_str().ok()?;
        let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
        let essence = essence.trim().to_ascii_lowercase();
        if essence == "multipart/form-data" {
            return Form::new(parameters).map(Self::Form);
        }
        let json = matches!(
            essence.as_str(),
            "" | "application/json"
                | "application/x-www-form-urlencoded"
                | "text/json"
                | "text/plain"
        ) || (essence.ends_with("+json") && !essence.starts_with("application/grpc"));
        json.then(|| Self::Json(Json::default()))
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Json(json) => json.push(bytes),
            Self::Form(form) => form.push(bytes),
        }
    }

    /// What was said so far.
    pub(crate) fn named(&self) -> &Named {
        match self {
            Self::Json(json) => &json.named,
            Self::Form(form) => form.named(),
        }
    }

    /// Whether nothing that follows can name a model.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Json(json) => json.at == At::Over,
            Self::Form(form) => form.is_over(),
        }
    }

    fn is_settled(&self) -> bool {
        self.named().first.is_some() || self.is_over()
    }
}

/// Whether a body is in a coding that hides it.
fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

// === impl Json ===

impl Json {
    fn push(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.at == At::Over {
                return;
            }
            if self.at == At::Text && !self.escaped {
                // Most of a body stands in strings.
                let plain = bytes.iter().position(|b| matches!(b, b'"' | b'\\'));
                let (text, rest) = bytes.split_at(plain.unwrap_or(bytes.len()));
                if !text.is_empty() {
                    self.keep(text);
                    self.read += text.len() as u64;
                    bytes = rest;
                    continue;
                }
            }
            self.step(byte);
            self.read += 1;
            bytes = rest;
        }
    }

    fn step(&mut self, byte: u8) {
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at = match (self.at, byte) {
            (At::Begin, 0xEF) => At::Mark(1),
            (At::Mark(1), 0xBB) => At::Mark(2),
            (At::Mark(2), 0xBF) => At::Mark(3),
            (At::Begin | At::Mark(3), b'{') => At::Key,
            (At::Begin | At::Mark(3) | At::Key | At::Colon | At::Value | At::Comma, _) if blank => {
                self.at
            }
            (At::Key, b'"') => self.text(Role::Key),
            (At::Colon, b':') => At::Value,
            (At::Value, b'"') => self.text(Role::Value),
            (At::Value, b'{' | b'[') => {
                self.no_name();
                self.depth = 1;
                At::Nested
            }
            (At::Value, _) => {
                self.no_name();
                At::Scalar
            }
            (At::Text, _) => self.character(byte),
            (At::Nested, b'"') => self.text(Role::Inside),
            (At::Nested, b'{' | b'[') => {
                self.depth = self.depth.saturating_add(1);
                At::Nested
            }
            (At::Nested, b'}' | b']') => {
                self.depth -= 1;
                if self.depth == 0 {
                    At::Comma
                } else {
                    At::Nested
                }
            }
            (At::Nested, _) => At::Nested,
            (At::Scalar | At::Comma, b',') => At::Key,
            (At::Scalar | At::Comma, b'}') => At::Over,
            (At::Scalar, _) => At::Scalar,
            _ => At::Over,
        };
    }

    /// A string begins.
    fn text(&mut self, role: Role) -> At {
        self.role = role;
        self.begin = self.read;
        self.kept.clear();
        self.keep(b"\"");
        At::Text
    }

    /// A character in a string that means more than itself, or stands behind a backslash.
    fn character(&mut self, byte: u8) -> At {
        self.keep(&[byte]);
        if self.escaped || byte == b'\\' {
            self.escaped = !self.escaped;
            return At::Text;
        }
        match self.role {
            Role::Inside => At::Nested,
            Role::Key => {
                self.is_model = self.kept().is_some_and(|key| {
                    key.eq_ignore_ascii_case("\"model\"")
                        || (key.contains('\\')
                            && scan::decoded(key).is_some_and(|k| k.eq_ignore_ascii_case("model")))
                });
                At::Colon
            }
            Role::Value => {
                if self.is_model {
                    let name = self.kept().and_then(scan::decoded).and_then(as_name);
                    self.named.note(name, self.begin..self.read + 1);
                }
                At::Comma
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let most = match self.role {
            Role::Key => KEY,
            Role::Value if self.is_model => VALUE,
            Role::Value | Role::Inside => return,
        };
        // One more shows that it is too long.
        let room = (most + 1).saturating_sub(self.kept.len());
        self.kept
            .extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
    }

    /// The string at hand, unless it is too long.
    fn kept(&self) -> Option<&str> {
        let most = if self.role == Role::Key { KEY } else { VALUE };
        std::str::from_utf8(&self.kept)
            .ok()
            .filter(|kept| kept.len() <= most)
    }

    /// A value that is no string begins.
    fn no_name(&mut self) {
        if self.is_model {
            self.named.note(None, self.read..self.read);
        }
    }
}

#[cfg(test)]
mod tests;
