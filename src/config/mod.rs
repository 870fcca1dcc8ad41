//! Floor 4: Istio and Kubernetes YAML to the model.
//!
//! [`load`] takes texts and gives a [`Model`] and [`Diagnostic`]s; it touches no file, no clock and no network.
//! [`read_paths`] fetches the texts. Reading goes in four steps, each reporting all it finds:
//!
//! 1. `document`: text to trees with lines and columns;
//! 2. `decode` and the readers of each kind: trees to resources, every unknown field named;
//! 3. `link`: names to hosts, clusters and endpoints; which VirtualService and DestinationRule a host gets;
//! 4. `lint`: what is valid, but hardly meant.
//!
//! A field that Istio knows and llmesh does not put in force is reported under the rule `not-in-force`, never dropped
//! in silence. Unknown fields are errors: a misspelt `timeout` must not become no timeout.
//!
//! # Examples
//! ```
//! use llmesh::config::{Options, Source, load};
//!
//! let text = r#"
//! apiVersion: networking.istio.io/v1
//! kind: ServiceEntry
//! metadata: {name: llm, namespace: ai}
//! spec:
//!   hosts: [llm.ai.svc.cluster.local]
//!   resolution: STATIC
//!   ports: [{number: 8080, name: http, protocol: HTTP}]
//!   endpoints: [{address: 127.0.0.1}]
//! "#;
//! let loaded = load(&[Source::new("llm.yaml", text)], &Options::default());
//! let model = loaded.model.expect("no errors");
//! assert!(model.clusters.contains_key("outbound|8080||llm.ai.svc.cluster.local"));
//! ```

use std::{collections::BTreeMap, sync::Arc};

mod decode;
mod diagnostic;
mod document;
mod istio;
mod k8s;
mod link;
mod lint;
mod llm_policy;
mod names;
mod resource;
mod scalar;
mod sources;

#[cfg(feature = "proxy")] // for its fuzz target
pub(crate) use self::scalar::duration as parse_duration;
use self::{
    diagnostic::Report,
    istio::retries,
    resource::{Reader, Resources},
};
pub use self::{
    diagnostic::{Diagnostic, Severity},
    sources::{ReadError, credential_is_there, read_paths},
};
use crate::{layers::fallback::Credential, model::Model};

/// A text to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// What diagnostics call it: a path.
    pub name: String,
    /// YAML or JSON, several documents.
    pub text: String,
    /// Whether its resources win over those of other sources for the same host.
    pub overlay: bool,
}

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
    /// Tells whether the key of a fallback target can be read here; one that cannot is warned about. `None`: not asked.
    /// [`credential_is_there`] asks this process's environment and file system.
    pub credentials: Option<fn(&Credential) -> bool>,
}

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

/// What loading gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// `None` if there is any error: nothing is half applied.
    pub model: Option<Model>,
    /// Everything found, by source and line.
    pub diagnostics: Vec<Diagnostic>,
}

// === impl Source ===

impl Source {
    /// A text.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            overlay: false,
        }
    }

    /// The same text as an overlay.
    #[must_use]
    pub fn as_overlay(mut self) -> Self {
        self.overlay = true;
        self
    }
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
    pub fn with_credentials(mut self, can_be_read: fn(&Credential) -> bool) -> Self {
        self.credentials = Some(can_be_read);
        self
    }

    /// Sets whose defaults apply.
    #[must_use]
    pub fn with_istio_compat(mut self, compat: IstioCompat) -> Self {
        self.istio_compat = compat;
        self
    }
}

// === impl Loaded ===

impl Loaded {
    /// The number of findings of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count()
    }
}

/// Reads, links and checks. Pure: equal inputs give equal results.
#[must_use]
pub fn load(sources: &[Source], options: &Options) -> Loaded {
    let report = Report::default();
    let default_retry = retries::default_policy(options.istio_compat == IstioCompat::V1_20);
    let reader = Reader {
        report: &report,
        namespace: options.namespace.as_deref().unwrap_or("default"),
        default_retry: &default_retry,
    };
    let mut resources = Resources::default();
    for overlay in [true, false] {
        for (order, source) in sources.iter().enumerate() {
            if source.overlay == overlay {
                let name: Arc<str> = source.name.as_str().into();
                reader.file(order, &name, &source.text, overlay, &mut resources);
            }
        }
    }
    lint::resources(&resources, &report);
    let model = link::link(resources, options, &default_retry, &report);
    let diagnostics = report.into_sorted();
    let failed = diagnostics.iter().any(|d| d.severity == Severity::Error);
    Loaded {
        model: (!failed).then_some(model),
        diagnostics,
    }
}
