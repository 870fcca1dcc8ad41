//! The llmesh binary.

fn main() {}
