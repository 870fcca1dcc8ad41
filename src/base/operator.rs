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

use std::{borrow::Cow, fmt};

use http::{HeaderName, header::HOST};

pub use self::{
    date::date,
    known::{Known, RequestHead, millis},
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

/// What an operator stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operator {
    /// `REQ(X?Y)`: a field of the request, else another.
    Request(Field, Option<Field>),
    /// `RESP(X?Y)`.
    Response(Field, Option<Field>),
    /// `REQ_WITHOUT_QUERY(X?Y)`, and `PATH(NQ)`.
    WithoutQuery(Field, Option<Field>),
    /// `QUERY_PARAM(X)`.
    QueryParameter(String),
    /// `START_TIME`, with its format.
    StartTime(Option<String>),
    /// One without arguments.
    Plain(Plain),
    /// One that has no value here, by its name.
    Absent(&'static str),
}

/// A header or pseudo header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in HTTP/2")]
pub enum Field {
    Authority,
    Header(HeaderName),
    Method,
    Path,
    Scheme,
    Status,
}

/// Operators without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named and described by Envoy")]
pub enum Plain {
    BytesReceived,
    BytesSent,
    DownstreamLocalAddress,
    DownstreamLocalAddressWithoutPort,
    DownstreamLocalPort,
    DownstreamRemoteAddress,
    DownstreamRemoteAddressWithoutPort,
    DownstreamRemotePort,
    Duration,
    Protocol,
    ResponseCode,
    ResponseCodeDetails,
    ResponseFlags,
    RouteName,
    UpstreamAttempts,
    UpstreamCluster,
    UpstreamHost,
    UpstreamHostWithoutPort,
    UpstreamPort,
    UpstreamTransportFailureReason,
}

/// The value of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Bytes as in a header.
    Bytes(Cow<'a, [u8]>),
    /// A number, which stays one in JSON.
    Number(u64),
}

/// Why a text with operators is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A percent sign that begins no operator.
    #[error("the `%` at {0:?} begins no operator: a percent sign is written `%%`")]
    Unbalanced(String),
    /// An operator that Envoy does not know.
    #[error("`%{0}%` is no operator that Envoy knows")]
    Unknown(String),
    /// An operator with arguments that it cannot have.
    #[error("`%{operator}%` {why}")]
    Arguments {
        /// The operator as written.
        operator: String,
        /// What is wrong.
        why: &'static str,
    },
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

// === impl Field ===

impl Field {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            ":authority" => Self::Authority,
            ":method" => Self::Method,
            ":path" => Self::Path,
            ":scheme" => Self::Scheme,
            ":status" => Self::Status,
            name => match HeaderName::from_bytes(name.as_bytes()).ok()? {
                HOST => Self::Authority,
                name => Self::Header(name),
            },
        })
    }
}

#[cfg(test)]
mod tests;
