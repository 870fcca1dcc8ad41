//! Istio and Kubernetes YAML to the model.
//!
//! [`load`] takes texts and gives a [`Model`] and [`Diagnostic`]s; it touches no file, no clock and no network.
//! [`read_paths`] fetches the texts. Reading goes in four steps, each reporting all it finds:
//!
//! 1. `document`: text to trees with lines and columns;
//! 2. `decode` and the readers of each kind: trees to resources, every unknown field named;
//! 3. `link`: names to hosts, clusters and endpoints; which VirtualService and DestinationRule a host gets;
//! 4. `lint`: what is valid, but hardly meant.
//!
//! Folders hold more than resources. What is no resource of the mesh is noted and stops nothing: files of other tools,
//! templates, patches, YAML that is broken and shows none, kinds of other planes. What is one and is wrong is an error, or
//! under [`Options::lenient`] left out by name. A name that leads nowhere is a warning, and only its route answers 503.
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
#![doc = ""]
#![doc = include_str!("reference.md")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

mod decode;
mod diagnostic;
mod document;
mod file;
mod foreign;
mod guard;
mod istio;
mod k8s;
mod kinds;
mod layer;
mod left_out;
mod link;
mod lint;
mod llm_policy;
mod names;
mod read;
mod resource;
mod scalar;
mod secrets;
mod shown;
mod sources;

#[cfg(all(feature = "proxy", feature = "test-util"))] // for its fuzz target
pub(crate) use self::scalar::duration as parse_duration;
#[cfg(feature = "mesh")]
pub(crate) use self::sources::{beginning, entries};
use self::{
    diagnostic::Report,
    istio::{mesh_config, retries},
    resource::{Reader, Resources},
};
pub use self::{
    diagnostic::{Diagnostic, Severity},
    layer::Layer,
    left_out::LeftOut,
    shown::shown,
    sources::{ReadError, credential_is_there, file_is_there, read_paths, read_trees},
};
use crate::{
    layers::fallback::{Credential, key::KeyError},
    model::Model,
};

/// Tells of a place where a key should be why none can be read there.
pub type CredentialCheck = fn(&Credential) -> Result<(), KeyError>;

/// A text to be read.
///
/// `Debug` shows how long the text is, not the text: it may hold secrets.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// What diagnostics call it: a path.
    pub name: String,
    /// YAML or JSON, several documents.
    pub text: String,
    /// Whether its resources win over those of other sources for the same host.
    pub layer: Layer,
    /// Why the text is not all of it.
    unread: Option<sources::Unread>,
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
    /// Tells whether a key can be read here; one that cannot is warned about. `None`: not asked.
    /// [`credential_is_there`] asks this process's environment and file system.
    pub credentials: Option<CredentialCheck>,
    /// Tells whether a certificate or key that is named can be read here; one that cannot is warned about. `None`: not asked.
    /// [`file_is_there`] asks the file system.
    pub files: Option<fn(&Path) -> bool>,
    /// A folder of secrets for `credentialName`, as Kubernetes mounts them: `NAMESPACE/NAME/tls.crt`, or `NAME/tls.crt`. Only
    /// whether a file is there is asked (see [`files`](Self::files)).
    pub secrets: Option<PathBuf>,
    /// A resource that is wrong is left out by name, and the others are served.
    pub lenient: bool,
    /// Files that held a resource when they were read last ([`Loaded::files`]): one that is no YAML now is broken, and not
    /// a file of another tool.
    pub known_files: BTreeSet<Arc<str>>,
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
    /// `None` if there is any error and reading is not lenient: nothing is half applied.
    pub model: Option<Model>,
    /// Everything found, by source and line.
    pub diagnostics: Vec<Diagnostic>,
    /// What lenient reading left out, in load order.
    pub left_out: Vec<LeftOut>,
    /// The files that hold resources of the mesh.
    pub files: BTreeSet<Arc<str>>,
}

// === impl Source ===

impl Source {
    /// A text.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            layer: Layer::default(),
            unread: None,
        }
    }

    /// The same text as an overlay.
    #[must_use]
    pub fn as_overlay(mut self) -> Self {
        self.layer = Layer::Overlay;
        self
    }

    /// The same text as one that is there unless a file says otherwise.
    #[must_use]
    pub fn as_built_in(mut self) -> Self {
        self.layer = Layer::BuiltIn;
        self
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("bytes", &self.text.len())
            .field("layer", &self.layer)
            .finish_non_exhaustive()
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
    let mut refused = BTreeMap::new();
    loop {
        let (loaded, found_by_linking) = attempt(sources, options, &refused);
        let known = refused.len();
        if options.lenient {
            for error in found_by_linking {
                refused
                    .entry(left_out::Id::of_finding(&error))
                    .or_insert(error);
            }
        }
        // What is wrong only together with others is left out as well, until nothing is.
        if refused.len() == known {
            return loaded;
        }
    }
}

/// Loads without the resources in `refused`; gives the errors of linking as well.
fn attempt(
    sources: &[Source],
    options: &Options,
    refused: &BTreeMap<left_out::Id, Diagnostic>,
) -> (Loaded, Vec<Diagnostic>) {
    let report = Report::default();
    let default_retry = retries::default_policy(options.istio_compat == IstioCompat::V1_20);
    let patches = foreign::patches(sources);
    let mesh = mesh_config::find(sources, &default_retry, &report);
    let default_retry = mesh.retry.unwrap_or(default_retry);
    let reader = Reader {
        report: &report,
        namespace: options.namespace.as_deref().unwrap_or("default"),
        default_retry: &default_retry,
        lenient: options.lenient,
        refused,
        patches: &patches,
        ours: &options.known_files,
    };
    let mut resources = Resources::default();
    for layer in Layer::DOWNWARD {
        for (order, source) in sources.iter().enumerate() {
            if source.layer == layer {
                reader.file(order, source, &mut resources);
            }
        }
    }
    let left_out = std::mem::take(&mut resources.left_out);
    let mut files = std::mem::take(&mut resources.files);
    let linking = Report::default();
    lint::resources(&resources, &linking);
    let mut model = link::link(&mut resources, options, &default_retry, &linking);
    let secrets = model
        .secrets
        .keys()
        .filter_map(|name| resources.secrets.get(name));
    files.extend(secrets.map(|secret| Arc::clone(&secret.place.origin.file)));
    model.settings = mesh.settings;
    let errors = linking.errors();
    report.absorb(linking);
    let diagnostics = report.into_sorted();
    let failed = diagnostics.iter().any(|d| d.severity == Severity::Error);
    let loaded = Loaded {
        model: (options.lenient || !failed).then_some(model),
        diagnostics,
        left_out,
        files,
    };
    (loaded, errors)
}
