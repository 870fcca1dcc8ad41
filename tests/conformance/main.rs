//! Istio resources and what they must come to.

use std::path::{Path, PathBuf};

use llmesh::config::{Loaded, Options, Source, load, read_paths};

mod authorization;
mod bad_input;
mod decisions;
mod diagnostics;
mod folders;
mod guards;
mod guesses;
mod keys;
mod lenient;
mod lint;
mod llm_policy;
mod mesh_config;
mod names;
mod off_mesh;
mod reference_mesh;
mod references;
mod repairs;
mod resources;
mod scale;
mod secrets;
mod tls;
mod validation;

/// The reference mesh's folder.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/reference-mesh")
}

/// A file of the reference mesh by the beginning of its name.
fn file(prefix: &str) -> PathBuf {
    let mut found: Vec<_> = std::fs::read_dir(folder())
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(prefix))
        })
        .collect();
    assert_eq!(found.len(), 1, "{prefix} names one file");
    found.remove(0)
}

/// The texts of some files, named without their folder.
fn sources(prefixes: &[&str]) -> Vec<Source> {
    let paths: Vec<_> = prefixes.iter().map(|prefix| file(prefix)).collect();
    let mut sources = read_paths(&paths, &[]).expect("they can be read");
    for source in &mut sources {
        source.name = source
            .name
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
    }
    sources
}

fn load_files(prefixes: &[&str]) -> Loaded {
    load(&sources(prefixes), &Options::default())
}

fn load_text(text: &str) -> Loaded {
    load(&[Source::new("test.yaml", text)], &Options::default())
}

/// Findings as `file:line severity[rule]`.
fn summary(loaded: &Loaded) -> Vec<String> {
    loaded
        .diagnostics
        .iter()
        .map(|d| format!("{}:{} {}[{}]", d.file, d.line, d.severity, d.rule))
        .collect()
}
