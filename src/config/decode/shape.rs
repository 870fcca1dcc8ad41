//! What a value may be, as data.
//!
//! Istio's kinds that have no effect here, and large parts of the others, are read only to be checked. A [`Shape`]
//! states such a part the way the specification does: its fields, their ranges, words and formats, which must be there
//! and which exclude each other. [`Field::check`] holds a value against it and reports all that does not fit.

use super::{field::Field, object::Object, scalars::Least};

/// What a value may be.
pub(in crate::config) enum Shape {
    /// Anything: what is below belongs to somebody else.
    Any,
    Bool,
    /// Any string.
    Str,
    /// A string of a format.
    Text(&'static Format),
    /// One of some words.
    Word(&'static [&'static str]),
    /// A whole number within a range.
    Int(i64, i64),
    /// A number within a range.
    Number(f64, f64),
    /// A duration of a millisecond or more, in whole milliseconds.
    Duration,
    List(&'static Self),
    /// Free keys of a format.
    Map(&'static Format, &'static Self),
    Object(&'static Fields),
    /// Further rules on what a shape holds.
    And(&'static Self, fn(&Field<'_>)),
}

/// What a string may be.
pub(in crate::config) struct Format {
    /// The rule that is broken by what does not fit.
    pub(in crate::config) rule: &'static str,
    /// Tells what is wrong.
    pub(in crate::config) check: fn(&str) -> Result<(), &'static str>,
    pub(in crate::config) hint: &'static str,
}

/// A mapping with known fields, and what holds between them.
pub(in crate::config) struct Fields {
    pub(in crate::config) fields: &'static [(&'static str, Shape)],
    pub(in crate::config) rules: &'static [Rule],
}

/// What holds between the fields of a mapping.
pub(in crate::config) enum Rule {
    /// Each is given, and not empty.
    All(&'static [&'static str]),
    /// One or more are given.
    Some(&'static [&'static str]),
    /// One is given.
    One(&'static [&'static str]),
    /// One or none is given.
    AtMostOne(&'static [&'static str]),
    /// Something else.
    Check(fn(&Field<'_>)),
}

/// Any number that an `int32` holds.
pub(in crate::config) const INT32: Shape = Shape::Int(-(1 << 31), (1 << 31) - 1);
/// Any number that an `int32` holds and that counts something.
pub(in crate::config) const COUNT: Shape = Shape::Int(0, (1 << 31) - 1);
/// Any number that a `uint32` holds.
pub(in crate::config) const UINT32: Shape = Shape::Int(0, (1 << 32) - 1);
/// A port number.
pub(in crate::config) const PORT: Shape = Shape::Int(1, 65_535);

// === impl Format ===

impl Format {
    /// Checks a string, which is (in) the value of `field`.
    pub(in crate::config) fn holds(&self, text: &str, field: &Field<'_>) -> bool {
        let checked = (self.check)(text);
        if let Err(why) = checked {
            field.error(self.rule, format!("{text:?}: {why}"), self.hint);
        }
        checked.is_ok()
    }
}

// === impl Fields ===

impl Fields {
    fn check(&'static self, object: &Object<'_>) {
        for (name, shape) in self.fields {
            if let Some(field) = object.get(name) {
                field.check(shape);
            }
        }
        for rule in self.rules {
            rule.check(object.field());
        }
    }
}

// === impl Rule ===

impl Rule {
    fn check(&self, field: &Field<'_>) {
        let given = |names: &[&'static str]| -> Vec<&'static str> {
            let mut names = names.to_vec();
            names.retain(|name| field.given(name).is_some());
            names
        };
        match self {
            Self::All(names) => {
                let found = given(names);
                for name in names.iter().filter(|name| !found.contains(name)) {
                    let message = format!("`{name}` is missing or empty");
                    field.error("missing-field", message, "");
                }
            }
            Self::Some(names) if given(names).is_empty() => {
                let message = "none of the fields that say something is given";
                field.error("missing-field", message, one_of(names));
            }
            Self::One(names) if given(names).is_empty() => {
                let message = "one of several fields must be given";
                field.error("missing-field", message, one_of(names));
            }
            Self::One(names) | Self::AtMostOne(names) => {
                if let [first, second, ..] = given(names)[..] {
                    let message = format!("`{first}` and `{second}` exclude each other");
                    field.error("one-of", message, "keep one of them");
                }
            }
            Self::Some(_) => {}
            Self::Check(check) => check(field),
        }
    }
}

fn one_of(names: &[&str]) -> String {
    format!("give one of {}", names.join(", "))
}

// === impl Field ===

impl<'a> Field<'a> {
    /// Reports all in which the value does not have a shape.
    pub(in crate::config) fn check(&self, shape: &'static Shape) {
        match shape {
            Shape::Any => {}
            Shape::Bool => _ = self.bool(),
            Shape::Str => _ = self.str(),
            Shape::Text(format) => _ = self.str().is_some_and(|text| format.holds(text, self)),
            Shape::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| (*word, ())).collect();
                self.word(&words);
            }
            Shape::Int(min, max) => _ = self.int(*min, *max),
            Shape::Number(min, max) => _ = self.number(*min, *max),
            Shape::Duration => _ = self.duration(Least::Millisecond),
            Shape::List(item) => self.list().iter().for_each(|field| field.check(item)),
            Shape::Map(key, value) => {
                for (name, field) in self.entries() {
                    key.holds(name, &field);
                    field.check(value);
                }
            }
            Shape::Object(fields) => {
                if let Some(object) = self.object() {
                    fields.check(&object);
                }
            }
            Shape::And(shape, more) => {
                self.check(shape);
                more(self);
            }
        }
    }

    /// A field of this mapping that says something: it is there, and neither null nor an empty string or list. Silent.
    pub(in crate::config) fn given(&self, name: &str) -> Option<Self> {
        let field = self.step(name)?;
        let empty = field.is_null() || field.is_empty_list() || field.str_quietly() == Some("");
        (!empty).then_some(field)
    }

    /// The items of a list below, if it is one. Silent.
    pub(in crate::config) fn items(&self, name: &str) -> Vec<Self> {
        match self.step(name) {
            Some(field) if field.is_list() => field.list(),
            _ => Vec::new(),
        }
    }

    /// The strings of a list below that are strings. Silent.
    pub(in crate::config) fn texts(&self, name: &str) -> Vec<(&'a str, Self)> {
        let items = self.items(name).into_iter();
        items
            .filter_map(|item| Some((item.str_quietly()?, item)))
            .collect()
    }
}
