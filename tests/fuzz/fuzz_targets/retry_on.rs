//! See `llmesh::testing::fuzz::retry_on`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llmesh::testing::fuzz::retry_on(data));
