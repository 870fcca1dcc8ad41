//! The tree of a document from the parser's events.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{
    merge,
    padding::Padding,
    tree::{Document, Key, Node, Problem, Value},
};
use crate::config::scalar;

/// The most values of one file.
const MAX_NODES: usize = 1_000_000;
/// The most values that aliases may add to one document.
const MAX_ALIASED: usize = 200_000;
pub(super) const TOO_DEEP: &str = "no Istio or Kubernetes resource is nested that deep";
/// The deepest nesting.
const MAX_DEPTH: usize = 64;

pub(super) struct Builder<'p> {
    pub(super) line_offset: u32,
    nodes: usize,
    aliased: usize,
    stack: Vec<Open>,
    /// Finished anchored values and how many values each holds; `None` while still open.
    anchors: HashMap<usize, Option<(Node, usize)>>,
    problems: Vec<Problem>,
    padding: &'p Padding,
}

/// A collection that is still open.
struct Open {
    anchor: usize,
    first: usize,
    line: u32,
    column: u32,
    items: Items,
}

enum Items {
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

// === impl Builder ===

impl<'p> Builder<'p> {
    /// A builder for text that begins after `line_offset` lines, in a file that has given `nodes` values so far, with
    /// blanks put before some lines.
    pub(super) fn new(line_offset: u32, nodes: usize, padding: &'p Padding) -> Self {
        Self {
            line_offset,
            nodes,
            aliased: 0,
            stack: Vec::new(),
            anchors: HashMap::new(),
            problems: Vec::new(),
            padding,
        }
    }

    /// Appends the documents in `text`; gives the number of values so far. Stops at the first that is not YAML, and gives
    /// what the scanner said of it as well, and how many brackets were open.
    pub(super) fn run(
        mut self,
        text: &str,
        documents: &mut Vec<Document>,
    ) -> (usize, Option<(ScanError, usize)>) {
        let mut parser = Parser::new_from_str(text);
        let (mut root, mut stopped) = (None, None);
        while let Some(event) = parser.next_event() {
            let step = match event {
                Ok((Event::DocumentEnd, _)) => {
                    self.finish(root.take(), documents);
                    continue;
                }
                Ok((event, span)) => self.event(event, span),
                Err(error) => {
                    let problem = self.scan_error(&error, text);
                    stopped = Some((error, self.open_brackets(text)));
                    Err(problem)
                }
            };
            match step {
                Ok(Some(node)) => root = Some(node),
                Ok(None) => {}
                Err(problem) => {
                    self.problems.push(problem);
                    self.finish(None, documents);
                    break;
                }
            }
        }
        (self.nodes, stopped)
    }

    /// How many of the open collections are in brackets, as far as the parser has come.
    fn open_brackets(&self, text: &str) -> usize {
        let lines: Vec<&str> = text.lines().collect();
        let begins = |open: &&Open| {
            let number = usize::try_from(open.line - self.line_offset).ok()?;
            let column = usize::try_from(open.column).ok()? - 1 + self.padding.before(number);
            lines.get(number - 1)?.chars().nth(column)
        };
        let brackets = self.stack.iter();
        brackets
            .filter(|open| matches!(begins(open), Some('[' | '{')))
            .count()
    }

    fn finish(&mut self, root: Option<Node>, documents: &mut Vec<Document>) {
        let problems = std::mem::take(&mut self.problems);
        self.stack.clear();
        self.anchors.clear();
        self.aliased = 0;
        let root = root.filter(|node| node.value != Value::Null);
        if root.is_some() || !problems.is_empty() {
            documents.push(Document {
                number: 0,
                root,
                problems,
                names_mesh: false,
                template: false,
            });
        }
    }

    /// Takes one event; gives the document's root once it is complete.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<Option<Node>, Problem> {
        let (line, column) = self.position(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), (line, column))?;
                self.count(1, (line, column))?;
                let node = Node {
                    value,
                    line,
                    column,
                };
                if anchor > 0 {
                    self.anchors.insert(anchor, Some((node.clone(), 1)));
                }
                self.place(node, Some(&text))
            }
            Event::SequenceStart(anchor, _) => {
                self.open(anchor, (line, column), Items::Seq(Vec::new()))
            }
            Event::MappingStart(anchor, _) => {
                self.open(anchor, (line, column), Items::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, (line, column)),
            _ => Ok(None),
        }
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        (line, column): (u32, u32),
    ) -> Result<Value, Problem> {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => {
                Ok(Value::Str(text.to_owned()))
            }
            Some(tag) if tag.is_yaml_core_schema() => Ok(scalar::resolve(text)),
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => {
                Ok(Value::Str(text.to_owned()))
            }
            Some(_) => Err(Problem {
                rule: "yaml-tag",
                line,
                column,
                message: "custom YAML tags have no meaning here".to_owned(),
                hint: "remove the tag (the word that begins with `!`)",
            }),
            None if style == ScalarStyle::Plain => Ok(scalar::resolve(text)),
            None => Ok(Value::Str(text.to_owned())),
        }
    }

    fn open(
        &mut self,
        anchor: usize,
        (line, column): (u32, u32),
        items: Items,
    ) -> Result<Option<Node>, Problem> {
        self.count(1, (line, column))?;
        if let Some(Items::Map(_, None)) = self.stack.last().map(|open| &open.items) {
            return Err(bad_key(line, column));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(Problem {
                rule: "yaml-depth",
                line,
                column,
                message: format!("nested deeper than {MAX_DEPTH} levels"),
                hint: TOO_DEEP,
            });
        }
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
        self.stack.push(Open {
            anchor,
            first: self.nodes,
            line,
            column,
            items,
        });
        Ok(None)
    }

    fn close(&mut self) -> Result<Option<Node>, Problem> {
        let Some(open) = self.stack.pop() else {
            return Ok(None);
        };
        let value = match open.items {
            Items::Seq(items) => Value::Seq(items),
            Items::Map(mut entries, _) => {
                let merged = merge::take(&mut entries);
                let whole = self.stack.is_empty();
                self.drop_duplicates(&mut entries, whole);
                merge::put(merged, &mut entries);
                Value::Map(entries)
            }
        };
        let (line, column) = (open.line, open.column);
        let node = Node {
            value,
            line,
            column,
        };
        if open.anchor > 0 {
            let size = self.nodes - open.first + 1;
            self.count(size, (line, column))?;
            self.anchors.insert(open.anchor, Some((node.clone(), size)));
        }
        self.place(node, None)
    }

    fn alias(&mut self, id: usize, (line, column): (u32, u32)) -> Result<Option<Node>, Problem> {
        let problem = |rule, message: String, hint| Problem {
            rule,
            line,
            column,
            message,
            hint,
        };
        match self.anchors.get(&id) {
            Some(Some((_, size))) => {
                self.aliased += size;
                if self.aliased > MAX_ALIASED {
                    return Err(problem(
                        "yaml-alias-bomb",
                        format!("aliases expand to more than {MAX_ALIASED} values"),
                        "write the values out instead of nesting aliases",
                    ));
                }
            }
            _ => {
                return Err(problem(
                    "yaml-cyclic-alias",
                    "an alias refers to a value that contains it".to_owned(),
                    "write the value out",
                ));
            }
        }
        let Some(Some((node, size))) = self.anchors.get(&id).cloned() else {
            return Ok(None);
        };
        self.count(size, (line, column))?;
        let text = match &node.value {
            Value::Str(text) => Some(text.clone()),
            _ => None,
        };
        self.place(node, text.as_deref())
    }

    /// Puts a finished value into the innermost open collection; without one it is the root. `key` is its text, should
    /// it stand where a key is due.
    fn place(&mut self, node: Node, key: Option<&str>) -> Result<Option<Node>, Problem> {
        let Some(open) = self.stack.last_mut() else {
            return Ok(Some(node));
        };
        match &mut open.items {
            Items::Seq(items) => items.push(node),
            Items::Map(entries, pending) => match pending.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let text = key.ok_or_else(|| bad_key(node.line, node.column))?;
                    *pending = Some(Key {
                        text: text.to_owned(),
                        line: node.line,
                        column: node.column,
                    });
                }
            },
        }
        Ok(None)
    }

    /// `whole`: they are a document's own. Where a second `apiVersion` or `kind` stands there, a second resource begins.
    fn drop_duplicates(&mut self, entries: &mut Vec<(Key, Node)>, whole: bool) {
        if entries.len() < 2 {
            return;
        }
        let mut seen: HashMap<&str, u32> = HashMap::with_capacity(entries.len());
        let (mut repeated, mut second) = (Vec::new(), None);
        for (at, (key, _)) in entries.iter().enumerate() {
            if let Some(first) = seen.get(key.text.as_str()) {
                repeated.push(at);
                if whole && matches!(key.text.as_str(), "apiVersion" | "kind") {
                    second.get_or_insert((key.line, key.column));
                    continue;
                }
                if second.is_some() {
                    continue;
                }
                self.problems.push(Problem {
                    rule: "duplicate-key",
                    line: key.line,
                    column: key.column,
                    message: format!("`{}` is already given in line {first}", key.text),
                    hint: "keep one of the two",
                });
            } else {
                seen.insert(&key.text, key.line);
            }
        }
        if let Some((line, column)) = second {
            self.problems.push(Problem {
                rule: "duplicate-key",
                line,
                column,
                message: "a second resource begins here, in the middle of the first".to_owned(),
                hint: "put a line `---` before it",
            });
        }
        if !repeated.is_empty() {
            let mut at = 0;
            entries.retain(|_| {
                at += 1;
                repeated.binary_search(&(at - 1)).is_err()
            });
        }
    }

    fn count(&mut self, more: usize, (line, column): (u32, u32)) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(Problem {
            rule: "yaml-too-large",
            line,
            column,
            message: format!("the file holds more than {MAX_NODES} values"),
            hint: "split it into several files",
        })
    }

    pub(super) fn position(&self, span: Span) -> (u32, u32) {
        let padded = self.padding.before(span.start.line());
        let column = span.start.col().saturating_sub(padded);
        let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        let column = u32::try_from(column).unwrap_or(u32::MAX);
        (
            line.saturating_add(self.line_offset),
            column.saturating_add(1),
        )
    }
}

fn bad_key(line: u32, column: u32) -> Problem {
    Problem {
        rule: "yaml-key",
        line,
        column,
        message: "a list or mapping cannot be a key".to_owned(),
        hint: "a value that begins with `{` or `[` needs quotes, as in \"{{ name }}\"",
    }
}
