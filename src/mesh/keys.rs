//! The keys that a configuration was built with: each is read once, and again at every reload.

use std::path::PathBuf;

use crate::{
    fallback::{Credential, Key, key::KeyError},
    model::Model,
};

/// The keys of all fallback targets of a configuration, or why they cannot be read.
#[derive(Debug)]
pub(super) struct Keys(Vec<(Credential, Result<Key, KeyError>)>);

// === impl Keys ===

impl Keys {
    /// Reads them, now.
    pub(super) fn read(model: &Model) -> Self {
        let policies = model.virtual_hosts.iter().flat_map(|host| &host.llm);
        let targets = policies.flatten().flat_map(|p| &p.fallback.targets);
        let mut keys: Vec<(Credential, _)> = Vec::new();
        for credential in targets.filter_map(|target| target.credential.as_ref()) {
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
