//! Properties: balance.
