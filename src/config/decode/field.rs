//! A value and its path.

use std::{collections::BTreeMap, fmt, rc::Rc, sync::Arc};

use crate::config::{
    diagnostic::{Origin, Place, Report},
    document::{Key, Node, Value},
};

/// What a document's values are read with.
#[derive(Clone)]
pub(in crate::config) struct Cx<'a> {
    pub(in crate::config) report: &'a Report,
    pub(in crate::config) origin: Arc<Origin>,
}

/// A value and its path.
#[derive(Clone)]
pub(in crate::config) struct Field<'a> {
    pub(super) cx: Cx<'a>,
    pub(super) node: &'a Node,
    pub(super) path: Option<Rc<Step<'a>>>,
    line: u32,
    column: u32,
}

pub(super) struct Step<'a> {
    pub(super) parent: Option<Rc<Self>>,
    pub(super) name: Name<'a>,
}

pub(super) enum Name<'a> {
    Key(&'a str),
    Index(usize),
}

// === impl Step ===

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = &self.parent {
            write!(f, "{parent}")?;
        }
        match self.name {
            Name::Index(index) => write!(f, "[{index}]"),
            Name::Key(key) if key.contains(['.', '/', '[', ' ']) => write!(f, "[{key:?}]"),
            Name::Key(key) if self.parent.is_none() => f.write_str(key),
            Name::Key(key) => write!(f, ".{key}"),
        }
    }
}

// === impl Field ===

impl<'a> Field<'a> {
    /// The root of a document.
    pub(in crate::config) fn root(cx: Cx<'a>, node: &'a Node) -> Self {
        Self {
            cx,
            node,
            path: None,
            line: node.line,
            column: node.column,
        }
    }

    pub(super) fn child(&self, name: Name<'a>, node: &'a Node) -> Self {
        Self {
            cx: self.cx.clone(),
            node,
            path: Some(Rc::new(Step {
                parent: self.path.clone(),
                name,
            })),
            line: node.line,
            column: node.column,
        }
    }

    /// A value under a key. A list or mapping is said to be where its key is.
    pub(super) fn entry(&self, key: &'a Key, node: &'a Node) -> Self {
        let mut field = self.child(Name::Key(&key.text), node);
        if matches!(node.value, Value::Seq(_) | Value::Map(_)) {
            (field.line, field.column) = (key.line, key.column);
        }
        field
    }

    pub(in crate::config) fn report(&self) -> &'a Report {
        self.cx.report
    }

    pub(in crate::config) fn origin(&self) -> &Arc<Origin> {
        &self.cx.origin
    }

    /// The same value as part of another resource.
    pub(in crate::config) fn with_origin(mut self, origin: Arc<Origin>) -> Self {
        self.cx.origin = origin;
        self
    }

    /// The same value, with findings reported elsewhere.
    pub(in crate::config) fn with_report<'r>(&self, report: &'r Report) -> Field<'r>
    where
        'a: 'r,
    {
        let mut field: Field<'r> = self.clone();
        field.cx.report = report;
        field
    }

    /// The line where it is said to be.
    pub(in crate::config) fn line(&self) -> u32 {
        self.line
    }

    /// What a text in this field holds, read on its own.
    pub(in crate::config) fn inside<'b>(&self, node: &'b Node) -> Field<'b>
    where
        'a: 'b,
    {
        Field {
            cx: self.cx.clone(),
            node,
            path: self.path.clone(),
            line: node.line,
            column: node.column,
        }
    }

    pub(in crate::config) fn is_mapping(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// A value below, silently: `None` unless every step is a mapping that has it.
    pub(in crate::config) fn peek(&self, path: &[&str]) -> Option<&'a Node> {
        path.iter()
            .try_fold(self.node, |node, name| match &node.value {
                Value::Map(entries) => entries
                    .iter()
                    .find(|(key, _)| key.text == *name)
                    .map(|(_, node)| node),
                _ => None,
            })
    }

    /// A field of this mapping, silently.
    pub(in crate::config) fn step(&self, name: &str) -> Option<Self> {
        let Value::Map(entries) = &self.node.value else {
            return None;
        };
        entries
            .iter()
            .find(|(key, _)| key.text == name)
            .map(|(key, node)| self.entry(key, node))
    }

    /// A string below, silently.
    pub(in crate::config) fn peek_str(&self, path: &[&str]) -> Option<&'a str> {
        match &self.peek(path)?.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(in crate::config) fn place(&self) -> Place {
        Place {
            origin: Arc::clone(&self.cx.origin),
            line: self.line,
            column: self.column,
            path: self
                .path
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }

    pub(in crate::config) fn error(
        &self,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let hint = match rule {
            "bad-host" | "bad-address" => self.right_host().unwrap_or_else(|| hint.into()),
            _ => hint.into(),
        };
        self.cx.report.error(&self.place(), rule, message, hint);
    }

    pub(in crate::config) fn warn(
        &self,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.cx.report.warn(&self.place(), rule, message, hint);
    }

    pub(in crate::config) fn note(
        &self,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.cx.report.note(&self.place(), rule, message, hint);
    }

    pub(super) fn wrong(&self, wanted: &str, hint: impl Into<String>) {
        let found = self.node.value.describe();
        let hint = self.right_form(wanted).unwrap_or_else(|| hint.into());
        self.error(
            "wrong-type",
            format!("expected {wanted}, found {found}"),
            hint,
        );
    }

    pub(in crate::config) fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    pub(in crate::config) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::Seq(items) if items.is_empty())
    }

    pub(in crate::config) fn is_list(&self) -> bool {
        matches!(&self.node.value, Value::Seq(_))
    }

    /// The entries, if it is a mapping. Silent.
    pub(in crate::config) fn entries_of(&self) -> Vec<(&'a str, Self)> {
        match &self.node.value {
            Value::Map(_) => self.entries(),
            _ => Vec::new(),
        }
    }

    /// The number of entries, if it is a mapping.
    pub(in crate::config) fn entries_quietly(&self) -> usize {
        match &self.node.value {
            Value::Map(entries) => entries.len(),
            _ => 0,
        }
    }

    /// The items of a list.
    pub(in crate::config) fn list(&self) -> Vec<Self> {
        let Value::Seq(items) = &self.node.value else {
            self.wrong("a list", "put `- ` before the item");
            return Vec::new();
        };
        items
            .iter()
            .enumerate()
            .map(|(index, node)| self.child(Name::Index(index), node))
            .collect()
    }

    /// The strings of a list, with their places in the tree.
    pub(in crate::config) fn strings(&self) -> Vec<(&'a str, Self)> {
        let mut strings = Vec::new();
        for item in self.list() {
            if let Some(text) = item.str() {
                strings.push((text, item));
            }
        }
        strings
    }

    /// The entries of a mapping with free keys.
    pub(in crate::config) fn entries(&self) -> Vec<(&'a str, Self)> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong("a mapping", "");
            return Vec::new();
        };
        entries
            .iter()
            .map(|(key, node)| (key.text.as_str(), self.entry(key, node)))
            .collect()
    }

    /// Labels: a mapping of strings.
    pub(in crate::config) fn labels(&self) -> BTreeMap<String, String> {
        self.entries()
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.str()?.to_owned())))
            .collect()
    }
}
