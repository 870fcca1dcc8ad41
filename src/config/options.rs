//! How to read.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::layers::fallback::{Credential, key::KeyError};

/// How to read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The namespace of the caller, for short names and for resources that name none. `None`: the one that all
    /// resources share, else `default`.
    pub namespace: Option<String>,
    /// Several VirtualServices for one host are an error rather than a warning.
    pub strict: bool,
    /// The caller's labels, for `sourceLabels` and `workloadSelector`.
    pub workload_labels: BTreeMap<String, String>,
    /// Whose defaults apply.
    pub istio_compat: IstioCompat,
    /// Tells whether a key can be read here; one that cannot is warned about. `None`: not asked.
    /// [`credential_is_there`](super::credential_is_there) asks this process's environment and file system.
    pub credentials: Option<CredentialCheck>,
    /// Tells whether a certificate or key that is named can be read here; one that cannot is warned about. `None`: not asked.
    /// [`file_is_there`](super::file_is_there) asks the file system.
    pub files: Option<fn(&Path) -> bool>,
    /// A folder of secrets for `credentialName`, as Kubernetes mounts them: `NAMESPACE/NAME/tls.crt`, or `NAME/tls.crt`. Only
    /// whether a file is there is asked (see [`files`](Self::files)).
    pub secrets: Option<PathBuf>,
    /// A resource that is wrong is left out by name, and the others are served.
    pub lenient: bool,
    /// Files that held a resource when they were read last ([`Loaded::files`](super::Loaded::files)): one that is no YAML now is broken, and not
    /// a file of another tool.
    pub known_files: BTreeSet<Arc<str>>,
    /// All resources are looked at together as well: who calls whom, and what their timeouts, retries and breakers come to
    /// (see [`rules`](super::rules)). Findings that an annotation `llmesh.io/ignore` names are left out then.
    pub lint: bool,
}

/// Tells of a place where a key should be why none can be read there.
pub type CredentialCheck = fn(&Credential) -> Result<(), KeyError>;

/// Whose defaults apply where versions of Istio differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IstioCompat {
    /// Istio 1.24 and later.
    #[default]
    Current,
    /// Istio 1.20: a rule without `retries` also retries 503.
    V1_20,
}

// === impl Options ===

impl Options {
    /// Sets the caller's namespace.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets whether conflicts are errors.
    #[must_use]
    pub fn with_strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Sets the caller's labels.
    #[must_use]
    pub fn with_workload_labels(mut self, labels: BTreeMap<String, String>) -> Self {
        self.workload_labels = labels;
        self
    }

    /// Sets who tells whether a key can be read.
    #[must_use]
    pub fn with_credentials(mut self, check: CredentialCheck) -> Self {
        self.credentials = Some(check);
        self
    }

    /// Sets who tells whether a certificate or key can be read.
    #[must_use]
    pub fn with_files(mut self, can_be_read: fn(&Path) -> bool) -> Self {
        self.files = Some(can_be_read);
        self
    }

    /// Sets the folder of secrets.
    #[must_use]
    pub fn with_secrets(mut self, folder: impl Into<PathBuf>) -> Self {
        self.secrets = Some(folder.into());
        self
    }

    /// Sets whether a resource that is wrong is left out rather than refusing all.
    #[must_use]
    pub fn with_lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Sets which files held a resource when they were read last.
    #[must_use]
    pub fn with_known_files(mut self, files: BTreeSet<Arc<str>>) -> Self {
        self.known_files = files;
        self
    }

    /// Sets whether all resources are looked at together as well.
    #[must_use]
    pub fn with_lint(mut self, lint: bool) -> Self {
        self.lint = lint;
        self
    }

    /// Sets whose defaults apply.
    #[must_use]
    pub fn with_istio_compat(mut self, compat: IstioCompat) -> Self {
        self.istio_compat = compat;
        self
    }
}
