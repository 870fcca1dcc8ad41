//! Names of dialects.

use crate::llm::{Dialect, DialectMode};

/// Names of dialects.
pub(super) const DIALECTS: &[(&str, DialectMode)] = &[
    ("auto", DialectMode::Auto),
    ("status-only", DialectMode::StatusOnly),
    ("openai", DialectMode::Fixed(Dialect::OpenAi)),
    (
        "openai-responses",
        DialectMode::Fixed(Dialect::OpenAiResponses),
    ),
    ("anthropic", DialectMode::Fixed(Dialect::Anthropic)),
    ("gemini", DialectMode::Fixed(Dialect::Gemini)),
    ("bedrock", DialectMode::Fixed(Dialect::Bedrock)),
    ("cohere", DialectMode::Fixed(Dialect::Cohere)),
    ("ollama", DialectMode::Fixed(Dialect::Ollama)),
    ("tgi", DialectMode::Fixed(Dialect::Tgi)),
];

#[cfg(test)]
mod tests {
    use super::DIALECTS;

    #[test]
    fn dialects_have_the_names_that_they_have_everywhere() {
        for (name, setting) in DIALECTS {
            assert_eq!(name.parse().as_ref(), Ok(setting), "{name}");
        }
    }
}
