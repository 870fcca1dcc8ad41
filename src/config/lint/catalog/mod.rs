//! What is to be known of the loader's own rules.

use super::rule::Rule;

/// All of them.
pub(super) static ALL: [&[Rule]; 0] = [];
