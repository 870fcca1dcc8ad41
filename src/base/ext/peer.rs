//! Who the peer of a connection proved to be.

use std::sync::Arc;

/// What a TLS handshake proved of the peer. Absent: nothing was proved, and nobody is anybody.
///
/// It is never made from a header: what a caller says of itself is no proof.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The URI in its certificate, such as `spiffe://cluster.local/ns/ai/sa/chat`; `None` without a certificate.
    pub uri: Option<Arc<str>>,
    /// The server name that it asked for.
    pub sni: Option<Arc<str>>,
}
