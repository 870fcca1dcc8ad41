//! Findings as people see them: notes that say the same are one, and long values are cut.

use std::collections::HashMap;

use super::diagnostic::{Diagnostic, Severity};

/// The longest value that is shown, in characters, and how much of a longer one is.
const MAX_VALUE: usize = 120;
const HEAD_OF_VALUE: usize = 60;
/// The longest text of a finding, in characters.
const MAX_TEXT: usize = 1500;

/// The most places that are named of notes that are alike.
const MAX_PLACES: usize = 3;

/// Findings as they are shown to people: notes that say the same are one, with their number and the first places.
#[must_use]
pub fn shown(findings: &[Diagnostic]) -> Vec<Diagnostic> {
    let mut alike: HashMap<(&str, &str), Vec<&Diagnostic>> = HashMap::new();
    for note in findings.iter().filter(|d| d.severity == Severity::Note) {
        let key = (note.rule, note.message.as_str());
        alike.entry(key).or_default().push(note);
    }
    let mut out = Vec::new();
    for finding in findings {
        let key = (finding.rule, finding.message.as_str());
        match alike.get(&key).map(Vec::as_slice) {
            Some(all @ [first, _, ..]) if finding.severity == Severity::Note => {
                if std::ptr::eq(*first, finding) {
                    out.push(together(all, first));
                }
            }
            _ => out.push(finding.clone()),
        }
    }
    out
}

/// Notes that say the same as one.
fn together(all: &[&Diagnostic], first: &Diagnostic) -> Diagnostic {
    let place = |d: &&Diagnostic| match d.line {
        0 => d.file.to_string(),
        line => format!("{}:{line}", d.file),
    };
    let mut places: Vec<_> = all.iter().take(MAX_PLACES).map(place).collect();
    if all.len() > MAX_PLACES {
        places.push(format!("{} more", all.len() - MAX_PLACES));
    }
    let last = places.pop().unwrap_or_default();
    let message = format!(
        "{} ({} times: {} and {last})",
        first.message,
        all.len(),
        places.join(", ")
    );
    Diagnostic {
        message,
        resource: String::new(),
        path: String::new(),
        ..first.clone()
    }
}

/// A text whose long values are cut: what stands in quotes, and what has no blank.
pub(super) fn shortened(text: &str) -> String {
    if text.len() <= MAX_VALUE {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' | '`' => rest[1..].find(first).map_or(rest.len(), |at| at + 2),
            c if c.is_whitespace() => c.len_utf8(),
            _ => rest
                .find(|c: char| c.is_whitespace() || matches!(c, '"' | '`'))
                .unwrap_or(rest.len()),
        };
        let (part, tail) = rest.split_at(end);
        push_cut(&mut out, part);
        rest = tail;
    }
    match out.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{}…", &out[..at]),
        None => out,
    }
}

fn push_cut(out: &mut String, part: &str) {
    if part.chars().count() <= MAX_VALUE {
        out.push_str(part);
        return;
    }
    out.extend(part.chars().take(HEAD_OF_VALUE));
    out.push('…');
    out.extend(part.chars().next().filter(|c| matches!(c, '"' | '`')));
}
