//! Tells when configuration files have changed.
//!
//! Folders are watched rather than files: editors replace files, and a mounted ConfigMap changes by swapping its
//! `..data` link. An event only means "look": a change is a change of content, so touching a file or swapping the link
//! to equal files reports nothing. Some file systems send no events, so it also looks on its own.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{sync::mpsc, time::timeout};

use crate::{base::time::sleep, config};

/// Watches files and folders: those of their files that are read as configuration, in sub-folders if these are.
#[derive(Debug)]
pub struct Watch {
    paths: Vec<PathBuf>,
    /// Files that the configuration names.
    also: Vec<PathBuf>,
    params: Params,
    events: mpsc::Receiver<()>,
    /// `None` where the system offers none: then only looking on its own is left.
    watcher: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    last: Content,
}

/// When to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// How long after an event: several files are often written together.
    pub settle: Duration,
    /// How often without any event.
    pub poll: Duration,
    /// Whether the sub-folders of folders are watched too.
    pub recursive: bool,
}

/// Hashes of what is readable, by path.
type Content = BTreeMap<PathBuf, u64>;

impl Default for Params {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(150),
            poll: Duration::from_secs(2),
            recursive: true,
        }
    }
}

// === impl Watch ===

impl Watch {
    /// Watches from now. Make it before the files are read for the first time, so that no change is missed.
    pub async fn new(paths: Vec<PathBuf>, params: Params) -> Self {
        let (sender, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |_: notify::Result<notify::Event>| {
            // Full: a look is already due.
            let _ = sender.try_send(());
        });
        let watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "no file events here; files are read every {:?}", params.poll);
                None
            }
        };
        let mut watch = Self {
            paths,
            also: Vec::new(),
            params,
            events,
            watcher,
            watched: HashSet::new(),
            last: Content::new(),
        };
        watch.last = watch.look().await;
        watch
    }

    /// Waits until the content of the watched set differs from what it was at the last return, or at the start. A file
    /// that came, went or cannot be read any more is a difference.
    ///
    /// # Cancel safety
    /// May be dropped and called again; no change is lost.
    pub async fn changed(&mut self) {
        loop {
            // An error is the poll's turn; the sender lives in the watcher, so `None` means that there is none.
            match timeout(self.params.poll, self.events.recv()).await {
                Ok(Some(())) => sleep(self.params.settle).await,
                Ok(None) => sleep(self.params.poll).await,
                Err(_) => {}
            }
            let now = self.look().await;
            if now != self.last {
                self.last = now;
                return;
            }
        }
    }

    /// Watches these files as well, in place of those of the last call. That they are new is no change. Returns whether
    /// they are others than before.
    pub async fn also(&mut self, files: Vec<PathBuf>) -> bool {
        if files == self.also {
            return false;
        }
        for gone in self.also.iter().filter(|path| !files.contains(path)) {
            self.last.remove(gone);
        }
        self.also.clone_from(&files);
        let now = self.look().await;
        for path in files {
            if let Some(hash) = now.get(&path) {
                self.last.entry(path).or_insert(*hash);
            }
        }
        true
    }

    async fn look(&mut self) -> Content {
        let mut paths = self.paths.clone();
        paths.extend_from_slice(&self.also);
        let recursive = self.params.recursive;
        let seen = tokio::task::spawn_blocking(move || read(&paths, recursive)).await;
        let Ok((content, folders)) = seen else {
            // The runtime is going away.
            return self.last.clone();
        };
        self.watch(folders);
        content
    }

    /// Follows the folders as they come and go.
    fn watch(&mut self, folders: HashSet<PathBuf>) {
        let Some(watcher) = self.watcher.as_mut() else {
            return;
        };
        for gone in self.watched.difference(&folders) {
            // It fails if the folder is gone, which is what was wanted.
            let _ = watcher.unwatch(gone);
        }
        self.watched.retain(|folder| folders.contains(folder));
        for folder in folders {
            if self.watched.contains(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder);
                }
                Err(error) => tracing::debug!(?folder, %error, "a folder cannot be watched"),
            }
        }
    }
}

// === free functions ===

/// The content of all files, and the folders whose events matter.
fn read(paths: &[PathBuf], recursive: bool) -> (Content, HashSet<PathBuf>) {
    let (mut content, mut folders) = (Content::new(), HashSet::new());
    for path in paths {
        if path.is_dir() {
            read_folder(path, recursive, &mut content, &mut folders);
        } else {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
            folders.insert(parent.unwrap_or_else(|| Path::new(".")).to_owned());
            read_file(path, &mut content);
        }
    }
    (content, folders)
}

fn read_folder(
    folder: &Path,
    recursive: bool,
    content: &mut Content,
    folders: &mut HashSet<PathBuf>,
) {
    let (mut due, mut seen) = (vec![folder.to_owned()], HashSet::new());
    while let Some(folder) = due.pop() {
        // A link may lead back up.
        if !folder.canonicalize().is_ok_and(|real| seen.insert(real)) {
            continue;
        }
        for (path, is_folder) in config::entries(&folder).unwrap_or_default() {
            if !is_folder {
                read_file(&path, content);
            } else if recursive {
                due.push(path);
            }
        }
        folders.insert(folder);
    }
}

fn read_file(path: &Path, content: &mut Content) {
    let hash = match config::beginning(path) {
        Ok(bytes) => xxhash_rust::xxh3::xxh3_64(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        // Unreadable is a content of its own; the reader will say why.
        Err(_) => u64::MAX,
    };
    content.insert(path.to_owned(), hash);
}
