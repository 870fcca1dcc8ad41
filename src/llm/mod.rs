//! LLM semantics.
