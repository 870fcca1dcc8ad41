//! Envoy's command operators, such as `%REQ(:PATH)%`, in header values and access log formats.
//!
//! A [`Template`] is read once; what an operator stands for is asked at each use (see [`Known`]). Grammar and names are
//! Envoy's (<https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage>). An operator that
//! Envoy does not know is an error, as there; one that it knows and that never has a value here is read as
//! [`Operator::Absent`].

mod date;
mod known;
mod read;
mod table;
mod terms;

use std::{borrow::Cow, fmt};

pub use self::{
    date::date,
    known::{Known, RequestHead, millis},
    terms::{Field, Operator, ParseError, Plain},
};

/// A text with operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    source: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// An operator, and the most bytes of its value that are taken.
    Value(Operator, Option<usize>),
}

/// The value of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Bytes as in a header.
    Bytes(Cow<'a, [u8]>),
    /// A number, which stays one in JSON.
    Number(u64),
}

// === impl Template ===

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// The first operator that cannot be read.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            plain.push_str(&rest[..at]);
            let inside = &rest[at + 1..];
            if let Some(after) = inside.strip_prefix('%') {
                plain.push('%');
                rest = after;
                continue;
            }
            let written = read::written(inside).ok_or_else(|| {
                let near: String = rest[at..].chars().take(24).collect();
                ParseError::Unbalanced(near)
            })?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Value(written.operator()?, written.max));
            rest = &inside[written.text.len() + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self {
            source: text.to_owned(),
            pieces,
        })
    }

    /// The text as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text, if it has no operator.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Its operators, in order.
    pub fn operators(&self) -> impl Iterator<Item = &Operator> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(operator, _) => Some(operator),
            Piece::Text(_) => None,
        })
    }

    /// The whole text, with `missing` for operators without a value.
    pub fn render<'a>(
        &self,
        missing: &str,
        mut value: impl FnMut(&Operator) -> Option<Value<'a>>,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.source.len() + 32);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Value(operator, max) => match value(operator) {
                    None => out.extend_from_slice(missing.as_bytes()),
                    Some(Value::Number(n)) => out.extend_from_slice(n.to_string().as_bytes()),
                    Some(Value::Bytes(bytes)) => {
                        let most = max.unwrap_or(bytes.len()).min(bytes.len());
                        out.extend_from_slice(&bytes[..most]);
                    }
                },
            }
        }
        out
    }

    /// The value of the only operator; the outer `None`: it is not a lone operator.
    pub fn lone<'a>(
        &self,
        value: impl FnOnce(&Operator) -> Option<Value<'a>>,
    ) -> Option<Option<Value<'a>>> {
        let [Piece::Value(operator, max)] = self.pieces.as_slice() else {
            return None;
        };
        Some(value(operator).map(|value| match (value, max) {
            (Value::Bytes(bytes), Some(max)) if bytes.len() > *max => {
                Value::Bytes(bytes[..*max].to_vec().into())
            }
            (value, _) => value,
        }))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Bytes(match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }
}

#[cfg(test)]
mod tests;
