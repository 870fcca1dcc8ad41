//! Files and folders to texts.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Source, document::MAX_BYTES};

/// A path that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct ReadError {
    /// The path.
    pub path: PathBuf,
    source: io::Error,
}

/// Reads files, and the `*.yaml`, `*.yml` and `*.json` files of folders by name (not their sub-folders). Texts under
/// `overlays` come last and win over those under `paths`.
///
/// # Errors
/// If a path does not exist or cannot be read, or if a file is not UTF-8.
pub fn read_paths(paths: &[PathBuf], overlays: &[PathBuf]) -> Result<Vec<Source>, ReadError> {
    let mut sources = Vec::new();
    for (paths, overlay) in [(paths, false), (overlays, true)] {
        for path in paths {
            read_path(path, overlay, &mut sources).map_err(|source| ReadError {
                path: path.clone(),
                source,
            })?;
        }
    }
    Ok(sources)
}

fn read_path(path: &Path, overlay: bool, sources: &mut Vec<Source>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        sources.push(read_file(path, overlay)?);
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let wanted = path
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
        assert_eq!(error.to_string(), "cannot read /nowhere/at-all");
        assert!(std::error::Error::source(&error).is_some());
    }
}
