//! Meanings that stand in words: in the text for people, and in codes that no table names.
//!
//! A `Family` is an outcome and the phrases that mean it; a phrase is some pieces that come in this order with little
//! between them, so that numbers and names in between do not matter. Everything is compared in lower case.
//!
//! A prompt that an error echoes may contain any of these phrases, and must not steer anything. So only the error's
//! `message` is looked at, and no quotation in it; each family counts under the statuses it is known from alone, or where no
//! status was told at all (in an error inside a 2xx); and a code that names one parameter of the request silences the text.
//!
//! Codes are the vendor's own words, under any status: `ModelAccountTpmRateLimitExceeded` is read as "model account tpm
//! rate limit exceeded".

mod family;
mod phrases;
mod spoken;

pub(crate) use self::spoken::spelled;
use self::{family::cut, phrases::FAMILIES, spoken::spoken};
use crate::classify::Outcome;

/// What a text means stands in its beginning. In bytes.
const LONGEST: usize = 4096;

/// When a text is asked: before the codes, or after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Families that are the only signal for their outcome.
    First,
    /// The others.
    Then,
}

/// Codes about one parameter: OpenAI's, which others copied. What the text quotes there is the caller's.
const PARAMETER: &[&str] = &[
    "array_above_max_length",
    "array_below_min_length",
    "decimal_above_max_value",
    "decimal_below_min_value",
    "empty_array",
    "empty_string",
    "integer_above_max_value",
    "integer_below_min_value",
    "invalid_enum_value",
    "invalid_function_parameters",
    "invalid_json_schema",
    "invalid_type",
    "invalid_value",
    "missing_required_parameter",
    "string_above_max_length",
    "string_below_min_length",
    "unknown_parameter",
    "unsupported_parameter",
    "unsupported_value",
];

/// What a text means under this status; `None` if none was told.
pub(crate) fn of_text(
    status: Option<u16>,
    code: Option<&str>,
    message: &str,
    turn: Turn,
) -> Option<Outcome> {
    let refused = status.is_none_or(|status| matches!(status, 400 | 413 | 422));
    if message.is_empty() || refused && code.is_some_and(|code| PARAMETER.contains(&code)) {
        return None;
    }
    let text = spoken(beginning(message));
    FAMILIES
        .iter()
        .filter(|family| family.first == (turn == Turn::First))
        .filter(|family| status.is_none_or(|status| family.on.contains(&status)))
        .find(|family| family.is_meant(&text))
        .map(|family| family.outcome)
}

/// What a code means that no table names.
pub(crate) fn of_code(code: &str) -> Option<Outcome> {
    let text = spelled(beginning(code));
    FAMILIES
        .iter()
        .find(|family| family.is_meant(&text))
        .map(|family| family.outcome)
}

/// Whether the text gives a limit and a larger request: "Limit 30000, Requested 48211". Such a request can never fit.
#[must_use]
pub fn over_the_limit(message: &str) -> bool {
    let message = beginning(message).to_lowercase();
    match (after(&message, "limit"), after(&message, "requested")) {
        (Some(limit), Some(requested)) => requested > limit,
        _ => false,
    }
}

fn beginning(text: &str) -> &str {
    cut(text, LONGEST)
}

/// The first number that follows one of the occurrences of `word`, with at most `:`, `=` and blanks between.
fn after(message: &str, word: &str) -> Option<u64> {
    message.match_indices(word).find_map(|(at, _)| {
        let rest = message.get(at + word.len()..)?;
        let rest = rest.trim_start_matches([':', '=', ' ']);
        let mut digits = String::new();
        let mut chars = rest.chars().peekable();
        while let Some(c) = chars.next() {
            if c.is_ascii_digit() {
                digits.push(c);
            } else if c != ',' || !chars.peek().is_some_and(char::is_ascii_digit) {
                break;
            }
        }
        digits.parse().ok()
    })
}

#[cfg(test)]
mod tests;
