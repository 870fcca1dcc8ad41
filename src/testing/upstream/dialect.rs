//! Which provider is played, told by the path, and what the request asks of it.

use http::{header::ACCEPT, request::Parts};
use serde_json::Value;

use super::prompt::Prompt;

/// The API whose shapes are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// OpenAI chat completions; also every path that is nobody's.
    Chat,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Anthropic,
    /// Gemini `generateContent`.
    Gemini,
    /// Ollama's native chat.
    Ollama,
    /// Cohere's second chat API.
    Cohere,
    /// AWS Bedrock `Converse`.
    Bedrock,
}

/// What one request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) dialect: Dialect,
    pub(super) model: String,
    pub(super) stream: bool,
    /// OpenAI chat: a usage chunk before `[DONE]`.
    pub(super) usage: bool,
    /// Gemini without `alt=sse`: the stream is one JSON array.
    pub(super) array: bool,
    pub(super) prompt: Prompt,
}

// === impl Dialect ===

impl Dialect {
    fn of_path(path: &str) -> Option<Self> {
        if path.ends_with("/chat/completions") {
            Some(Self::Chat)
        } else if path.ends_with("/v1/responses") {
            Some(Self::Responses)
        } else if path.ends_with("/v1/messages") {
            Some(Self::Anthropic)
        } else if path.ends_with(":generateContent") || path.ends_with(":streamGenerateContent") {
            Some(Self::Gemini)
        } else if path == "/api/chat" {
            Some(Self::Ollama)
        } else if path.ends_with("/v2/chat") {
            Some(Self::Cohere)
        } else if path.ends_with("/converse") || path.ends_with("/converse-stream") {
            Some(Self::Bedrock)
        } else {
            None
        }
    }
}

// === impl Ask ===

impl Ask {
    /// Reads the request. A body that is not JSON asks for the defaults: an upstream under test answers all.
    pub(super) fn read(parts: &Parts, body: &[u8]) -> Self {
        let path = parts.uri.path();
        let known = Dialect::of_path(path);
        let dialect = known.unwrap_or(Dialect::Chat);
        let json: Value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body).unwrap_or_default()
        };
        let stream = match (json.get("stream").and_then(Value::as_bool), dialect) {
            (_, Dialect::Gemini) => path.ends_with(":streamGenerateContent"),
            (_, Dialect::Bedrock) => path.ends_with("/converse-stream"),
            (Some(stream), _) => stream,
            (None, Dialect::Ollama) => true,
            (None, _) => known.is_none() && accepts_events(parts),
        };
        let model = match path_model(dialect, path) {
            Some(model) => decoded(model),
            None => {
                let model = json.get("model").and_then(Value::as_str);
                model.unwrap_or("mock").to_owned()
            }
        };
        Self {
            dialect,
            model,
            stream,
            usage: json.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
            array: dialect == Dialect::Gemini
                && !parts.uri.query().is_some_and(|q| q.contains("alt=sse")),
            prompt: Prompt::read(&json),
        }
    }

    /// The model without what it asks of the mock: the name that usage is counted under.
    pub(super) fn base(&self) -> &str {
        split(&self.model).0
    }

    /// What the model's name asks of the mock: all after its last `@`. `NAME@20250514`, `NAME@latest` and `NAME@default`
    /// are versions, as Vertex writes them, and `@cf/NAME` is a name.
    pub(super) fn plan(&self) -> Option<&str> {
        split(&self.model).1
    }

    /// Whether the request can have a plan; if not it need not be parsed for it.
    pub(super) fn may_plan(parts: &Parts, body: &[u8]) -> bool {
        let path = parts.uri.path();
        body.contains(&b'@') || path.contains('@') || path.contains("%40")
    }
}

fn split(model: &str) -> (&str, Option<&str>) {
    match model.rsplit_once('@') {
        Some((name, plan)) if !name.is_empty() && !version(plan) => (name, Some(plan)),
        _ => (model, None),
    }
}

fn version(text: &str) -> bool {
    matches!(text, "latest" | "default")
        || (text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()))
}

fn accepts_events(parts: &Parts) -> bool {
    parts.headers.get_all(ACCEPT).iter().any(|accept| {
        accept
            .to_str()
            .is_ok_and(|a| a.contains("text/event-stream"))
    })
}

/// The model that the path names: `…/models/NAME:generateContent`, `/openai/deployments/NAME/…` (Azure) or
/// `/model/NAME/converse`.
fn path_model(dialect: Dialect, path: &str) -> Option<&str> {
    match dialect {
        Dialect::Gemini => {
            let last = path.rsplit('/').next()?;
            Some(last.rsplit_once(':')?.0)
        }
        Dialect::Bedrock => {
            let (rest, _) = path.rsplit_once('/')?;
            Some(
                rest.rsplit_once("/model/")
                    .map_or("mock", |(_, model)| model),
            )
        }
        Dialect::Chat => {
            let (_, rest) = path.split_once("/openai/deployments/")?;
            rest.strip_suffix("/chat/completions")
        }
        _ => None,
    }
}

/// `%40` → `@`. What is not an escape stays as it is.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| tail.split_at_checked(2)).flatten();
        let byte = escaped.and_then(|(hex, after)| {
            let hex = std::str::from_utf8(hex).ok()?;
            Some((u8::from_str_radix(hex, 16).ok()?, after))
        });
        let (byte, after) = byte.unwrap_or((*first, tail));
        out.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn ask(uri: &str, accept: &str, body: &str) -> Ask {
        let request = Request::post(uri).header(ACCEPT, accept).body(()).unwrap();
        Ask::read(&request.into_parts().0, body.as_bytes())
    }

    #[test]
    fn the_path_tells_the_dialect() {
        for (path, dialect) in [
            ("/v1/chat/completions", Dialect::Chat),
            ("/openai/v1/chat/completions", Dialect::Chat),
            ("/v1/responses", Dialect::Responses),
            ("/v1/messages", Dialect::Anthropic),
            ("/v1beta/models/g:generateContent", Dialect::Gemini),
            (
                "/v1beta/models/g:streamGenerateContent?alt=sse",
                Dialect::Gemini,
            ),
            ("/api/chat", Dialect::Ollama),
            ("/api/llm/chat", Dialect::Chat),
            ("/v2/chat", Dialect::Cohere),
            ("/model/m/converse", Dialect::Bedrock),
            (
                "/openai/deployments/d/chat/completions?api-version=x",
                Dialect::Chat,
            ),
        ] {
            assert_eq!(ask(path, "*/*", "").dialect, dialect, "{path}");
        }
    }

    #[test]
    fn a_stream_is_asked_for_in_each_dialects_way() {
        let events = "text/event-stream";
        for (path, accept, body, stream) in [
            ("/v1/chat/completions", "*/*", r#"{"stream":true}"#, true),
            ("/v1/chat/completions", events, "{}", false),
            ("/api/llm/stream", events, "", true),
            ("/api/llm/stream", events, r#"{"stream":false}"#, false),
            ("/api/llm/stream", "*/*", "", false),
            ("/api/chat", "*/*", "{}", true),
            ("/api/chat", "*/*", r#"{"stream":false}"#, false),
            ("/m/g:streamGenerateContent", "*/*", "", true),
            ("/m/g:generateContent", "*/*", r#"{"stream":true}"#, false),
            ("/model/m/converse", "*/*", "{}", false),
            ("/model/m/converse-stream", "*/*", "{}", true),
            ("/v2/chat", "*/*", r#"{"stream":true}"#, true),
        ] {
            assert_eq!(ask(path, accept, body).stream, stream, "{path} {body}");
        }
    }

    #[test]
    fn the_model_is_echoed() {
        assert_eq!(ask("/v1/messages", "*/*", r#"{"model":"c"}"#).model, "c");
        assert_eq!(
            ask("/v1beta/models/gem:generateContent", "*/*", "").model,
            "gem"
        );
        assert_eq!(ask("/x", "*/*", "not json").model, "mock");
    }

    #[test]
    fn a_plan_is_what_follows_the_models_last_at_sign() {
        for (model, base, plan) in [
            ("gpt@503", "gpt", Some("503")),
            ("gpt@cut:3t;times=1", "gpt", Some("cut:3t;times=1")),
            ("claude@20250514", "claude@20250514", None),
            ("claude@20250514@hang", "claude@20250514", Some("hang")),
            ("m@latest", "m@latest", None),
            ("@cf/meta/llama", "@cf/meta/llama", None),
            ("m", "m", None),
        ] {
            let body = format!(r#"{{"model":"{model}"}}"#);
            let ask = ask("/v1/messages", "*/*", &body);
            assert_eq!((ask.base(), ask.plan()), (base, plan), "{model}");
        }
    }

    #[test]
    fn models_in_paths_are_read_with_their_plans() {
        for path in [
            "/v1beta/models/m@cut:3;times=1:generateContent",
            "/v1beta/models/m%40cut%3A3%3Btimes%3D1:streamGenerateContent",
            "/model/m%40cut%3A3%3Btimes%3D1/converse-stream",
            "/openai/deployments/m@cut:3;times=1/chat/completions",
        ] {
            let ask = ask(path, "*/*", r#"{"model":"other"}"#);
            assert_eq!(
                (ask.base(), ask.plan()),
                ("m", Some("cut:3;times=1")),
                "{path}"
            );
        }
        assert_eq!(decoded("50%"), "50%");
        assert_eq!(decoded("%zz%41"), "%zzA");
    }
}
