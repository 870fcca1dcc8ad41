//! Meanings that stand in no code, only in the text for people.
//!
//! Each pattern is compared with the error's `message` alone, in lower case, and only under the statuses it is known
//! from: a prompt echoed back in an error may contain any of these words, and must not steer anything. Patterns under 400
//! are left out where the body gives a specific code.

use crate::classify::Outcome;

const BAD: &[u16] = &[400, 413, 422];

/// (statuses, all of these words, outcome)
const PATTERNS: &[(&[u16], &[&str], Outcome)] = &[
    // Money. Anthropic; Cohere's trial.
    (
        &[400],
        &["credit balance is too low"],
        Outcome::QuotaExhausted,
    ),
    (&[429], &["trial key"], Outcome::QuotaExhausted),
    // Context window: OpenAI and vLLM; Anthropic; Bedrock; Cohere; TGI; Gemini; llama.cpp; Cerebras.
    (BAD, &["maximum context length"], Outcome::ContextLength),
    (BAD, &["prompt is too long"], Outcome::ContextLength),
    (BAD, &["input is too long"], Outcome::ContextLength),
    (BAD, &["too many tokens: the total"], Outcome::ContextLength),
    (
        BAD,
        &["`inputs` tokens + `max_new_tokens`"],
        Outcome::ContextLength,
    ),
    (
        BAD,
        &["exceeds the maximum number of tokens allowed"],
        Outcome::ContextLength,
    ),
    (
        BAD,
        &["exceeds the available context size"],
        Outcome::ContextLength,
    ),
    (
        BAD,
        &["maximum input length is", "tokens"],
        Outcome::ContextLength,
    ),
    (
        BAD,
        &["current length is", "while limit is"],
        Outcome::ContextLength,
    ),
    // Unknown model: Bedrock; DeepSeek.
    (&[400], &["model identifier is invalid"], Outcome::NotFound),
    (&[400], &["model not exist"], Outcome::NotFound),
    // Shared capacity: Azure; Mistral.
    (&[429], &["high demand"], Outcome::Overloaded),
    (&[429], &["capacity exceeded"], Outcome::Overloaded),
];

/// Codes that say no more than the status does.
const GENERIC: &[&str] = &[
    "invalid_request_error",
    "invalid_request",
    "BadRequest",
    "bad_request",
    "badRequest",
    "invalid_argument",
    "validation_error",
];

/// What the text means under this status.
#[must_use]
pub fn outcome(status: u16, code: Option<&str>, message: &str) -> Option<Outcome> {
    if message.is_empty() {
        return None;
    }
    let specific = code.is_some_and(|code| !GENERIC.contains(&code));
    if specific && BAD.contains(&status) {
        return None;
    }
    let message = message.to_lowercase();
    PATTERNS
        .iter()
        .find(|(statuses, words, _)| {
            statuses.contains(&status) && words.iter().all(|word| message.contains(word))
        })
        .map(|(.., outcome)| *outcome)
}

/// Whether the text gives a limit and a larger request: "Limit 30000, Requested 48211". Such a request can never fit.
#[must_use]
pub fn over_the_limit(message: &str) -> bool {
    let message = message.to_lowercase();
    match (after(&message, "limit"), after(&message, "requested")) {
        (Some(limit), Some(requested)) => requested > limit,
        _ => false,
    }
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
mod tests {
    use super::*;

    #[test]
    fn every_pattern_works_under_its_statuses_only() {
        for (statuses, words, outcome) in PATTERNS {
            let message = words.join(" 12 ").to_uppercase();
            for status in [400, 403, 404, 413, 422, 429, 500, 503] {
                let found = super::outcome(status, None, &message);
                assert_eq!(
                    found,
                    statuses.contains(&status).then_some(*outcome),
                    "{status} {message}"
                );
            }
        }
    }

    #[test]
    fn a_specific_code_silences_the_text() {
        let echo = "Unknown parameter: 'prompt is too long'.";
        assert_eq!(outcome(400, Some("unknown_parameter"), echo), None);
        assert_eq!(
            outcome(400, Some("invalid_request_error"), echo),
            Some(Outcome::ContextLength)
        );
    }

    #[test]
    fn compares_the_two_numbers() {
        for (text, over) in [
            ("Rate limit: Limit 30000, Requested 48211.", true),
            ("Limit 30,000, Used 1, Requested 48,211", true),
            ("limit 30000, used 29000, requested 2000", false),
            ("Limit 10, Requested 10", false),
            ("Limit: 6000 / Requested: 7420", true),
            ("Limit, Requested 5", false),
            ("Limit 99999999999999999999999, Requested 1", false),
            ("", false),
        ] {
            assert_eq!(over_the_limit(text), over, "{text}");
        }
    }
}
