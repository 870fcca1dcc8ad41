//! Values of attributes, free of any SDK.

use std::sync::Arc;

use http::{Request, header};

/// What an attribute says.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    not(all(feature = "otel", feature = "llm")),
    allow(dead_code, reason = "nobody reads them, or none are of models")
)]
pub(crate) enum Value {
    Str(&'static str),
    Text(String),
    Shared(Arc<str>),
    Int(i64),
    Float(f64),
    Bool(bool),
    List(Vec<&'static str>),
}

/// Paths and names from outside are cut here.
const TEXT_CAP: usize = 256;

// === impl Value ===

impl Value {
    /// Text from outside, of bounded length.
    pub(crate) fn cut(text: &str) -> Self {
        let mut end = text.len().min(TEXT_CAP);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::Text(text.get(..end).unwrap_or_default().to_owned())
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Str(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl From<u16> for Value {
    fn from(n: u16) -> Self {
        Self::Int(n.into())
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Self {
        Self::Int(n.into())
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

/// Host and port as the request names them.
pub(super) fn host<B>(request: &Request<B>) -> Option<&str> {
    let authority = request.uri().authority().map(|authority| {
        // Without a user's name and password.
        let text = authority.as_str();
        text.rsplit_once('@').map_or(text, |(_, host)| host)
    });
    authority.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}
