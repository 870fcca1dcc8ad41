//! Floor 3: the canonical order of the layers, composed.
