//! What a document is: values that know where they are written.

use std::sync::Arc;

use crate::config::diagnostic::{Origin, Place};

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Node {
    pub(in crate::config) value: Value,
    pub(in crate::config) line: u32,
    pub(in crate::config) column: u32,
}

/// What a value is under YAML 1.2's core schema. Quoted scalars are strings.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum Value {
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
pub(in crate::config) struct Key {
    pub(in crate::config) text: String,
    pub(in crate::config) line: u32,
    pub(in crate::config) column: u32,
}

/// A document, or why it cannot be read.
#[derive(Debug)]
pub(in crate::config) struct Document {
    /// From 1; empty documents are not counted.
    pub(in crate::config) number: u32,
    pub(in crate::config) root: Option<Node>,
    pub(in crate::config) problems: Vec<Problem>,
    /// Whether its text shows a resource that would be read, however broken it is.
    pub(in crate::config) names_mesh: bool,
    /// Whether it cannot be read and its text has the marks of a template.
    pub(in crate::config) template: bool,
}

/// Something wrong with the text itself.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Problem {
    pub(in crate::config) rule: &'static str,
    pub(in crate::config) line: u32,
    pub(in crate::config) column: u32,
    pub(in crate::config) message: String,
    pub(in crate::config) hint: &'static str,
}

// === impl Node ===

impl Node {
    /// The value under a key of a mapping.
    pub(in crate::config) fn get(&self, name: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let mut entries = entries.iter();
        entries
            .find(|(key, _)| key.text == name)
            .map(|(_, node)| node)
    }

    /// The text of a string.
    pub(in crate::config) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }
}

// === impl Problem ===

impl Problem {
    /// Where it is, in a document.
    pub(in crate::config) fn place(&self, origin: &Arc<Origin>) -> Place {
        Place {
            origin: Arc::clone(origin),
            line: self.line,
            column: self.column,
            path: String::new(),
        }
    }
}
