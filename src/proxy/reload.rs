//! Configuration in, snapshot out: at start and again at each change, all or nothing.
//!
//! The whole input is read and compiled before anything is touched. On any error the last good configuration keeps
//! serving, a counter is raised and each problem is logged with its place. An equal model changes nothing.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::{registry::Registry, snapshot::Snapshot};
use crate::{
    base::{Counter, SharedRng},
    config::{self, Diagnostic, Severity},
    model::Model,
};

/// Where configuration comes from, and how strictly it is read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Input {
    /// Files and folders.
    pub files: Vec<PathBuf>,
    /// Files and folders that win over [`files`](Self::files) for the same host.
    pub overlays: Vec<PathBuf>,
    /// How they are read.
    pub options: config::Options,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// A path could not be read.
    Read(config::ReadError),
    /// The resources have errors.
    Invalid(Vec<Diagnostic>),
}

/// Counters of reloads.
#[derive(Debug, Default)]
pub struct ReloadStats {
    /// Configurations put in force.
    pub success: Counter,
    /// Configurations refused.
    pub failure: Counter,
    /// Changes on disk that changed nothing in effect.
    pub unchanged: Counter,
}

/// Keeps the snapshot in step with the input.
#[derive(Debug)]
pub struct Reloader {
    input: Input,
    registry: Registry,
    current: arc_swap::ArcSwap<Snapshot>,
    /// One reload at a time.
    busy: Mutex<()>,
    rng: SharedRng,
    /// Counters of reloads.
    pub stats: ReloadStats,
}

// === impl Input ===

impl Input {
    /// These files and folders.
    #[must_use]
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { files, ..Self::default() }
    }

    /// Reads and compiles everything.
    ///
    /// # Errors
    /// If a path cannot be read or a resource has an error.
    pub fn load(&self) -> Result<(Model, Vec<Diagnostic>), LoadError> {
        let sources = config::read_paths(&self.files, &self.overlays).map_err(LoadError::Read)?;
        let loaded = config::load(&sources, &self.options);
        match loaded.model {
            Some(model) => Ok((model, loaded.diagnostics)),
            None => Err(LoadError::Invalid(loaded.diagnostics)),
        }
    }
}

// === impl Reloader ===

impl Reloader {
    /// Loads for the first time and logs what there is to say.
    ///
    /// # Errors
    /// As [`Input::load`].
    pub fn start(input: Input, registry: Registry, rng: SharedRng) -> Result<Arc<Self>, LoadError> {
        let (model, diagnostics) = input.load()?;
        log(&diagnostics);
        let snapshot = Snapshot::build(Arc::new(model), &registry, &rng);
        let stats = ReloadStats::default();
        stats.success.inc();
        let current = arc_swap::ArcSwap::from_pointee(snapshot);
        Ok(Arc::new(Self { input, registry, current, busy: Mutex::new(()), rng, stats }))
    }

    /// What is in force now. Load it once per request.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The state that outlives snapshots.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Where configuration comes from.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// Reads everything again and puts it in force if it is good and different. Returns whether it changed anything.
    pub fn reload(&self) -> bool {
        let _one = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let (model, diagnostics) = match self.input.load() {
            Ok(loaded) => loaded,
            Err(error) => {
                self.stats.failure.inc();
                tracing::error!(target: "llmesh::config", "the changed configuration is refused, the last good one stays in force: {error}");
                return false;
            }
        };
        if model == *self.snapshot().model {
            self.stats.unchanged.inc();
            tracing::info!(target: "llmesh::config", "files changed, nothing in effect did");
            return false;
        }
        log(&diagnostics);
        let snapshot = Snapshot::build(Arc::new(model), &self.registry, &self.rng);
        tracing::info!(
            target: "llmesh::config",
            virtual_hosts = snapshot.model.virtual_hosts.len(),
            clusters = snapshot.model.clusters.len(),
            "new configuration in force"
        );
        self.current.store(Arc::new(snapshot));
        self.stats.success.inc();
        true
    }
}

fn log(diagnostics: &[Diagnostic]) {
    for d in diagnostics {
        match d.severity {
            Severity::Error => tracing::error!(target: "llmesh::config", "{d}"),
            Severity::Warning => tracing::warn!(target: "llmesh::config", "{d}"),
            Severity::Note => tracing::info!(target: "llmesh::config", "{d}"),
        }
    }
}

// === impl LoadError ===

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Invalid(diagnostics) => {
                let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error);
                for (i, d) in errors.enumerate() {
                    if i > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "{d}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for LoadError {}
