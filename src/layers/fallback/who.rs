//! Who is asked: a model at a cluster, with a key, on an account. Health is kept of each of them apart.

use std::sync::Arc;

use crate::base::Fingerprint;

/// A target as one request sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TargetId {
    /// The cluster: `outbound|<port>|<subset>|<host>`.
    pub cluster: Arc<str>,
    /// The model that is asked for, where it is known. One address may serve many.
    pub model: Option<Arc<str>>,
    /// The key that is sent, if one is; the key itself is kept nowhere.
    pub credential: Option<Fingerprint>,
    /// Who pays.
    pub account: Account,
}

/// Who pays for a request. Targets of one account share its quota.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// As the operator named it.
    Named(Arc<str>),
    /// The account behind a key.
    Key(Fingerprint),
    /// Whoever pays for a host that is asked without a key.
    Host(Arc<str>),
}

// === impl TargetId ===

impl TargetId {
    /// A cluster asked without a key and for no known model.
    #[must_use]
    pub fn new(cluster: impl Into<Arc<str>>) -> Self {
        let cluster = cluster.into();
        Self {
            account: Account::of(None, None, &cluster),
            cluster,
            model: None,
            credential: None,
        }
    }

    /// Sets the model.
    #[must_use]
    pub fn with_model(mut self, model: Option<Arc<str>>) -> Self {
        self.model = model;
        self
    }

    /// Sets the key, and the account: the named one, else the key's, else the host's.
    #[must_use]
    pub fn with_key(mut self, credential: Option<Fingerprint>, named: Option<&Arc<str>>) -> Self {
        self.account = Account::of(named, credential, &self.cluster);
        self.credential = credential;
        self
    }
}

// === impl Account ===

impl Account {
    fn of(named: Option<&Arc<str>>, key: Option<Fingerprint>, cluster: &str) -> Self {
        match (named, key) {
            (Some(name), _) => Self::Named(Arc::clone(name)),
            (None, Some(key)) => Self::Key(key),
            (None, None) => Self::Host(host(cluster).into()),
        }
    }
}

/// The host of a cluster's name.
pub(super) fn host(cluster: &str) -> &str {
    cluster.rsplit('|').next().unwrap_or(cluster)
}
