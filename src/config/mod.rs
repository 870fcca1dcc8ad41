//! Istio and Kubernetes YAML to the model.
//!
//! [`load`] takes texts and gives a [`MeshModel`] and [`Diagnostic`]s; it touches no file, no clock and no network.
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
    sync::Arc,
};

mod decode;
mod diagnostic;
mod document;
mod file;
mod foreign;
mod groups;
mod guard;
mod istio;
mod k8s;
mod keys;
mod kinds;
mod layer;
mod left_out;
mod link;
mod lint;
mod llm_policy;
mod marks;
mod names;
mod options;
mod read;
mod reader;
mod repair;
mod resource;
mod scalar;
mod secrets;
mod security;
mod shortened;
mod shown;
mod source;
mod sources;

#[cfg(all(feature = "_serve", feature = "test-util"))] // for its fuzz target
pub(crate) use self::scalar::duration as parse_duration;
#[cfg(feature = "_mesh")]
pub(crate) use self::sources::{beginning, entries};
use self::{
    diagnostic::Report,
    istio::{mesh_config, retries},
    reader::{Reader, Resources},
};
pub use self::{
    diagnostic::{Diagnostic, Severity},
    layer::Layer,
    left_out::LeftOut,
    lint::{Graph, GraphCall, Rule, rule, rules},
    options::{CredentialCheck, IstioCompat, Options},
    repair::{Fixed, fix, repairable},
    shown::shown,
    source::Source,
    sources::{ReadError, credential_is_there, file_is_there, read_paths, read_trees},
};
use crate::model::MeshModel;

/// What loading gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// `None` if there is any error and reading is not lenient: nothing is half applied.
    pub model: Option<MeshModel>,
    /// Everything found, by source and line.
    pub diagnostics: Vec<Diagnostic>,
    /// What lenient reading left out, in load order.
    pub left_out: Vec<LeftOut>,
    /// The files that hold resources of the mesh.
    pub files: BTreeSet<Arc<str>>,
    /// Who calls whom, where that was asked for ([`Options::lint`]).
    pub graph: Option<Graph>,
    /// Findings that annotations say are known.
    pub ignored: usize,
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
    let mut linted = None;
    if options.lint {
        linted = Some(lint::mesh(&resources, &default_retry, &linking));
    }
    let mut model = link::link(&mut resources, options, &default_retry, &linking);
    let secrets = model
        .secrets
        .keys()
        .filter_map(|name| resources.secrets.get(name));
    files.extend(secrets.map(|secret| Arc::clone(&secret.place.origin.file)));
    model.settings = mesh.settings;
    let errors = linking.errors();
    report.absorb(linking);
    let mut diagnostics = report.into_sorted();
    debug_assert!(
        diagnostics.iter().all(|d| lint::rule(d.rule).is_some()),
        "every finding is of a rule that can be explained"
    );
    let found = diagnostics.len();
    let graph = linted.map(|(graph, ignore)| {
        lint::settle(&mut diagnostics, &ignore);
        graph
    });
    let ignored = found - diagnostics.len();
    let failed = diagnostics.iter().any(|d| d.severity == Severity::Error);
    let loaded = Loaded {
        model: (options.lenient || !failed).then_some(model),
        diagnostics,
        left_out,
        files,
        graph,
        ignored,
    };
    (loaded, errors)
}
