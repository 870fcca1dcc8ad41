//! Parameters of the fallback layer.

use std::{path::PathBuf, sync::Arc};

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
    /// The model to ask for, in place of the request's.
    pub model: Option<Arc<str>>,
    /// The key to send, in place of the caller's. A target on another host without one gets no key at all: a caller's key
    /// goes nowhere but where the caller sent it.
    pub credential: Option<Credential>,
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

// === impl Target ===

impl Target {
    /// A cluster, asked as the route's own was.
    #[must_use]
    pub fn new(cluster: impl Into<Arc<str>>) -> Self {
        Self {
            cluster: cluster.into(),
            authority: None,
            model: None,
            credential: None,
            account: None,
            larger: false,
            prefill: true,
        }
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

    /// Sets where its key is read from.
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
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
