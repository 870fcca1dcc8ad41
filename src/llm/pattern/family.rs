//! Some phrases that mean the same, and whether a text says one.

use crate::classify::Outcome;

/// Pieces of a phrase that stand further apart belong to different sentences. In bytes.
const GAP: usize = 80;

/// Some phrases that mean the same.
pub(super) struct Family {
    pub(super) outcome: Outcome,
    /// Whether it is the only signal for its outcome, so that it goes before codes, which are often general.
    pub(super) first: bool,
    /// The statuses it is known from.
    pub(super) on: &'static [u16],
    /// Words that say that it is about something else.
    pub(super) unless: &'static [&'static str],
    /// Each phrase's pieces, `|` between alternatives, and who says it.
    pub(super) phrases: &'static [(&'static [&'static str], &'static str)],
}

// === impl Family ===

impl Family {
    pub(super) fn is_meant(&self, text: &str) -> bool {
        !self.unless.iter().any(|other| text.contains(other))
            && self.phrases.iter().any(|(pieces, _)| says(text, pieces))
    }
}

/// Whether these pieces come in this order, each soon after the one before.
pub(super) fn says(text: &str, pieces: &[&str]) -> bool {
    let Some((piece, rest)) = pieces.split_first() else {
        return true;
    };
    piece.split('|').any(|word| {
        text.match_indices(word)
            .any(|(at, _)| follow(text.get(at + word.len()..).unwrap_or_default(), rest))
    })
}

fn follow(text: &str, pieces: &[&str]) -> bool {
    let Some((piece, rest)) = pieces.split_first() else {
        return true;
    };
    piece.split('|').any(|word| {
        let near = cut(text, GAP + word.len());
        near.match_indices(word)
            .any(|(at, _)| follow(text.get(at + word.len()..).unwrap_or_default(), rest))
    })
}

/// At most so many bytes, and no part of a character.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev();
    end.into_iter()
        .find_map(|end| text.get(..end))
        .unwrap_or_default()
}
