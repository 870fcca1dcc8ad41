//! Whose API is it: the dialect (shape of requests and answers) and the provider (whose habits apply), as data.
//!
//! Method and path tell what is an LLM call, and its dialect; the host tells the provider. Behind a gateway the host says
//! nothing, and the response headers or the shape of the error body tell as far as it matters.

use std::str::FromStr;

use ::http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri};

use super::path::{self, Answers, Known};
pub use super::provider::{Dialect, Provider};

/// What the operator said about a host or route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DialectMode {
    /// LLM rules for error statuses everywhere; rules for what stands inside a 200 only where the request is an LLM call.
    /// Ordinary services pass unharmed.
    #[default]
    Auto,
    /// HTTP and gRPC status only: [`HttpClassifier`](crate::classify::HttpClassifier).
    StatusOnly,
    /// LLM calls are read as this dialect where their path is not another one's own. It makes no LLM call of a request that is
    /// none.
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
    /// Whether the request is an LLM call: a POST to a path of a dialect, or to one that the operator [named](LlmCall). Only
    /// then what stands in a 2xx is judged.
    pub generates: bool,
    /// Whether its request and the token counts of its answer are read: of LLM calls, and of embeddings.
    pub counts: bool,
    /// Whether several vendors' answers come by this path, so that it does not tell whose stream it is.
    pub mixed: bool,
    /// Whether nothing but a completion can be the answer. Paths such as `/api/chat` and `/generate` are ordinary services'
    /// too, which answer as they like: there the host or the operator must have said so.
    pub completes: bool,
}

/// The operator says that this request's path is one of LLM calls. In the extensions of requests; of a POST it makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LlmCall;

/// A name that is no dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a dialect: expected auto, status-only, openai, openai-responses, anthropic, gemini, bedrock, cohere, ollama or tgi"
)]
pub struct UnknownDialect;

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
    pub fn of(setting: DialectMode, method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        Self::new(setting, method, uri, headers, false)
    }

    /// The same, with what layers above said of the request: [`LlmCall`], and the [`DialectMode`] of its route, which goes before the
    /// `setting` of a layer.
    #[must_use]
    pub fn of_request<B>(setting: DialectMode, request: &Request<B>) -> Self {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        Self::of_parts(setting, method, uri, headers, request.extensions())
    }

    /// As [`of_request`](Self::of_request), of a request in its parts.
    #[must_use]
    pub fn of_parts(
        setting: DialectMode,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Self {
        let named = extensions.get::<LlmCall>().is_some();
        let setting = extensions.get::<DialectMode>().copied().unwrap_or(setting);
        Self::new(setting, method, uri, headers, named)
    }

    fn new(
        setting: DialectMode,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        named: bool,
    ) -> Self {
        let provider = host(uri, headers).and_then(provider);
        let known = path::known(uri.path(), provider);
        let is = |answers| known.is_some_and(|known| known.answers == answers);
        let post = *method == Method::POST;
        let generates = post && (named || is(Answers::Completions));
        // Whose the path is, if it is nobody else's.
        let own = known.is_some_and(|known| !known.shared);
        let fixed = matches!(setting, DialectMode::Fixed(_));
        Self {
            dialect: dialect(setting, known, headers).or_else(|| named.then_some(Dialect::OpenAi)),
            provider,
            streaming: known.is_some_and(|known| known.streaming),
            generates,
            counts: generates || (post && is(Answers::Counts)),
            mixed: known.is_some_and(|known| known.mixed),
            completes: generates && (own || named || fixed || provider.is_some()),
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

// === impl DialectMode ===

impl FromStr for DialectMode {
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

/// Whose shape a request has. A path that is one dialect's own says more than a setting for all paths.
fn dialect(setting: DialectMode, known: Option<Known>, headers: &HeaderMap) -> Option<Dialect> {
    let by_path = known.map(|known| known.dialect);
    match setting {
        DialectMode::Fixed(_) if known.is_some_and(|known| !known.shared) => by_path,
        DialectMode::Fixed(dialect) => Some(dialect),
        DialectMode::Auto | DialectMode::StatusOnly => by_path.or_else(|| {
            headers
                .contains_key(ANTHROPIC_VERSION)
                .then_some(Dialect::Anthropic)
        }),
    }
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

    fn api(setting: DialectMode, method: &Method, uri: &str) -> Api {
        Api::of(setting, method, &uri.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn method_and_path_make_an_llm_call_and_a_setting_makes_none() {
        let fixed = DialectMode::Fixed(Dialect::OpenAi);
        for setting in [DialectMode::Auto, fixed] {
            for (method, path, generates) in [
                (Method::POST, "/v1/chat/completions", true),
                (Method::POST, "/v1/chat/completions?x=/mcp", true),
                (Method::GET, "/v1/chat/completions", false),
                (Method::GET, "/v1/responses/resp_1", false),
                (Method::DELETE, "/v1/messages", false),
                (Method::POST, "/mcp", false),
                (Method::POST, "/v1/audio/speech", false),
                (Method::POST, "/v1/embeddings", false),
                (Method::POST, "/x?y=/v1/chat/completions", false),
            ] {
                assert_eq!(api(setting, &method, path).generates, generates, "{path}");
            }
        }
        let embeddings = api(DialectMode::Auto, &Method::POST, "/v1/embeddings");
        assert!(embeddings.counts && embeddings.dialect == Some(Dialect::OpenAi));
        // Error statuses are still read as the operator said.
        assert_eq!(
            api(fixed, &Method::POST, "/mcp").dialect,
            Some(Dialect::OpenAi)
        );
    }

    #[test]
    fn a_setting_says_how_calls_are_read_where_the_path_is_nobodys_own() {
        let fixed = |path| api(DialectMode::Fixed(Dialect::OpenAi), &Method::POST, path).dialect;
        for (path, dialect) in [
            ("/v1/messages", Dialect::Anthropic),
            ("/v1/responses", Dialect::OpenAiResponses),
            ("/api/chat", Dialect::OpenAi),
            ("/v2/chat", Dialect::OpenAi),
            ("/generate", Dialect::OpenAi),
        ] {
            assert_eq!(fixed(path), Some(dialect), "{path}");
        }
        let mistral = "/v1/publishers/mistralai/models/m:streamRawPredict";
        assert!(api(DialectMode::Auto, &Method::POST, mistral).mixed);
    }

    #[test]
    fn a_path_that_the_operator_named_is_one_of_calls() {
        let named = |method, path: &str, setting| {
            let mut request = Request::builder().method(method).uri(path);
            let extensions = request.extensions_mut();
            extensions.unwrap().insert(LlmCall);
            Api::of_request(setting, &request.body(()).unwrap())
        };
        let call = named(Method::POST, "/ask", DialectMode::Auto);
        assert!(call.generates && call.completes && call.dialect == Some(Dialect::OpenAi));
        let call = named(Method::POST, "/ask", DialectMode::Fixed(Dialect::Anthropic));
        assert_eq!(call.dialect, Some(Dialect::Anthropic));
        assert!(!named(Method::GET, "/ask", DialectMode::Auto).generates);
    }

    #[test]
    fn the_routes_dialect_goes_before_a_layers() {
        let mut request = Request::post("/v1/anything").body(()).unwrap();
        let of = |request: &Request<()>| Api::of_request(DialectMode::Auto, request).dialect;
        assert_eq!(of(&request), None);
        let fixed = DialectMode::Fixed(Dialect::Anthropic);
        request.extensions_mut().insert(fixed);
        assert_eq!(of(&request), Some(Dialect::Anthropic));
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
            DialectMode::Auto,
            &Method::POST,
            &Uri::from_static("/"),
            &headers,
        );
        assert_eq!(api.provider, Some(Provider::Groq));
    }

    #[test]
    fn settings_have_names() {
        assert_eq!("auto".parse(), Ok(DialectMode::Auto));
        assert_eq!("status-only".parse(), Ok(DialectMode::StatusOnly));
        assert_eq!(
            "openai-responses".parse(),
            Ok(DialectMode::Fixed(Dialect::OpenAiResponses))
        );
        assert_eq!("OpenAI".parse::<DialectMode>(), Err(UnknownDialect));
    }
}
