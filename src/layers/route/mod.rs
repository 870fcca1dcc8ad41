//! Which route serves a request, and which of its weighted destinations.

pub mod params;
