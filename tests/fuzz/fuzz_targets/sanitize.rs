//! See `llmesh::testing::fuzz::sanitize`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llmesh::testing::fuzz::sanitize(data));
