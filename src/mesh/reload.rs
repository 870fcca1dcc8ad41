//! Configuration in, snapshot out: at start and again at each change, all or nothing.
//!
//! The whole input is read and compiled before anything is touched. On any error the last good configuration keeps
//! serving, a counter is raised and each problem is logged with its place. An equal model changes nothing, unless a key has
//! changed: keys are read again at each reload, and their files are watched.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

pub use super::load_error::LoadError;
use super::{registry::Registry, snapshot::Snapshot, watch::Watch};
use crate::{
    base::{Counter, SharedRng, time::sleep},
    config::{self, Diagnostic, LeftOut, ReadError, Severity, Source},
    fallback,
    limit::tokens,
    model::MeshModel,
};

/// Where configuration comes from, and how strictly it is read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Input {
    /// Files and folders.
    pub files: Vec<PathBuf>,
    /// Files and folders that win over [`files`](Self::files) for the same host.
    pub overlays: Vec<PathBuf>,
    /// Whether the sub-folders of folders are read too.
    pub recursive: bool,
    /// Texts that are no files; read before them.
    pub inline: Vec<Source>,
    /// How they are read.
    pub options: config::Options,
}

/// A configuration that can be put in force.
struct Compiled {
    model: MeshModel,
    diagnostics: Vec<Diagnostic>,
    notes: Notes,
}

/// What is kept of the last load besides its model.
#[derive(Debug)]
struct Notes {
    left_out: Arc<[LeftOut]>,
    /// The files that hold resources.
    files: BTreeSet<Arc<str>>,
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
    /// Held during a reload: one at a time.
    input: Mutex<Input>,
    registry: Registry,
    current: ArcSwap<Snapshot>,
    notes: ArcSwap<Notes>,
    rng: SharedRng,
    /// Counters of reloads.
    pub stats: ReloadStats,
}

// === impl Input ===

impl Input {
    /// These files and folders.
    #[must_use]
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self {
            files,
            ..Self::default()
        }
    }

    /// These texts.
    #[must_use]
    pub fn inline(sources: Vec<Source>) -> Self {
        Self {
            inline: sources,
            ..Self::default()
        }
    }

    /// Reads and compiles everything.
    ///
    /// # Errors
    /// If a path cannot be read or a resource has an error.
    pub fn load(&self) -> Result<(MeshModel, Vec<Diagnostic>), LoadError> {
        let loaded = self.compile(&self.read().map_err(LoadError::Read)?, BTreeSet::new())?;
        Ok((loaded.model, loaded.diagnostics))
    }

    fn read(&self) -> Result<Vec<Source>, ReadError> {
        let mut sources = self.inline.clone();
        let read = if self.recursive {
            config::read_trees
        } else {
            config::read_paths
        };
        sources.extend(read(&self.files, &self.overlays)?);
        Ok(sources)
    }

    /// Compiles; `known_files` held resources when they were read last.
    fn compile(
        &self,
        sources: &[Source],
        known_files: BTreeSet<Arc<str>>,
    ) -> Result<Compiled, LoadError> {
        let mut options = self.options.clone().with_known_files(known_files);
        options
            .credentials
            .get_or_insert(config::credential_is_there);
        options.files.get_or_insert(config::file_is_there);
        let loaded = config::load(sources, &options);
        match loaded.model {
            Some(model) => Ok(Compiled {
                model,
                diagnostics: loaded.diagnostics,
                notes: Notes {
                    left_out: loaded.left_out.into(),
                    files: loaded.files,
                },
            }),
            None => Err(LoadError::Invalid(loaded.diagnostics)),
        }
    }
}

// === impl Reloader ===

impl Reloader {
    /// The counts of token limits.
    #[must_use]
    pub fn limits(&self) -> &tokens::Registry {
        self.registry.limits()
    }

    /// What fallback did.
    #[must_use]
    pub fn fallback(&self) -> &fallback::Stats {
        &self.registry.llm().fallback
    }

    /// Loads for the first time and logs what there is to say.
    ///
    /// # Errors
    /// As [`Input::load`].
    pub async fn start(
        input: Input,
        registry: Registry,
        rng: SharedRng,
    ) -> Result<Arc<Self>, LoadError> {
        let sources = input.read().map_err(LoadError::Read)?;
        let loaded = input.compile(&sources, BTreeSet::new())?;
        let model = loaded.model;
        log(&loaded.diagnostics);
        log_left_out(&loaded.notes.left_out);
        let clusters = registry.apply(&model).await;
        let snapshot = Snapshot::build(Arc::new(model), clusters, registry.llm(), &rng);
        let stats = ReloadStats::default();
        stats.success.inc();
        let current = ArcSwap::from_pointee(snapshot);
        Ok(Arc::new(Self {
            input: Mutex::new(input),
            registry,
            current,
            notes: ArcSwap::from_pointee(loaded.notes),
            rng,
            stats,
        }))
    }

    /// What is in force now. Load it once per request.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// What is wrong and was left out by name (see [`Options::lenient`](config::Options::lenient)).
    #[must_use]
    pub fn left_out(&self) -> Arc<[LeftOut]> {
        Arc::clone(&self.notes.load().left_out)
    }

    /// Reads everything again and puts it in force if it is good and different. Returns whether it changed anything.
    pub async fn reload(&self) -> bool {
        self.put_in_force(&*self.input.lock().await).await
    }

    /// Puts each change that `watch` tells of in force, and each of a key file. Never ends by itself.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the last good configuration in force.
    pub async fn follow(self: Arc<Self>, mut watch: Watch) {
        loop {
            let current = self.snapshot();
            let new = watch.also(current.files()).await;
            if new {
                self.registry.refresh_tls(&current.clusters);
            }
            // One may have changed since it was read and before it was watched.
            if !new || !current.keys.are_stale() {
                watch.changed().await;
            }
            self.reload().await;
        }
    }

    /// Replaces the texts that are no files, as [`reload`](Self::reload) does for files. Bad ones are forgotten again.
    pub async fn replace_inline(&self, sources: Vec<Source>) -> bool {
        let mut input = self.input.lock().await;
        let next = Input {
            inline: sources,
            ..input.clone()
        };
        let changed = self.put_in_force(&next).await;
        if changed {
            *input = next;
        }
        changed
    }

    async fn put_in_force(&self, input: &Input) -> bool {
        let sources = if input.files.is_empty() && input.overlays.is_empty() {
            input.read()
        } else {
            settled(|| input.read()).await
        };
        let current = self.snapshot();
        // Good or bad as the rest may be.
        self.registry.refresh_tls(&current.clusters);
        let stale = current.keys.are_stale();
        let loaded = sources.map_err(LoadError::Read);
        let files = self.notes.load().files.clone();
        let loaded = match loaded.and_then(|sources| input.compile(&sources, files)) {
            Ok(loaded) => loaded,
            Err(error) => {
                self.stats.failure.inc();
                tracing::error!(
                    target: "llmesh::config",
                    "the changed configuration is refused, the last good one stays in force:\n{error}"
                );
                if stale {
                    self.renew(&current);
                }
                return false;
            }
        };
        if loaded.notes.left_out != self.left_out() {
            log_left_out(&loaded.notes.left_out);
        }
        self.notes.store(Arc::new(loaded.notes));
        let model = loaded.model;
        if model == *current.model && stale {
            self.renew(&current);
            return true;
        }
        if model == *current.model {
            self.stats.unchanged.inc();
            tracing::info!(target: "llmesh::config", "files changed, nothing in effect did");
            return false;
        }
        log(&loaded.diagnostics);
        if model.settings != current.model.settings {
            tracing::warn!(
                target: "llmesh::config",
                "the MeshConfig has changed: access log, path normalization and tracing follow at the next start"
            );
        }
        let clusters = self.registry.apply(&model).await;
        // Secrets may have changed under clusters that did not.
        self.registry.refresh_tls(&clusters);
        let snapshot = Snapshot::build(Arc::new(model), clusters, self.registry.llm(), &self.rng);
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

    /// Puts a configuration in force once more, with the keys as they are now.
    fn renew(&self, current: &Snapshot) {
        let (model, clusters) = (Arc::clone(&current.model), current.clusters.clone());
        let snapshot = Snapshot::build(model, clusters, self.registry.llm(), &self.rng);
        tracing::info!(target: "llmesh::config", "keys have changed");
        self.current.store(Arc::new(snapshot));
        self.stats.success.inc();
    }
}

/// How long files must have stayed the same before they are believed, and how often that is tried.
const SETTLE: Duration = Duration::from_millis(20);
const LOOKS: usize = 50;

/// Reads until two reads in a row agree. A file that is just being written is short, or empty, for a moment, and may be
/// good YAML all the same: half a configuration must not be put in force. Files that never come to rest are taken as
/// they were last.
async fn settled<E>(mut read: impl FnMut() -> Result<Vec<Source>, E>) -> Result<Vec<Source>, E> {
    let mut last = read();
    for _ in 0..LOOKS {
        sleep(SETTLE).await;
        let next = read();
        let same = match (&last, &next) {
            (Ok(a), Ok(b)) => a == b,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        last = next;
        if same {
            break;
        }
    }
    last
}

fn log(diagnostics: &[Diagnostic]) {
    for d in &config::shown(diagnostics) {
        match d.severity {
            Severity::Error => tracing::error!(target: "llmesh::config", "{d}"),
            Severity::Warning => tracing::warn!(target: "llmesh::config", "{d}"),
            Severity::Note => tracing::info!(target: "llmesh::config", "{d}"),
        }
    }
}

fn log_left_out(left_out: &[LeftOut]) {
    for resource in left_out {
        tracing::error!(target: "llmesh::config", "left out, the rest is served: {resource}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_just_being_written_is_not_believed() {
        let read = |texts: &[Option<&str>]| {
            let mut script: Vec<_> = texts.iter().rev().copied().map(str_of).collect();
            let last = str_of(texts.last().copied().flatten());
            move || script.pop().unwrap_or_else(|| last.clone())
        };
        fn str_of(text: Option<&str>) -> Result<Vec<Source>, ()> {
            text.map(|text| vec![Source::new("a", text)]).ok_or(())
        }
        for (seen, believed) in [
            (&[Some("whole")][..], Some("whole")),
            // Cut to nothing and written again; replaced by another.
            (&[Some(""), Some("half"), Some("whole")], Some("whole")),
            (&[None, Some("whole")], Some("whole")),
            (&[Some("old"), None], None),
        ] {
            assert_eq!(settled(read(seen)).await, str_of(believed), "{seen:?}");
        }
    }
}
