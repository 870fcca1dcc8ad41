//! Reads the crate's own source as text.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One source file.
pub struct File {
    /// Path below `src`, with `/`.
    pub path: String,
    /// Its lines before `#[cfg(test)]`, comments taken off.
    pub code: String,
    /// How many lines it has before `#[cfg(test)]`.
    pub lines: usize,
}

/// Every non-test file below `src`: its path there, with `/`, and its whole text.
pub fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter(|p| !p.ends_with("tests.rs") && !p.components().any(|c| c.as_os_str() == "tests"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(&root).unwrap().to_str().unwrap();
            (path.replace('\\', "/"), text)
        })
        .collect()
}

/// Every non-test file below `src`.
pub fn files() -> Vec<File> {
    texts()
        .into_iter()
        .map(|(path, text)| {
            let body: Vec<&str> = text
                .lines()
                .take_while(|l| !l.starts_with("#[cfg(test)]"))
                .collect();
            let code = body
                .iter()
                .map(|l| l.split("//").next().unwrap())
                .collect::<Vec<_>>()
                .join("\n");
            File {
                path,
                code,
                lines: body.len(),
            }
        })
        .collect()
}

fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Every `crate::…` path that the code names, as segments, groups expanded.
pub fn crate_paths(code: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("crate::") {
        let word = rest[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        rest = &rest[at + "crate::".len()..];
        if !word {
            tree(rest, &mut Vec::new(), &mut out);
        }
    }
    out
}

/// Parses one use tree at the start of `text`; returns what follows it.
fn tree<'a>(text: &'a str, prefix: &mut Vec<String>, out: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut inner) = text.strip_prefix('{') {
        loop {
            inner = inner.trim_start();
            if let Some(after) = inner.strip_prefix('}') {
                return after;
            }
            let before = inner.len();
            inner = tree(inner, prefix, out).trim_start();
            // `as name` is skipped; anything else unknown ends the group.
            if let Some(at) = inner.strip_prefix("as ") {
                inner = at
                    .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
                    .trim_start();
            }
            inner = inner.strip_prefix(',').unwrap_or(inner);
            if inner.len() == before {
                return inner;
            }
        }
    }
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    prefix.push(name.to_owned());
    let rest = match after.strip_prefix("::") {
        Some(deeper) if !deeper.starts_with('<') => tree(deeper, prefix, out),
        _ => {
            out.push(prefix.clone());
            after
        }
    };
    prefix.pop();
    rest
}

#[test]
fn use_trees_are_read_whole() {
    let code = "use crate::{base::{Error, time::Instant}, layers::retry as r, body::Body};\nlet x = crate::model::Model::default();";
    let paths: Vec<String> = crate_paths(code).iter().map(|p| p.join("::")).collect();
    assert_eq!(
        paths,
        [
            "base::Error",
            "base::time::Instant",
            "layers::retry",
            "body::Body",
            "model::Model::default"
        ]
    );
}
