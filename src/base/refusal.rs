//! Why a request was refused for the sake of a key, in words that its caller may read.

use std::{borrow::Cow, error::Error as StdError};

use super::Error;

/// Why a request was refused for the sake of a key. It is the source of the [`Error`] that refuses, and its text is what
/// the caller is told: no key is in it, nor where one is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A key is asked for, and there is none in any place where one can stand.
    #[error(
        "An API key is missing: send it as `Authorization: Bearer`, `x-api-key`, `api-key` or `x-goog-api-key`."
    )]
    NoKey,
    /// It is no caller's.
    #[error("The API key is not known here.")]
    UnknownKey,
    /// There are several, of different callers.
    #[error("The request carries the API keys of several callers: send one.")]
    SeveralKeys,
    /// The caller may not use the model.
    #[error("This API key is not for the model of the request.")]
    Model,
    /// The caller may use some models, and which one this is for cannot be told.
    #[error(
        "This API key is for certain models only, and the model of the request cannot be read."
    )]
    ModelUnread,
    /// The target is asked with a key of this side, which cannot be read.
    #[error("The API key for this target cannot be read on the side of the mesh.")]
    KeyMissing,
    /// A key of this side would have gone over the network without TLS.
    #[error(
        "The mesh sends no API key over a connection without TLS; `credentials.plaintext` of its LlmPolicy would allow it."
    )]
    PlainText,
}

/// What stands for `%RESPONSE_CODE_DETAILS%` where a policy refuses: the source of the [`Error`], and nothing that its caller reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub Cow<'static, str>);

// === impl Refusal ===

impl Refusal {
    /// Whether and why an error refuses for the sake of a key.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        source_of(error).copied()
    }

    /// What stands for `%RESPONSE_CODE_DETAILS%`: the words of Envoy's `api_key_auth` filter where it has the condition.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::NoKey => "missing_api_key",
            Self::UnknownKey => "unknown_api_key",
            Self::SeveralKeys => "several_api_keys",
            Self::Model => "client_not_allowed",
            Self::ModelUnread => "model_not_readable",
            Self::KeyMissing => "credential_missing",
            Self::PlainText => "credential_without_tls",
        }
    }
}

// === impl Denied ===

impl Denied {
    /// What an error says of the policy that refuses.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        source_of(error)
    }
}

fn source_of<T: StdError + 'static>(error: &Error) -> Option<&T> {
    let mut next = error.source();
    while let Some(source) = next {
        if let Some(found) = source.downcast_ref() {
            return Some(found);
        }
        next = source.source();
    }
    None
}
