//! See `llmesh::testing::fuzz::coding`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llmesh::testing::fuzz::coding(data));
