//! Configuration in, snapshot out: at start and again at each change, all or nothing.
//!
//! The whole input is read and compiled before anything is touched. On any error the last good configuration keeps
//! serving, a counter is raised and each problem is logged with its place. An equal model changes nothing, unless a key of
//! a fallback target has changed: keys are read again at each reload, and their files are watched.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::{registry::Registry, snapshot::Snapshot, watch::Watch};
use crate::{
    base::{Counter, SharedRng, time::sleep},
    config::{self, Diagnostic, ReadError, Severity, Source},
    fallback,
    limit::tokens,
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
    /// Texts that are no files; read before them.
    pub inline: Vec<Source>,
    /// How they are read.
    pub options: config::Options,
}

/// Why there is no configuration.
///
/// `Debug` prints what `Display` does, a line or two for each problem: it is what `fn main() -> Result<(), LoadError>` shows.
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
    /// Held during a reload: one at a time.
    input: Mutex<Input>,
    registry: Registry,
    current: ArcSwap<Snapshot>,
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
    pub fn load(&self) -> Result<(Model, Vec<Diagnostic>), LoadError> {
        self.compile(&self.read().map_err(LoadError::Read)?)
    }

    fn read(&self) -> Result<Vec<Source>, ReadError> {
        let mut sources = self.inline.clone();
        sources.extend(config::read_paths(&self.files, &self.overlays)?);
        Ok(sources)
    }

    fn compile(&self, sources: &[Source]) -> Result<(Model, Vec<Diagnostic>), LoadError> {
        let mut options = self.options.clone();
        options
            .credentials
            .get_or_insert(config::credential_is_there);
        let loaded = config::load(sources, &options);
        match loaded.model {
            Some(model) => Ok((model, loaded.diagnostics)),
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
        let (model, diagnostics) = input.load()?;
        log(&diagnostics);
        let clusters = registry.apply(&model).await;
        let snapshot = Snapshot::build(Arc::new(model), clusters, registry.llm(), &rng);
        let stats = ReloadStats::default();
        stats.success.inc();
        let current = ArcSwap::from_pointee(snapshot);
        Ok(Arc::new(Self {
            input: Mutex::new(input),
            registry,
            current,
            rng,
            stats,
        }))
    }

    /// What is in force now. Load it once per request.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
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
            let new = watch.also(current.keys.files()).await;
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
        let stale = current.keys.are_stale();
        let loaded = sources.map_err(LoadError::Read);
        let (model, diagnostics) = match loaded.and_then(|sources| input.compile(&sources)) {
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
        if model == *current.model && stale {
            self.renew(&current);
            return true;
        }
        if model == *current.model {
            self.stats.unchanged.inc();
            tracing::info!(target: "llmesh::config", "files changed, nothing in effect did");
            return false;
        }
        log(&diagnostics);
        let clusters = self.registry.apply(&model).await;
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
        tracing::info!(target: "llmesh::config", "keys of fallback targets have changed");
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

impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self, Self::Invalid(_)) {
            f.write_str("the configuration has errors\n")?;
        }
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for LoadError {}

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
