//! Properties: trace.
