//! Parameters of the fallback layer.

use std::{fmt, path::PathBuf, sync::Arc};

/// Where a request goes when its own target fails, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Params {
    /// The targets after the route's own.
    pub targets: Vec<Target>,
    /// Whether a stream that was cut after content is continued on the next target.
    pub resume: Resume,
    /// Whether a content filter's verdict may be routed around.
    pub content_filter: bool,
}

/// Another place that can serve the request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// The cluster: `outbound|<port>|<subset>|<host>`.
    pub cluster: Arc<str>,
    /// The authority to send, where it differs from the request's.
    pub authority: Option<Arc<str>>,
    /// The path of its base URL, which takes the place of what a request's path has before its API's own part.
    pub path: Option<Arc<str>>,
    /// The model to ask for, in place of the request's.
    pub model: Option<Arc<str>>,
    /// The key to send, in place of the caller's. A target on another host without one gets no key at all: a caller's key
    /// goes nowhere but where the caller sent it.
    pub credential: Option<Credential>,
    /// The header that carries the key. `None`: the one of the API.
    pub header: Option<KeyHeader>,
    /// The account that is billed; targets of one account share its quota. Empty: the account of the credential, else of
    /// the host.
    pub account: Option<Arc<str>>,
    /// Whether its context window and limits are larger than the route's own: where a prompt that was too long goes.
    pub larger: bool,
    /// Whether it goes on with an answer that was begun ([`Resume::Prefill`]). Models that take the beginning for a turn of its
    /// own, or refuse it, do not.
    pub prefill: bool,
}

/// Where a key is read from. Never the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Credential {
    /// An environment variable, read when the configuration is loaded.
    Env(String),
    /// A file, read when the configuration is loaded.
    File(PathBuf),
}

/// What key the route's own target is asked with, and all others that have none of their own on the same host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnKey {
    /// Where this side's key is read from. `None`: there is none, and the caller's is taken out all the same.
    pub credential: Option<Credential>,
    /// The header that carries it. `None`: the one of the API.
    pub header: Option<KeyHeader>,
    /// Whether a key that the caller sends goes on as it came. This side's is sent for those who bring none.
    pub passthrough: bool,
}

/// The header that carries a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyHeader {
    /// `authorization: Bearer`, as OpenAI has it and most others.
    Authorization,
    /// `x-api-key`, as Anthropic has it.
    XApiKey,
    /// `api-key`, as Azure has it.
    ApiKey,
    /// `x-goog-api-key`, as Gemini has it.
    XGoogApiKey,
}

/// What happens to a stream that was cut after content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resume {
    /// It ends with an error.
    #[default]
    Off,
    /// The next target continues it: the partial answer is sent along as the assistant's beginning.
    Prefill,
}

// === impl Credential ===

impl fmt::Display for Credential {
    /// In words: `the environment variable BACKUP_KEY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the key file {}", path.display()),
        }
    }
}

// === impl OwnKey ===

impl OwnKey {
    /// This side's key, read from there.
    #[must_use]
    pub fn new(credential: Credential) -> Self {
        Self {
            credential: Some(credential),
            ..Self::default()
        }
    }

    /// Sets the header that carries it.
    #[must_use]
    pub fn with_header(mut self, header: KeyHeader) -> Self {
        self.header = Some(header);
        self
    }

    /// Sets whether a caller's own key goes on as it came.
    #[must_use]
    pub fn with_passthrough(mut self, passthrough: bool) -> Self {
        self.passthrough = passthrough;
        self
    }
}

// === impl Target ===

impl Target {
    /// A cluster, asked as the route's own was.
    #[must_use]
    pub fn new(cluster: impl Into<Arc<str>>) -> Self {
        Self {
            cluster: cluster.into(),
            authority: None,
            path: None,
            model: None,
            credential: None,
            header: None,
            account: None,
            larger: false,
            prefill: true,
        }
    }

    /// Whether a request is the same there as at another target of its cluster.
    #[cfg(feature = "config")]
    pub(crate) const fn asks_the_same(&self) -> bool {
        self.model.is_none() && self.credential.is_none() && self.path.is_none()
    }

    /// Sets the model to ask for.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<Arc<str>>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Sets the authority to send.
    #[must_use]
    pub fn with_authority(mut self, authority: impl Into<Arc<str>>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// Sets the path of its base URL.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<Arc<str>>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets where its key is read from.
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Sets the header that carries its key.
    #[must_use]
    pub fn with_key_header(mut self, header: KeyHeader) -> Self {
        self.header = Some(header);
        self
    }

    /// Sets the account that is billed.
    #[must_use]
    pub fn with_account(mut self, account: impl Into<Arc<str>>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Sets whether it goes on with an answer that was begun.
    #[must_use]
    pub fn with_prefill(mut self, prefill: bool) -> Self {
        self.prefill = prefill;
        self
    }

    /// Sets whether its window is larger.
    #[must_use]
    pub fn with_larger(mut self, larger: bool) -> Self {
        self.larger = larger;
        self
    }
}

// === impl Params ===

impl Params {
    /// These targets, in order.
    #[must_use]
    pub fn to(targets: impl IntoIterator<Item = Target>) -> Self {
        Self {
            targets: targets.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Sets whether cut streams are continued.
    #[must_use]
    pub fn with_resume(mut self, resume: Resume) -> Self {
        self.resume = resume;
        self
    }

    /// Sets whether a content filter's verdict may be routed around.
    #[must_use]
    pub fn with_content_filter(mut self, around: bool) -> Self {
        self.content_filter = around;
        self
    }
}
