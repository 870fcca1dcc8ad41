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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Options, Source, load};

    /// A file of its own, removed in the end.
    struct File(std::path::PathBuf);

    impl File {
        fn new(name: &str, text: &str) -> Self {
            let name = format!("llmesh-baseline-{}-{name}.json", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::write(&path, text).unwrap();
            Self(path)
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn findings(before: &str) -> Vec<Diagnostic> {
        let text = format!(
            "{before}apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: n}}\nspec: {{host: a, trafficPolicy: {{outlierDetection: {{consecutiveErrors: 1}}, connectionPool: {{}}}}}}\n"
        );
        load(&[Source::new("a.yaml", text)], &Options::default()).diagnostics
    }

    #[test]
    fn what_was_there_is_taken_out_wherever_it_is_now() {
        let then: Vec<_> = findings("").iter().map(Diagnostic::to_json).collect();
        let text = serde_json::json!({"diagnostics": then}).to_string();
        let file = File::new("known", &text);
        let mut now = findings("# one line more\n");
        let all = now.len();
        let errors = now.iter().filter(|d| d.severity == Severity::Error).count();
        assert!(errors > 0 && all > errors);
        assert_eq!(
            Baseline::read(&file.0).unwrap().take(&mut now),
            all - errors
        );
        assert_eq!(now.len(), errors);
        // Each counts once.
        let mut twice = [findings(""), findings("")].concat();
        let taken = Baseline::read(&file.0).unwrap().take(&mut twice);
        assert_eq!(taken, all - errors);
    }

    #[test]
    fn what_is_no_report_is_refused_by_name() {
        for text in ["{}", "[", "{\"diagnostics\": 1}"] {
            let file = File::new("broken", text);
            let error = Baseline::read(&file.0).unwrap_err().to_string();
            assert!(error.contains(&file.0.display().to_string()), "{error}");
        }
        assert!(Baseline::read(Path::new("/nowhere/known.json")).is_err());
    }
}
