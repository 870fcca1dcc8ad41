//! Findings as people see them: notes that say the same are one, and long values are cut.

use std::collections::HashMap;

use super::diagnostic::{Diagnostic, Severity};

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
