//! See `llmesh::testing::fuzz::sniff`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llmesh::testing::fuzz::sniff(data));
