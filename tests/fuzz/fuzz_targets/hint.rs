//! See `llmesh::testing::fuzz::hint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llmesh::testing::fuzz::hint(data));
