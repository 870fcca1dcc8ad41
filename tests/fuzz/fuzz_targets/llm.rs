//! See `llmesh::testing::fuzz::llm`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llmesh::testing::fuzz::llm(data));
