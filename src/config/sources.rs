//! Files and folders to texts.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Source, document::MAX_BYTES};
use crate::layers::fallback::Credential;

/// A path that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct ReadError {
    /// The path.
    pub path: PathBuf,
    source: io::Error,
}

/// Reads files, and the `*.yaml`, `*.yml` and `*.json` files of folders by name (not their sub-folders, not names that
/// begin with a dot). Texts under `overlays` come last and win over those under `paths`; an overlay that does not exist
/// is none, so that deleting it ends it.
///
/// # Errors
/// If a path does not exist or cannot be read, if a file is not UTF-8, or if there is no file at all under `paths`: an
/// emptied folder is a mishap more often than a wish.
pub fn read_paths(paths: &[PathBuf], overlays: &[PathBuf]) -> Result<Vec<Source>, ReadError> {
    let mut sources = Vec::new();
    for (paths, overlay) in [(paths, false), (overlays, true)] {
        for path in paths {
            match read_path(path, overlay, &mut sources) {
                Err(gone) if overlay && gone.kind() == io::ErrorKind::NotFound => {}
                read => read.map_err(|source| ReadError::new(path, source))?,
            }
        }
        if let (Some(path), true) = (paths.first(), sources.is_empty() && !overlay) {
            let none = io::Error::new(
                io::ErrorKind::NotFound,
                "no *.yaml, *.yml or *.json file there",
            );
            return Err(ReadError::new(path, none));
        }
    }
    Ok(sources)
}

/// Whether a key can be read: a variable of this process that is not empty, or a file that can be opened. The key itself is
/// not kept.
#[must_use]
pub fn credential_is_there(credential: &Credential) -> bool {
    match credential {
        Credential::Env(name) => std::env::var_os(name).is_some_and(|key| !key.is_empty()),
        Credential::File(path) => {
            // Asked first, since to open a pipe would wait.
            let full = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0);
            full && fs::File::open(path).is_ok()
        }
    }
}

impl ReadError {
    fn new(path: &Path, source: io::Error) -> Self {
        Self {
            path: path.to_owned(),
            source,
        }
    }
}

fn read_path(path: &Path, overlay: bool, sources: &mut Vec<Source>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        sources.push(read_file(path, overlay)?);
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|n| n.starts_with('.'));
        let wanted = !hidden
            && path
                .extension()
                .and_then(|extension| extension.to_str())
                .is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"));
        if wanted && fs::metadata(&path)?.is_file() {
            files.push(path);
        }
    }
    files.sort();
    for file in files {
        let source = read_file(&file, overlay)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))?;
        sources.push(source);
    }
    Ok(())
}

fn read_file(path: &Path, overlay: bool) -> io::Result<Source> {
    let size = fs::metadata(path)?.len();
    if size > MAX_BYTES as u64 {
        let message = format!("{size} bytes are more than the {MAX_BYTES} that are read");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let source = Source::new(path.display().to_string(), fs::read_to_string(path)?);
    Ok(if overlay { source.as_overlay() } else { source })
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
