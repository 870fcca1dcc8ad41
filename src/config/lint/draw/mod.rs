//! Drawings of the call graph.

mod mermaid;
mod svg;
mod text;
