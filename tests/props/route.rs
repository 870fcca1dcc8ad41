//! Properties: route.
