//! Whose API is it: the dialect (shape of requests and answers) and the provider (whose habits apply), as data.
//!
//! The path tells the dialect, the host the provider; behind a gateway the host says nothing, and the response headers
//! or the shape of the error body tell as far as it matters.

use std::str::FromStr;

use ::http::{HeaderMap, HeaderName, Method, Uri};

/// The shape of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI chat completions, completions and embeddings, and all that copy them.
    OpenAi,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini and Vertex `generateContent`, and Interactions.
    Gemini,
    /// Bedrock Converse and InvokeModel.
    Bedrock,
    /// Cohere v1 and v2 chat.
    Cohere,
    /// Ollama's native API.
    Ollama,
    /// Hugging Face text-generation-inference.
    Tgi,
}

/// Who serves it. Only those whose signals mean something of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "names of companies and projects")]
pub enum Provider {
    OpenAi,
    Azure,
    Anthropic,
    Gemini,
    Vertex,
    Bedrock,
    Mistral,
    Cohere,
    Groq,
    Together,
    Fireworks,
    OpenRouter,
    DeepSeek,
    HuggingFace,
}

/// What the operator said about a host or route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// LLM rules for errors everywhere; rules for what stands inside a 200 only where the request is known to be an LLM
    /// call. Ordinary services pass unharmed.
    #[default]
    Auto,
    /// HTTP and gRPC status only: [`HttpClassifier`](crate::classify::HttpClassifier).
    StatusOnly,
    /// This dialect, whatever the path.
    Fixed(Dialect),
}

/// What is known of a request's API before its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Api {
    /// The dialect, from the setting or the path. `None`: no LLM call as far as one can see.
    pub dialect: Option<Dialect>,
    /// The provider, from the host.
    pub provider: Option<Provider>,
    /// Whether the path answers with a stream of any content type.
    pub streaming: bool,
    /// Whether the request is a generation call: a POST to a known path, or to a host whose dialect is set.
    pub generates: bool,
}

/// A name that is no dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a dialect: expected auto, status-only, openai, openai-responses, anthropic, gemini, bedrock, cohere, ollama or tgi"
)]
pub struct UnknownDialect;

/// How a path is compared.
enum Path {
    Is(&'static str),
    Ends(&'static str),
    /// Bedrock: `/model/{id}/…`.
    Model(&'static str),
}

use Path::{Ends, Is, Model};

const PATHS: &[(Path, Dialect, bool)] = &[
    (Ends("/chat/completions"), Dialect::OpenAi, false),
    (Ends("/v1/completions"), Dialect::OpenAi, false),
    (Ends("/v1/embeddings"), Dialect::OpenAi, false),
    (Ends("/v1/responses"), Dialect::OpenAiResponses, false),
    (Ends("/openai/responses"), Dialect::OpenAiResponses, false),
    (Ends("/v1/messages"), Dialect::Anthropic, false),
    (Ends("/v1/messages/count_tokens"), Dialect::Anthropic, false),
    (Ends(":rawPredict"), Dialect::Anthropic, false),
    (Ends(":streamRawPredict"), Dialect::Anthropic, true),
    (Ends(":generateContent"), Dialect::Gemini, false),
    (Ends(":streamGenerateContent"), Dialect::Gemini, true),
    (Ends("/v1beta/interactions"), Dialect::Gemini, false),
    (Ends("/v1/interactions"), Dialect::Gemini, false),
    (Model("/converse"), Dialect::Bedrock, false),
    (Model("/converse-stream"), Dialect::Bedrock, true),
    (Model("/invoke"), Dialect::Bedrock, false),
    (
        Model("/invoke-with-response-stream"),
        Dialect::Bedrock,
        true,
    ),
    (Ends("/v2/chat"), Dialect::Cohere, false),
    (Is("/v1/chat"), Dialect::Cohere, false),
    (Is("/api/chat"), Dialect::Ollama, false),
    (Is("/api/generate"), Dialect::Ollama, false),
    (Is("/generate"), Dialect::Tgi, false),
    (Is("/generate_stream"), Dialect::Tgi, true),
];

/// Host names, each with all below it.
const HOSTS: &[(&str, Provider)] = &[
    ("aiplatform.googleapis.com", Provider::Vertex),
    ("api-inference.huggingface.co", Provider::HuggingFace),
    ("anthropic.com", Provider::Anthropic),
    ("cognitiveservices.azure.com", Provider::Azure),
    ("cohere.ai", Provider::Cohere),
    ("cohere.com", Provider::Cohere),
    ("deepseek.com", Provider::DeepSeek),
    ("fireworks.ai", Provider::Fireworks),
    ("generativelanguage.googleapis.com", Provider::Gemini),
    ("groq.com", Provider::Groq),
    ("mistral.ai", Provider::Mistral),
    ("openai.azure.com", Provider::Azure),
    ("openai.com", Provider::OpenAi),
    ("openrouter.ai", Provider::OpenRouter),
    ("router.huggingface.co", Provider::HuggingFace),
    ("services.ai.azure.com", Provider::Azure),
    ("together.ai", Provider::Together),
    ("together.xyz", Provider::Together),
];

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Response headers that only one provider sends.
static MARKS: [(HeaderName, Provider); 7] = [
    (
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        Provider::Anthropic,
    ),
    (HeaderName::from_static("apim-request-id"), Provider::Azure),
    (
        HeaderName::from_static("x-amzn-errortype"),
        Provider::Bedrock,
    ),
    (HeaderName::from_static("x-groq-region"), Provider::Groq),
    (HeaderName::from_static("x-ms-region"), Provider::Azure),
    (
        HeaderName::from_static("x-ratelimit-over-limit"),
        Provider::Fireworks,
    ),
    (
        HeaderName::from_static("x-tokenlimit-limit"),
        Provider::Together,
    ),
];

// === impl Api ===

impl Api {
    /// What a request shows of its API.
    #[must_use]
    pub fn of(setting: Setting, method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let path = PATHS
            .iter()
            .find(|(path, ..)| path.matches(uri.path()))
            .map(|(_, dialect, streaming)| (*dialect, *streaming));
        let dialect = match setting {
            Setting::Fixed(dialect) => Some(dialect),
            Setting::Auto | Setting::StatusOnly => path.map(|(dialect, _)| dialect).or_else(|| {
                headers
                    .contains_key(ANTHROPIC_VERSION)
                    .then_some(Dialect::Anthropic)
            }),
        };
        let generates =
            *method == Method::POST && (path.is_some() || matches!(setting, Setting::Fixed(_)));
        Self {
            dialect,
            provider: host(uri, headers).and_then(provider),
            streaming: path.is_some_and(|(_, streaming)| streaming),
            generates,
        }
    }

    /// The provider, once the response headers are known too.
    #[must_use]
    pub fn provider(&self, response: &HeaderMap) -> Option<Provider> {
        self.provider.or_else(|| {
            MARKS
                .iter()
                .find(|(mark, _)| response.contains_key(mark))
                .map(|(_, provider)| *provider)
        })
    }

    /// Whether this is an LLM API, by path, setting or host.
    #[must_use]
    pub fn is_llm(&self) -> bool {
        self.dialect.is_some() || self.provider.is_some()
    }
}

// === impl Setting ===

impl FromStr for Setting {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        Ok(match name {
            "auto" => Self::Auto,
            "status-only" => Self::StatusOnly,
            "openai" => Self::Fixed(Dialect::OpenAi),
            "openai-responses" => Self::Fixed(Dialect::OpenAiResponses),
            "anthropic" => Self::Fixed(Dialect::Anthropic),
            "gemini" => Self::Fixed(Dialect::Gemini),
            "bedrock" => Self::Fixed(Dialect::Bedrock),
            "cohere" => Self::Fixed(Dialect::Cohere),
            "ollama" => Self::Fixed(Dialect::Ollama),
            "tgi" => Self::Fixed(Dialect::Tgi),
            _ => return Err(UnknownDialect),
        })
    }
}

// === impl Path ===

impl Path {
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Is(whole) => path == *whole,
            Self::Ends(end) => ends_with(path, end),
            Self::Model(end) => ends_with(path, end) && path.starts_with("/model/"),
        }
    }
}

/// The provider behind a host name.
#[must_use]
pub fn provider(host: &str) -> Option<Provider> {
    // No name below is one of a cluster's own, of a single label.
    let host = host.trim_end_matches('.');
    if !host.contains('.') {
        return None;
    }
    let ends_in = |name: &str| {
        let at = host.len().checked_sub(name.len())?;
        let same = host
            .as_bytes()
            .get(at..)?
            .eq_ignore_ascii_case(name.as_bytes());
        same.then(|| host.get(..at)).flatten()
    };
    let bedrock = |b: &[u8]| b.eq_ignore_ascii_case(b"bedrock");
    if host.as_bytes().get(..7).is_some_and(bedrock) && ends_in(".amazonaws.com").is_some() {
        return Some(Provider::Bedrock);
    }
    if ends_in("-aiplatform.googleapis.com").is_some() {
        return Some(Provider::Vertex);
    }
    HOSTS
        .iter()
        .find(|(name, _)| ends_in(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
        .map(|(_, provider)| *provider)
}

/// Most paths differ in the last byte already.
fn ends_with(path: &str, end: &str) -> bool {
    path.as_bytes().last() == end.as_bytes().last() && path.ends_with(end)
}

fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    uri.host().or_else(|| {
        let host = headers.get(::http::header::HOST)?.to_str().ok()?;
        Some(host.rsplit_once(':').map_or(host, |(name, _)| name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(setting: Setting, method: &Method, uri: &str) -> Api {
        Api::of(setting, method, &uri.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn paths_tell_the_dialect() {
        for (path, dialect, streaming) in [
            ("/v1/chat/completions", Some(Dialect::OpenAi), false),
            (
                "/openai/deployments/x/chat/completions?api-version=1",
                Some(Dialect::OpenAi),
                false,
            ),
            ("/v1/responses", Some(Dialect::OpenAiResponses), false),
            ("/v1/messages", Some(Dialect::Anthropic), false),
            (
                "/v1beta/models/m:streamGenerateContent",
                Some(Dialect::Gemini),
                true,
            ),
            ("/model/a.b-v1%3A0/converse", Some(Dialect::Bedrock), false),
            ("/functions/invoke", None, false),
            ("/v2/chat", Some(Dialect::Cohere), false),
            ("/api/chat", Some(Dialect::Ollama), false),
            ("/team/api/chat", None, false),
            ("/api/knowledge/query", None, false),
        ] {
            let api = api(Setting::Auto, &Method::POST, path);
            assert_eq!((api.dialect, api.streaming), (dialect, streaming), "{path}");
            assert_eq!(api.generates, dialect.is_some(), "{path}");
        }
        assert!(!api(Setting::Auto, &Method::GET, "/v1/chat/completions").generates);
        assert!(api(Setting::Fixed(Dialect::OpenAi), &Method::POST, "/x").generates);
    }

    #[test]
    fn hosts_tell_the_provider() {
        for (host, provider) in [
            ("api.openai.com", Some(Provider::OpenAi)),
            ("API.OpenAI.com.", Some(Provider::OpenAi)),
            ("notopenai.com", None),
            ("my.openai.azure.com", Some(Provider::Azure)),
            (
                "bedrock-runtime.us-east-1.amazonaws.com",
                Some(Provider::Bedrock),
            ),
            ("s3.amazonaws.com", None),
            (
                "europe-west4-aiplatform.googleapis.com",
                Some(Provider::Vertex),
            ),
            ("llm-service", None),
        ] {
            assert_eq!(super::provider(host), provider, "{host}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("host", "api.groq.com:443".parse().unwrap());
        let api = Api::of(
            Setting::Auto,
            &Method::POST,
            &Uri::from_static("/"),
            &headers,
        );
        assert_eq!(api.provider, Some(Provider::Groq));
    }

    #[test]
    fn settings_have_names() {
        assert_eq!("auto".parse(), Ok(Setting::Auto));
        assert_eq!("status-only".parse(), Ok(Setting::StatusOnly));
        assert_eq!(
            "openai-responses".parse(),
            Ok(Setting::Fixed(Dialect::OpenAiResponses))
        );
        assert_eq!("OpenAI".parse::<Setting>(), Err(UnknownDialect));
    }
}
