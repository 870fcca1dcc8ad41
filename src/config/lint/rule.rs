//! What a rule is called, how bad its findings are, and what is to be known of it.

use std::fmt;

use crate::config::diagnostic::Severity;

/// A rule of the linter or of the loader, as `llmesh check --explain` tells it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rule {
    /// Its stable name.
    pub id: &'static str,
    /// How bad its findings are; some are a note where they hardly matter.
    pub severity: Severity,
    /// The code of Istio's own analyser for the same, such as `IST0109`, or empty.
    pub istio: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// Resources that have the finding, or empty.
    pub bad: &'static str,
    /// The same resources, mended.
    pub good: &'static str,
}

// === impl Rule ===

impl Rule {
    /// A rule of the loader, whose findings show what they are about.
    pub(super) const fn of_loader(
        severity: Severity,
        id: &'static str,
        istio: &'static str,
        why: &'static str,
        fix: &'static str,
    ) -> Self {
        Self {
            id,
            severity,
            istio,
            why,
            fix,
            bad: "",
            good: "",
        }
    }
}

impl fmt::Display for Rule {
    /// Name, severity and code, why, what to do, and the example.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.id, self.severity)?;
        if !self.istio.is_empty() {
            write!(f, ", Istio's {}", self.istio)?;
        }
        writeln!(f, ")\n\nWhy: {}\n\nFix: {}", self.why, self.fix)?;
        for (title, text) in [("Found in", self.bad), ("Not in", self.good)] {
            if !text.is_empty() {
                write!(f, "\n{title}:\n")?;
                for line in text.trim().lines() {
                    writeln!(f, "  {line}")?;
                }
            }
        }
        Ok(())
    }
}
