//! What a list of models looks like in each API.

use http::HeaderMap;
use serde_json::{Value, json};

use crate::llm::{Dialect, DialectMode};

/// When a model was made is not known here.
const NEVER: &str = "1970-01-01T00:00:00Z";

/// What of a list is asked for, and how it is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape<'p> {
    dialect: Dialect,
    /// The one model that is asked for.
    one: Option<&'p str>,
}

// === impl Shape ===

impl<'p> Shape<'p> {
    /// Of a request to this path; `None` if it is for no list.
    pub(super) fn of(setting: DialectMode, path: &'p str, headers: &HeaderMap) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.ends_with("/api/tags") {
            return Some(Self {
                dialect: Dialect::Ollama,
                one: None,
            });
        }
        let (base, rest) = path.rsplit_once("/models")?;
        let one = match rest {
            "" => None,
            one => Some(one.strip_prefix('/').filter(|one| !one.is_empty())?),
        };
        let version = base.rsplit('/').next().unwrap_or_default();
        // A version, `openai`, or nothing: what else has models is no API's list.
        let is_list = match version {
            "" => base.is_empty(),
            "openai" => true,
            version => version
                .strip_prefix('v')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())),
        };
        if !is_list {
            return None;
        }
        let fixed = match setting {
            DialectMode::Fixed(dialect) => Some(dialect),
            DialectMode::Auto | DialectMode::StatusOnly => None,
        };
        let dialect = match version {
            "v1beta" | "v1alpha" => Dialect::Gemini,
            "openai" => Dialect::OpenAi,
            _ if fixed.is_some() => fixed?,
            _ if headers.contains_key("anthropic-version") => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        };
        Some(Self { dialect, one })
    }

    /// The answer; `None` if the one that is asked for is not among them.
    pub(super) fn render(&self, names: &[&str]) -> Option<String> {
        let value = match self.one {
            Some(one) => self.model(names.iter().find(|name| **name == one)?),
            None => self.list(names),
        };
        Some(value.to_string())
    }

    fn list(&self, names: &[&str]) -> Value {
        let models: Vec<_> = names.iter().map(|name| self.model(name)).collect();
        match self.dialect {
            Dialect::Anthropic => json!({
                "data": models,
                "has_more": false,
                "first_id": names.first(),
                "last_id": names.last(),
            }),
            Dialect::Gemini | Dialect::Cohere | Dialect::Ollama => json!({"models": models}),
            _ => json!({"object": "list", "data": models}),
        }
    }

    fn model(&self, name: &str) -> Value {
        match self.dialect {
            Dialect::Anthropic => json!({
                "type": "model", "id": name, "display_name": name, "created_at": NEVER,
            }),
            Dialect::Gemini => json!({
                "name": format!("models/{name}"),
                "displayName": name,
                "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
            }),
            Dialect::Cohere => json!({"name": name, "endpoints": ["chat"]}),
            Dialect::Ollama => json!({
                "name": name, "model": name, "modified_at": NEVER, "size": 0, "digest": "", "details": {},
            }),
            _ => json!({"id": name, "object": "model", "created": 0, "owned_by": "llmesh"}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(setting: DialectMode, path: &str, anthropic: bool) -> Option<(Dialect, Option<&str>)> {
        let mut headers = HeaderMap::new();
        if anthropic {
            headers.insert("anthropic-version", "2023-06-01".parse().unwrap());
        }
        Shape::of(setting, path, &headers).map(|shape| (shape.dialect, shape.one))
    }

    #[test]
    fn the_api_is_that_of_the_path_then_of_the_policy_then_of_the_caller() {
        use Dialect::*;
        let auto = DialectMode::Auto;
        for (setting, path, anthropic, expected) in [
            (auto, "/v1/models", false, Some((OpenAi, None))),
            (auto, "/v1/models/", false, Some((OpenAi, None))),
            (auto, "/models", false, Some((OpenAi, None))),
            (auto, "/openai/v1/models", false, Some((OpenAi, None))),
            (auto, "/openai/models", false, Some((OpenAi, None))),
            (auto, "/v1beta/openai/models", false, Some((OpenAi, None))),
            (auto, "/v1/models", true, Some((Anthropic, None))),
            (auto, "/anthropic/v1/models", true, Some((Anthropic, None))),
            (
                DialectMode::Fixed(Anthropic),
                "/v1/models",
                false,
                Some((Anthropic, None)),
            ),
            (
                DialectMode::Fixed(OpenAi),
                "/v1/models",
                true,
                Some((OpenAi, None)),
            ),
            (
                DialectMode::Fixed(Cohere),
                "/v1/models",
                false,
                Some((Cohere, None)),
            ),
            (
                DialectMode::Fixed(OpenAi),
                "/gemini/v1beta/models",
                false,
                Some((Gemini, None)),
            ),
            (auto, "/v1beta/models", false, Some((Gemini, None))),
            (auto, "/api/tags", false, Some((Ollama, None))),
            (auto, "/v1/models/fast", false, Some((OpenAi, Some("fast")))),
            (
                auto,
                "/v1/models/org/m",
                false,
                Some((OpenAi, Some("org/m"))),
            ),
            (
                auto,
                "/v1beta/models/fast",
                false,
                Some((Gemini, Some("fast"))),
            ),
            (auto, "/v1/chat/completions", false, None),
            (auto, "/3d/models", false, None),
            (auto, "/", false, None),
            (auto, "/v1/modelsx", false, None),
        ] {
            assert_eq!(
                shape(setting, path, anthropic),
                expected,
                "{setting:?} {path}"
            );
        }
    }
}
