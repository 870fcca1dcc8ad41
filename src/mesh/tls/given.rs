//! What TLS is made with besides a cluster's own settings, and what is in force.

use std::{fmt, sync::Arc};

use zeroize::Zeroizing;

/// A certificate chain and its key.
pub type Pair = (Arc<[u8]>, Arc<Zeroizing<Vec<u8>>>);

/// What holds where a cluster names nothing of its own: for private authorities and for tests.
#[derive(Clone, Default)]
pub struct Defaults {
    /// Authorities in PEM, in place of the system's.
    pub roots: Option<Arc<[u8]>>,
    /// A certificate chain and its key in PEM, shown to servers that ask for one.
    pub identity: Option<Pair>,
}

/// A certificate in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Whether it is shown to servers; else it is an authority that servers' are checked against.
    pub own: bool,
    /// The file or secret that it is from.
    pub origin: String,
    /// Itself, in DER.
    pub der: Arc<[u8]>,
}

// === impl Defaults ===

impl fmt::Debug for Defaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Defaults")
            .field("roots", &self.roots.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}
