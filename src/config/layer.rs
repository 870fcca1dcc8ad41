//! Which of two sources that claim the same goes before the other.

/// Where a source stands among the others. A higher layer's resource wins over a lower one's for the same host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Layer {
    /// Comes with llmesh: there unless a file says otherwise.
    BuiltIn,
    /// An ordinary file.
    #[default]
    File,
    /// An experiment, laid over the files.
    Overlay,
}

// === impl Layer ===

impl Layer {
    /// All of them, the winner first.
    pub(super) const DOWNWARD: [Self; 3] = [Self::Overlay, Self::File, Self::BuiltIn];

    /// What is said to what loses against a resource of this layer.
    pub(super) const fn hint(self) -> &'static str {
        match self {
            Self::Overlay => "it comes back when the overlay is removed",
            Self::File | Self::BuiltIn => "files go before what comes with llmesh",
        }
    }
}
