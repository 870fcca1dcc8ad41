//! See `llmesh::testing::fuzz::route`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llmesh::testing::fuzz::route(data));
