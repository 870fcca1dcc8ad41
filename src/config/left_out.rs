//! What lenient loading left out, by name.

use std::{fmt, sync::Arc};

use super::diagnostic::{Diagnostic, Origin};

/// A resource that is wrong and was left out, so that the others are served.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// `Kind namespace/name`; empty for a document or file that cannot be read at all.
    pub resource: String,
    /// The file as it was named.
    pub file: Arc<str>,
    /// The line of what is wrong, from 1; 0 where it is the file as a whole.
    pub line: u32,
    /// The first thing that is wrong, with its field.
    pub why: String,
}

/// A resource, where two of one name may lie about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    order: usize,
    document: u32,
    resource: String,
}

// === impl LeftOut ===

impl LeftOut {
    pub(super) fn of(first: &Diagnostic) -> Self {
        let path = match first.path.as_str() {
            "" => String::new(),
            path => format!("{path}: "),
        };
        Self {
            resource: first.resource.clone(),
            file: Arc::clone(&first.file),
            line: first.line,
            why: format!("{path}{}", first.message),
        }
    }
}

impl fmt::Display for LeftOut {
    /// `Kind namespace/name (file:line): what is wrong`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resource,
            file,
            line,
            why,
        } = self;
        match (resource.as_str(), line) {
            ("", 0) => write!(f, "{file}: {why}"),
            ("", line) => write!(f, "a document ({file}:{line}): {why}"),
            (resource, line) => write!(f, "{resource} ({file}:{line}): {why}"),
        }
    }
}

// === impl Id ===

impl Id {
    pub(super) fn of(origin: &Origin) -> Self {
        Self {
            order: origin.order,
            document: origin.document,
            resource: origin.resource(),
        }
    }

    pub(super) fn of_finding(finding: &Diagnostic) -> Self {
        Self {
            order: finding.order,
            document: finding.document,
            resource: finding.resource.clone(),
        }
    }
}
