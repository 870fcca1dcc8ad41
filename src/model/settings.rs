//! What holds for the whole mesh: Istio's MeshConfig, as far as it is in force.

use crate::{base::Ratio, layers::metrics::access_log::params::Format};

/// What holds for the whole mesh. The default is that nothing was said.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The access log; `None` is none.
    pub access_log: Option<AccessLog>,
    /// What happens to unknown hosts, where that was said.
    pub outbound: Option<OutboundPolicy>,
    /// The form that paths are brought into.
    pub normalization: Normalization,
    /// Whether traces are begun and taken up; `None` where nothing was said.
    pub tracing: Option<bool>,
    /// The share of new traces that are sampled.
    pub sampling: Option<Ratio>,
    /// The namespace whose security policies are for the whole mesh; `istio-system` where nothing was said.
    pub root_namespace: Option<String>,
    /// The trust domain of workload identities.
    pub trust_domain: Option<String>,
    /// Other trust domains whose identities are the same.
    pub trust_domain_aliases: Vec<String>,
}

/// What happens to unknown hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutboundPolicy {
    /// They are refused with 502: a caller must not choose where requests and keys go.
    #[default]
    RegistryOnly,
    /// They are dialled as asked.
    AllowAny,
}

/// Where the access log goes, and what it says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AccessLog {
    /// A path; `/dev/stdout` and `/dev/stderr` are the process's own.
    pub file: String,
    /// What a line holds.
    pub format: Format,
}

/// The form that paths are brought into before anything reads them: Istio's `pathNormalization`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Normalization {
    /// As they came.
    None,
    /// Unreserved characters decoded, dot segments resolved, backslashes turned.
    #[default]
    Base,
    /// And several slashes made one.
    MergeSlashes,
    /// And escaped slashes and backslashes decoded before.
    DecodeAndMergeSlashes,
}

// === impl AccessLog ===

impl AccessLog {
    /// A log of lines in this format.
    #[must_use]
    pub fn new(file: impl Into<String>, format: Format) -> Self {
        Self {
            file: file.into(),
            format,
        }
    }
}
