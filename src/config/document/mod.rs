//! YAML (and so JSON) text to trees whose every value knows its line and column.
//!
//! A file is first cut at its `---` lines, so that one broken document does not hide the others. Every bound on size
//! is checked while reading, so that a hostile file costs no more than a large one.

mod builder;
mod merge;
mod padding;
mod relaxed;
mod scan_error;
mod tree;

use std::borrow::Cow;

pub(super) use self::tree::{Document, Key, Node, Problem, Value};
use super::{marks, scalar};

/// The largest file that is read, in bytes.
pub(super) const MAX_BYTES: usize = 16 << 20;
/// A part of a file, from one `---` line to the next.
struct Chunk<'a> {
    text: &'a str,
    first_line: u32,
}

// === impl Value ===

impl Value {
    /// What it is, with its article.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(b) => format!("the boolean {b}"),
            Self::Int(i) => format!("the integer {i}"),
            Self::Float(f) => format!("the number {f}"),
            // Free text may be a secret in the wrong place; what looks like a number or boolean helps to see the quotes.
            Self::Str(s) if s.len() <= 20 && !matches!(scalar::resolve(s), Self::Str(_)) => {
                format!("the string {s:?}")
            }
            Self::Str(_) => "a string".to_owned(),
            Self::Seq(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Reads all documents of a file. Empty ones are left out.
pub(super) fn parse(text: &str) -> Vec<Document> {
    let plain = without_marks(text);
    let mut documents = Vec::new();
    let (mut nodes, mut again) = (0, relaxed::Again::default());
    for chunk in chunks(&plain) {
        let json = chunk.text.trim_start().starts_with(['{', '[']);
        let source = if json && chunk.text.contains('\t') {
            // Tabs between JSON tokens are blanks, and its strings cannot hold one.
            Cow::Owned(chunk.text.replace('\t', " "))
        } else {
            Cow::Borrowed(chunk.text)
        };
        let first = documents.len();
        nodes = relaxed::read(&source, chunk.first_line, nodes, &mut again, &mut documents);
        if documents.len() > first {
            let names_mesh = marks::names_mesh(chunk.text);
            for document in &mut documents[first..] {
                document.names_mesh = names_mesh;
                document.template = document.root.is_none() && marks::is_template(chunk.text);
            }
        }
    }
    for (number, document) in (1..).zip(&mut documents) {
        document.number = number;
    }
    documents
}

/// Byte order marks may begin every document: files are made by putting others together.
fn without_marks(text: &str) -> Cow<'_, str> {
    const MARK: char = '\u{feff}';
    let text = text.strip_prefix(MARK).unwrap_or(text);
    if text.contains("\n\u{feff}") {
        Cow::Owned(text.replace("\n\u{feff}", "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Cuts at lines that begin with `---`, which YAML forbids anywhere but between documents.
fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut first_line, mut at, mut content) = (0, 0, 0, false);
    // Where the document last ended with `...`, if nothing but directives and comments came since.
    let mut ended = None;
    for (number, line) in (0..).zip(text.split_inclusive('\n')) {
        // Directives (`%YAML 1.2`) belong to the document that the marker begins.
        if is_marker(line, "---") && content {
            let (cut, line_number) = ended.unwrap_or((at, number));
            let text = &text[start..cut];
            chunks.push(Chunk { text, first_line });
            (start, first_line, content) = (cut, line_number, false);
        }
        let counts = has_content(line);
        content |= counts;
        at += line.len();
        if is_marker(line, "...") {
            ended = Some((at, number + 1));
        } else if counts || is_marker(line, "---") {
            ended = None;
        }
    }
    let text = &text[start..];
    chunks.push(Chunk { text, first_line });
    chunks
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether a line is more than blanks, a comment, a directive or a marker.
fn has_content(line: &str) -> bool {
    let line = line.trim();
    !(line.is_empty() || line.starts_with(['#', '%']) || line == "---" || line == "...")
}

#[cfg(test)]
mod tests;
