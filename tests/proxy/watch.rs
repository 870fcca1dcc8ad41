//! Configuration files that change.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use llmesh::proxy::watch::{Params, Watch};

use crate::support::soon;

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "llmesh-watch-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const HOUR: Duration = Duration::from_secs(3600);

/// By events alone.
fn events() -> Params {
    Params {
        settle: Duration::from_millis(20),
        poll: HOUR,
        recursive: true,
    }
}

/// By looking alone: nothing is ever settled.
fn polling() -> Params {
    Params {
        settle: HOUR,
        poll: Duration::from_millis(30),
        recursive: true,
    }
}

async fn nothing(watch: &mut Watch) {
    let changed = tokio::time::timeout(Duration::from_millis(150), watch.changed()).await;
    assert!(changed.is_err(), "told of a change where there was none");
}

#[tokio::test]
async fn tells_of_changed_new_and_removed_files_and_of_nothing_else() {
    let folder = Folder::new();
    let file = folder.write("a.yaml", "1");
    let mut watch = Watch::new(vec![folder.0.clone()], events()).await;
    nothing(&mut watch).await;
    folder.write("a.yaml", "2");
    soon(watch.changed()).await;
    folder.write("a.yaml", "2");
    folder.write(".swap", "x");
    nothing(&mut watch).await;
    folder.write("b.yaml", "1");
    soon(watch.changed()).await;
    fs::remove_file(file).unwrap();
    soon(watch.changed()).await;
    nothing(&mut watch).await;
}

#[tokio::test]
async fn a_single_file_may_be_replaced_and_its_neighbours_do_not_matter() {
    let folder = Folder::new();
    let file = folder.write("a.yaml", "1");
    let mut watch = Watch::new(vec![file.clone()], events()).await;
    folder.write("b.yaml", "1");
    nothing(&mut watch).await;
    let new = folder.write("a.yaml.tmp", "2");
    fs::rename(new, &file).unwrap();
    soon(watch.changed()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_config_map_is_swapped_by_its_link() {
    let folder = Folder::new();
    let version = |name: &str, text: &str| {
        let path = folder.0.join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a.yaml"), text).unwrap();
    };
    let swap = |to: &str| {
        let new = folder.0.join("..data_tmp");
        std::os::unix::fs::symlink(to, &new).unwrap();
        fs::rename(new, folder.0.join("..data")).unwrap();
    };
    version("..1", "one");
    swap("..1");
    std::os::unix::fs::symlink(Path::new("..data/a.yaml"), folder.0.join("a.yaml")).unwrap();
    let mut watch = Watch::new(vec![folder.0.clone()], events()).await;
    version("..2", "two");
    swap("..2");
    soon(watch.changed()).await;
    version("..3", "two");
    swap("..3");
    nothing(&mut watch).await;
}

#[tokio::test]
async fn files_that_are_named_later_count_from_then_on() {
    let (folder, keys) = (Folder::new(), Folder::new());
    folder.write("a.yaml", "1");
    let (one, two) = (keys.write("one", "1"), keys.write("two", "1"));
    let mut watch = Watch::new(vec![folder.0.clone()], events()).await;
    assert!(watch.also(vec![one.clone()]).await);
    assert!(!watch.also(vec![one.clone()]).await);
    keys.write("two", "2");
    nothing(&mut watch).await;
    keys.write("one", "2");
    soon(watch.changed()).await;
    // A change of the others is not lost by it.
    folder.write("a.yaml", "2");
    assert!(watch.also(vec![two]).await);
    soon(watch.changed()).await;
    keys.write("one", "3");
    nothing(&mut watch).await;
    fs::remove_file(keys.0.join("two")).unwrap();
    soon(watch.changed()).await;
}

#[tokio::test]
async fn without_events_it_looks_by_itself() {
    let folder = Folder::new();
    let sub = folder.0.join("sub");
    let mut watch = Watch::new(vec![folder.0.clone()], events()).await;
    fs::create_dir(&sub).unwrap();
    nothing(&mut watch).await;
    drop(watch);
    // A file system without events: the file is there before its folder is watched.
    let missing = folder.0.join("later/a.yaml");
    let mut watch = Watch::new(vec![missing.clone()], polling()).await;
    fs::create_dir(missing.parent().unwrap()).unwrap();
    fs::write(&missing, "1").unwrap();
    soon(watch.changed()).await;
}

#[tokio::test]
async fn what_is_not_read_is_not_watched() {
    let folder = Folder::new();
    let sub = folder.0.join("sub");
    fs::create_dir_all(&sub).unwrap();
    folder.write("a.yaml", "1");
    let flat = Params {
        recursive: false,
        ..events()
    };
    let mut watch = Watch::new(vec![folder.0.clone()], flat).await;
    folder.write("notes.txt", "1");
    fs::write(sub.join("b.yaml"), "1").unwrap();
    nothing(&mut watch).await;
    folder.write("a.YAML", "1");
    soon(watch.changed()).await;
}
