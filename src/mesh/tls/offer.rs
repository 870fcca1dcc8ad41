//! What is asked of a handshake, and what it gives.

use super::failure::Refusal;
use crate::mesh::connect::BoxIo;

/// What is offered to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Both; HTTP/2 is preferred.
    Both,
}

/// A TLS connection.
pub(crate) struct Secured {
    /// To be read and written in clear.
    pub(crate) io: BoxIo,
    /// Whether HTTP/2 was agreed upon.
    pub(crate) http2: bool,
    /// Whether an earlier session was resumed.
    pub(crate) resumed: bool,
    /// Why the server refused the connection after its handshake, if it did.
    pub(crate) refused: Refusal,
}
