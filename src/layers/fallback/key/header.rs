//! Which header carries a key.

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};

use crate::{
    layers::fallback::params::KeyHeader,
    llm::{Dialect, Provider},
};

// === impl KeyHeader ===

impl KeyHeader {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::XApiKey,
        Self::ApiKey,
        Self::XGoogApiKey,
        Self::Authorization,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> HeaderName {
        match self {
            Self::Authorization => AUTHORIZATION,
            Self::XApiKey => HeaderName::from_static("x-api-key"),
            Self::ApiKey => HeaderName::from_static("api-key"),
            Self::XGoogApiKey => HeaderName::from_static("x-goog-api-key"),
        }
    }

    /// The header of an API: the provider decides, then the header that the caller used, then the dialect. What providers offer
    /// in OpenAI's form they take with OpenAI's header.
    pub(in crate::layers::fallback) fn of(
        dialect: Option<Dialect>,
        provider: Option<Provider>,
        sent: &HeaderMap,
    ) -> Self {
        let as_openai = matches!(dialect, Some(Dialect::OpenAi | Dialect::OpenAiResponses));
        match provider {
            Some(Provider::Azure) => return Self::ApiKey,
            Some(Provider::Anthropic) if !as_openai => return Self::XApiKey,
            Some(Provider::Gemini) if !as_openai => return Self::XGoogApiKey,
            Some(_) => return Self::Authorization,
            None => {}
        }
        let used = |header: &Self| sent.contains_key(header.name());
        if let Some(header) = Self::ALL.into_iter().find(used) {
            return header;
        }
        match dialect {
            Some(Dialect::Anthropic) => Self::XApiKey,
            Some(Dialect::Gemini) => Self::XGoogApiKey,
            _ => Self::Authorization,
        }
    }
}
