//! See `llmesh::testing::fuzz::duration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llmesh::testing::fuzz::duration(data));
