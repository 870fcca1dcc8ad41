//! Which provider is played, told by the path, and what the request asks of it.

use std::borrow::Cow;

use http::{header::ACCEPT, request::Parts};
use serde_json::Value;

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
    /// Length of the request's body in bytes / 4, at least 1.
    pub(super) prompt_tokens: usize,
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
            (Some(stream), _) => stream,
            (None, Dialect::Ollama) => true,
            (None, _) => known.is_none() && accepts_events(parts),
        };
        let model = match (dialect, json.get("model").and_then(Value::as_str)) {
            (Dialect::Gemini, _) => gemini_model(path),
            (_, Some(model)) => Cow::Borrowed(model),
            (_, None) => Cow::Borrowed("mock"),
        };
        Self {
            dialect,
            model: model.into_owned(),
            stream,
            usage: json.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
            array: dialect == Dialect::Gemini
                && !parts.uri.query().is_some_and(|q| q.contains("alt=sse")),
            prompt_tokens: (body.len() / 4).max(1),
        }
    }
}

fn accepts_events(parts: &Parts) -> bool {
    parts.headers.get_all(ACCEPT).iter().any(|accept| {
        accept
            .to_str()
            .is_ok_and(|a| a.contains("text/event-stream"))
    })
}

/// `…/models/gemini-pro:generateContent` → `gemini-pro`.
fn gemini_model(path: &str) -> Cow<'_, str> {
    let last = path.rsplit('/').next().unwrap_or_default();
    Cow::Borrowed(last.split(':').next().unwrap_or_default())
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
}
