//! Names of dialects.

use crate::llm::{Dialect, Setting};

/// Names of dialects.
pub(super) const DIALECTS: &[(&str, Setting)] = &[
    ("auto", Setting::Auto),
    ("status-only", Setting::StatusOnly),
    ("openai", Setting::Fixed(Dialect::OpenAi)),
    ("openai-responses", Setting::Fixed(Dialect::OpenAiResponses)),
    ("anthropic", Setting::Fixed(Dialect::Anthropic)),
    ("gemini", Setting::Fixed(Dialect::Gemini)),
    ("bedrock", Setting::Fixed(Dialect::Bedrock)),
    ("cohere", Setting::Fixed(Dialect::Cohere)),
    ("ollama", Setting::Fixed(Dialect::Ollama)),
    ("tgi", Setting::Fixed(Dialect::Tgi)),
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
