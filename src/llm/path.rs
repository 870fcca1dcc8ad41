//! Which requests are LLM calls, as far as their paths tell.
//!
//! The generation paths of every dialect, also under a prefix: a gateway's, a deployment's, a publisher's. Each is compared
//! by its end. What is no row here is none, and neither are the paths that look alike: a count of tokens, an embedding and an
//! image are no completions, and their answers may hold what they like.

use std::borrow::Cow;

use super::provider::{Dialect, Provider};

/// What a path tells of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) dialect: Dialect,
    pub(super) answers: Answers,
    /// Whether the path answers with a stream, whatever the body asks for.
    pub(super) streaming: bool,
    /// Whether ordinary services have this path too.
    pub(super) shared: bool,
    /// Whether several vendors' answers come by it.
    pub(super) mixed: bool,
}

/// What of the answers on a path is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// They are completions.
    Completions,
    /// Their token counts only.
    Counts,
    /// Nothing.
    Nothing,
}

/// How a path is compared.
enum Path {
    Is(&'static str),
    Ends(&'static str),
    /// At this provider only: the word is anybody's.
    At(Provider, &'static str),
}

use Answers::{Completions, Counts, Nothing};
use Path::{At, Ends, Is};

const WHOLE: Known = Known {
    dialect: Dialect::OpenAi,
    answers: Completions,
    streaming: false,
    shared: false,
    mixed: false,
};

const fn of(dialect: Dialect) -> Known {
    Known { dialect, ..WHOLE }
}

const fn streaming(dialect: Dialect) -> Known {
    Known {
        streaming: true,
        ..of(dialect)
    }
}

const fn shared(dialect: Dialect) -> Known {
    Known {
        shared: true,
        ..of(dialect)
    }
}

const fn only(answers: Answers, dialect: Dialect) -> Known {
    Known {
        answers,
        ..of(dialect)
    }
}

const PATHS: &[(Path, Known)] = &[
    // Azure's deployments, Vertex' `endpoints/openapi`, and all gateways end so.
    (Ends("/chat/completions"), of(Dialect::OpenAi)),
    (Ends("/v1/completions"), of(Dialect::OpenAi)),
    (Ends("/beta/completions"), of(Dialect::OpenAi)),
    (Ends("/fim/completions"), of(Dialect::OpenAi)),
    (Ends("/embeddings"), only(Counts, Dialect::OpenAi)),
    (Ends("/v1/responses"), of(Dialect::OpenAiResponses)),
    (Ends("/openai/responses"), of(Dialect::OpenAiResponses)),
    (Ends("/codex/responses"), of(Dialect::OpenAiResponses)),
    (Ends("/v1/messages"), of(Dialect::Anthropic)),
    (
        Ends("/v1/messages/count_tokens"),
        only(Nothing, Dialect::Anthropic),
    ),
    (
        At(Provider::Anthropic, "/v1/complete"),
        of(Dialect::Anthropic),
    ),
    (Ends(":generateContent"), of(Dialect::Gemini)),
    (Ends(":streamGenerateContent"), streaming(Dialect::Gemini)),
    (Ends("/v1beta/interactions"), of(Dialect::Gemini)),
    (Ends("/v1/interactions"), of(Dialect::Gemini)),
    (Ends("/v2/chat"), shared(Dialect::Cohere)),
    (Is("/v1/chat"), shared(Dialect::Cohere)),
    (Ends("/cohere/v1/chat"), of(Dialect::Cohere)),
    (At(Provider::Cohere, "/v1/generate"), of(Dialect::Cohere)),
    (Is("/api/chat"), shared(Dialect::Ollama)),
    (Is("/api/generate"), shared(Dialect::Ollama)),
    (Ends("/ollama/api/chat"), of(Dialect::Ollama)),
    (Ends("/ollama/api/generate"), of(Dialect::Ollama)),
    (Is("/generate"), shared(Dialect::Tgi)),
    (
        Is("/generate_stream"),
        Known {
            streaming: true,
            ..shared(Dialect::Tgi)
        },
    ),
];

/// Ends of Bedrock's `/model/{id}/…`, whether they answer with a stream, and whether in the shape of the model's vendor.
const BEDROCK: &[(&str, bool, bool)] = &[
    ("/converse", false, false),
    ("/converse-stream", true, false),
    ("/invoke", false, true),
    ("/invoke-with-response-stream", true, true),
];

/// Parts of the names of Bedrock's models that write no text.
const NO_TEXT: &[&str] = &[
    "embed",
    "nova-canvas",
    "nova-reel",
    "rerank",
    "stability.",
    "titan-image",
];

/// Last words of paths that are no LLM calls, also under a prefix that was said to be one.
const OTHERS: &[&str] = &[
    "batches",
    "cancel",
    "count_tokens",
    "edits",
    "embeddings",
    "files",
    "images",
    "jobs",
    "models",
    "moderations",
    "rerank",
    "speech",
    "transcriptions",
    "translations",
    "uploads",
    "vector_stores",
];

/// What a path tells.
pub(super) fn known(path: &str, provider: Option<Provider>) -> Option<Known> {
    let path = &*plain(path);
    if !may_be_known(path) {
        return None;
    }
    let found = PATHS.iter().find(|(at, _)| at.matches(path, provider));
    match found {
        Some((_, known)) => Some(*known),
        None => bedrock(path).or_else(|| vertex(path)),
    }
}

/// Whether the last word of a path is one that `known` knows: most are none, and this is cheaper than to compare with each row.
fn may_be_known(path: &str) -> bool {
    let bytes = path.as_bytes();
    let at = bytes.iter().rposition(|b| matches!(b, b'/' | b':'));
    let word = at.and_then(|at| bytes.get(at + 1..)).unwrap_or_default();
    matches!(
        word,
        b"chat"
            | b"complete"
            | b"completions"
            | b"converse"
            | b"converse-stream"
            | b"count_tokens"
            | b"embeddings"
            | b"generate"
            | b"generateContent"
            | b"generate_stream"
            | b"interactions"
            | b"invoke"
            | b"invoke-with-response-stream"
            | b"messages"
            | b"rawPredict"
            | b"responses"
            | b"streamGenerateContent"
            | b"streamRawPredict"
    )
}

/// Whether a path lies under one of these prefixes, element by element, and is none of those that are no LLM calls anywhere.
pub(crate) fn lies_under(path: &str, prefixes: &[String]) -> bool {
    let path = &*plain(path);
    let under = |prefix: &String| {
        path.strip_prefix(prefix.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let last = path.rsplit('/').next().unwrap_or_default();
    prefixes.iter().any(under) && (!OTHERS.contains(&last) || prefixes.iter().any(|p| p == path))
}

/// Without a slash at the end, and with its colons as such.
fn plain(path: &str) -> Cow<'_, str> {
    let path = match path.strip_suffix('/') {
        Some("") | None => path,
        Some(rest) => rest,
    };
    if path.as_bytes().contains(&b'%') {
        Cow::Owned(path.replace("%3A", ":").replace("%3a", ":"))
    } else {
        Cow::Borrowed(path)
    }
}

fn bedrock(path: &str) -> Option<Known> {
    let (end, streaming, mixed) = BEDROCK.iter().find(|(end, ..)| path.ends_with(end))?;
    let before = path.get(..path.len() - end.len())?;
    let (_, model) = before.split_once("/model/")?;
    if model.is_empty() {
        return None;
    }
    let writes = !mixed || !NO_TEXT.iter().any(|name| model.contains(name));
    Some(Known {
        answers: if writes { Completions } else { Nothing },
        streaming: *streaming,
        mixed: *mixed,
        ..of(Dialect::Bedrock)
    })
}

/// `…/publishers/{publisher}/models/{model}:rawPredict`, which takes and gives what the publisher's own API does.
fn vertex(path: &str) -> Option<Known> {
    let (before, verb) = path.rsplit_once(':')?;
    let streaming = match verb {
        "rawPredict" => false,
        "streamRawPredict" => true,
        _ => return None,
    };
    let publisher = before.split_once("/publishers/").map(|(_, rest)| rest);
    let publisher = publisher.and_then(|rest| rest.split('/').next());
    let counts = before.ends_with("/count-tokens");
    Some(Known {
        answers: if counts { Nothing } else { Completions },
        streaming,
        mixed: true,
        ..of(match publisher {
            Some("anthropic") | None => Dialect::Anthropic,
            Some("google") => Dialect::Gemini,
            Some("cohere") => Dialect::Cohere,
            Some(_) => Dialect::OpenAi,
        })
    })
}

// === impl Path ===

impl Path {
    fn matches(&self, path: &str, provider: Option<Provider>) -> bool {
        match self {
            Self::Is(whole) => path == *whole,
            Self::Ends(end) => ends_with(path, end),
            Self::At(at, end) => provider == Some(*at) && ends_with(path, end),
        }
    }
}

/// Most paths differ in the last byte already.
fn ends_with(path: &str, end: &str) -> bool {
    path.as_bytes().last() == end.as_bytes().last() && path.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(path: &str) -> Option<(Dialect, bool)> {
        let known = known(path, None).filter(|known| known.answers == Completions)?;
        Some((known.dialect, known.streaming))
    }

    #[test]
    fn generation_paths_of_every_dialect_also_under_a_prefix() {
        use Dialect::*;
        for (path, expected, streams) in [
            ("/chat/completions", OpenAi, false),
            ("/v1/chat/completions", OpenAi, false),
            ("/v1/chat/completions/", OpenAi, false),
            ("/openai/v1/chat/completions", OpenAi, false),
            ("/v1beta/openai/chat/completions", OpenAi, false),
            ("/api/v1/chat/completions", OpenAi, false),
            ("/inference/v1/completions", OpenAi, false),
            ("/openai/deployments/x/chat/completions", OpenAi, false),
            ("/models/chat/completions", OpenAi, false),
            (
                "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
                OpenAi,
                false,
            ),
            ("/beta/completions", OpenAi, false),
            ("/v1/fim/completions", OpenAi, false),
            ("/v1/responses", OpenAiResponses, false),
            ("/openai/v1/responses", OpenAiResponses, false),
            ("/openai/responses", OpenAiResponses, false),
            ("/api/v1/responses", OpenAiResponses, false),
            ("/v1/messages", Anthropic, false),
            ("/anthropic/v1/messages", Anthropic, false),
            ("/v1beta/models/m:generateContent", Gemini, false),
            ("/v1beta/models/m%3AgenerateContent", Gemini, false),
            (
                "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent",
                Gemini,
                true,
            ),
            (
                "/v1/publishers/anthropic/models/claude@1:streamRawPredict",
                Anthropic,
                true,
            ),
            (
                "/v1/publishers/mistralai/models/m:rawPredict",
                OpenAi,
                false,
            ),
            (
                "/v1/publishers/meta/models/m:streamRawPredict",
                OpenAi,
                true,
            ),
            ("/v1beta/interactions", Gemini, false),
            ("/model/a.b-v1%3A0/converse", Bedrock, false),
            ("/bedrock/model/a.b-v1%3A0/converse-stream", Bedrock, true),
            (
                "/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.x/invoke",
                Bedrock,
                false,
            ),
            (
                "/model/mistral.x/invoke-with-response-stream",
                Bedrock,
                true,
            ),
            ("/v2/chat", Cohere, false),
            ("/v1/chat", Cohere, false),
            ("/api/chat", Ollama, false),
            ("/ollama/api/generate", Ollama, false),
            ("/generate_stream", Tgi, true),
        ] {
            assert_eq!(dialect(path), Some((expected, streams)), "{path}");
        }
    }

    #[test]
    fn the_fast_look_knows_the_last_word_of_every_row() {
        for (Is(text) | Ends(text) | At(_, text), _) in PATHS {
            assert!(may_be_known(text), "{text}");
        }
        for (text, ..) in BEDROCK {
            assert!(may_be_known(text), "{text}");
        }
        for text in ["/m:rawPredict", "/m:streamRawPredict"] {
            assert!(may_be_known(text) && vertex(text).is_some(), "{text}");
        }
        assert!(!may_be_known("/v1/things") && !may_be_known(""));
    }

    #[test]
    fn other_paths_of_the_same_apis_are_none() {
        for path in [
            "/",
            "",
            "/v1/audio/speech",
            "/v1/audio/transcriptions",
            "/v1/audio/translations",
            "/v1/images/generations",
            "/v1/images/edits",
            "/v1/embeddings",
            "/v1/files",
            "/v1/batches",
            "/v1/models",
            "/v1/moderations",
            "/v1/fine_tuning/jobs",
            "/v1/vector_stores",
            "/v1/threads/t/runs",
            "/v1/realtime/sessions",
            "/v1/responses/resp_1/cancel",
            "/v1/responses/input_tokens",
            "/v1/chat/completions/chatcmpl-1",
            "/v1/messages/count_tokens",
            "/v1/messages/batches",
            "/v1beta/models/m:countTokens",
            "/v1beta/models/m:embedContent",
            "/v1beta/models/m:batchGenerateContent",
            "/v1/publishers/google/models/imagen:predict",
            "/v1/publishers/anthropic/models/count-tokens:rawPredict",
            "/model/amazon.titan-embed-text-v2/invoke",
            "/model/stability.sd3/invoke",
            "/model/amazon.nova-canvas-v1/invoke",
            "/model/x/count-tokens",
            "/model//invoke",
            "/functions/invoke",
            "/team/api/chat",
            "/api/knowledge/query",
            "/v1/complete",
            "/v1/generate",
            "/surveys/1/responses",
            "/mcp",
        ] {
            assert_eq!(dialect(path), None, "{path}");
        }
        assert!(known("/v1/complete", Some(Provider::Anthropic)).is_some());
    }

    #[test]
    fn a_prefix_is_compared_element_by_element() {
        let prefixes = ["/ask".to_owned(), "/v9/".to_owned()];
        for (path, under) in [
            ("/ask", true),
            ("/ask/", true),
            ("/ask/twice", true),
            ("/asking", false),
            ("/v9/chat", true),
            ("/v9", true),
            ("/v9/files", false),
            ("/v9/audio/speech", false),
            ("/", false),
        ] {
            assert_eq!(lies_under(path, &prefixes), under, "{path}");
        }
        assert!(lies_under("/any/thing", &["/".to_owned()]));
        assert!(lies_under("/x/files", &["/x/files".to_owned()]));
    }
}
