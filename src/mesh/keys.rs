//! The keys that a configuration was built with: each is read once, and again at every reload.

use std::path::PathBuf;

use super::exposed;
use crate::{
    callers::CallersLayer,
    fallback::{Credential, Key, key::KeyError},
    model::{LlmPolicy, MeshModel},
};

/// The keys of all targets of a configuration, or why they cannot be read.
#[derive(Debug)]
pub(super) struct Keys(Vec<(Credential, Result<Key, KeyError>)>);

// === impl Keys ===

impl Keys {
    /// Reads them, now.
    pub(super) fn read(model: &MeshModel) -> Self {
        let policies = model.virtual_hosts.iter().flat_map(|host| &host.llm);
        let mut keys: Vec<(Credential, _)> = Vec::new();
        for credential in policies.flatten().flat_map(|policy| policy.credentials()) {
            if !keys.iter().any(|(known, _)| known == credential) {
                keys.push((credential.clone(), Key::read(credential)));
            }
        }
        Self(keys)
    }

    /// One of them; `None` if the configuration does not name it.
    pub(super) fn get(&self, credential: &Credential) -> Option<&Result<Key, KeyError>> {
        let key = self.0.iter().find(|(known, _)| known == credential);
        key.map(|(_, key)| key)
    }

    /// The key of a policy's own targets, if it has one that can be read.
    pub(super) fn own(&self, policy: &LlmPolicy) -> Option<&Key> {
        let credential = policy.credential.as_ref()?.credential.as_ref()?;
        self.get(credential)?.as_ref().ok()
    }

    /// Who may come in by a policy; `None`: everybody.
    pub(super) fn callers(&self, policy: &LlmPolicy) -> Option<CallersLayer> {
        if policy.callers.is_empty() {
            return None;
        }
        let stored = |from: &Credential| Some(self.get(from)?.as_ref().ok()?.sha256().into());
        let layer = CallersLayer::new(policy.callers.iter().cloned(), stored);
        Some(layer.with_dialect(policy.stream.dialect))
    }

    /// Says of each that cannot be read why, once, and of each that too many can read.
    pub(super) fn report(&self) {
        for (credential, key) in &self.0 {
            match (key, credential) {
                (Err(error), _) => {
                    tracing::warn!(%error, "a key cannot be read: what needs it is not served, all else is");
                }
                (Ok(_), Credential::File(path)) => exposed::warn_of(path),
                (Ok(_), Credential::Env(_)) => {}
            }
        }
    }

    /// Whether any would be another one if it were read now.
    pub(super) fn are_stale(&self) -> bool {
        self.0
            .iter()
            .any(|(credential, known)| match (known, Key::read(credential)) {
                (Ok(known), Ok(now)) => *known != now,
                (Err(_), Err(_)) => false,
                _ => true,
            })
    }

    /// The files that they are read from.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let files = self
            .0
            .iter()
            .filter_map(|(credential, _)| match credential {
                Credential::File(path) => Some(path.clone()),
                Credential::Env(_) => None,
            });
        files.collect()
    }
}
