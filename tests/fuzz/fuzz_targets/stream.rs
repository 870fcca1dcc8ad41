//! See `llmesh::testing::fuzz::stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llmesh::testing::fuzz::stream(data));
