//! See `llmesh::testing::fuzz::deadline`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llmesh::testing::fuzz::deadline(data));
