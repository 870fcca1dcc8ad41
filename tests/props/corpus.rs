//! Fuzz targets on the committed corpus (`tests/fuzz/corpus`), each file as it is and then mutated.
//!
//! Mutations are drawn from a fixed seed, so a run repeats exactly. `FUZZ_CASES` and `FUZZ_SEED` make it a slow fuzzer for
//! a toolchain without one:
//!
//! ```text
//! FUZZ_CASES=1000000 FUZZ_SEED=7 cargo test --release --all-features --test props corpus
//! ```

use std::{fs, panic, path::PathBuf};

use llmesh::{base::SharedRng, testing::fuzz::TARGETS};

/// Words that mean something to one reader or another.
const WORDS: [&str; 40] = [
    "\n",
    "\n\n",
    "\r\n",
    " ",
    "\t",
    ",",
    ":",
    "-",
    "--- ",
    "*",
    "&a ",
    "*a",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "0",
    "-1",
    "1e308",
    "99999999999999999999",
    "18446744073709551615",
    ".",
    "1h2m3s",
    "ms",
    "null",
    "true",
    "~",
    "@",
    "%00",
    "\0",
    "é",
    "\u{feff}",
    "\u{2028}",
    "00-",
    "-01",
    "=",
    "ff",
    "/",
];

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut files: Vec<_> = fs::read_dir(folder.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect()
}

fn mutate(data: &mut Vec<u8>, corpus: &[(String, Vec<u8>)], rng: &SharedRng) {
    let at = rng.index(data.len() + 1).unwrap();
    let len = rng.index(16).unwrap().min(data.len() - at);
    match rng.below(8) {
        0 if at < data.len() => data[at] ^= 1 << rng.below(8),
        1 if at < data.len() => data[at] = rng.below(256) as u8,
        2 => drop(data.drain(at..at + len)),
        3 => data.truncate(at),
        4 => {
            let part = data[at..at + len].to_vec();
            let to = rng.index(data.len() + 1).unwrap();
            data.splice(to..to, part);
        }
        5 => {
            // A piece of another file.
            let (_, other) = &corpus[rng.index(corpus.len()).unwrap()];
            let from = rng.index(other.len() + 1).unwrap();
            let len = rng.index(64).unwrap().min(other.len() - from);
            data.splice(at..at, other[from..from + len].iter().copied());
        }
        _ => {
            let word = WORDS[rng.index(WORDS.len()).unwrap()];
            data.splice(at..at, word.bytes());
        }
    }
}

/// Runs the target; what failed is shown as text and kept in a file, so that it can become part of the corpus.
fn run(name: &str, origin: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(n, _)| *n == name).unwrap();
    if let Err(panic) = panic::catch_unwind(|| target(data)) {
        let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.crash"));
        fs::write(&kept, data).unwrap();
        eprintln!(
            "{origin}, kept in {}:\n{}",
            kept.display(),
            data.escape_ascii()
        );
        panic::resume_unwind(panic);
    }
}

fn replay(name: &str, cases: u64) {
    let corpus = corpus(name);
    assert!(
        corpus.len() >= 10,
        "{name}: a corpus of {} files",
        corpus.len()
    );
    for (path, data) in &corpus {
        run(name, path, data);
    }
    let rng = SharedRng::seeded(env("FUZZ_SEED").unwrap_or(1));
    for case in 0..env("FUZZ_CASES").unwrap_or(cases) {
        let (path, data) = &corpus[rng.index(corpus.len()).unwrap()];
        let mut data = data.clone();
        for _ in 0..=rng.below(6) {
            mutate(&mut data, &corpus, &rng);
        }
        data.truncate(64 * 1024);
        run(name, &format!("mutation {case} of {path}"), &data);
    }
}

macro_rules! targets {
    ($($name:ident: $cases:literal),* $(,)?) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name), $cases);
        })*

        #[test]
        fn every_target_is_replayed() {
            let names = TARGETS.map(|(name, _)| name);
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets! {
    coding: 1_000,
    config: 500,
    deadline: 2_000,
    duration: 2_000,
    hint: 2_000,
    llm: 500,
    retry_on: 2_000,
    route: 2_000,
    sanitize: 2_000,
    sniff: 2_000,
    stream: 1_000,
    trace: 2_000,
}
