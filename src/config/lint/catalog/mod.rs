//! What is to be known of the loader's own rules.

mod documents;
mod hosts;
mod llm;
mod routes;
mod rules;
mod security;

use super::rule::Rule;

/// All of them.
pub(super) static ALL: [&[Rule]; 6] = [
    documents::RULES,
    hosts::RULES,
    routes::RULES,
    rules::RULES,
    llm::RULES,
    security::RULES,
];
