//! The documents that people read first: short, complete, and true about the files that they name.

use std::{collections::BTreeSet, fs, path::Path};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The targets of a text's relative links, without what follows a `#`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split([')', '#']).next());
    targets
        .filter(|to| !to.is_empty() && !to.contains("://"))
        .collect()
}

#[test]
fn the_readme_is_one_page_and_its_links_lead_somewhere() {
    let text = read("README.md");
    assert!(text.lines().count() <= 150, "{}", text.lines().count());
    for file in ["README.md", "examples/README.md", ".github/CONTRIBUTING.md"] {
        let text = read(file);
        let folder = root().join(file).parent().unwrap().to_owned();
        for link in links(&text) {
            assert!(folder.join(link).exists(), "{file} links to {link}");
        }
    }
}

#[test]
fn what_is_unreleased_is_one_page() {
    let text = read("CHANGELOG.md");
    let unreleased = text.split("\n## Unreleased\n").nth(1).unwrap();
    let lines = unreleased.split("\n## ").next().unwrap().lines().count();
    assert!(lines <= 60, "{lines}");
}

#[test]
fn every_example_is_in_the_index() {
    let text = read("examples/README.md");
    let listed: BTreeSet<_> = links(&text).into_iter().collect();
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let found = if entry.file_type().unwrap().is_dir() {
            listed.iter().any(|to| to.starts_with(&format!("{name}/")))
        } else {
            name == "README.md" || listed.contains(name.as_str())
        };
        assert!(found, "examples/README.md does not list {name}");
    }
}

#[test]
fn the_walk_of_a_request_is_short_and_names_files() {
    let text = read(".github/CONTRIBUTING.md");
    let walk = text.split("\n## One chat request").nth(1).unwrap();
    let walk = walk.split("\n## ").next().unwrap();
    let stops: Vec<&str> = walk
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .map(|line| line.split('`').nth(1).unwrap())
        .collect();
    assert!((10..=15).contains(&stops.len()), "{} stops", stops.len());
    let once: BTreeSet<_> = stops.iter().collect();
    assert_eq!(once.len(), stops.len(), "{stops:?}");
    for stop in stops {
        assert!(root().join(stop).is_file(), "no file {stop}");
    }
}
