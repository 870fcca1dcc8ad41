//! Policies as they are written: plain data, compiled by [`Engine`](crate::layers::authz::Engine).

mod peers;

use std::{collections::BTreeMap, sync::Arc};

pub use self::peers::{Mode, PeerPolicy};

/// One AuthorizationPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Its namespace: the workloads it is for, and the namespace of service accounts that name none.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The file it stands in, for people.
    pub file: Arc<str>,
    /// Its line there, from 1; 0 where it is not known.
    pub line: u32,
    /// Labels that a workload must have; empty is every workload.
    pub selector: BTreeMap<String, String>,
    /// What comes of a match.
    pub action: Action,
    /// Whether it is only tried out (`istio.io/dry-run`): told, not enforced.
    pub dry_run: bool,
    /// Any may match. None at all: nothing matches.
    pub rules: Vec<Rule>,
    /// Why it could not be understood. It then refuses every request to the workloads it may be for.
    pub closed: Option<String>,
}

/// What comes of a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The request may pass.
    #[default]
    Allow,
    /// It may not.
    Deny,
    /// It is noted.
    Audit,
    /// An external provider is asked. Providers are not in force: what matches is refused.
    Custom,
}

/// One rule: `from` and `to` and all of `when`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Sources, of which one must match; none is any. All conditions of a source must hold.
    pub from: Vec<Vec<Condition>>,
    /// Operations, as sources.
    pub to: Vec<Vec<Condition>>,
    /// All must hold.
    pub when: Vec<Condition>,
    /// The rule's line in its file, from 1; 0 where it is not known.
    pub line: u32,
}

/// Some values that an attribute must, or must not, have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condition {
    /// What is looked at.
    pub subject: Subject,
    /// One of them, as the policy writes them.
    pub values: Vec<String>,
    /// None of them instead.
    pub negate: bool,
}

/// What a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// The peer's identity without `spiffe://`.
    Principal,
    /// The namespace in the peer's identity.
    Namespace,
    /// The service account in the peer's identity: `[namespace/]name`.
    ServiceAccount,
    /// The trust domain of the peer's identity.
    TrustDomain,
    /// The address of the direct peer: CIDR blocks.
    SourceIp,
    /// The address of the first caller, as `x-forwarded-for` has it.
    RemoteIp,
    /// The address that was called.
    DestinationIp,
    /// The workload's port.
    Port,
    /// The name in the TLS handshake.
    Sni,
    /// The `Host`.
    Host,
    /// The method.
    Method,
    /// The normalised path without query; may be a template.
    Path,
    /// A request header, by its name in lower case.
    Header(String),
    /// `issuer/subject` of a valid token.
    RequestPrincipal,
    /// An audience of a valid token.
    Audience,
    /// The authorized presenter (`azp`) of a valid token.
    Presenter,
    /// A claim of a valid token, by its path.
    Claim(Vec<String>),
    /// What is not looked at here, by its key.
    Unseen(String),
}

/// What can be looked at. A rule that needs more is dropped where it would let in, and loses that condition where it would
/// keep out: not to see is never a way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sight {
    /// Requests: false on a TCP port.
    pub http: bool,
    /// Tokens: false where nobody checks them.
    pub tokens: bool,
}

/// Trust domains that stand for one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustDomains {
    /// The mesh's own; `cluster.local` where nothing was said.
    pub own: Option<String>,
    /// Others whose identities are the same.
    pub aliases: Vec<String>,
}

// === impl Policy ===

impl Policy {
    /// A policy for all workloads of a namespace, without rules.
    #[must_use]
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>, action: Action) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            file: Arc::default(),
            line: 0,
            selector: BTreeMap::new(),
            action,
            dry_run: false,
            rules: Vec::new(),
            closed: None,
        }
    }

    /// A policy that could not be understood, and why: it refuses everything.
    #[must_use]
    pub fn closed(
        namespace: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        why: impl Into<String>,
    ) -> Self {
        Self {
            rules: vec![Rule::default()],
            closed: Some(why.into()),
            ..Self::new(namespace, name, Action::Deny)
        }
    }

    /// Adds a rule.
    #[must_use]
    pub fn with_rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Whether it is for a workload: of its namespace, or any where its own is the mesh's root namespace, with all the labels
    /// that it selects by.
    #[must_use]
    pub fn selects(&self, root: &str, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        let near = &*self.namespace == namespace || &*self.namespace == root;
        near && self.selector.iter().all(|(k, v)| labels.get(k) == Some(v))
    }
}

// === impl Condition ===

impl Condition {
    /// One of these values.
    #[must_use]
    pub fn any<V: Into<String>>(subject: Subject, values: impl IntoIterator<Item = V>) -> Self {
        Self {
            subject,
            values: values.into_iter().map(Into::into).collect(),
            negate: false,
        }
    }

    /// None of these values.
    #[must_use]
    pub fn none<V: Into<String>>(subject: Subject, values: impl IntoIterator<Item = V>) -> Self {
        Self {
            negate: true,
            ..Self::any(subject, values)
        }
    }
}

// === impl Subject ===

impl Subject {
    /// Whether it can be looked at.
    #[must_use]
    pub fn is_seen(&self, sight: Sight) -> bool {
        match self {
            Self::Principal
            | Self::Namespace
            | Self::ServiceAccount
            | Self::TrustDomain
            | Self::SourceIp
            | Self::DestinationIp
            | Self::Port
            | Self::Sni => true,
            // From a header, on a port that has any; Envoy knows the direct peer's on others.
            Self::RemoteIp => true,
            Self::Host | Self::Method | Self::Path | Self::Header(_) => sight.http,
            Self::RequestPrincipal | Self::Audience | Self::Presenter | Self::Claim(_) => {
                sight.http && sight.tokens
            }
            Self::Unseen(_) => false,
        }
    }
}

// === impl Action ===

impl Action {
    /// As a policy writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Audit => "AUDIT",
            Self::Custom => "CUSTOM",
        }
    }
}

// === impl Sight ===

impl Sight {
    /// An HTTP port where nobody checks tokens.
    #[must_use]
    pub const fn http() -> Self {
        Self {
            http: true,
            tokens: false,
        }
    }

    /// A TCP port.
    #[must_use]
    pub const fn tcp() -> Self {
        Self {
            http: false,
            tokens: false,
        }
    }

    /// Sets whether tokens are checked.
    #[must_use]
    pub const fn with_tokens(mut self, tokens: bool) -> Self {
        self.tokens = tokens;
        self
    }
}

// === impl TrustDomains ===

impl TrustDomains {
    /// The mesh's own.
    #[must_use]
    pub fn own(&self) -> &str {
        self.own.as_deref().unwrap_or(Self::DEFAULT)
    }

    /// What stands in policies for the own one and its aliases, whatever they are.
    const DEFAULT: &str = "cluster.local";

    /// A principal in each of the trust domains that its own stands for; itself alone if it is of another.
    pub(super) fn expand(&self, principal: &str) -> Vec<String> {
        let Some((domain, rest)) = principal.split_once('/') else {
            return vec![principal.to_owned()];
        };
        let all = || std::iter::once(self.own()).chain(self.aliases.iter().map(String::as_str));
        if domain == Self::DEFAULT || all().any(|known| known == domain) {
            all().map(|domain| format!("{domain}/{rest}")).collect()
        } else {
            vec![principal.to_owned()]
        }
    }
}
