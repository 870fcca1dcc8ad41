//! A file while it is read: what its name and its lines say of what is wrong in it.

use std::cell::OnceCell;

use super::{
    diagnostic::{Diagnostic, Severity},
    marks,
};

/// The file that is being read.
pub(super) struct File<'f> {
    text: &'f str,
    lines: OnceCell<Vec<&'f str>>,
    /// Whether its name says that it is a patch.
    patch: bool,
}

pub(super) const OPEN: &str =
    "what is wrong here are places that are still to be filled in: the resource is not read";
pub(super) const FILL_IN: &str = "load what the tool that fills it in gives";

/// The rules that half a resource breaks.
const HALF: [&str; 5] = [
    "missing-field",
    "no-hosts",
    "no-routes",
    "no-action",
    "no-destination",
];

// === impl File ===

impl<'f> File<'f> {
    pub(super) fn new(name: &str, text: &'f str) -> Self {
        Self {
            text,
            lines: OnceCell::new(),
            patch: name.rsplit('/').take(2).any(|part| part.contains("patch")),
        }
    }

    /// Why errors are none of a resource's own: it is half a resource, or still to be filled in.
    pub(super) fn excuse(
        &self,
        errors: &[&Diagnostic],
    ) -> Option<(Severity, &'static str, &'static str)> {
        if self.patch && errors.iter().all(|d| HALF.contains(&d.rule)) {
            let message = "half a resource, in a file that is named a patch: it is not read";
            return Some((Severity::Note, "kustomize-patch", message));
        }
        let open = |d: &&Diagnostic| self.has_placeholder(d.line);
        errors
            .iter()
            .all(open)
            .then_some((Severity::Warning, "placeholder", OPEN))
    }

    /// The document that has a line, by the lines that part documents. What is not closed is found at the next of these.
    pub(super) fn document_at(&self, line: u32) -> String {
        let at = usize::try_from(line).unwrap_or_default().saturating_sub(1);
        let lines = self.lines();
        let (before, after) = lines.split_at(at.min(lines.len()));
        let parts = |line: &&str| line.starts_with("---");
        let start = before.iter().rposition(parts).unwrap_or(0);
        let end = after.iter().take_while(|line| !parts(line)).count();
        lines[start..before.len() + end].join("\n")
    }

    /// Whether a line has a place that is still to be filled in.
    pub(super) fn has_placeholder(&self, line: u32) -> bool {
        let number = usize::try_from(line).unwrap_or_default().checked_sub(1);
        let line = number.and_then(|number| self.lines().get(number));
        line.is_some_and(|line| marks::has_placeholder(line))
    }

    fn lines(&self) -> &[&str] {
        self.lines.get_or_init(|| self.text.lines().collect())
    }
}
