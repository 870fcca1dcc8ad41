//! Which rules of many are worth a look.
//!
//! Each rule is filed under the values of one attribute that it cannot do without, the one that tells it best from the others.
//! A request looks up its own values and evaluates what it finds there; rules without such an attribute are always looked at.

use std::collections::HashMap;

use xxhash_rust::xxh3::Xxh3Builder;

use super::{
    check::Check,
    facts::{Case, Fact},
    params::Subject,
    pattern::Pattern,
    rule::Compiled,
};

/// The rules of one action, filed.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    shelves: Vec<Shelf>,
    /// Those that are always looked at.
    rest: Vec<u32>,
}

/// The rules that are filed under one attribute.
#[derive(Clone, Debug)]
struct Shelf {
    subject: Subject,
    /// All, for requests of which the attribute is not known.
    all: Vec<u32>,
    exact: Table,
    prefixes: Vec<(usize, Table)>,
    suffixes: Vec<(usize, Table)>,
}

type Table = HashMap<Box<str>, Vec<u32>, Xxh3Builder>;

/// What a rule is filed under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
}

// === impl Index ===

impl Index {
    pub(super) fn new(rules: &[Compiled]) -> Self {
        let wanted: Vec<_> = rules.iter().map(candidates).collect();
        let mut counts: HashMap<(&Subject, &Key), usize> = HashMap::new();
        for (subject, keys) in wanted.iter().flatten() {
            for key in keys {
                *counts.entry((subject, key)).or_default() += 1;
            }
        }
        let most = |subject, keys: &[Key]| {
            let shared = keys.iter().map(|key| counts[&(subject, key)]);
            shared.max().unwrap_or(usize::MAX)
        };
        let mut index = Self::default();
        for (number, wanted) in (0..).zip(&wanted) {
            match wanted.iter().min_by_key(|(s, keys)| most(s, keys)) {
                Some((subject, keys)) => index.shelf(subject).file(number, keys),
                None => index.rest.push(number),
            }
        }
        index
    }

    fn shelf(&mut self, subject: &Subject) -> &mut Shelf {
        let found = self.shelves.iter().position(|s| s.subject == *subject);
        let at = found.unwrap_or_else(|| {
            self.shelves.push(Shelf {
                subject: subject.clone(),
                all: Vec::new(),
                exact: Table::default(),
                prefixes: Vec::new(),
                suffixes: Vec::new(),
            });
            self.shelves.len() - 1
        });
        &mut self.shelves[at]
    }

    /// Tells of each rule that may match; of some twice.
    pub(super) fn each(&self, case: &Case<'_>, mut look: impl FnMut(u32)) {
        self.rest.iter().copied().for_each(&mut look);
        for shelf in &self.shelves {
            shelf.each(case, &mut look);
        }
    }
}

// === impl Shelf ===

impl Shelf {
    fn file(&mut self, rule: u32, keys: &[Key]) {
        self.all.push(rule);
        for key in keys {
            let (table, text) = match key {
                Key::Exact(text) => (&mut self.exact, text),
                Key::Prefix(text) => (of_length(&mut self.prefixes, text.len()), text),
                Key::Suffix(text) => (of_length(&mut self.suffixes, text.len()), text),
            };
            table.entry(text.clone()).or_default().push(rule);
        }
    }

    fn each(&self, case: &Case<'_>, look: &mut impl FnMut(u32)) {
        match (&self.subject, &case.facts.http) {
            (Subject::Principal, _) => match (case.id, case.facts.peer) {
                (Fact::Is(id), _) => self.find(id, look),
                (_, Fact::Unknown) => self.all.iter().copied().for_each(look),
                _ => {}
            },
            (Subject::Namespace, _) => match case.id {
                Fact::Is(_) => case.namespaces().for_each(|name| self.find(name, look)),
                Fact::Absent => {}
                Fact::Unknown => self.all.iter().copied().for_each(look),
            },
            (_, Fact::Absent) => {}
            (Subject::Path, Fact::Is(http)) => {
                self.find(http.path, look);
                case.readings.iter().for_each(|path| self.find(path, look));
            }
            (Subject::Host, Fact::Is(http)) if http.host.is_some() => {
                self.find(http.host.as_deref().unwrap_or_default(), look);
            }
            (Subject::Header(name), Fact::Is(http)) => {
                for line in http.headers.get_all(name.as_str()) {
                    let text = String::from_utf8_lossy(line.as_bytes());
                    self.find(&text, look);
                    if text.contains(',') {
                        text.split(',').for_each(|t| self.find(t.trim(), look));
                    }
                }
            }
            _ => self.all.iter().copied().for_each(look),
        }
    }

    fn find(&self, text: &str, look: &mut impl FnMut(u32)) {
        let mut found = |table: &Table, text: &str| {
            if let Some(rules) = table.get(text) {
                rules.iter().copied().for_each(&mut *look);
            }
        };
        found(&self.exact, text);
        for (length, table) in &self.prefixes {
            if let Some(head) = text.get(..*length) {
                found(table, head);
            }
        }
        for (length, table) in &self.suffixes {
            let tail = text
                .len()
                .checked_sub(*length)
                .and_then(|at| text.get(at..));
            if let Some(tail) = tail {
                found(table, tail);
            }
        }
    }
}

fn of_length(tables: &mut Vec<(usize, Table)>, length: usize) -> &mut Table {
    let at = tables.iter().position(|(own, _)| *own == length);
    let at = at.unwrap_or_else(|| {
        tables.push((length, Table::default()));
        tables.len() - 1
    });
    &mut tables[at].1
}

/// The attributes that a rule cannot do without, and what it wants of each.
fn candidates(rule: &Compiled) -> Vec<(Subject, Vec<Key>)> {
    let mut all: Vec<(Subject, Vec<Key>)> = Vec::new();
    all.extend(
        rule.when
            .iter()
            .filter_map(|check| Some((check.subject.clone(), keys(check)?))),
    );
    for choices in [&rule.from, &rule.to] {
        let Some(first) = choices.first() else {
            continue;
        };
        for check in first {
            let subject = &check.subject;
            let of_each = choices.iter().map(|checks| {
                let mut own = checks.iter().filter(|check| check.subject == *subject);
                own.find_map(keys)
            });
            if let Some(keys) = of_each.collect::<Option<Vec<_>>>() {
                all.push((subject.clone(), keys.concat()));
            }
        }
    }
    all
}

/// What a condition is filed under; `None` if it does not tell.
fn keys(check: &Check) -> Option<Vec<Key>> {
    let filed = match &check.subject {
        Subject::Principal | Subject::Namespace | Subject::Path | Subject::Host => true,
        Subject::Header(name) => !name.starts_with(':') && name != "host",
        _ => false,
    };
    if check.negate || !filed {
        return None;
    }
    let keys = check.patterns().iter().map(|pattern| match pattern {
        Pattern::Exact(text) => Some(Key::Exact(text.clone())),
        Pattern::Prefix(text) => Some(Key::Prefix(text.clone())),
        Pattern::Suffix(text) => Some(Key::Suffix(text.clone())),
        Pattern::Template(template) => Some(Key::Prefix(template.head().into())),
        Pattern::Any | Pattern::Glob(_) => None,
    });
    keys.collect()
}
