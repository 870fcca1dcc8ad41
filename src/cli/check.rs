//! `llmesh check`: load and lint, every problem at once.

use std::{io::IsTerminal, process::ExitCode};

use serde_json::json;

use super::{
    args::{CheckArgs, Output},
    cannot_run,
};
use crate::config::{self, Diagnostic, Severity};

/// Exit 0 if clean or only warned about, 1 on warnings under `--strict`, 2 on errors.
#[must_use]
pub fn run(args: &CheckArgs) -> ExitCode {
    let sources = match config::read_paths(&args.files, &args.overlay) {
        Ok(sources) => sources,
        Err(error) => return cannot_run(format_args!("llmesh: {error}")),
    };
    let options = config::Options::default().with_strict(args.strict);
    let loaded = config::load(&sources, &options);
    let tally = Tally::of(&loaded.diagnostics, sources.len());
    match args.output {
        Output::Json => println!("{:#}", tally.to_json(&loaded.diagnostics)),
        Output::Text => {
            for d in &loaded.diagnostics {
                println!("{}", paint(d, std::io::stdout().is_terminal()));
            }
            println!("{}", tally.line());
        }
    }
    match tally {
        Tally { errors: 1.., .. } => ExitCode::from(2),
        Tally { warnings: 1.., .. } if args.strict => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    }
}

/// How many of each.
struct Tally {
    files: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
}

impl Tally {
    fn of(diagnostics: &[Diagnostic], files: usize) -> Self {
        let count = |severity| {
            diagnostics
                .iter()
                .filter(|d| d.severity == severity)
                .count()
        };
        Self {
            files,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
        }
    }

    fn line(&self) -> String {
        let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        format!(
            "{} checked: {}, {}, {}",
            plural(self.files, "file"),
            plural(self.errors, "error"),
            plural(self.warnings, "warning"),
            plural(self.notes, "note")
        )
    }

    fn to_json(&self, diagnostics: &[Diagnostic]) -> serde_json::Value {
        json!({
            "diagnostics": diagnostics.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
            "summary": {"files": self.files, "errors": self.errors, "warnings": self.warnings, "notes": self.notes},
        })
    }
}

/// Colours the severity on a terminal.
fn paint(d: &Diagnostic, terminal: bool) -> String {
    let plain = d.to_string();
    if !terminal {
        return plain;
    }
    let (word, code) = match d.severity {
        Severity::Error => ("error[", 31),
        Severity::Warning => ("warning[", 33),
        Severity::Note => ("note[", 36),
    };
    plain.replacen(
        word,
        &format!("\x1b[1;{code}m{}\x1b[0m[", &word[..word.len() - 1]),
        1,
    )
}
