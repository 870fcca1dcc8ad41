//! Kinds of spans.

/// Which side of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request that came in.
    Server,
    /// A request that goes out.
    Client,
    /// Neither: what spans several requests.
    Internal,
}
