//! Properties: retry.
