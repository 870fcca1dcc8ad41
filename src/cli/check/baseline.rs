//! Findings that were there before: `--baseline FILE` is what an earlier `check -o json` wrote.

use std::{collections::HashMap, fs, path::Path};

use serde_json::Value;

use crate::{
    base::BoxError,
    config::{Diagnostic, Severity},
};

/// Known findings, and how often each.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    known: HashMap<Key, usize>,
}

/// What a finding is told by again when lines have moved.
type Key = [String; 5];

// === impl Baseline ===

impl Baseline {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or was not written by `check -o json`.
    pub(super) fn read(path: &Path) -> Result<Self, BoxError> {
        let name = path.display();
        let text = fs::read_to_string(path).map_err(|e| format!("baseline {name}: {e}"))?;
        let json: Value =
            serde_json::from_str(&text).map_err(|e| format!("baseline {name}: {e}"))?;
        let findings = json["diagnostics"].as_array();
        let findings = findings.ok_or_else(|| {
            format!(
                "baseline {name}: it has no `diagnostics`; write it with `llmesh check -o json`"
            )
        })?;
        let mut known = HashMap::new();
        for finding in findings {
            *known.entry(key(finding)).or_default() += 1;
        }
        Ok(Self { known })
    }

    /// Takes out what is known; gives how many. An error is never known.
    pub(super) fn take(mut self, findings: &mut Vec<Diagnostic>) -> usize {
        let before = findings.len();
        findings.retain(|finding| {
            let known = self.known.get_mut(&key(&finding.to_json()));
            match known.filter(|left| **left > 0) {
                Some(left) if finding.severity != Severity::Error => {
                    *left -= 1;
                    false
                }
                _ => true,
            }
        });
        before - findings.len()
    }
}

fn key(finding: &Value) -> Key {
    ["rule", "file", "resource", "path", "message"]
        .map(|name| finding[name].as_str().unwrap_or_default().to_owned())
}
