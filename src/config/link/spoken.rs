//! Which API is spoken where, as far as that is known. APIs are not translated into each other, so a fallback to another one
//! could never be served.

use ::http::{HeaderMap, Method, Uri};

use super::{Linker, fallback::Own};
use crate::{
    config::llm_policy::{LlmPolicy, TargetRef},
    layers::fallback::Target,
    llm::{
        Dialect, DialectMode, Provider,
        dialect::{Api, provider},
    },
};

// === impl Linker ===

impl Linker<'_> {
    /// Refuses a target of which it is known that it speaks another API than the route's own calls.
    pub(super) fn check_spoken(
        &self,
        (policy, policies): (&LlmPolicy, &[LlmPolicy]),
        target: &TargetRef,
        resolved: &Target,
        own: &Own,
    ) {
        let there = resolved.cluster.rsplit('|').next().unwrap_or_default();
        let here = match policy.model.stream.dialect {
            DialectMode::Fixed(dialect) => Some(vec![family(dialect)]),
            DialectMode::Auto => own.host().and_then(of_host),
            DialectMode::StatusOnly => None,
        };
        let spoken = target
            .dialect
            .map(|dialect| vec![family(dialect)])
            .or_else(|| target.path.as_deref().and_then(of_path))
            .or_else(|| self.said_of(there, policies))
            .or_else(|| of_host(there));
        let (Some(here), Some(spoken)) = (here, spoken) else {
            return;
        };
        if here.iter().any(|dialect| spoken.contains(dialect)) {
            return;
        }
        let line = (target.place.to_string(), "another API".to_owned());
        if !self.told.borrow_mut().insert(line) {
            return;
        }
        let (here, spoken) = (names(&here), names(&spoken));
        let message = format!(
            "the calls of this policy are in the API of {here}, and {there} speaks that of {spoken}: APIs are not translated into each other"
        );
        let hint = format!(
            "name a target that speaks {here}; where this one does so too, say `dialect` here, and in `path` where it hangs"
        );
        self.report
            .error(&target.place, "fallback-other-dialect", message, hint);
    }

    /// What the policy of a host says, if all that say something say the same.
    fn said_of(&self, host: &str, policies: &[LlmPolicy]) -> Option<Vec<Dialect>> {
        let namespace = self.registry.services.get(host);
        let namespace = namespace.map_or("", |known| known.namespace.as_str());
        let mut said = policies.iter().filter_map(|policy| {
            policy.hosts.as_ref()?;
            super::policies::rank(policy, host, namespace)?;
            match policy.model.stream.dialect {
                DialectMode::Fixed(dialect) => Some(family(dialect)),
                DialectMode::Auto | DialectMode::StatusOnly => None,
            }
        });
        let first = said.next()?;
        said.all(|other| other == first).then(|| vec![first])
    }
}

/// Dialects that one base URL serves.
fn family(dialect: Dialect) -> Dialect {
    match dialect {
        Dialect::OpenAiResponses => Dialect::OpenAi,
        other => other,
    }
}

/// What a base path, or a whole one, says.
fn of_path(path: &str) -> Option<Vec<Dialect>> {
    let uri: Uri = path.parse().ok()?;
    let api = Api::of(DialectMode::Auto, &Method::POST, &uri, &HeaderMap::new());
    if let Some(dialect) = api.dialect {
        return Some(vec![family(dialect)]);
    }
    let words: &[(&str, Dialect)] = &[
        ("anthropic", Dialect::Anthropic),
        ("openai", Dialect::OpenAi),
        // Vertex' and Cohere's words for OpenAI's API.
        ("openapi", Dialect::OpenAi),
        ("compatibility", Dialect::OpenAi),
    ];
    let mut elements = path.split('/');
    let found = elements.find_map(|element| words.iter().find(|(word, _)| *word == element));
    found.map(|(_, dialect)| vec![*dialect])
}

/// What well-known hosts speak where nothing else is said. Those that speak several, by path, are as good as unknown.
fn of_host(host: &str) -> Option<Vec<Dialect>> {
    use Dialect::{Anthropic, Bedrock, Cohere, Gemini, OpenAi};
    Some(match provider(host)? {
        Provider::OpenAi | Provider::Mistral | Provider::Groq | Provider::Together => vec![OpenAi],
        Provider::Fireworks | Provider::OpenRouter | Provider::DeepSeek => vec![OpenAi, Anthropic],
        Provider::Anthropic => vec![Anthropic],
        Provider::Gemini => vec![Gemini],
        Provider::Bedrock => vec![Bedrock],
        Provider::Cohere => vec![Cohere],
        Provider::Azure | Provider::Vertex | Provider::HuggingFace => return None,
    })
}

fn names(dialects: &[Dialect]) -> String {
    let name = |dialect: &Dialect| match dialect {
        Dialect::OpenAi | Dialect::OpenAiResponses => "openai",
        Dialect::Anthropic => "anthropic",
        Dialect::Gemini => "gemini",
        Dialect::Bedrock => "bedrock",
        Dialect::Cohere => "cohere",
        Dialect::Ollama => "ollama",
        Dialect::Tgi => "tgi",
    };
    let names: Vec<_> = dialects.iter().map(name).collect();
    names.join(" or ")
}
