//! What is wrong or surprising in a configuration, for people.
//!
//! Diagnostics are collected, not first-fail: one run of `check` shows everything. Each says where (file, line, column,
//! resource, field), what, and where it can the way out.

use std::{cell::RefCell, fmt, sync::Arc};

use super::{layer::Layer, shortened::shortened};

/// More than this many of one severity are counted, not kept.
const MAX_KEPT: usize = 1000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing of the input may take effect.
    Error,
    /// It takes effect, but hardly as meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name of the rule, such as `unknown-field`.
    pub rule: &'static str,
    /// The file as it was named.
    pub file: Arc<str>,
    /// The line, from 1; 0 where it concerns the file as a whole.
    pub line: u32,
    /// The column, from 1; 0 where it concerns the file as a whole.
    pub column: u32,
    /// The document within the file, from 1, empty ones not counted.
    pub document: u32,
    /// `Kind namespace/name`, or empty.
    pub resource: String,
    /// The field, such as `spec.http[0].retries.attempts`, or empty.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The way out, or empty.
    pub hint: String,
    /// The place of the file among the sources.
    pub(super) order: usize,
}

/// The document a finding is in.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) order: usize,
    pub(super) file: Arc<str>,
    pub(super) document: u32,
    pub(super) layer: Layer,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// Where a value was written.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) origin: Arc<Origin>,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) path: String,
}

/// Collects findings.
#[derive(Debug, Default)]
pub(super) struct Report {
    kept: RefCell<Vec<Diagnostic>>,
    /// Findings of each severity that were not kept.
    dropped: RefCell<[usize; 3]>,
}

// === impl Severity ===

impl Severity {
    /// `error`, `warning` or `note`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Diagnostic ===

impl Diagnostic {
    /// As a JSON object, one key a field.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "severity": self.severity.as_str(),
            "rule": self.rule,
            "file": &*self.file,
            "line": self.line,
            "column": self.column,
            "document": self.document,
            "resource": self.resource,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
        })
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: error[rule] Kind namespace/name path: message`, then the hint on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}[{}]", self.severity, self.rule)?;
        if !self.resource.is_empty() {
            write!(f, " {}", self.resource)?;
        }
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}

// === impl Origin ===

impl Origin {
    /// `Kind namespace/name`, as far as known.
    pub(super) fn resource(&self) -> String {
        match (self.kind.as_str(), self.name.as_str()) {
            ("", _) => String::new(),
            (kind, "") => shortened(kind),
            (kind, name) => shortened(&format!("{kind} {}/{name}", self.namespace)),
        }
    }

    /// `kind/namespace/name`.
    pub(super) fn id(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

// === impl Place ===

impl Place {
    /// A file as a whole.
    pub(super) fn file(order: usize, file: &Arc<str>) -> Self {
        let origin = Origin {
            order,
            file: Arc::clone(file),
            ..Origin::default()
        };
        Self {
            origin: Arc::new(origin),
            line: 0,
            column: 0,
            path: String::new(),
        }
    }
}

impl fmt::Display for Place {
    /// `Kind namespace/name (file:line)`, or `file:line` where no resource is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { file, .. } = &*self.origin;
        match self.origin.resource().as_str() {
            "" => write!(f, "{file}:{}", self.line),
            resource => write!(f, "{resource} ({file}:{})", self.line),
        }
    }
}

// === impl Report ===

impl Report {
    pub(super) fn add(
        &self,
        place: &Place,
        severity: Severity,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.keep(Diagnostic {
            severity,
            rule,
            file: Arc::clone(&place.origin.file),
            line: place.line,
            column: place.column,
            document: place.origin.document,
            resource: place.origin.resource(),
            path: shortened(&place.path),
            message: shortened(&message.into()),
            hint: shortened(&hint.into()),
            order: place.origin.order,
        });
    }

    pub(super) fn keep(&self, finding: Diagnostic) {
        let severity = finding.severity;
        let mut kept = self.kept.borrow_mut();
        if kept.iter().filter(|d| d.severity == severity).count() >= MAX_KEPT {
            self.dropped.borrow_mut()[severity as usize] += 1;
        } else {
            kept.push(finding);
        }
    }

    /// Takes over all that another one found.
    pub(super) fn absorb(&self, other: Self) {
        for finding in other.kept.into_inner() {
            self.keep(finding);
        }
        let more = other.dropped.into_inner();
        for (mine, more) in self.dropped.borrow_mut().iter_mut().zip(more) {
            *mine += more;
        }
    }

    /// Keeps those that `wanted` tells.
    pub(super) fn retain(&mut self, wanted: impl FnMut(&Diagnostic) -> bool) {
        self.kept.get_mut().retain(wanted);
    }

    /// Makes warnings of errors.
    pub(super) fn soften(&mut self) {
        for finding in self.kept.get_mut() {
            if finding.severity == Severity::Error {
                finding.severity = Severity::Warning;
            }
        }
    }

    /// All errors, as they came.
    pub(super) fn errors(&self) -> Vec<Diagnostic> {
        let kept = self.kept.borrow();
        let errors = kept.iter().filter(|d| d.severity == Severity::Error);
        errors.cloned().collect()
    }

    /// The first error.
    pub(super) fn first_error(&self) -> Option<Diagnostic> {
        self.errors().into_iter().next()
    }

    pub(super) fn error(
        &self,
        place: &Place,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(place, Severity::Error, rule, message, hint);
    }

    pub(super) fn warn(
        &self,
        place: &Place,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(place, Severity::Warning, rule, message, hint);
    }

    pub(super) fn note(
        &self,
        place: &Place,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(place, Severity::Note, rule, message, hint);
    }

    /// All findings, by source and place.
    pub(super) fn into_sorted(self) -> Vec<Diagnostic> {
        let mut all = self.kept.into_inner();
        let dropped = self.dropped.into_inner();
        all.sort_by(|a, b| {
            let key = |d: &Diagnostic| (d.order, d.line, d.column, d.severity, d.rule);
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
        // A rule that is linked for several hosts says the same of each.
        all.dedup();
        if let Some(last) = all.last().filter(|_| dropped.iter().any(|n| *n > 0)) {
            let mut rest = last.clone();
            rest.severity = if dropped[0] > 0 {
                Severity::Error
            } else {
                Severity::Note
            };
            rest.rule = "too-many";
            rest.message = format!(
                "{} errors, {} warnings and {} notes more are not shown",
                dropped[0], dropped[1], dropped[2]
            );
            (rest.line, rest.column) = (0, 0);
            (rest.resource, rest.path, rest.hint) = Default::default();
            all.push(rest);
        }
        all
    }
}
