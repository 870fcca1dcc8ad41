//! `llmesh fix`: repairs as a diff, or in the files.

use std::{fmt::Write as _, fs, process::ExitCode};

use super::{args::FixArgs, cannot_run, check, err, out};
use crate::{
    base::BoxError,
    config::{self, Fixed, Options, Source},
};

/// Lines around a change.
const CONTEXT: usize = 3;
/// Lines that one repair adds at most.
const MAX_ADDED: usize = 8;

/// Exit 0 whether or not there was anything to repair.
#[must_use]
pub fn run(args: &FixArgs) -> ExitCode {
    match repair(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cannot_run(format_args!("llmesh: {error}")),
    }
}

fn repair(args: &FixArgs) -> Result<(), BoxError> {
    if let Some(rule) = &args.rule
        && !config::repairable().any(|known| known == rule)
    {
        let all: Vec<_> = config::repairable().collect();
        return Err(format!("{rule:?} is not repaired here; what is: {}", all.join(", ")).into());
    }
    let sources = check::sources(&args.input, &[])?;
    let fixed = config::fix(&sources, &Options::default(), args.rule.as_deref());
    for one in &fixed {
        let source = &sources[one.source];
        out(format_args!("{}", diff(source, one).trim_end()));
        if args.write {
            let name = &source.name;
            fs::metadata(name).map_err(|_| format!("{name} is no file: it is not written"))?;
            fs::write(name, &one.text).map_err(|e| format!("{name}: {e}"))?;
        }
    }
    let repairs: usize = fixed.iter().map(|one| one.repaired.len()).sum();
    let done = if args.write {
        "written"
    } else {
        "shown; --write makes them"
    };
    err(format_args!(
        "{repairs} repair(s) in {} file(s) {done}",
        fixed.len()
    ));
    Ok(())
}

/// A line of both texts, of the old or of the new one.
enum Line<'t> {
    Both(&'t str),
    Old(&'t str),
    New(&'t str),
}

/// A unified diff.
fn diff(source: &Source, fixed: &Fixed) -> String {
    let lines = lines(&source.text, &fixed.text);
    let changed: Vec<_> = (0..lines.len())
        .filter(|at| !matches!(lines[*at], Line::Both(_)))
        .collect();
    let mut text = format!("--- {0}\n+++ {0}\n", source.name);
    let mut rest = changed.as_slice();
    while let Some(first) = rest.first() {
        let near = rest
            .windows(2)
            .position(|pair| pair[1] - pair[0] > 2 * CONTEXT);
        let length = near.map_or(rest.len(), |at| at + 1);
        let last = rest[length - 1];
        rest = &rest[length..];
        hunk(
            &lines,
            first.saturating_sub(CONTEXT),
            (last + CONTEXT + 1).min(lines.len()),
            &mut text,
        );
    }
    text
}

fn hunk(lines: &[Line<'_>], start: usize, end: usize, text: &mut String) {
    let old = |lines: &[Line<'_>]| lines.iter().filter(|l| !matches!(l, Line::New(_))).count();
    let new = |lines: &[Line<'_>]| lines.iter().filter(|l| !matches!(l, Line::Old(_))).count();
    let (before, own) = (&lines[..start], &lines[start..end]);
    let _ = writeln!(
        text,
        "@@ -{},{} +{},{} @@",
        old(before) + 1,
        old(own),
        new(before) + 1,
        new(own)
    );
    for line in own {
        let (mark, line) = match line {
            Line::Both(line) => (' ', line),
            Line::Old(line) => ('-', line),
            Line::New(line) => ('+', line),
        };
        let _ = writeln!(text, "{mark}{line}");
    }
}

/// Both texts line by line. Repairs change lines, and add some; they take none away.
fn lines<'t>(old: &'t str, new: &'t str) -> Vec<Line<'t>> {
    let new: Vec<_> = new.lines().collect();
    let (mut all, mut at) = (Vec::new(), 0);
    for line in old.lines() {
        let ahead = new[at..]
            .iter()
            .take(MAX_ADDED + 1)
            .position(|other| *other == line);
        if let Some(added) = ahead {
            all.extend(new[at..at + added].iter().map(|line| Line::New(line)));
            all.push(Line::Both(line));
            at += added + 1;
        } else {
            all.push(Line::Old(line));
            all.extend(new.get(at).map(|line| Line::New(line)));
            at += 1;
        }
    }
    all.extend(
        new.get(at..)
            .into_iter()
            .flatten()
            .map(|line| Line::New(line)),
    );
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_what_changes_and_three_lines_around() {
        let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: n}\nspec:\n  hosts: [a]\n  http:\n  # slow\n  - timeout: 30 # seconds\n    route:\n    - destination: {host: a}\n";
        let source = Source::new("a.yaml", text);
        let fixed = config::fix(std::slice::from_ref(&source), &Options::default(), None);
        assert_eq!(
            diff(&source, &fixed[0]),
            "--- a.yaml\n+++ a.yaml\n@@ -5,6 +5,6 @@\n   hosts: [a]\n   http:\n   # slow\n-  - timeout: 30 # seconds\n+  - timeout: 30s # seconds\n     route:\n     - destination: {host: a}\n"
        );
    }

    #[test]
    fn added_lines_are_told_from_changed_ones() {
        let fixed = |text: &str| {
            Fixed { text: text.to_owned(), ..config::fix(&[Source::new("s", "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: n}\nspec: {egress: [{hosts: [./a]}]}\n")], &Options::default(), None).remove(0) }
        };
        let shown = diff(&Source::new("x", "a\nb\nc\n"), &fixed("a\nnew\nb\nC\n"));
        assert_eq!(
            shown,
            "--- x\n+++ x\n@@ -1,3 +1,4 @@\n a\n+new\n b\n-c\n+C\n"
        );
    }
}
