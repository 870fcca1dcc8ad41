//! Properties: bodies.
