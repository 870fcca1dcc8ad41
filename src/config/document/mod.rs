//! YAML (and so JSON) text to trees whose every value knows its line and column.
//!
//! A file is first cut at its `---` lines, so that one broken document does not hide the others. Every bound on size
//! is checked while reading, so that a hostile file costs no more than a large one.

mod builder;

use builder::Builder;

use super::scalar;

/// The largest file that is read, in bytes.
pub(super) const MAX_BYTES: usize = 16 << 20;
/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// What a value is under YAML 1.2's core schema. Quoted scalars are strings.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A document, or why it cannot be read.
#[derive(Debug)]
pub(super) struct Document {
    /// From 1; empty documents are not counted.
    pub(super) number: u32,
    pub(super) root: Option<Node>,
    pub(super) problems: Vec<Problem>,
}

/// Something wrong with the text itself.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) rule: &'static str,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let mut nodes = 0;
    for chunk in chunks(text) {
        let json = chunk.text.trim_start().starts_with(['{', '[']);
        let spaced;
        let source = if json && chunk.text.contains('\t') {
            // Tabs between JSON tokens are blanks, and its strings cannot hold one.
            spaced = chunk.text.replace('\t', " ");
            spaced.as_str()
        } else {
            chunk.text
        };
        nodes = Builder::new(chunk.first_line, nodes).run(source, &mut documents);
    }
    for (number, document) in (1..).zip(&mut documents) {
        document.number = number;
    }
    documents
}

/// Cuts at lines that begin with `---`, which YAML forbids anywhere but between documents.
fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut first_line, mut at, mut content) = (0, 0, 0, false);
    for (number, line) in (0..).zip(text.split_inclusive('\n')) {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        // Directives (`%YAML 1.2`) belong to the document that the marker begins.
        if marker && content {
            let text = &text[start..at];
            chunks.push(Chunk { text, first_line });
            (start, first_line, content) = (at, number, false);
        }
        content |= has_content(line);
        at += line.len();
    }
    let text = &text[start..];
    chunks.push(Chunk { text, first_line });
    chunks
}

/// Whether a line is more than blanks, a comment, a directive or a marker.
fn has_content(line: &str) -> bool {
    let line = line.trim();
    !(line.is_empty() || line.starts_with(['#', '%']) || line == "---" || line == "...")
}

#[cfg(test)]
mod tests;
