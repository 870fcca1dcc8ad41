//! Reading trees: every value knows its path, and every problem is reported rather than the first.
//!
//! An [`Object`] remembers which fields were asked for; when it is dropped it reports the others as unknown, with the
//! nearest name it was asked for. Null counts as absent. Readers return `None` where the value is absent or wrong; what
//! was wrong has been reported by then.

mod nearest;
mod object;

use std::{collections::BTreeMap, fmt, rc::Rc, sync::Arc, time::Duration};

pub(super) use self::{nearest::nearest, object::Object};
use super::{
    diagnostic::{Origin, Place, Report},
    document::{Key, Node, Value},
    scalar,
};

/// What a document's values are read with.
#[derive(Clone)]
pub(super) struct Cx<'a> {
    pub(super) report: &'a Report,
    pub(super) origin: Arc<Origin>,
}

/// A value and its path.
#[derive(Clone)]
pub(super) struct Field<'a> {
    cx: Cx<'a>,
    node: &'a Node,
    path: Option<Rc<Step<'a>>>,
    line: u32,
    column: u32,
}

struct Step<'a> {
    parent: Option<Rc<Step<'a>>>,
    name: Name<'a>,
}

enum Name<'a> {
    Key(&'a str),
    Index(usize),
}

/// The least a duration may be, and in what steps it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Least {
    /// Zero has a meaning.
    Zero,
    /// Istio refuses less than a millisecond.
    Millisecond,
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
    pub(super) fn root(cx: Cx<'a>, node: &'a Node) -> Self {
        Self {
            cx,
            node,
            path: None,
            line: node.line,
            column: node.column,
        }
    }

    fn child(&self, name: Name<'a>, node: &'a Node) -> Self {
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
    fn entry(&self, key: &'a Key, node: &'a Node) -> Self {
        let mut field = self.child(Name::Key(&key.text), node);
        if matches!(node.value, Value::Seq(_) | Value::Map(_)) {
            (field.line, field.column) = (key.line, key.column);
        }
        field
    }

    pub(super) fn report(&self) -> &'a Report {
        self.cx.report
    }

    pub(super) fn origin(&self) -> &Arc<Origin> {
        &self.cx.origin
    }

    /// The same value as part of another resource.
    pub(super) fn with_origin(mut self, origin: Arc<Origin>) -> Self {
        self.cx.origin = origin;
        self
    }

    /// A value below, silently: `None` unless every step is a mapping that has it.
    pub(super) fn peek(&self, path: &[&str]) -> Option<&'a Node> {
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
    pub(super) fn step(&self, name: &str) -> Option<Self> {
        let Value::Map(entries) = &self.node.value else {
            return None;
        };
        entries
            .iter()
            .find(|(key, _)| key.text == name)
            .map(|(key, node)| self.entry(key, node))
    }

    /// A string below, silently.
    pub(super) fn peek_str(&self, path: &[&str]) -> Option<&'a str> {
        match &self.peek(path)?.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn place(&self) -> Place {
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

    pub(super) fn error(
        &self,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.cx.report.error(&self.place(), rule, message, hint);
    }

    pub(super) fn warn(
        &self,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.cx.report.warn(&self.place(), rule, message, hint);
    }

    pub(super) fn note(
        &self,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.cx.report.note(&self.place(), rule, message, hint);
    }

    fn wrong(&self, wanted: &str, hint: impl Into<String>) {
        let found = self.node.value.describe();
        self.error(
            "wrong-type",
            format!("expected {wanted}, found {found}"),
            hint,
        );
    }

    pub(super) fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    pub(super) fn str(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Str(text) => return Some(text),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                self.wrong("a string", "put it in quotes");
            }
            Value::Null | Value::Seq(_) | Value::Map(_) => self.wrong("a string", ""),
        }
        None
    }

    /// The string if it is one, without a word if it is not.
    pub(super) fn str_quietly(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn bool(&self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(value) => return Some(*value),
            Value::Str(text) if matches!(text.as_str(), "true" | "false") => {
                self.wrong("a boolean", "remove the quotes");
            }
            _ => self.wrong("a boolean", "write true or false"),
        }
        None
    }

    /// An integer within a range.
    pub(super) fn int(&self, min: i64, max: i64) -> Option<i64> {
        let value = match &self.node.value {
            Value::Int(value) => *value,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "checked to be a whole number in range"
            )]
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9.0e15 => *value as i64,
            Value::Str(text) if text.parse::<i64>().is_ok() => {
                self.wrong("an integer", format!("remove the quotes: {text}"));
                return None;
            }
            _ => {
                self.wrong("an integer", "");
                return None;
            }
        };
        if (min..=max).contains(&value) {
            return Some(value);
        }
        self.error(
            "out-of-range",
            format!("{value} is not between {min} and {max}"),
            "",
        );
        None
    }

    pub(super) fn u32(&self) -> Option<u32> {
        self.int(0, i64::from(u32::MAX))
            .and_then(|n| u32::try_from(n).ok())
    }

    /// A non-negative `int32`, as most counts of Istio are.
    pub(super) fn count(&self) -> Option<u32> {
        self.int(0, i64::from(i32::MAX))
            .and_then(|n| u32::try_from(n).ok())
    }

    /// A port number.
    pub(super) fn port(&self) -> Option<u16> {
        self.int(1, 65_535).and_then(|n| u16::try_from(n).ok())
    }

    pub(super) fn percent(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "checked to be small")]
        let value = match self.node.value {
            Value::Int(value) => value as f64,
            Value::Float(value) => value,
            _ => {
                self.wrong("a number", "write percent as a number, such as 12.5");
                return None;
            }
        };
        if value == 0.0 || (0.0001..=100.0).contains(&value) {
            return Some(value);
        }
        self.error(
            "out-of-range",
            format!("{value} is no percentage"),
            "0, or between 0.0001 and 100",
        );
        None
    }

    /// A Go duration.
    pub(super) fn duration(&self, least: Least) -> Option<Duration> {
        let text = match &self.node.value {
            Value::Str(text) => text,
            Value::Int(n) => {
                self.error(
                    "bad-duration",
                    format!("{n} has no unit"),
                    format!("write \"{n}s\" for seconds or \"{n}ms\" for milliseconds"),
                );
                return None;
            }
            _ => {
                self.wrong("a duration", "such as 30s, 1.5s or 250ms");
                return None;
            }
        };
        let value = match scalar::duration(text) {
            Ok(value) => value,
            Err(why) => {
                let hint = "numbers with a unit: ns, us, ms, s, m or h, such as 30s or 1h30m";
                self.error("bad-duration", format!("{text:?}: {why}"), hint);
                return None;
            }
        };
        if value.is_zero() && least == Least::Zero {
            return Some(value);
        }
        if value < Duration::from_millis(1) {
            self.error("bad-duration", format!("{text:?} is less than 1ms"), "");
            return None;
        }
        if value.subsec_nanos() % 1_000_000 != 0 {
            let message = format!("{text:?} is finer than a millisecond");
            self.error("bad-duration", message, "round it to whole milliseconds");
            return None;
        }
        Some(value)
    }

    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::Seq(items) if items.is_empty())
    }

    /// The items of a list.
    pub(super) fn list(&self) -> Vec<Field<'a>> {
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
    pub(super) fn strings(&self) -> Vec<(&'a str, Field<'a>)> {
        let mut strings = Vec::new();
        for item in self.list() {
            if let Some(text) = item.str() {
                strings.push((text, item));
            }
        }
        strings
    }

    /// The entries of a mapping with free keys.
    pub(super) fn entries(&self) -> Vec<(&'a str, Field<'a>)> {
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
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.entries()
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.str()?.to_owned())))
            .collect()
    }

    /// A mapping whose fields are known.
    pub(super) fn object(&self) -> Option<Object<'a>> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong("a mapping", "");
            return None;
        };
        Some(Object::new(self.clone(), entries))
    }

    /// One of some upper-case words.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.str()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let hint = nearest(text, all.iter().copied()).map_or_else(
                || format!("one of {}", all.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            self.error("unknown-value", format!("{text:?} is not known here"), hint);
        }
        found.map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests;
