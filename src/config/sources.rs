//! Files and folders to texts.

use std::{
    collections::HashSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    document::MAX_BYTES,
    foreign,
    source::{Source, Unread},
};
use crate::layers::fallback::{Credential, Key, key::KeyError};

/// A path that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct ReadError {
    /// The path.
    pub path: PathBuf,
    source: io::Error,
}

/// How folders are read.
struct Walk {
    overlay: bool,
    recursive: bool,
    /// Files that were read: a file may be named twice.
    seen: HashSet<PathBuf>,
    sources: Vec<Source>,
}

/// Reads files, and the `*.yaml`, `*.yml` and `*.json` files of folders by name (not their sub-folders, not names that
/// begin with a dot), and `Kustomization`, which tells of patches. Texts under `overlays` come last and
/// win over those under `paths`; an overlay that does not exist is none, so that deleting it ends it. A file of a folder that
/// cannot be read is one of the texts all the same, so that [`load`](super::load) names it.
///
/// # Errors
/// If a path does not exist or cannot be read, or if there is no file at all under `paths`: an emptied folder is a mishap
/// more often than a wish.
pub fn read_paths(paths: &[PathBuf], overlays: &[PathBuf]) -> Result<Vec<Source>, ReadError> {
    read(paths, overlays, false)
}

/// Reads as [`read_paths`], and the sub-folders of folders too.
///
/// # Errors
/// As those of [`read_paths`].
pub fn read_trees(paths: &[PathBuf], overlays: &[PathBuf]) -> Result<Vec<Source>, ReadError> {
    read(paths, overlays, true)
}

fn read(
    paths: &[PathBuf],
    overlays: &[PathBuf],
    recursive: bool,
) -> Result<Vec<Source>, ReadError> {
    let mut sources = Vec::new();
    for (paths, overlay) in [(paths, false), (overlays, true)] {
        let mut walk = Walk {
            overlay,
            recursive,
            seen: HashSet::new(),
            sources: Vec::new(),
        };
        for path in paths {
            match walk.path(path) {
                Err(gone) if overlay && gone.kind() == io::ErrorKind::NotFound => {}
                read => read.map_err(|source| ReadError::new(path, source))?,
            }
        }
        if let (Some(path), true) = (paths.first(), walk.sources.is_empty() && !overlay) {
            let message = if !recursive && paths.iter().any(|path| has_files_below(path)) {
                "no *.yaml, *.yml or *.json file there, only in sub-folders: -R reads them too"
            } else {
                "no *.yaml, *.yml or *.json file there"
            };
            let none = io::Error::new(io::ErrorKind::NotFound, message);
            return Err(ReadError::new(path, none));
        }
        sources.append(&mut walk.sources);
    }
    Ok(sources)
}

/// Whether a key can be read and used: from a variable of this process, or a file. The key itself is not kept.
///
/// # Errors
/// What is wrong, in words without the key.
pub fn credential_is_there(credential: &Credential) -> Result<(), KeyError> {
    Key::read(credential).map(drop)
}

/// Whether a file is there, is not empty and can be opened. What it holds is not read.
#[must_use]
pub fn file_is_there(path: &Path) -> bool {
    // Asked first, since to open a pipe would wait.
    let full = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0);
    full && fs::File::open(path).is_ok()
}

impl ReadError {
    fn new(path: &Path, source: io::Error) -> Self {
        Self {
            path: path.to_owned(),
            source,
        }
    }
}

// === impl Walk ===

impl Walk {
    fn path(&mut self, path: &Path) -> io::Result<()> {
        if fs::metadata(path)?.is_dir() {
            return self.folder(path, &mut HashSet::new());
        }
        if self.is_new(path) {
            let source = read_file(path)?;
            self.push(source);
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path, above: &mut HashSet<PathBuf>) -> io::Result<()> {
        // A link may lead back up.
        let real = folder.canonicalize()?;
        if !above.insert(real.clone()) {
            return Ok(());
        }
        for (path, is_folder) in entries(folder)? {
            if !is_folder {
                self.file(&path);
            } else if self.recursive
                && let Err(error) = self.folder(&path, above)
            {
                self.failed(&path, &error);
            }
        }
        above.remove(&real);
        Ok(())
    }

    /// A file of a folder. One that is gone by now, or a link that leads nowhere, is none.
    fn file(&mut self, path: &Path) {
        if !self.is_new(path) {
            return;
        }
        match read_file(path) {
            Ok(source) => self.push(source),
            Err(error) => self.failed(path, &error),
        }
    }

    fn failed(&mut self, path: &Path, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            let mut source = Source::new(path.display().to_string(), "");
            source.unread = Some(Unread::Failed(error.to_string()));
            self.push(source);
        }
    }

    fn is_new(&mut self, path: &Path) -> bool {
        path.canonicalize().is_ok_and(|real| self.seen.insert(real))
    }

    fn push(&mut self, mut source: Source) {
        if self.overlay {
            source = source.as_overlay();
        }
        self.sources.push(source);
    }
}

// === impl Source ===

impl Source {
    /// Why its text is not to be read: whether it may hold a resource whatever its text shows, what is wrong, and the way
    /// out.
    pub(super) fn unread(&self, most: usize) -> Option<(bool, String, &'static str)> {
        match &self.unread {
            Some(Unread::NotUtf8) => Some((
                false,
                "the file is not UTF-8 text".to_owned(),
                "save it as UTF-8",
            )),
            Some(Unread::TooLarge(bytes)) => Some(too_large(*bytes, most)),
            Some(Unread::Failed(error)) => Some((true, format!("cannot be read: {error}"), "")),
            None if self.text.len() > most => Some(too_large(self.text.len() as u64, most)),
            None => None,
        }
    }
}

fn too_large(bytes: u64, most: usize) -> (bool, String, &'static str) {
    let message = format!("the file has {bytes} bytes, more than the {most} that are read");
    (false, message, "split it")
}

/// The files and folders to be read in a folder, by name.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let hidden = name.is_some_and(|name| name.starts_with('.'));
        let extension = path.extension().and_then(|extension| extension.to_str());
        let wanted = extension.is_some_and(|extension| {
            let mut read = ["yaml", "yml", "json"].into_iter();
            read.any(|known| extension.eq_ignore_ascii_case(known))
        }) || name == Some(foreign::KUSTOMIZATION);
        // A link that leads nowhere has no metadata.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        if !hidden && (metadata.is_dir() || (wanted && metadata.is_file())) {
            found.push((path, metadata.is_dir()));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether there is a file to be read in the sub-folders, a few levels down.
fn has_files_below(folder: &Path) -> bool {
    fn below(folder: &Path, levels: usize) -> bool {
        let found = entries(folder).unwrap_or_default();
        found
            .iter()
            .any(|(path, is_folder)| !is_folder || (levels > 0 && below(path, levels - 1)))
    }
    below(folder, 8)
}

fn read_file(path: &Path) -> io::Result<Source> {
    let name = path.display().to_string();
    let size = fs::metadata(path)?.len();
    let (text, whole) = decoded(beginning(path)?);
    let mut source = Source::new(name, text);
    source.unread = if size.max(source.text.len() as u64) > MAX_BYTES as u64 {
        Some(Unread::TooLarge(size))
    } else {
        (!whole).then_some(Unread::NotUtf8)
    };
    Ok(source)
}

/// A file's bytes, up to one more than are read as a configuration.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of bytes, and whether it is all that they say: UTF-8, or UTF-16 by its byte order mark.
fn decoded(bytes: Vec<u8>) -> (String, bool) {
    let units = |of: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| of(*pair)).collect();
        let text = String::from_utf16(&units);
        let whole = text.is_ok() && rest.is_empty();
        (
            text.unwrap_or_else(|_| String::from_utf16_lossy(&units)),
            whole,
        )
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        _ => match String::from_utf8(bytes) {
            Ok(text) => (text, true),
            Err(error) => (
                String::from_utf8_lossy(error.as_bytes()).into_owned(),
                false,
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_path_is_named() {
        let error = read_paths(&[PathBuf::from("/nowhere/at-all")], &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot read /nowhere/at-all: No such file"),
            "{error}"
        );
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn folders_are_read_by_name_and_overlays_may_be_gone() {
        let folder = std::env::temp_dir().join(format!("llmesh-sources-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let empty = read_paths(std::slice::from_ref(&folder), &[]).unwrap_err();
        assert!(empty.to_string().contains("no *.yaml"), "{empty}");
        for name in ["b.yaml", "a.yml", ".hidden.yaml", "notes.txt"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let sources =
            read_paths(std::slice::from_ref(&folder), &[folder.join("gone.yaml")]).unwrap();
        let texts: Vec<_> = sources.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(texts, ["a.yml", "b.yaml"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
