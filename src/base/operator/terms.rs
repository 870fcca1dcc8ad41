//! What an operator may be.

use http::{HeaderName, header::HOST};

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

// === impl Field ===

impl Field {
    pub(super) fn parse(name: &str) -> Option<Self> {
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
